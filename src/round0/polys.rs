//! From evaluations to coefficients, on the host: a few hundred field elements per AIR.

use p3_field::{Algebra, Field, PrimeCharacteristicRing, TwoAdicField};

use super::{instance::Prepared, record::Block};
use crate::{
    field::{EF, F},
    plan::{Round0Plan, Strategy},
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

/// The polynomials of one instance, from its blocks' evaluations.
pub(super) fn interpolate(prepared: &Prepared<'_>, blocks: &[(Block, Vec<Frac>)]) -> Round0Polys {
    let plan = prepared.plan;
    let mut polys = [0, 1].map(|part| part_coeffs(prepared, blocks, part));
    if plan.num_coeffs() > 0 {
        for (poly, constant) in polys.iter_mut().zip(prepared.weights.constant) {
            poly[0] += constant * prepared.eq_sum;
        }
    }
    let [numerator, denominator] = polys;
    Round0Polys { numerator, denominator, l_skip: plan.l_skip() }
}

/// Part 0 is the numerator, 1 the denominator. All but the constant term.
fn part_coeffs(prepared: &Prepared<'_>, blocks: &[(Block, Vec<Frac>)], part: usize) -> Vec<EF> {
    let plan: &Round0Plan = prepared.plan;
    let mut coeffs = EF::zero_vec(plan.num_coeffs());
    if coeffs.is_empty() {
        return coeffs;
    }
    let values = |fracs: &[Frac]| fracs.iter().map(|frac| if part == 0 { frac.p } else { frac.q }).collect::<Vec<_>>();
    if plan.strategy() == Strategy::Split {
        let affine = blocks.iter().find(|(block, _)| *block == Block::Affine);
        let mut evals = affine.map_or_else(|| EF::zero_vec(1 << plan.l_skip()), |(_, fracs)| values(fracs));
        // The selectors' closed forms: one point of D at one x, or its repetitions in a lifted trace.
        let period = prepared.height.min(evals.len());
        for (z, eval) in evals.iter_mut().enumerate() {
            if z % period == 0 {
                *eval += prepared.weights.is_first[part] * prepared.eq_first;
            }
            if z % period == period - 1 {
                *eval += prepared.weights.is_last[part] * prepared.eq_last;
            }
        }
        add(&mut coeffs, &coset_idft(evals, F::ONE));
    }
    let cosets: Vec<Vec<EF>> =
        (0..).map_while(|coset| blocks.iter().find(|(block, _)| *block == Block::Coset(coset))).map(|(_, fracs)| values(fracs)).collect();
    add(&mut coeffs, &interpolate_cosets(cosets));
    coeffs
}

fn add(to: &mut [EF], from: &[EF]) {
    for (to, &from) in to.iter_mut().zip(from) {
        *to += from;
    }
}

/// The coefficients of the polynomial of degree below `d N` with these evaluations on the cosets `g^c D`, `c < d`.
///
/// On `g^c D`, `Z^N = g^(c N) = v_c`, so `sum_j Z^(j N) P_j(Z)` (`deg P_j < N`) agrees there with `sum_j v_c^j P_j(Z)`, whose
/// coefficients an inverse DFT gives; a `d` by `d` Vandermonde system in the `v_c` then gives the `P_j`.
fn interpolate_cosets(cosets: Vec<Vec<EF>>) -> Vec<EF> {
    let num_cosets = cosets.len();
    let Some(size) = cosets.first().map(Vec::len) else { return vec![] };
    let residues: Vec<Vec<EF>> = cosets.into_iter().enumerate().map(|(coset, evals)| coset_idft(evals, coset_shift(coset))).collect();
    let nodes: Vec<F> = (0..num_cosets).map(|coset| coset_shift(coset).exp_u64(size as u64)).collect();
    let mut coeffs = EF::zero_vec(num_cosets * size);
    for (c, residue) in residues.iter().enumerate() {
        for (j, &basis) in lagrange_basis_coeffs(&nodes, c).iter().enumerate() {
            for (to, &from) in coeffs[j * size..].iter_mut().zip(residue) {
                *to += from * basis;
            }
        }
    }
    coeffs
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

/// Coefficients from the evaluations on `shift * D`.
fn coset_idft(mut evals: Vec<EF>, shift: F) -> Vec<EF> {
    let size = evals.len();
    dft(&mut evals, F::two_adic_generator(size.ilog2() as usize).inverse());
    scale_by_powers(&mut evals, F::from_usize(size).inverse(), shift.inverse());
    evals
}

/// Evaluations on `shift * D` from the coefficients.
fn coset_dft<T: Algebra<F> + Copy>(mut coeffs: Vec<T>, shift: F) -> Vec<T> {
    scale_by_powers(&mut coeffs, F::ONE, shift);
    let omega = F::two_adic_generator(coeffs.len().ilog2() as usize);
    dft(&mut coeffs, omega);
    coeffs
}

/// `values[i] *= first * ratio^i`.
fn scale_by_powers<T: Algebra<F> + Copy>(values: &mut [T], first: F, ratio: F) {
    let mut power = first;
    for value in values {
        *value *= power;
        power *= ratio;
    }
}

/// `values[k] <- sum_i values[i] omega^(i k)`, `omega` of order `values.len()`, in place. Serial on purpose: p3-dft hands even 16
/// elements to rayon, which cost this crate most of a call's host time.
fn dft<T: Algebra<F> + Copy>(values: &mut [T], omega: F) {
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
        let root = omega.exp_power_of_2((log_size - log_half - 1) as usize);
        for block in values.chunks_exact_mut(2 * half) {
            let (low, high) = block.split_at_mut(half);
            let mut twiddle = F::ONE;
            for (low, high) in low.iter_mut().zip(high) {
                let product = *high * twiddle;
                *high = *low - product;
                *low += product;
                twiddle *= root;
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
                let cosets = evals.chunks(1 << l_skip).map(|coset| coset.iter().map(|frac| frac.p).collect()).collect();
                assert_eq!(interpolate_cosets(cosets), polys.numerator);
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
