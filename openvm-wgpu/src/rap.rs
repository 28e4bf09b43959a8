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

use std::iter::zip;

use logup_wgpu::{Challenges, ConstraintCheck, EF, F, NodeId, Round0, Round0Polys, Trace, numerator_scale};
use openvm_cpu_backend::CpuBackend;
use openvm_stark_backend::{
    FiatShamirTranscript, calculate_n_logup,
    poly_common::{UnivariatePoly, eq_uni_poly, eval_eq_sharp_uni, eval_eq_uni},
    proof::{BatchConstraintProof, GkrProof, column_openings_by_rot},
    prover::{
        DeviceMultiStarkProvingKey, LogupZerocheckError, ProvingContext, fractional_sumcheck_gkr::fractional_sumcheck,
        poly::eq_sharp_uni_poly, stacked_pcs::StackedLayout, sumcheck::sumcheck_round0_deg,
    },
};
use p3_field::{PrimeCharacteristicRing, TwoAdicField};
use rayon::prelude::*;
use tracing::{debug, info_span};

use crate::{
    SC, WgpuProverError,
    device_round0::{DeviceRound0Stats, DeviceTraces},
    forms::Form,
    gkr::{GkrStats, LeafTrace, Leaves, product_bytes},
    key_plan::{AirPlan, BatchInstructions, KeyPlan},
    mle_rounds::{self, BatchTrace, Claims, MleRoundsStats, Rounds},
    on_device::OnDevice,
    opening::OpenedTraces,
    poly::{add_product, combine, eq_at_bits, eval, lagrange, sum_over_domain},
    row_sums::RowTrace,
    rows::Rows,
    short_traces::short_columns,
    sumcheck::session::PartStats,
};

/// The stage's proof and the point at which the traces are to be opened.
pub(crate) type RapProof = ((GkrProof<SC>, BatchConstraintProof<SC>), Vec<EF>);

/// Of each trace, each part's columns at the point, the common main part first: as the proof has them.
type ColumnOpenings = Vec<Vec<Vec<EF>>>;

/// What the stage did on the device, beside round 0.
pub(crate) struct RapStats {
    pub gkr: Option<GkrStats>,
    pub mle_rounds: MleRoundsStats,
    pub column_openings: PartStats,
}

/// Proves the constraints and interactions of a proof's traces, and finds constraints that fail first if it is asked to.
///
/// # Shapes
/// `context` sorted for stacking: tallest first. `committed` are its commitments: the common main one, then each trace's others.
pub(crate) fn prove<TS: FiatShamirTranscript<SC>>(
    transcript: &mut TS,
    plan: &KeyPlan,
    key: &DeviceMultiStarkProvingKey<CpuBackend<SC>>,
    context: &ProvingContext<CpuBackend<SC>>,
    committed: Vec<OpenedTraces<'_>>,
    on: &OnDevice<'_>,
    checks_constraints: bool,
) -> Result<(RapProof, DeviceRound0Stats, RapStats), WgpuProverError> {
    let _cpu_span = info_span!("prove_zerocheck_and_logup").entered();
    let stage = Stage::new(plan, key, context)?;

    let mut traces = stage.on_device(on, key, context, committed.first().map(|(root, _)| root))?;
    if checks_constraints {
        traces.check(on.engine)?.satisfied()?;
    }
    let (gkr, logup, gkr_stats) = stage.gkr(transcript, key.params.logup.pow_bits, on, &traces)?;
    let round0 = stage.round0(transcript, &logup, on.engine, &traces)?;
    let (Rounds { polys, r }, mle_rounds) = stage.mle_rounds(transcript, &logup, &round0, on, &traces)?;
    drop(traces);
    let (column_openings, columns) = stage.openings(transcript, on, committed, &r)?;

    let batch = BatchConstraintProof {
        numerator_term_per_air: round0.claims.iter().map(|&[numerator, _]| numerator).collect(),
        denominator_term_per_air: round0.claims.iter().map(|&[_, denominator]| denominator).collect(),
        univariate_round_coeffs: round0.poly.into_coeffs(),
        sumcheck_round_polys: polys,
        column_openings,
    };
    let stats = RapStats { gkr: gkr_stats, mle_rounds, column_openings: columns };
    Ok((((gkr, batch), r), round0.stats, stats))
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
    instructions: &'a BatchInstructions,
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
}

/// Round 0's outcome.
pub(crate) struct Round0Outcome {
    /// Per trace, the sums of numerator and denominator.
    claims: Vec<[EF; 2]>,
    polys: Vec<Round0Polys>,
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
        let num_constraints = key.per_air.iter().map(|air| air.vk.symbolic_constraints.constraints.constraint_idx.len());
        Ok(Self {
            instructions: &plan.batch_instructions,
            l_skip,
            constraint_degree: key.max_constraint_degree,
            max_num_constraints: num_constraints.max().unwrap_or(0),
            max_message_len: traces.iter().map(|trace| trace.plan.air.max_message_len()).max().unwrap_or(0),
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
        let num_interactions = |trace: &StageTrace<'_>| trace.plan.air.interactions().len();
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
        let gkr = GkrProof {
            logup_pow_witness,
            q0_claim: sum_proof.fractional_sum.1,
            claims_per_layer: sum_proof.claims_per_layer,
            sumcheck_polys: sum_proof.sumcheck_polys,
        };
        let lambda_pows = lambda.powers().take(self.max_num_constraints).collect();
        Ok((gkr, LogupChallenges { beta, beta_pows, xi, eq_3bs, lambda, lambda_pows }, stats))
    }

    fn leaves<'t>(
        &'t self,
        on: &OnDevice<'_>,
        traces: &'t DeviceTraces<'_>,
        layout: &StackedLayout,
        log_len: usize,
        alpha: EF,
        beta_pows: &[EF],
    ) -> Result<Leaves<'t>, WgpuProverError> {
        let mut leaf_traces: Vec<Option<LeafTrace<'t>>> = self.traces.iter().map(|_| None).collect();
        for (t, input) in zip(self.owners(), &traces.inputs) {
            let trace = &self.traces[t];
            let rows = RowTrace { air: &trace.plan.air, traces: &input.traces, height: trace.rows.height };
            let leaf_trace = |logup| LeafTrace { rows, logup, public_values: trace.public_values };
            leaf_traces[t] = trace.plan.logup.as_ref().map(leaf_trace);
        }
        on.committer.make_room_beside(product_bytes(&leaf_traces));
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
        Ok(Round0Outcome { claims, polys, poly: UnivariatePoly::new(poly), mu_pows, r, stats })
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

    /// What the rounds after round 0 sum up over a trace: its constraints and its interactions' numerators and denominators, with the weights of the batch.
    fn batch_form(
        &self,
        t: usize,
        trace: &BatchTrace<'_>,
        challenges: &LogupChallenges,
        mu_pows: &[EF],
        [eq, eq_sharp]: [EF; 2],
    ) -> logup_wgpu::Result<Form> {
        let air = trace.rows.air;
        let zerocheck = eq * mu_pows[2 * self.traces.len() + t];
        let constraints = zip(air.constraints(), &challenges.lambda_pows).map(|(&node, &power)| (node, zerocheck * power));
        let numerator = eq_sharp * mu_pows[2 * t] * numerator_scale(trace.rows.height, self.l_skip);
        let denominator = eq_sharp * mu_pows[2 * t + 1];
        let mut constant = EF::ZERO;
        let mut nodes: Vec<(NodeId, EF)> = constraints.collect();
        for (interaction, &eq_3b) in zip(air.interactions(), &challenges.eq_3bs[t]) {
            nodes.push((interaction.count, numerator * eq_3b));
            let weight = denominator * eq_3b;
            nodes.extend(zip(&interaction.message, &challenges.beta_pows).map(|(&field, &power)| (field, weight * power)));
            let bus = F::from_u32(u32::from(interaction.bus_index) + 1);
            constant += weight * challenges.beta_pows[interaction.message.len()] * bus;
        }
        mle_rounds::form(trace, constant, nodes)
    }

    /// The rounds after round 0: what was sent, and all challenges.
    fn mle_rounds<TS: FiatShamirTranscript<SC>>(
        &self,
        transcript: &mut TS,
        challenges: &LogupChallenges,
        round0: &Round0Outcome,
        on: &OnDevice<'_>,
        inputs: &DeviceTraces<'_>,
    ) -> Result<(Rounds, MleRoundsStats), WgpuProverError> {
        let (xi, r_0) = (&challenges.xi, round0.r);
        let omega_pows: Vec<F> = F::two_adic_generator(self.l_skip).powers().take(1 << self.l_skip).collect();
        let eq: EF = eval_eq_uni(self.l_skip, xi[0], r_0);
        let eq_sharp = eval_eq_sharp_uni(&omega_pows, &xi[..self.l_skip], r_0);
        let mus = &round0.mu_pows;
        let at_r_0 = |poly: &[EF]| eval(poly, r_0);
        let share = |(t, polys): (usize, &Round0Polys)| {
            let logup = mus[2 * t] * at_r_0(&polys.numerator) + mus[2 * t + 1] * at_r_0(&polys.denominator);
            eq_sharp * logup + eq * mus[2 * self.traces.len() + t] * at_r_0(&polys.zerocheck)
        };
        let shares = round0.polys.iter().enumerate().map(share).collect();
        let mut traces_of: Vec<&[Trace]> = vec![&[]; self.traces.len()];
        zip(self.owners(), &inputs.inputs).for_each(|(t, input)| traces_of[t] = &input.traces);
        let traces: Vec<BatchTrace<'_>> = zip(&self.traces, traces_of)
            .map(|(trace, traces)| BatchTrace {
                plan: trace.plan,
                rows: RowTrace { air: &trace.plan.air, traces, height: trace.rows.height },
                public_values: trace.public_values,
                n: trace.n,
            })
            .collect();
        let forms = traces.par_iter().enumerate().map(|(t, trace)| self.batch_form(t, trace, challenges, mus, [eq, eq_sharp]));
        let forms = forms.collect::<logup_wgpu::Result<_>>().map_err(WgpuProverError::MleRounds)?;
        let claims = Claims {
            r_0,
            xi,
            l_skip: self.l_skip,
            constraint_degree: self.constraint_degree,
            claim: round0.poly.eval_at_point(r_0),
            shares,
        };
        on.mle_rounds.prove(transcript, self.instructions, &traces, forms, claims)
    }

    /// Each column's value at `r`, sent and put into the proof's order: common main, then preprocessed, then cached mains.
    fn openings<TS: FiatShamirTranscript<SC>>(
        &self,
        transcript: &mut TS,
        on: &OnDevice<'_>,
        committed: Vec<OpenedTraces<'_>>,
        r: &[EF],
    ) -> Result<(ColumnOpenings, PartStats), WgpuProverError> {
        let _span = info_span!("prover.rap_constraints.column_openings", phase = "prover").entered();
        let (values, stats) = on.opener.column_values(committed, r).map_err(WgpuProverError::MleRounds)?;
        let mut values = values.into_iter();
        let mut mains = values.next().unwrap_or_default().into_iter();
        // The others' commitments follow, each to one trace.
        let mut others = values.flatten();
        let lagrange = lagrange(self.l_skip, r[0]);
        let all = self.traces.iter().map(|trace| {
            let shape = &trace.plan.shape;
            let part = |part: usize, value: Option<Vec<[EF; 2]>>| -> Vec<EF> {
                let columns = value.unwrap_or_else(|| short_columns(trace.rows.parts[part], &lagrange));
                let of_column = |[here, next]: [EF; 2]| [here].into_iter().chain(shape.needs_next.then_some(next));
                columns.into_iter().flat_map(of_column).collect()
            };
            let common = shape.widths.len() - 1;
            let main = part(common, mains.next().flatten());
            let rest: Vec<Vec<EF>> = (0..common).map(|i| part(i, others.next().flatten())).collect();
            [main].into_iter().chain(rest).collect()
        });
        let all: ColumnOpenings = all.collect();
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
        Ok((all, stats))
    }
}
