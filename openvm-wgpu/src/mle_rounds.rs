//! The rounds after round 0, on the CPU: one variable of the cube each, over the folded traces.

use std::iter::zip;

use logup_wgpu::{EF, F, numerator_scale};
use openvm_stark_backend::{
    FiatShamirTranscript,
    poly_common::{eval_eq_mle, eval_eq_sharp_uni, eval_eq_uni},
};
use p3_field::{PackedValue, PrimeCharacteristicRing, TwoAdicField};
use rayon::prelude::*;
use tracing::{debug, info_span};

use crate::{
    SC,
    fold_ple::{FoldedTrace, SkipFold},
    key_plan::AirPlan,
    lanes::{EP, P, pack, sum_of_lanes},
    poly::round_poly,
    rap::{LogupChallenges, Round0Outcome, Stage},
};

impl Stage<'_> {
    /// The rounds after round 0: what was sent, the traces folded down to one row, and all challenges `r`.
    pub(crate) fn mle_rounds<TS: FiatShamirTranscript<SC>>(
        &self,
        transcript: &mut TS,
        challenges: &LogupChallenges,
        round0: &Round0Outcome,
    ) -> (Vec<Vec<EF>>, Vec<FoldedTrace>, Vec<EF>) {
        let xi = &challenges.xi;
        let mut r = vec![round0.r];
        let mut traces = self.fold_skip_domain(round0.r);
        let weights: Vec<TraceWeights> =
            self.traces.par_iter().enumerate().map(|(t, _)| self.weights(t, challenges, &round0.mu_pows)).collect();
        // eq and eq_sharp of the challenges so far
        let omega_pows: Vec<F> = F::two_adic_generator(self.l_skip).powers().take(1 << self.l_skip).collect();
        let mut eq_r: EF = eval_eq_uni(self.l_skip, xi[0], round0.r);
        let mut eq_sharp_r = eval_eq_sharp_uni(&omega_pows, &xi[..self.l_skip], round0.r);
        let mut claim: EF = round0.poly.eval_at_point(round0.r);

        let _span = info_span!("prover.rap_constraints.mle_rounds", phase = "prover").entered();
        let _cpu_span = info_span!("prover.batch_constraints.mle_rounds", phase = "prover").entered();
        let mut round_polys = Vec::with_capacity(self.n_max);
        let mut tails = vec![EF::ZERO; self.traces.len()];
        for round in 1..=self.n_max {
            let is_head = |t: usize| self.traces[t].n >= round;
            let num_heads = (0..self.traces.len()).take_while(|&t| is_head(t)).count();
            let roots = |t: usize| weights[t].roots(self.traces[t].plan, eq_r, eq_sharp_r);
            let heads: Vec<Vec<EF>> = (0..num_heads)
                .into_par_iter()
                .map(|t| {
                    let n = self.traces[t].n;
                    roots(t).round_evals(&traces[t], challenges.eq_level(n, n - round), self.constraint_degree)
                })
                .collect();
            for t in num_heads..self.traces.len() {
                if self.traces[t].n + 1 == round {
                    tails[t] = roots(t).in_single_row(&traces[t]);
                } else {
                    tails[t] *= r[round - 1];
                }
            }
            let head = |i: usize| heads.iter().map(|evals| evals[i]).sum();
            let poly = round_poly(
                (0..self.constraint_degree).map(head).collect(),
                tails.iter().copied().sum(),
                xi[self.l_skip + round - 1],
                claim,
            );
            let evals: Vec<EF> = (1..=self.constraint_degree + 1).map(|x| poly.eval_at_point(EF::from_usize(x))).collect();
            for &eval in &evals {
                transcript.observe_ext(eval);
            }
            round_polys.push(evals);
            let r_round: EF = transcript.sample_ext();
            debug!(round, r = %r_round);
            r.push(r_round);
            claim = poly.eval_at_point(r_round);
            traces.par_iter_mut().for_each(|trace| trace.fold(r_round));
            let eq_round: EF = eval_eq_mle(&[xi[self.l_skip + round - 1]], &[r_round]);
            eq_r *= eq_round;
            eq_sharp_r *= eq_round;
        }
        (round_polys, traces, r)
    }

    fn fold_skip_domain(&self, r: EF) -> Vec<FoldedTrace> {
        let _span = info_span!("prover.rap_constraints.fold_ple_evals", phase = "prover").entered();
        let fold = SkipFold::new(self.l_skip, r);
        self.traces.par_iter().map(|trace| FoldedTrace::new(&trace.plan.shape, &trace.rows, 1 << trace.n, &fold)).collect()
    }

    /// The weights of a trace's roots.
    fn weights(&self, t: usize, challenges: &LogupChallenges, mu_pows: &[EF]) -> TraceWeights {
        let trace = &self.traces[t];
        let zerocheck_mu = mu_pows[2 * self.traces.len() + t];
        let constraints = challenges.lambda_pows[..trace.plan.air.constraints().len()].iter().map(|&power| zerocheck_mu * power).collect();
        let mut weights = TraceWeights {
            values: trace.plan.batch.bind(&trace.plan.air.degree_zero_values(trace.public_values)),
            constraints,
            logup: vec![],
            constant: EF::ZERO,
        };
        let Some(logup) = &trace.plan.logup else { return weights };
        let (numerator_mu, denominator_mu) = (mu_pows[2 * t] * numerator_scale(trace.rows.height, self.l_skip), mu_pows[2 * t + 1]);
        weights.logup = vec![EF::ZERO; logup.roots.len()];
        for (interaction, &eq_3b) in zip(&logup.interactions, &challenges.eq_3bs[t]) {
            weights.logup[interaction.count] += numerator_mu * eq_3b;
            let denominator = denominator_mu * eq_3b;
            for (&field, &power) in zip(&interaction.message, &challenges.beta_pows) {
                weights.logup[field] += denominator * power;
            }
            weights.constant += denominator * interaction.bus_term(&challenges.beta_pows);
        }
        weights
    }
}

/// A trace's weights in the batch: for constraints, to be multiplied by `eq(xi, r)`; for LogUp, by `eq_sharp(xi, r)`.
struct TraceWeights {
    values: Vec<P>,
    constraints: Vec<EF>,
    logup: Vec<EF>,
    constant: EF,
}

impl TraceWeights {
    fn roots<'a>(&'a self, plan: &'a AirPlan, eq: EF, eq_sharp: EF) -> WeightedRoots<'a> {
        let constraints = self.constraints.iter().map(|&weight| eq * weight);
        let logup = self.logup.iter().map(|&weight| eq_sharp * weight);
        WeightedRoots { plan, values: &self.values, weights: constraints.chain(logup).collect(), constant: eq_sharp * self.constant }
    }
}

/// A sum over an AIR's constraints and interactions: `constant + sum_i weights[i] roots[i]` of [`AirPlan::batch`].
struct WeightedRoots<'a> {
    plan: &'a AirPlan,
    /// Of the batch program.
    values: &'a [P],
    weights: Vec<EF>,
    constant: EF,
}

impl WeightedRoots<'_> {
    /// The sum in a trace's only row.
    fn in_single_row(&self, trace: &FoldedTrace) -> EF {
        let mut sums = [EP::ZERO];
        let eq = pack(|lane| if lane == 0 { EF::ONE } else { EF::ZERO });
        self.add(trace, |_| (0, 0), eq, &mut self.plan.batch.slots(), &mut sums);
        sum_of_lanes(sums[0])
    }

    /// `sum_y eq(y) sum(X, y)` at `X = 1, .., num_points`, cells being linear between rows `2y` (`X = 0`) and `2y + 1` (`X = 1`).
    ///
    /// # Shapes
    /// `eq: [num_y / 2]`, not empty; the result is `[num_points]`.
    fn round_evals(&self, trace: &FoldedTrace, eq: &[EF], num_points: usize) -> Vec<EF> {
        let zero = || vec![EP::ZERO; num_points];
        let last = eq.len() - 1;
        let sums = (0..eq.len().div_ceil(P::WIDTH))
            .into_par_iter()
            .fold(
                || (self.plan.batch.slots(), zero()),
                |(mut slots, mut sums), task| {
                    let first = task * P::WIDTH;
                    let rows = |lane: usize| {
                        let y = last.min(first + lane);
                        (2 * y, 2 * y + 1)
                    };
                    let eq = pack(|lane| eq.get(first + lane).copied().unwrap_or(EF::ZERO));
                    self.add(trace, rows, eq, &mut slots, &mut sums);
                    (slots, sums)
                },
            )
            .map(|(_, sums)| sums)
            .reduce(zero, |mut sums, others| {
                sums.iter_mut().zip(others).for_each(|(sum, other)| *sum += other);
                sums
            });
        sums.into_iter().map(sum_of_lanes).collect()
    }

    /// Adds `eq * sum(X)` at `X = 1, 2, ..` to the sums, each lane between its own pair of rows.
    fn add(&self, trace: &FoldedTrace, rows: impl Fn(usize) -> (usize, usize), eq: EP, slots: &mut [EP], sums: &mut [EP]) {
        let program = &self.plan.batch;
        let rows: [(&[EF], &[EF]); P::WIDTH] = std::array::from_fn(|lane| {
            let (low, high) = rows(lane);
            (trace.row(low), trace.row(high))
        });
        let columns = self.plan.batch_columns.iter().map(|&column| column as usize);
        let differences: Vec<EP> = columns.clone().map(|column| pack(|lane| rows[lane].1[column] - rows[lane].0[column])).collect();
        slots.iter_mut().zip(columns).for_each(|(slot, column)| *slot = pack(|lane| rows[lane].1[column]));
        for (i, sum) in sums.iter_mut().enumerate() {
            if i > 0 {
                slots.iter_mut().zip(&differences).for_each(|(slot, &difference)| *slot += difference);
            }
            program.run(self.values, slots);
            let roots = program.roots.iter().map(|&root| slots[root as usize]);
            *sum += eq * roots.zip(&self.weights).fold(EP::from(self.constant), |sum, (root, &weight)| sum + root * weight);
        }
    }
}
