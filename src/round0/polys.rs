//! From evaluations to coefficients, on the host: a few hundred field elements per AIR.

use p3_field::{Algebra, Field, PrimeCharacteristicRing, TwoAdicField};

use super::{instance::Prepared, record::Block};
use crate::{
    error::{Error, Result},
    field::{self, EF, EXT_WORDS, F},
    plan::Strategy,
};

/// A numerator and a denominator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frac {
    /// Numerator.
    pub p: EF,
    /// Denominator, without the challenge `alpha`.
    pub q: EF,
}

/// One AIR's result: `s_p` and `s_q` as coefficients, constant term first.
///
/// Both have `constraint_degree * 2^l_skip` coefficients (none if the AIR has no interactions), like the result of the stock prover's
/// `sumcheck_uni_round0_poly` (`openvm_stark_backend::prover::sumcheck`); high ones may be zero. The stock prover multiplies the
/// numerator of a lifted trace by `height / 2^l_skip` afterwards; this is left to the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Round0Polys {
    /// `s_p(Z) = sum_x eq(x) sum_i w_i m_i(Z, x)`
    pub numerator: Vec<EF>,
    /// `s_q(Z) = sum_x eq(x) sum_i w_i (sum_j beta^j f_ij(Z, x) + beta^len_i (b_i + 1))`
    pub denominator: Vec<EF>,
    /// log2 of the skip domain's size.
    pub l_skip: usize,
}

impl Round0Polys {
    /// The evaluations on the cosets `init * shift^c * D`, `c < num_cosets`, as `[num_cosets][2^l_skip]` of `Frac { p, q }`;
    /// entry `z` of a coset is at `init * shift^c * omega^z`. The stock prover's own points are `init = shift = F::GENERATOR`.
    pub fn coset_evals(&self, init: F, shift: F, num_cosets: usize) -> Vec<Frac> {
        let mut evals = Vec::with_capacity(num_cosets << self.l_skip);
        let mut coset = init;
        for _ in 0..num_cosets {
            let p = coset_dft(fold(&self.numerator, coset, self.l_skip), coset);
            let q = coset_dft(fold(&self.denominator, coset, self.l_skip), coset);
            evals.extend(p.into_iter().zip(q).map(|(p, q)| Frac { p, q }));
            coset *= shift;
        }
        evals
    }
}

/// The shift of coset `c` that coset passes evaluate on.
pub(crate) fn coset_shift(coset: usize) -> F {
    F::GENERATOR.exp_u64(coset as u64)
}

/// `L[j] = (y^N - 1) / (N (y - 1))` with `y = g^c omega^j`: the value at `y` of the polynomial of degree below `N` that is 1 at 1 and 0
/// on the rest of `D`.
pub(crate) fn lagrange(l_skip: usize, coset: usize) -> Vec<F> {
    let mut coeffs = F::zero_vec(1 << l_skip);
    coeffs.fill(F::from_usize(1 << l_skip).inverse());
    coset_dft(coeffs, coset_shift(coset))
}

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
}

/// The polynomials of one instance, from the words of its blocks: `[2^l_skip]` of `Frac { p, q }` each.
///
/// # Errors
/// [`Error::DeviceLost`] if a word is no field element.
pub(super) fn interpolate(prepared: &Prepared<'_>, blocks: &[(Block, &[u32])], interpolation: &Interpolation) -> Result<Round0Polys> {
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
                    interpolation.inverse_dft(&mut evals, 0);
                    add(coeffs, &evals);
                }
                Block::Coset(coset) => interpolation.add_coset(coeffs, evals(words)?, coset),
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
            interpolation.inverse_dft(&mut evals, 0);
            add(coeffs, &evals);
        }
        coeffs[0] += weights.constant[part] * prepared.eq_sum;
    }
    let [numerator, denominator] = polys;
    Ok(Round0Polys { numerator, denominator, l_skip: plan.l_skip() })
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

/// The coefficients modulo `Z^N - coset^N`.
fn fold(coeffs: &[EF], coset: F, l_skip: usize) -> Vec<EF> {
    let size = 1usize << l_skip;
    let node = coset.exp_power_of_2(l_skip);
    let mut folded = EF::zero_vec(size);
    let mut power = F::ONE;
    for chunk in coeffs.chunks(size) {
        for (to, &from) in folded.iter_mut().zip(chunk) {
            *to += from * power;
        }
        power *= node;
    }
    folded
}

/// Evaluations on `shift * D` from the coefficients.
fn coset_dft<T: Algebra<F> + Copy>(mut coeffs: Vec<T>, shift: F) -> Vec<T> {
    for (coeff, power) in coeffs.iter_mut().zip(shift.powers()) {
        *coeff *= power;
    }
    let omega = F::two_adic_generator(coeffs.len().ilog2() as usize);
    let roots: Vec<F> = omega.powers().take(coeffs.len()).collect();
    dft(&mut coeffs, &roots);
    coeffs
}

/// `values[k] <- sum_i values[i] omega^(i k)`, in place; `roots` are the powers of `omega`, as many as values. Serial on purpose: p3-dft
/// hands even 16 elements to rayon, which cost this crate most of a call's host time.
fn dft<T: Algebra<F> + Copy>(values: &mut [T], roots: &[F]) {
    let size = values.len();
    let log_size = size.ilog2();
    for i in 0..size {
        let reversed = i.reverse_bits().checked_shr(usize::BITS - log_size).unwrap_or(0);
        if i < reversed {
            values.swap(i, reversed);
        }
    }
    for log_half in 0..log_size {
        let half = 1 << log_half;
        let stride = size >> (log_half + 1);
        for block in values.chunks_exact_mut(2 * half) {
            let (low, high) = block.split_at_mut(half);
            for (i, (low, high)) in low.iter_mut().zip(high).enumerate() {
                let product = *high * roots[i * stride];
                *high = *low - product;
                *low += product;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use p3_field::BasedVectorSpace;

    use super::*;

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

    #[test]
    fn lagrange_takes_values_on_the_domain_to_a_coset() {
        for l_skip in [0, 1, 3] {
            let size = 1usize << l_skip;
            let omega = F::two_adic_generator(l_skip);
            let coeffs: Vec<F> = (0..size).map(|i| F::from_usize(i * i + 3)).collect();
            let at = |x: F| coeffs.iter().rev().fold(F::ZERO, |sum, &coeff| sum * x + coeff);
            for coset in 1..4 {
                let table = lagrange(l_skip, coset);
                for z in 0..size {
                    let sum: F = (0..size).map(|i| table[(z + size - i) % size] * at(omega.exp_u64(i as u64))).sum();
                    assert_eq!(sum, at(coset_shift(coset) * omega.exp_u64(z as u64)));
                }
            }
        }
    }
}
