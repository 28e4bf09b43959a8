//! Polynomials over the challenge field as coefficients, constant term first: what the protocol's steps combine.

use std::iter::zip;

use logup_wgpu::{EF, F};
use openvm_stark_backend::poly_common::eval_eq_uni;
use p3_field::{PrimeCharacteristicRing, TwoAdicField};

/// `eq(xi, b)` for the bits `b` of a number, lowest first.
pub(crate) fn eq_at_bits(xi: &[EF], bits: usize) -> EF {
    xi.iter().enumerate().map(|(i, &xi)| if bits >> i & 1 == 1 { xi } else { EF::ONE - xi }).product()
}

/// `sum_{Z in D} a(Z) b(Z)` for `a` of degree below `N`: `N` times the product's coefficients at multiples of `N`.
pub(crate) fn sum_over_domain(a: &[EF], b: &[EF]) -> EF {
    let num_z = a.len();
    let sum: EF = b.iter().enumerate().map(|(i, &b)| b * a[(num_z - i % num_z) % num_z]).sum();
    sum * F::from_usize(num_z)
}

/// `sum_i weights[i] polys[i]`, cut off or padded with zeros to `len` coefficients.
pub(crate) fn combine<'a>(weights: &[EF], polys: impl Iterator<Item = &'a [EF]>, len: usize) -> Vec<EF> {
    let mut sum = vec![EF::ZERO; len];
    for (&weight, poly) in zip(weights, polys) {
        sum.iter_mut().zip(poly).for_each(|(sum, &coefficient)| *sum += weight * coefficient);
    }
    sum
}

/// `sum += a b`, for coefficients.
pub(crate) fn add_product(sum: &mut [EF], a: &[EF], b: &[EF]) {
    for (i, &a) in a.iter().enumerate() {
        sum[i..].iter_mut().zip(b).for_each(|(sum, &b)| *sum += a * b);
    }
}

/// The Lagrange polynomials of the skip domain at a point outside of it.
pub(crate) fn lagrange(l_skip: usize, at: EF) -> Vec<EF> {
    EF::from(F::two_adic_generator(l_skip)).powers().take(1 << l_skip).map(|point| eval_eq_uni(l_skip, at, point)).collect()
}
