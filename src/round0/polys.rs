//! A call's result: polynomials as coefficients, and their evaluations.

use p3_field::{Algebra, Field, PrimeCharacteristicRing, TwoAdicField};

use crate::field::{EF, F};

/// A numerator and a denominator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frac {
    /// Numerator.
    pub p: EF,
    /// Denominator, without the challenge `alpha`.
    pub q: EF,
}

/// One AIR's result: `s_p`, `s_q` and `s_zc` as coefficients, constant term first.
///
/// `s_p` and `s_q` have `constraint_degree * 2^l_skip` coefficients (none if the AIR has no interactions), like the result of the stock prover's
/// `sumcheck_uni_round0_poly` (`openvm_stark_backend::prover::sumcheck`); high ones may be zero. The stock prover multiplies the
/// numerator of a lifted trace by `height / 2^l_skip` afterwards: [`scale_lifted`](Self::scale_lifted).
///
/// `s_zc` has `constraint_degree (2^l_skip - 1) + 1` (none if the AIR has no constraints or none can be above degree 1), like the stock
/// prover's `s'_0` (`openvm_stark_backend::prover::logup_zerocheck`). It is right if the trace satisfies the constraints; if not, it is some
/// polynomial that vanishes on `D`, and the proof will not verify.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Round0Polys {
    /// `s_p(Z) = sum_x eq(x) sum_i w_i m_i(Z, x)`
    pub numerator: Vec<EF>,
    /// `s_q(Z) = sum_x eq(x) sum_i w_i (sum_j beta^j f_ij(Z, x) + beta^len_i (b_i + 1))`
    pub denominator: Vec<EF>,
    /// `s_zc(Z) = sum_x eq(x) sum_i lambda^i c_i(Z, x)`
    pub zerocheck: Vec<EF>,
    /// log2 of the skip domain's size.
    pub l_skip: usize,
}

impl Round0Polys {
    /// `s_p` and `s_q` at a point.
    pub fn at(&self, point: EF) -> Frac {
        Frac { p: horner(&self.numerator, point), q: horner(&self.denominator, point) }
    }

    /// `s_zc` at a point.
    pub fn zerocheck_at(&self, point: EF) -> EF {
        horner(&self.zerocheck, point)
    }

    /// Multiplies the numerator by [`numerator_scale`], as the stock prover does afterwards. Does nothing for a trace that is not lifted.
    pub fn scale_lifted(&mut self, height: usize) {
        if height < 1 << self.l_skip {
            let scale = numerator_scale(height, self.l_skip);
            self.numerator.iter_mut().for_each(|coefficient| *coefficient *= scale);
        }
    }

    /// `s_p` and `s_q` on the cosets `init * shift^c * D`, `c < num_cosets`, as `[num_cosets][2^l_skip]` of `Frac { p, q }`;
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

/// What a trace's numerator is multiplied by after the sum over its rows: `height / 2^l_skip` where it is lifted, so that each interaction counts
/// once and not once per repetition of its row.
pub fn numerator_scale(height: usize, l_skip: usize) -> F {
    F::from_usize(((1 << l_skip) / height.max(1)).max(1)).inverse()
}

fn horner(coefficients: &[EF], point: EF) -> EF {
    coefficients.iter().rev().fold(EF::ZERO, |sum, &coefficient| sum * point + coefficient)
}

/// The shift of coset `c` that coset passes evaluate on.
pub(crate) fn coset_shift(coset: usize) -> F {
    F::GENERATOR.exp_u64(coset as u64)
}

/// `L[j] = (y^N - 1) / (N (y - 1))` with `y = g^c omega^j`: the value at `y` of the polynomial of degree below `N` that is 1 at 1 and 0
/// on the rest of `D`.
pub(crate) fn lagrange(l_skip: usize, coset: usize) -> Vec<F> {
    let size = 1 << l_skip;
    coset_dft(vec![F::from_usize(size).inverse(); size], coset_shift(coset))
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
pub(super) fn coset_dft<T: Algebra<F> + Copy>(mut coeffs: Vec<T>, shift: F) -> Vec<T> {
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
pub(super) fn dft<T: Algebra<F> + Copy>(values: &mut [T], roots: &[F]) {
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
    use super::*;

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
