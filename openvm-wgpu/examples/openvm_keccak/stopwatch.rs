//! The stages of a proof, timed by the spans and events that OpenVM's provers emit anyway.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tracing::{Event, Subscriber, span};
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};

/// Where the stock CPU engine emits its challenges. It has no span for round 0, which lies between `lambda` and `r_0`.
pub const STOCK_STAGE: &str = "openvm_cpu_backend::logup_zerocheck";

/// When spans began and ended, and when the stock prover drew challenges.
#[derive(Clone, Default)]
pub struct Stopwatch(Arc<Mutex<Marks>>);

#[derive(Default)]
struct Marks {
    /// The first span of each name.
    spans: HashMap<&'static str, (Instant, Instant)>,
    lambda: Option<Instant>,
    r_0: Option<Instant>,
}

/// One proof's stages.
#[derive(Clone, Copy, Default)]
pub struct Times {
    pub prove: Duration,
    pub commit: Duration,
    /// The constraint stage: all of the following but the openings.
    pub rap: Duration,
    pub gkr_input: Duration,
    pub gkr: Duration,
    /// Both halves.
    pub round0: Duration,
    pub fold: Duration,
    pub mle_rounds: Duration,
    pub openings: Duration,
}

impl Stopwatch {
    /// What a call that proves once returned, and how long its stages took.
    pub fn time<T>(&self, prove: impl FnOnce() -> T) -> (T, Times) {
        *self.0.lock().unwrap() = Marks::default();
        let result = prove();
        (result, self.0.lock().unwrap().times())
    }
}

impl Marks {
    fn times(&self) -> Times {
        let span = |name: &str| self.spans.get(name).copied();
        let length = |name: &str| span(name).map_or(Duration::ZERO, |(begin, end)| end - begin);
        let between = |from: Option<Instant>, to: Option<Instant>| {
            from.zip(to).map_or(Duration::ZERO, |(from, to)| to.saturating_duration_since(from))
        };
        let begin = |name: &str| span(name).map(|(begin, _)| begin);
        let round0 = span("prover.rap_constraints.round0").or(self.lambda.zip(self.r_0));
        let mle_rounds = "prover.batch_constraints.mle_rounds";
        let (prove, commit, rap) =
            (length("stark_prove_excluding_trace"), length("prover.main_trace_commit"), length("prove_zerocheck_and_logup"));
        Times {
            prove,
            commit,
            rap,
            gkr_input: between(begin("prove_zerocheck_and_logup"), begin("fractional_sumcheck")),
            gkr: length("fractional_sumcheck"),
            round0: between(round0.map(|(begin, _)| begin), round0.map(|(_, end)| end)),
            fold: between(round0.map(|(_, end)| end), begin(mle_rounds)),
            mle_rounds: length(mle_rounds),
            openings: prove.saturating_sub(commit + rap),
        }
    }
}

impl Times {
    pub fn json(&self) -> Value {
        json!({
            "prove_ms": ms(self.prove),
            "rap_ms": ms(self.rap),
            "round0_ms": ms(self.round0),
            "mle_rounds_ms": ms(self.mle_rounds),
            "commit_ms": ms(self.commit),
            "gkr_input_ms": ms(self.gkr_input),
            "gkr_ms": ms(self.gkr),
            "fold_ms": ms(self.fold),
            "openings_ms": ms(self.openings),
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
        self.0.lock().unwrap().spans.entry(span.name()).or_insert((begin, Instant::now()));
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
