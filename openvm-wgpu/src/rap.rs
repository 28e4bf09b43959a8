//! The constraint stage: GKR, round 0, the rounds after it.
//!
//! The transcript is the stock prover's, step by step (`openvm_stark_backend::prover::logup_zerocheck`). The stage proves, for traces `t`
//! from tallest to lowest, one sumcheck over
//!
//! ```text
//! sum_t mu^(2t) p_t + mu^(2t + 1) q_t + mu^(2T + t) z_t        p, q: LogUp's numerators and denominators, z: the constraints
//! ```
//!
//! in which each trace's polynomials run over its own cube (the head) until it is used up; then they are a number times the challenges
//! that are left (the tail).

use std::{collections::HashMap, iter::zip};

use logup_wgpu::{Challenges, ConstraintCheck, EF, F, Round0, Round0Polys};
use openvm_cpu_backend::CpuBackend;
use openvm_stark_backend::{
    FiatShamirTranscript, calculate_n_logup,
    poly_common::{UnivariatePoly, eq_uni_poly},
    proof::{BatchConstraintProof, GkrProof, column_openings_by_rot},
    prover::{
        DeviceMultiStarkProvingKey, LogupZerocheckError, ProvingContext,
        fractional_sumcheck_gkr::fractional_sumcheck,
        poly::{eq_sharp_uni_poly, evals_eq_hypercubes},
        stacked_pcs::StackedLayout,
        sumcheck::sumcheck_round0_deg,
    },
};
use p3_field::PrimeCharacteristicRing;
use tracing::{debug, info_span};

use crate::{
    Digest, SC, WgpuProverError,
    device_round0::{DeviceRound0Stats, DeviceTraces},
    fold_ple::FoldedTrace,
    gkr::{GkrStats, LeafTrace, Leaves},
    key_plan::{AirPlan, KeyPlan},
    on_device::OnDevice,
    poly::{add_product, combine, eq_at_bits, sum_over_domain},
    rows::Rows,
};

/// The stage's proof and the point at which the traces are to be opened.
pub(crate) type RapProof = ((GkrProof<SC>, BatchConstraintProof<SC>), Vec<EF>);

/// Proves the constraints and interactions of a proof's traces, and finds constraints that fail first if it is asked to.
///
/// # Shapes
/// `context` sorted for stacking: tallest first.
pub(crate) fn prove<TS: FiatShamirTranscript<SC>>(
    transcript: &mut TS,
    plan: &KeyPlan,
    key: &DeviceMultiStarkProvingKey<CpuBackend<SC>>,
    context: &ProvingContext<CpuBackend<SC>>,
    common_main: &Digest,
    on: &OnDevice<'_>,
    checks_constraints: bool,
) -> Result<(RapProof, DeviceRound0Stats, Option<GkrStats>), WgpuProverError> {
    let _cpu_span = info_span!("prove_zerocheck_and_logup").entered();
    let stage = Stage::new(plan, key, context)?;

    let mut traces = stage.on_device(on, key, context, Some(common_main))?;
    if checks_constraints {
        traces.check(on.engine)?.satisfied()?;
    }
    let (gkr, logup, gkr_stats) = stage.gkr(transcript, key.params.logup.pow_bits, on, &traces)?;
    let round0 = stage.round0(transcript, &logup, on.engine, &traces)?;
    drop(traces);
    let (round_polys, folded, r) = stage.mle_rounds(transcript, &logup, &round0);
    let column_openings = stage.openings(transcript, &folded);

    let batch = BatchConstraintProof {
        numerator_term_per_air: round0.claims.iter().map(|&[numerator, _]| numerator).collect(),
        denominator_term_per_air: round0.claims.iter().map(|&[_, denominator]| denominator).collect(),
        univariate_round_coeffs: round0.poly.into_coeffs(),
        sumcheck_round_polys: round_polys,
        column_openings,
    };
    Ok((((gkr, batch), r), round0.stats, gkr_stats))
}

/// The constraints of a proof's traces that fail.
pub(crate) fn check(
    plan: &KeyPlan,
    key: &DeviceMultiStarkProvingKey<CpuBackend<SC>>,
    context: &ProvingContext<CpuBackend<SC>>,
    on: &OnDevice<'_>,
) -> Result<ConstraintCheck, WgpuProverError> {
    let stage = Stage::new(plan, key, context)?;
    let mut check = stage.on_device(on, key, context, None)?.check(on.engine)?;
    let owners: Vec<usize> = stage.owners().collect();
    for failing in &mut check.failing {
        failing.instance = owners[failing.instance];
    }
    Ok(check)
}

/// A proof's traces and the key's parameters.
pub(crate) struct Stage<'a> {
    pub traces: Vec<StageTrace<'a>>,
    pub l_skip: usize,
    /// Of all AIRs of the key.
    pub constraint_degree: usize,
    max_num_constraints: usize,
    max_message_len: usize,
    /// The cube of the tallest trace.
    pub n_max: usize,
}

/// One trace of the proof.
pub(crate) struct StageTrace<'a> {
    pub plan: &'a AirPlan,
    pub rows: Rows<'a>,
    pub public_values: &'a [F],
    /// Its (lifted) height is `2^(l_skip + n)`.
    pub n: usize,
}

/// What GKR leaves: challenges, and each interaction's place.
pub(crate) struct LogupChallenges {
    pub beta: EF,
    pub beta_pows: Vec<EF>,
    pub xi: Vec<EF>,
    /// Per trace, each interaction's weight.
    pub eq_3bs: Vec<Vec<EF>>,
    lambda: EF,
    pub lambda_pows: Vec<EF>,
    /// `eq` on all cubes that are left of a trace of `2^n` points; see `eq_level`.
    eq_trees: HashMap<usize, Vec<EF>>,
}

impl LogupChallenges {
    /// `eq(xi[..], y)` for the `2^log_num_y` points `y` that are left of a cube of dimension `n`.
    pub fn eq_level(&self, n: usize, log_num_y: usize) -> &[EF] {
        let num_y = 1 << log_num_y;
        &self.eq_trees[&n][num_y - 1..2 * num_y - 1]
    }
}

/// Round 0's outcome.
pub(crate) struct Round0Outcome {
    /// Per trace, the sums of numerator and denominator.
    claims: Vec<[EF; 2]>,
    pub poly: UnivariatePoly<EF>,
    pub mu_pows: Vec<EF>,
    pub r: EF,
    stats: DeviceRound0Stats,
}

impl<'a> Stage<'a> {
    fn new(
        plan: &'a KeyPlan,
        key: &'a DeviceMultiStarkProvingKey<CpuBackend<SC>>,
        context: &'a ProvingContext<CpuBackend<SC>>,
    ) -> Result<Self, WgpuProverError> {
        let l_skip = key.params.l_skip;
        let trace = |(air, context): &'a (usize, _)| {
            let plan: &AirPlan = &plan.airs[*air];
            let rows = Rows::new(&plan.shape, &key.per_air[*air], context)?;
            let log_height = rows.height.ilog2() as usize;
            Ok(StageTrace { plan, public_values: &context.public_values, n: log_height.saturating_sub(l_skip), rows })
        };
        let traces: Vec<StageTrace<'a>> = context.per_trace.iter().map(trace).collect::<Result<_, WgpuProverError>>()?;
        let interactions = traces.iter().filter_map(|trace| trace.plan.logup.as_ref()).flat_map(|logup| &logup.interactions);
        let num_constraints = key.per_air.iter().map(|air| air.vk.symbolic_constraints.constraints.constraint_idx.len());
        Ok(Self {
            l_skip,
            constraint_degree: key.max_constraint_degree,
            max_num_constraints: num_constraints.max().unwrap_or(0),
            max_message_len: interactions.map(|interaction| interaction.message.len()).max().unwrap_or(0),
            n_max: traces.first().map_or(0, |trace| trace.n),
            traces,
        })
    }

    /// GKR on the sum of all interactions' fractions; then the challenges that both halves of round 0 need.
    fn gkr<TS: FiatShamirTranscript<SC>>(
        &self,
        transcript: &mut TS,
        pow_bits: usize,
        on: &OnDevice<'_>,
        traces: &DeviceTraces<'_>,
    ) -> Result<(GkrProof<SC>, LogupChallenges, Option<GkrStats>), WgpuProverError> {
        let _span = info_span!("prover.rap_constraints.logup_gkr", phase = "prover").entered();
        let num_interactions = |trace: &StageTrace<'_>| trace.plan.logup.as_ref().map_or(0, |logup| logup.interactions.len());
        let log_lifted = |trace: &StageTrace<'_>| trace.n + self.l_skip;
        let total = self.traces.iter().map(|trace| (num_interactions(trace) as u64) << log_lifted(trace)).sum();
        let n_logup = calculate_n_logup(self.l_skip, total);
        let sizes = self.traces.iter().map(|trace| (num_interactions(trace), log_lifted(trace))).collect();
        let layout = StackedLayout::new(0, self.l_skip + n_logup, sizes)?;

        let logup_pow_witness = transcript.grind(pow_bits);
        let alpha: EF = transcript.sample_ext();
        let beta: EF = transcript.sample_ext();
        let beta_pows: Vec<EF> = beta.powers().take(self.max_message_len + 1).collect();
        debug!(n_logup, %alpha, %beta);

        let ((sum_proof, mut xi), stats) = if total == 0 {
            (fractional_sumcheck::<SC, _>(transcript, &[], true)?, None)
        } else {
            let leaves = self.leaves(on, traces, &layout, self.l_skip + n_logup, alpha, &beta_pows)?;
            let (proof, stats) = on.gkr.prove(transcript, &leaves)?;
            (proof, Some(stats))
        };
        while xi.len() < self.l_skip + self.n_max.max(n_logup) {
            xi.push(transcript.sample_ext());
        }
        let lambda: EF = transcript.sample_ext();
        debug!(?xi, %lambda);

        let eq_3bs = self.traces.iter().enumerate().map(|(t, trace)| {
            let first_bit = self.l_skip + trace.n;
            let weight = |i| {
                let slice = layout.get(t, i).ok_or(LogupZerocheckError::InteractionsLayoutMissing { trace_idx: t, interaction_idx: i })?;
                Ok(eq_at_bits(&xi[first_bit..self.l_skip + n_logup], slice.row_idx >> first_bit))
            };
            (0..num_interactions(trace)).map(weight).collect()
        });
        let eq_3bs = eq_3bs.collect::<Result<_, WgpuProverError>>()?;
        let mut eq_trees = HashMap::new();
        for trace in &self.traces {
            let tree = || evals_eq_hypercubes(trace.n, xi[self.l_skip..self.l_skip + trace.n].iter().rev());
            eq_trees.entry(trace.n).or_insert_with(tree);
        }
        let gkr = GkrProof {
            logup_pow_witness,
            q0_claim: sum_proof.fractional_sum.1,
            claims_per_layer: sum_proof.claims_per_layer,
            sumcheck_polys: sum_proof.sumcheck_polys,
        };
        let lambda_pows = lambda.powers().take(self.max_num_constraints).collect();
        Ok((gkr, LogupChallenges { beta, beta_pows, xi, eq_3bs, lambda, lambda_pows, eq_trees }, stats))
    }

    fn leaves(
        &self,
        on: &OnDevice<'_>,
        traces: &DeviceTraces<'_>,
        layout: &StackedLayout,
        log_len: usize,
        alpha: EF,
        beta_pows: &[EF],
    ) -> Result<Leaves, WgpuProverError> {
        let mut leaf_traces: Vec<Option<LeafTrace<'_>>> = self.traces.iter().map(|_| None).collect();
        for (t, input) in zip(self.owners(), &traces.inputs) {
            let trace = &self.traces[t];
            let leaf_trace = |logup| LeafTrace {
                air: &trace.plan.air,
                logup,
                traces: &input.traces,
                public_values: trace.public_values,
                height: trace.rows.height,
            };
            leaf_traces[t] = trace.plan.logup.as_ref().map(leaf_trace);
        }
        Leaves::new(on.gkr.compute, &leaf_traces, layout, log_len, alpha, beta_pows).map_err(WgpuProverError::Gkr)
    }

    /// Round 0: the polynomials of LogUp and of the constraints from the device; batched, sent, and bound to `r`.
    fn round0<TS: FiatShamirTranscript<SC>>(
        &self,
        transcript: &mut TS,
        challenges: &LogupChallenges,
        engine: &Round0,
        traces: &DeviceTraces<'_>,
    ) -> Result<Round0Outcome, WgpuProverError> {
        let span = info_span!("prover.rap_constraints.round0", phase = "prover").entered();
        let polys_span = info_span!("prover.rap_constraints.ple_round0", phase = "prover").entered();
        let (polys, stats) = self.round0_polys(challenges, engine, traces)?;
        drop(polys_span);

        let xi = &challenges.xi;
        let num_coefficients = sumcheck_round0_deg(self.l_skip, self.constraint_degree) + 1;
        let eq_sharp = eq_sharp_uni_poly(&xi[..self.l_skip]).into_coeffs();
        let logup = || polys.iter().map(|polys| [&polys.numerator[..], &polys.denominator]);
        let claims: Vec<[EF; 2]> = logup().map(|polys| polys.map(|poly| sum_over_domain(&eq_sharp, poly))).collect();
        for &claim in claims.as_flattened() {
            transcript.observe_ext(claim);
        }
        let mu: EF = transcript.sample_ext();
        debug!(%mu);
        let mu_pows: Vec<EF> = mu.powers().take(3 * self.traces.len()).collect();
        let (logup_mus, zerocheck_mus) = mu_pows.split_at(2 * self.traces.len());

        let logup = combine(logup_mus, logup().flatten(), num_coefficients);
        let zerocheck = combine(zerocheck_mus, polys.iter().map(|polys| &polys.zerocheck[..]), num_coefficients);
        let eq = eq_uni_poly::<F, EF>(self.l_skip, xi[0]).into_coeffs();
        let mut poly = vec![EF::ZERO; sumcheck_round0_deg(self.l_skip, self.constraint_degree + 1) + 1];
        add_product(&mut poly, &eq_sharp, &logup);
        add_product(&mut poly, &eq, &zerocheck);
        for &coefficient in &poly {
            transcript.observe_ext(coefficient);
        }
        let r: EF = transcript.sample_ext();
        debug!(round = 0, %r);
        drop(span);
        Ok(Round0Outcome { claims, poly: UnivariatePoly::new(poly), mu_pows, r, stats })
    }

    /// The places of the traces whose AIRs have interactions or constraints.
    fn owners(&self) -> impl Iterator<Item = usize> {
        (0..self.traces.len()).filter(|&t| self.traces[t].plan.round0.is_some())
    }

    /// `s'_0` of LogUp and of the constraints per trace; nothing for what an AIR does not have.
    fn round0_polys(
        &self,
        challenges: &LogupChallenges,
        engine: &Round0,
        traces: &DeviceTraces<'_>,
    ) -> Result<(Vec<Round0Polys>, DeviceRound0Stats), WgpuProverError> {
        let &LogupChallenges { beta, lambda, .. } = challenges;
        let eq_3bs: Vec<&[EF]> = self.owners().map(|t| &challenges.eq_3bs[t][..]).collect();
        let (computed, stats) = traces.round0(engine, &eq_3bs, &Challenges { xi: &challenges.xi[self.l_skip..], beta, lambda })?;
        let mut polys = vec![Round0Polys::default(); self.traces.len()];
        for (t, mut computed) in zip(self.owners(), computed) {
            computed.scale_lifted(self.traces[t].rows.height);
            polys[t] = computed;
        }
        Ok((polys, stats))
    }

    /// Each column's value at `r`, sent and put into the proof's order: common main, then preprocessed, then cached mains.
    fn openings<TS: FiatShamirTranscript<SC>>(&self, transcript: &mut TS, traces: &[FoldedTrace]) -> Vec<Vec<Vec<EF>>> {
        let openings = |(trace, folded): (&StageTrace<'_>, &FoldedTrace)| {
            let shape = &trace.plan.shape;
            let row = folded.row(0);
            let part = |part: usize| {
                let here = &row[shape.wide_range(part, false)];
                if !shape.needs_next {
                    return here.to_vec();
                }
                zip(here, &row[shape.wide_range(part, true)]).flat_map(|(&here, &next)| [here, next]).collect()
            };
            let common = shape.widths.len() - 1;
            [common].into_iter().chain(0..common).map(part).collect()
        };
        let all: Vec<Vec<Vec<EF>>> = zip(&self.traces, traces).map(openings).collect();
        let mut observe = |trace: &StageTrace<'_>, part: &[EF]| {
            for (here, next) in column_openings_by_rot(part, trace.plan.shape.needs_next) {
                transcript.observe_ext(here);
                transcript.observe_ext(next);
            }
        };
        for (trace, openings) in zip(&self.traces, &all) {
            observe(trace, &openings[0]);
        }
        for (trace, openings) in zip(&self.traces, &all) {
            openings[1..].iter().for_each(|part| observe(trace, part));
        }
        all
    }
}
