//! Folding at round 0's challenge and the rounds after it, on the device: one variable of the cube each, over the folded traces.
//!
//! An expression is an affine sum of cells and of products (`forms`). What is affine commutes with folding: it is one column for each trace, however many it is
//! made of. The cells and long affine expressions that the products read are folded too, and no others. A round sums up each trace's products at as many points as their degree: what is
//! left to know follows from the trace's own claim, which the host carries from round 0 on.

mod folded;
mod known_answer;
mod round;

use std::collections::BTreeMap;

use logup_wgpu::{EF, F};
use openvm_stark_backend::{FiatShamirTranscript, poly_common::eval_eq_mle};
use p3_field::{Field, PrimeCharacteristicRing};
use tracing::{debug, info_span};

pub(crate) use self::known_answer::ask;
use self::{
    folded::{Folded, Unfolded},
    round::Programs,
};
use crate::{
    SC, WgpuProverError,
    commit::Committer,
    compute::{Compute, Use},
    forms::{Factor, Form, Forms, Weight},
    kernels::stage,
    key_plan::{AirPlan, BatchInstructions},
    poly::{Interpolation, add_product, eval, lagrange},
    row_sums::RowTrace,
    sumcheck::{
        array::elements,
        session::{PartStats, RecordingObserver, Session, Totals},
    },
};

/// A trace of a proof, and what the rounds sum up over it.
pub(crate) struct BatchTrace<'a> {
    pub plan: &'a AirPlan,
    pub rows: RowTrace<'a>,
    pub public_values: &'a [F],
    /// Its (lifted) height is `2^(l_skip + n)`.
    pub n: usize,
}

impl BatchTrace<'_> {
    /// Folded columns: cells that programs read, and affine expressions.
    fn num_leaves(&self) -> usize {
        self.plan.batch.columns.len() + self.plan.batch.forms.len()
    }
}

/// What the rounds after round 0 did on the device.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct MleRoundsStats {
    /// Folding at round 0's challenge is part of the first round.
    pub part: PartStats,
    /// GPU time of each kernel's dispatches, in order, where asked for ([`Round0Options::stage_times`](logup_wgpu::Round0Options)).
    pub stages: Vec<logup_wgpu::StageTime>,
    /// Device buffers created.
    pub allocations: u64,
}

/// Proves the rounds.
pub(crate) struct MleRounds<'a> {
    pub compute: &'a Compute,
    pub committer: &'a Committer,
    pub observer: Option<&'a dyn RecordingObserver>,
    pub stage_times: bool,
}

/// What the rounds begin with.
pub(crate) struct Claims<'a> {
    /// Round 0's challenge.
    pub r_0: EF,
    pub xi: &'a [EF],
    pub l_skip: usize,
    /// Of all AIRs of the key.
    pub constraint_degree: usize,
    /// Round 0's polynomial at its challenge.
    pub claim: EF,
    /// Each trace's share of it.
    pub shares: Vec<EF>,
}

/// What the rounds leave.
pub(crate) struct Rounds {
    /// Sent in each.
    pub polys: Vec<Vec<EF>>,
    /// All challenges, from round 0 on.
    pub r: Vec<EF>,
}

impl MleRounds<'_> {
    /// The rounds. `forms` are what the rounds sum up over each trace, from the tallest down.
    ///
    /// # Errors
    /// [`WgpuProverError::MleRounds`] for what the device, or its limits, say; [`WgpuProverError::Challenge`].
    pub fn prove<TS: FiatShamirTranscript<SC>>(
        &self,
        transcript: &mut TS,
        instructions: &BatchInstructions,
        traces: &[BatchTrace<'_>],
        forms: Vec<Form>,
        mut claims: Claims<'_>,
    ) -> Result<(Rounds, MleRoundsStats), WgpuProverError> {
        let failed = WgpuProverError::MleRounds;
        let mut session = Session::new(self.compute, Use::MleRounds, self.observer, self.stage_times);
        let n_max = traces.first().map_or(0, |trace| trace.n);
        let num_active = |round: usize| traces.iter().take_while(|trace| trace.n >= round).count();
        let active = &traces[..num_active(1)];
        let mut polys = vec![];
        let mut r = vec![claims.r_0];
        let mut tails = vec![EF::ZERO; traces.len()];
        let mut scale = EF::ONE;
        let mut claim = claims.claim;
        let mut interpolations: BTreeMap<usize, Interpolation> = BTreeMap::new();
        for num in active.iter().map(|trace| 1 + trace.plan.batch.degree) {
            interpolations.entry(num).or_insert_with(|| Interpolation::new(num));
        }
        let lagrange = lagrange(claims.l_skip, claims.r_0);
        // Of the selectors of the first and of the last row, what is left there.
        let mut selectors = [lagrange[0], lagrange[lagrange.len() - 1]];

        let fold_span = info_span!("prover.rap_constraints.fold_ple_evals", phase = "prover").entered();
        let (weights, affine) = split(active, forms);
        self.committer.make_room_beside(folded::bytes(active) + round::table_bytes(active));
        let unfolded = Unfolded::new(self.compute, active, &affine).map_err(failed)?;
        let programs = Programs::new(self.compute, instructions, active, &weights).map_err(failed)?;
        drop(fold_span);
        let _span = info_span!("prover.rap_constraints.mle_rounds", phase = "prover").entered();
        let _cpu_span = info_span!("prover.batch_constraints.mle_rounds", phase = "prover").entered();
        let mut folded: Option<Folded> = None;
        for round in 1..=n_max {
            let heads = num_active(round);
            for t in heads..traces.len() {
                if traces[t].n + 1 == round {
                    tails[t] = scale * claims.shares[t];
                } else {
                    tails[t] *= r[round - 1];
                }
            }
            let tail: EF = tails.iter().copied().sum();

            let xi = claims.xi[claims.l_skip + round - 1];
            let mut recorder = session.recorder(0);
            let next = match &folded {
                None => unfolded.record_fold(self.compute, &mut recorder, active, &lagrange),
                Some(folded) => folded.record_fold(self.compute, &mut recorder, active, r[round - 1]),
            };
            let next = next.map_err(failed)?;
            let xi_behind = &claims.xi[claims.l_skip + round..claims.l_skip + n_max];
            let num = programs.record(&mut recorder, active, &next, xi_behind, selectors).map_err(failed)?;
            folded = Some(next);
            let read = |words: &[u32]| elements(&words[..4 * num]);
            let mut evals = &session.run(recorder, unfolded.trace_buffers.clone(), read).map_err(failed)?[..];
            programs.stay();

            let inverse = (EF::ONE - xi).try_inverse().ok_or(WgpuProverError::Challenge)?;
            let mut head = vec![EF::ZERO; claims.constraint_degree + 1];
            let mut own = vec![];
            for (trace, share) in traces[..heads].iter().zip(&claims.shares) {
                let at_points;
                (at_points, evals) = evals.split_at(trace.plan.batch.degree);
                let at_zero = (*share - xi * at_points[0]) * inverse;
                let values: Vec<EF> = [at_zero].iter().chain(at_points).copied().collect();
                let poly = interpolations[&values.len()].coefficients(&values);
                head.iter_mut().zip(&poly).for_each(|(sum, &coefficient)| *sum += scale * coefficient);
                own.push(poly);
            }
            let mut coefficients = vec![EF::ZERO; head.len() + 1];
            add_product(&mut coefficients, &[EF::ONE - xi, xi.double() - EF::ONE], &head);
            coefficients[1] += tail;
            let at = |x: EF| eval(&coefficients, x);
            debug_assert_eq!(at(EF::ZERO) + at(EF::ONE), claim);
            let evals: Vec<EF> = (1..=claims.constraint_degree + 1).map(|x| at(EF::from_usize(x))).collect();
            evals.iter().for_each(|&eval| transcript.observe_ext(eval));
            polys.push(evals);
            let challenge: EF = transcript.sample_ext();
            debug!(round, r = %challenge);
            r.push(challenge);
            selectors = [selectors[0] * (EF::ONE - challenge), selectors[1] * challenge];
            claim = eval(&coefficients, challenge);
            scale *= eval_eq_mle::<EF, EF, EF>(&[xi], &[challenge]);
            claims.shares.iter_mut().zip(own).for_each(|(share, poly)| *share = eval(&poly, challenge));
        }
        let part = session.end_part(stage::MLE_ROUNDS);
        let Totals { stages, allocations } = session.end();
        Ok((Rounds { polys, r }, MleRoundsStats { part, stages, allocations }))
    }
}

/// The forms' weights of products, in the order of the traces' products, and what is left: the affine parts.
fn split(traces: &[BatchTrace<'_>], forms: Vec<Form>) -> (Vec<Vec<EF>>, Vec<Form>) {
    let own = traces.iter().zip(forms).map(|(trace, mut form)| {
        let mut weights = vec![EF::ZERO; trace.plan.batch.products.len()];
        form.terms.retain(|&(factor, weight)| match factor {
            Factor::Product(i) => {
                weights[i] += weight.q;
                false
            }
            _ => true,
        });
        (weights, form)
    });
    own.unzip()
}

/// Nodes with the weights that the rounds give them.
pub(crate) fn form(
    trace: &BatchTrace<'_>,
    constant: EF,
    nodes: impl IntoIterator<Item = (logup_wgpu::NodeId, EF)>,
) -> logup_wgpu::Result<Form> {
    let values = trace.rows.air.degree_zero_values(trace.public_values);
    let weight = |q: EF| Weight { p: F::ZERO, q };
    Forms::new(trace.rows.air, &trace.plan.batch.products, &values)
        .form(weight(constant), nodes.into_iter().map(|(node, q)| (node, weight(q))))
}
