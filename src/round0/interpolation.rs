//! From evaluations to coefficients, on the host: a few hundred field elements per AIR.

use std::{collections::HashMap, ops::Range, sync::Arc};

use p3_field::{Field, PrimeCharacteristicRing, TwoAdicField};

use super::{
    polys::{Round0Polys, coset_dft, coset_shift, dft},
    prepared::{PairInputs, Prepared},
    record::{Block, Work},
};
use crate::{
    error::{Error, Result},
    field::{self, EF, EXT_WORDS, F},
    plan::pair::Pair,
};

/// What turns evaluations on some cosets `g^c D` into coefficients; the same for every AIR with these sizes.
#[derive(Debug)]
pub(super) struct Interpolation {
    cosets: Range<usize>,
    /// `omega^-i`, for the inverse DFT.
    inverse_roots: Vec<F>,
    /// `1 / N`.
    size_inverse: F,
    /// For each coset `c`, `N^-1 g^(-c i)`: what its inverse DFT is scaled by.
    scales: Vec<Vec<F>>,
    /// `[c][j]`: what coset `c` contributes to the coefficients from `j N` on.
    bases: Vec<Vec<F>>,
    /// For each coset, `1 / (Z^N - 1)`; zero on `D`.
    zerofier_inverses: Vec<F>,
}

/// By `l_skip` and cosets.
pub(super) type Interpolations = HashMap<(usize, Range<usize>), Arc<Interpolation>>;

impl Interpolation {
    /// For skip domains of `2^l_skip` points.
    pub fn new(l_skip: usize, cosets: Range<usize>) -> Self {
        let size = 1 << l_skip;
        let omega_inverse = F::two_adic_generator(l_skip).inverse();
        let size_inverse = F::from_usize(size).inverse();
        let powers = |first: F, ratio: F| -> Vec<F> { ratio.shifted_powers(first).take(size).collect() };
        let nodes: Vec<F> = cosets.clone().map(|coset| coset_shift(coset).exp_u64(size as u64)).collect();
        Self {
            inverse_roots: powers(F::ONE, omega_inverse),
            size_inverse,
            scales: cosets.clone().map(|coset| powers(size_inverse, coset_shift(coset).inverse())).collect(),
            bases: (0..nodes.len()).map(|at| lagrange_basis_coeffs(&nodes, at)).collect(),
            zerofier_inverses: nodes.iter().map(|&node| (node - F::ONE).try_inverse().unwrap_or(F::ZERO)).collect(),
            cosets,
        }
    }

    /// Coefficients from the evaluations on `D`, in place.
    fn inverse_dft(&self, evals: &mut [EF]) {
        dft(evals, &self.inverse_roots);
        evals.iter_mut().for_each(|eval| *eval *= self.size_inverse);
    }

    /// Adds the coefficients of what has these evaluations on `g^coset D` and is zero on the other cosets.
    ///
    /// On `g^c D`, `Z^N = g^(c N) = v_c`, so `sum_j Z^(j N) P_j(Z)` (`deg P_j < N`) agrees there with `sum_j v_c^j P_j(Z)`, whose
    /// coefficients an inverse DFT gives; the inverse of the Vandermonde matrix of the `v_c` then gives the `P_j`.
    fn add_coset(&self, coeffs: &mut [EF], mut evals: Vec<EF>, coset: usize) {
        let at = coset - self.cosets.start;
        dft(&mut evals, &self.inverse_roots);
        evals.iter_mut().zip(&self.scales[at]).for_each(|(eval, &scale)| *eval *= scale);
        for (coeffs, &basis) in coeffs.chunks_mut(evals.len()).zip(&self.bases[at]) {
            for (to, &from) in coeffs.iter_mut().zip(&evals) {
                *to += from * basis;
            }
        }
    }

    /// `(Z^N - 1) q(Z)`, added, for the `q` that has these evaluations times `Z^N - 1` on the cosets.
    fn add_multiple_of_zerofier(&self, coeffs: &mut [EF], evals: impl Iterator<Item = (usize, Vec<EF>)>) {
        let size = self.inverse_roots.len();
        let mut quotient = EF::zero_vec(size * self.cosets.len());
        for (coset, mut evals) in evals {
            let zerofier_inverse = self.zerofier_inverses[coset - self.cosets.start];
            evals.iter_mut().for_each(|eval| *eval *= zerofier_inverse);
            self.add_coset(&mut quotient, evals, coset);
        }
        coeffs.iter_mut().zip(&quotient).for_each(|(to, &from)| *to -= from);
        coeffs.iter_mut().skip(size).zip(&quotient).for_each(|(to, &from)| *to += from);
    }
}

/// The polynomials of one instance, from the words of its blocks: `[2^l_skip][2]` EF each. `sums` as in `PreparedCall`.
///
/// # Errors
/// [`Error::DeviceLost`] if a word is no field element.
pub(super) fn polys_of(
    prepared: &Prepared<'_>,
    sums: bool,
    blocks: &[(Work, &[u32])],
    interpolations: &Interpolations,
) -> Result<Round0Polys> {
    let plan = prepared.plan;
    let num_zerocheck = if sums { plan.air().constraint_degree() << plan.l_skip() } else { plan.num_zerocheck_coeffs() };
    let [mut numerator, mut denominator] = [0, 1].map(|_| EF::zero_vec(plan.num_coeffs()));
    let mut zerocheck = EF::zero_vec(num_zerocheck);
    for (pair_idx, (planned, inputs)) in plan.pairs.iter().zip(&prepared.pairs).enumerate() {
        for (side, cosets) in planned.side_cosets(sums).into_iter().enumerate() {
            if planned.pair != Pair::Logup && cosets.is_empty() {
                continue; // constraints of one degree only
            }
            let interpolation = &interpolations[&(plan.l_skip(), cosets.clone())];
            let evals = |words: &[u32]| -> Result<Vec<EF>> {
                let element = |two: &[u32]| field::ext_from_words(&two[side * EXT_WORDS..][..EXT_WORDS]);
                let unwritten = || Error::DeviceLost { reason: "a result was not written".into() };
                words.chunks_exact(2 * EXT_WORDS).map(|two| element(two).ok_or_else(unwritten)).collect()
            };
            let mut affine = closed_forms(prepared, inputs, side);
            let mut on_cosets = Vec::with_capacity(cosets.len());
            for (work, words) in blocks.iter().filter(|(work, _)| work.pair == pair_idx) {
                match work.block {
                    Block::Affine => add(&mut affine, &evals(words)?),
                    Block::Coset(coset) if cosets.contains(&coset) => on_cosets.push((coset, evals(words)?)),
                    Block::Coset(_) => {}
                }
            }
            interpolation.inverse_dft(&mut affine);
            affine[0] += inputs.weights.constant[side] * prepared.eq_sum;
            let coeffs = match (planned.pair, side) {
                (Pair::Logup, 0) => &mut numerator,
                (Pair::Logup, _) => &mut denominator,
                (Pair::Constraints { .. }, _) => &mut zerocheck,
            };
            if planned.pair == Pair::Logup || sums {
                add(coeffs, &affine);
                on_cosets.into_iter().for_each(|(coset, evals)| interpolation.add_coset(coeffs, evals, coset));
            } else {
                let whole = on_cosets.into_iter().map(|(coset, mut evals)| {
                    add(&mut evals, &coset_dft(affine.clone(), coset_shift(coset)));
                    (coset, evals)
                });
                interpolation.add_multiple_of_zerofier(coeffs, whole);
            }
        }
    }
    Ok(Round0Polys { numerator, denominator, zerocheck, l_skip: plan.l_skip() })
}

/// What the selectors' weights make on `D`: one point of it at one `x`, or its repetitions in a lifted trace.
fn closed_forms(prepared: &Prepared<'_>, inputs: &PairInputs, side: usize) -> Vec<EF> {
    let (is_first, is_last) = (inputs.weights.is_first[side], inputs.weights.is_last[side]);
    let mut evals = EF::zero_vec(1 << prepared.plan.l_skip());
    if (is_first, is_last) == (EF::ZERO, EF::ZERO) {
        return evals;
    }
    let period = prepared.height.min(evals.len());
    for (z, eval) in evals.iter_mut().enumerate() {
        if z % period == 0 {
            *eval += is_first * prepared.eq_first;
        }
        if z % period == period - 1 {
            *eval += is_last * prepared.eq_last;
        }
    }
    evals
}

fn add(to: &mut [EF], from: &[EF]) {
    for (to, &from) in to.iter_mut().zip(from) {
        *to += from;
    }
}

/// The coefficients of the polynomial that is 1 at `nodes[at]` and 0 at the other nodes.
fn lagrange_basis_coeffs(nodes: &[F], at: usize) -> Vec<F> {
    let mut coeffs = vec![F::ONE];
    let mut denominator = F::ONE;
    for (_, &node) in nodes.iter().enumerate().filter(|(i, _)| *i != at) {
        // times (V - node)
        coeffs.push(F::ZERO);
        for i in (0..coeffs.len()).rev() {
            let below = if i > 0 { coeffs[i - 1] } else { F::ZERO };
            coeffs[i] = below - coeffs[i] * node;
        }
        denominator *= nodes[at] - node;
    }
    let scale = denominator.inverse();
    coeffs.iter().map(|&coeff| coeff * scale).collect()
}

#[cfg(test)]
mod tests {
    use p3_field::BasedVectorSpace;

    use super::*;
    use crate::round0::Frac;

    fn horner(coeffs: &[EF], at: F) -> EF {
        coeffs.iter().rev().fold(EF::ZERO, |sum, &coeff| sum * at + coeff)
    }

    fn element(i: usize) -> EF {
        EF::from_basis_coefficients_fn(|k| F::from_usize(i * i * 31 + 7 * k + 1)).exp_u64(5)
    }

    #[test]
    fn coset_evaluations_and_interpolation_are_inverse() {
        for l_skip in [0, 1, 4] {
            for num_cosets in 1..=4 {
                let numerator: Vec<EF> = (0..num_cosets << l_skip).map(element).collect();
                let denominator: Vec<EF> = numerator.iter().map(|x| x.square()).collect();
                let polys = Round0Polys { numerator, denominator, zerocheck: vec![], l_skip };
                let evals = polys.coset_evals(F::ONE, F::GENERATOR, num_cosets);
                let omega = F::two_adic_generator(l_skip);
                for (i, frac) in evals.iter().enumerate() {
                    let at = coset_shift(i >> l_skip) * omega.exp_u64((i & ((1 << l_skip) - 1)) as u64);
                    assert_eq!(*frac, Frac { p: horner(&polys.numerator, at), q: horner(&polys.denominator, at) });
                }
                let interpolation = Interpolation::new(l_skip, 0..num_cosets);
                let mut coeffs = EF::zero_vec(num_cosets << l_skip);
                for (coset, evals) in evals.chunks(1 << l_skip).enumerate() {
                    interpolation.add_coset(&mut coeffs, evals.iter().map(|frac| frac.p).collect(), coset);
                }
                assert_eq!(coeffs, polys.numerator);
            }
        }
    }
}
