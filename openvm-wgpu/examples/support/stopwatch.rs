//! The stages of a proof, timed by the spans and events that OpenVM's provers emit anyway, and by the transcript's proofs of work.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use openvm_wgpu::{CommitStats, kernels::stage};
use serde_json::{Value, json};
use tracing::{Event, Subscriber, span};
use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, Targets},
    layer::Context,
    prelude::*,
    registry::LookupSpan,
};

use crate::fixtures::observed::{Grind, Observed};

/// Where the stock CPU engine emits its challenges. It has no span for round 0, which lies between `lambda` and `r_0`.
const STOCK_STAGE: &str = "openvm_cpu_backend::logup_zerocheck";

/// When spans began and ended, and when the stock prover drew challenges.
#[derive(Clone, Default)]
pub struct Stopwatch(Arc<Mutex<Marks>>);

#[derive(Default)]
struct Marks {
    spans: Vec<Span>,
    lambda: Option<Instant>,
    r_0: Option<Instant>,
}

struct Span {
    name: &'static str,
    begin: Instant,
    end: Instant,
}

/// One proof's stages.
#[derive(Clone, Copy, Default)]
pub struct Times {
    pub prove: Duration,
    pub commit: Duration,
    /// Of the commitment: trace to codeword.
    pub rs_code_matrix: Duration,
    /// Of the commitment: codeword to root.
    pub merkle_tree: Duration,
    /// The constraint stage: all of the following up to the openings.
    pub rap: Duration,
    /// With the proof of work before it.
    pub gkr_input: Duration,
    pub gkr: Duration,
    /// Both halves.
    pub round0: Duration,
    pub fold: Duration,
    pub mle_rounds: Duration,
    /// From the last round to the end of the stage: the claims of all columns.
    pub column_openings: Duration,
    /// Stacked reduction and WHIR, with WHIR's proofs of work.
    pub openings: Duration,
    pub stacked_reduction: Duration,
    pub whir: Duration,
    /// All proofs of work.
    pub proof_of_work: Duration,
    /// Those within the openings.
    pub openings_proof_of_work: Duration,
}

impl Stopwatch {
    /// The process's stopwatch, which sees all spans from now on.
    pub fn install() -> Self {
        let stopwatch = Self::default();
        let targets = Targets::new().with_default(LevelFilter::INFO).with_target(STOCK_STAGE, LevelFilter::DEBUG);
        tracing_subscriber::registry().with(stopwatch.clone().with_filter(targets)).init();
        stopwatch
    }

    /// What a call that proves once, with this transcript, returned, and how long its stages took.
    pub fn time<T, R>(&self, transcript: Observed<T>, prove: impl FnOnce(Observed<T>) -> R) -> (R, Times) {
        let log = transcript.log();
        *self.0.lock().unwrap() = Marks::default();
        let result = prove(transcript);
        (result, self.0.lock().unwrap().times(&log.grinds()))
    }
}

impl Marks {
    fn times(&self, grinds: &[Grind]) -> Times {
        let length = |name: &str| self.of(name).map(Span::length).sum();
        let between = |from: Option<Instant>, to: Option<Instant>| {
            from.zip(to).map_or(Duration::ZERO, |(from, to)| to.saturating_duration_since(from))
        };
        let begin = |name: &str| self.of(name).map(|span| span.begin).min();
        let end = |name: &str| self.of(name).map(|span| span.end).max();
        let work = |from: Option<Instant>| grinds.iter().filter(|grind| Some(grind.begin) >= from).map(|grind| grind.duration).sum();

        let round0 = "prover.rap_constraints.round0";
        let (round0_begin, round0_end) = (begin(round0).or(self.lambda), end(round0).or(self.r_0));
        let mle_rounds = "prover.batch_constraints.mle_rounds";
        let (prove, commit, rap): (Duration, Duration, Duration) =
            (length("stark_prove_excluding_trace"), length("prover.main_trace_commit"), length("prove_zerocheck_and_logup"));
        Times {
            prove,
            commit,
            rs_code_matrix: self.of_commitment("rs_code_matrix", &["eval_to_coeff_phase", "transpose_to_rm", "dft_batch"]),
            merkle_tree: self.of_commitment("merkle_tree", &["row_hash", "digest_layers"]),
            rap,
            gkr_input: between(begin("prove_zerocheck_and_logup"), begin("fractional_sumcheck")),
            gkr: length("fractional_sumcheck"),
            round0: between(round0_begin, round0_end),
            fold: between(round0_end, begin(mle_rounds)),
            mle_rounds: length(mle_rounds),
            column_openings: between(end(mle_rounds), end("prove_zerocheck_and_logup")),
            openings: prove.saturating_sub(commit + rap),
            stacked_reduction: length("prover.openings.stacked_reduction") + length("prove_stacked_opening_reduction"),
            whir: length("prover.openings.whir") + length("prove_whir_opening_cpu"),
            proof_of_work: work(begin("stark_prove_excluding_trace")),
            openings_proof_of_work: work(end("prove_zerocheck_and_logup")),
        }
    }

    fn of(&self, name: &str) -> impl Iterator<Item = &Span> {
        self.spans.iter().filter(move |span| span.name == name)
    }

    /// The time within the trace commitment of spans of this name or, where there are none, of the stock engine's for the same steps. WHIR
    /// commits to codewords too, with spans of some of these names.
    fn of_commitment(&self, name: &str, stock_names: &[&str]) -> Duration {
        let within = |name: &str| {
            let commitments = || self.of("prover.main_trace_commit");
            let spans = self.of(name).filter(|span| commitments().any(|commit| commit.begin <= span.begin && span.end <= commit.end));
            spans.map(Span::length).sum()
        };
        let own: Duration = within(name);
        if own.is_zero() { stock_names.iter().map(|name| within(name)).sum() } else { own }
    }
}

impl Span {
    fn length(&self) -> Duration {
        self.end - self.begin
    }
}

impl Times {
    /// GKR, with its input and the proof of work before it.
    pub fn logup_gkr(&self) -> Duration {
        self.gkr_input + self.gkr
    }

    /// Of a commitment on a device the parts are the device's times: both are one submission.
    pub fn set_commit(&mut self, commit: &CommitStats) {
        let of = |stage| commit.gpu(stage).unwrap_or_default();
        (self.rs_code_matrix, self.merkle_tree) = (of(stage::CODE), of(stage::TREE));
    }

    pub fn json(&self) -> Value {
        json!({
            "prove_ms": ms(self.prove),
            "rap_ms": ms(self.rap),
            "round0_ms": ms(self.round0),
            "mle_rounds_ms": ms(self.mle_rounds),
            "column_openings_ms": ms(self.column_openings),
            "commit_ms": ms(self.commit),
            "rs_code_matrix_ms": ms(self.rs_code_matrix),
            "merkle_tree_ms": ms(self.merkle_tree),
            "gkr_input_ms": ms(self.gkr_input),
            "gkr_ms": ms(self.gkr),
            "fold_ms": ms(self.fold),
            "openings_ms": ms(self.openings),
            "stacked_reduction_ms": ms(self.stacked_reduction),
            "whir_ms": ms(self.whir),
            "proof_of_work_ms": ms(self.proof_of_work),
            "openings_proof_of_work_ms": ms(self.openings_proof_of_work),
        })
    }
}

/// Milliseconds, to the microsecond.
pub fn ms(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Stopwatch {
    fn on_new_span(&self, _: &span::Attributes<'_>, id: &span::Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(Instant::now());
        }
    }

    fn on_close(&self, id: span::Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let Some(begin) = span.extensions().get::<Instant>().copied() else { return };
        self.0.lock().unwrap().spans.push(Span { name: span.name(), begin, end: Instant::now() });
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() != STOCK_STAGE {
            return;
        }
        let now = Instant::now();
        let mut marks = self.0.lock().unwrap();
        if has_field(event, "lambda") {
            marks.lambda.get_or_insert(now);
        } else if has_field(event, "r_round") {
            marks.r_0.get_or_insert(now);
        }
    }
}

fn has_field(event: &Event<'_>, name: &str) -> bool {
    event.metadata().fields().field(name).is_some()
}
