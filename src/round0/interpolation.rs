//! From evaluations to coefficients, on the host: a few hundred field elements per AIR.

use p3_field::{Field, PrimeCharacteristicRing, TwoAdicField};

use super::{
    polys::{Round0Polys, coset_shift, dft},
    prepared::Prepared,
    record::Block,
};
use crate::{
    error::{Error, Result},
    field::{self, EF, EXT_WORDS, F},
    plan::Strategy,
};

/// What turns evaluations on `D` and on the cosets `g^c D`, `c < num_cosets`, into coefficients; the same for every AIR with these sizes.
#[derive(Debug)]
pub(super) struct Interpolation {
    /// `omega^-i`, for the inverse DFT.
    inverse_roots: Vec<F>,
    /// For each coset `c`, `N^-1 g^(-c i)`: what its inverse DFT is scaled by.
    scales: Vec<Vec<F>>,
    /// `[c][j]`: what coset `c` contributes to the coefficients from `j N` on.
    bases: Vec<Vec<F>>,
}

impl Interpolation {
    /// For skip domains of `2^l_skip` points.
    pub fn new(l_skip: usize, num_cosets: usize) -> Self {
        let size = 1 << l_skip;
        let omega_inverse = F::two_adic_generator(l_skip).inverse();
        let size_inverse = F::from_usize(size).inverse();
        let powers = |first: F, ratio: F| -> Vec<F> { ratio.shifted_powers(first).take(size).collect() };
        let nodes: Vec<F> = (0..num_cosets).map(|coset| coset_shift(coset).exp_u64(size as u64)).collect();
        Self {
            inverse_roots: powers(F::ONE, omega_inverse),
            scales: (0..num_cosets.max(1)).map(|coset| powers(size_inverse, coset_shift(coset).inverse())).collect(),
            bases: (0..num_cosets).map(|coset| lagrange_basis_coeffs(&nodes, coset)).collect(),
        }
    }

    /// Coefficients from the evaluations on `g^coset D`, in place.
    fn inverse_dft(&self, evals: &mut [EF], coset: usize) {
        dft(evals, &self.inverse_roots);
        for (eval, &scale) in evals.iter_mut().zip(&self.scales[coset]) {
            *eval *= scale;
        }
    }

    /// Adds the coefficients of what has these evaluations on `g^coset D` and is zero on the other cosets.
    ///
    /// On `g^c D`, `Z^N = g^(c N) = v_c`, so `sum_j Z^(j N) P_j(Z)` (`deg P_j < N`) agrees there with `sum_j v_c^j P_j(Z)`, whose
    /// coefficients an inverse DFT gives; the inverse of the Vandermonde matrix of the `v_c` then gives the `P_j`.
    fn add_coset(&self, coeffs: &mut [EF], mut evals: Vec<EF>, coset: usize) {
        self.inverse_dft(&mut evals, coset);
        for (coeffs, &basis) in coeffs.chunks_mut(evals.len()).zip(&self.bases[coset]) {
            for (to, &from) in coeffs.iter_mut().zip(&evals) {
                *to += from * basis;
            }
        }
    }

    /// The polynomials of one instance, from the words of its blocks: `[2^l_skip]` of `Frac { p, q }` each.
    ///
    /// # Errors
    /// [`Error::DeviceLost`] if a word is no field element.
    pub fn polys(&self, prepared: &Prepared<'_>, blocks: &[(Block, &[u32])]) -> Result<Round0Polys> {
        let plan = prepared.plan;
        let mut polys = [0, 1].map(|_| EF::zero_vec(plan.num_coeffs()));
        for (part, coeffs) in polys.iter_mut().enumerate().filter(|_| plan.num_coeffs() > 0) {
            let evals = |words: &[u32]| -> Result<Vec<EF>> {
                let element = |frac: &[u32]| field::ext_from_words(&frac[part * EXT_WORDS..][..EXT_WORDS]);
                let unwritten = || Error::DeviceLost { reason: "a result was not written".into() };
                words.chunks_exact(2 * EXT_WORDS).map(|frac| element(frac).ok_or_else(unwritten)).collect()
            };
            for &(block, words) in blocks {
                match block {
                    Block::Affine => {
                        let mut evals = evals(words)?;
                        self.inverse_dft(&mut evals, 0);
                        add(coeffs, &evals);
                    }
                    Block::Coset(coset) => self.add_coset(coeffs, evals(words)?, coset),
                }
            }
            let weights = &prepared.weights;
            if plan.strategy() == Strategy::Split && (weights.is_first[part], weights.is_last[part]) != (EF::ZERO, EF::ZERO) {
                // The selectors' closed forms: one point of D at one x, or its repetitions in a lifted trace.
                let mut evals = EF::zero_vec(1 << plan.l_skip());
                let period = prepared.height.min(evals.len());
                for (z, eval) in evals.iter_mut().enumerate() {
                    if z % period == 0 {
                        *eval += weights.is_first[part] * prepared.eq_first;
                    }
                    if z % period == period - 1 {
                        *eval += weights.is_last[part] * prepared.eq_last;
                    }
                }
                self.inverse_dft(&mut evals, 0);
                add(coeffs, &evals);
            }
            coeffs[0] += weights.constant[part] * prepared.eq_sum;
        }
        let [numerator, denominator] = polys;
        Ok(Round0Polys { numerator, denominator, l_skip: plan.l_skip() })
    }
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
                let polys = Round0Polys { numerator, denominator, l_skip };
                let evals = polys.coset_evals(F::ONE, F::GENERATOR, num_cosets);
                let omega = F::two_adic_generator(l_skip);
                for (i, frac) in evals.iter().enumerate() {
                    let at = coset_shift(i >> l_skip) * omega.exp_u64((i & ((1 << l_skip) - 1)) as u64);
                    assert_eq!(*frac, Frac { p: horner(&polys.numerator, at), q: horner(&polys.denominator, at) });
                }
                let interpolation = Interpolation::new(l_skip, num_cosets);
                let mut coeffs = EF::zero_vec(num_cosets << l_skip);
                for (coset, evals) in evals.chunks(1 << l_skip).enumerate() {
                    interpolation.add_coset(&mut coeffs, evals.iter().map(|frac| frac.p).collect(), coset);
                }
                assert_eq!(coeffs, polys.numerator);
            }
        }
    }
}
