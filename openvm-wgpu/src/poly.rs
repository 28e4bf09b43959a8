//! Polynomials over the challenge field as coefficients, constant term first: what the protocol's steps combine.

use std::iter::zip;

use logup_wgpu::{EF, F};
use openvm_stark_backend::poly_common::UnivariatePoly;
use p3_field::{Field, PrimeCharacteristicRing};

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

/// `s(X) = eq(xi, X) head(X) + tail X`, with `head` given at `1, 2, ..` and at 0 by `s(0) + s(1) = claim`.
pub(crate) fn round_poly(head_evals: Vec<EF>, tail: EF, xi: EF, claim: EF) -> UnivariatePoly<EF> {
    let at_zero = (claim - tail - head_evals.first().map_or(EF::ZERO, |&at_one| xi * at_one)) * (EF::ONE - xi).inverse();
    let evals: Vec<EF> = [at_zero].into_iter().chain(head_evals).collect();
    let points: Vec<F> = (0..evals.len()).map(F::from_usize).collect();
    let head = UnivariatePoly::lagrange_interpolate(&points, &evals).into_coeffs();
    let mut coefficients = vec![EF::ZERO; head.len() + 1];
    add_product(&mut coefficients, &[EF::ONE - xi, xi.double() - EF::ONE], &head);
    coefficients[1] += tail;
    UnivariatePoly::new(coefficients)
}
