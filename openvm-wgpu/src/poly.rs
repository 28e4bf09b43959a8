//! Polynomials over the challenge field as coefficients, constant term first: what the protocol's steps combine.

use std::iter::zip;

use logup_wgpu::{EF, F};
use openvm_stark_backend::poly_common::eval_eq_uni;
use p3_field::{Field, PrimeCharacteristicRing, TwoAdicField};

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

/// From values at 0, 1 and so on to coefficients: of each power, what it takes of each value.
#[derive(Clone, Debug)]
pub(crate) struct Interpolation(Vec<Vec<F>>);

impl Interpolation {
    /// For so many values.
    pub fn new(num: usize) -> Self {
        let mut matrix = vec![vec![F::ZERO; num]; num];
        for i in 0..num {
            let others = || (0..num).filter(move |&j| j != i);
            // The product of all X - j, j != i, and its value at i.
            let mut basis = vec![F::ONE];
            for j in others() {
                basis.push(F::ZERO);
                for power in (0..basis.len()).rev() {
                    let below = if power > 0 { basis[power - 1] } else { F::ZERO };
                    basis[power] = below - F::from_usize(j) * basis[power];
                }
            }
            let scale = others().map(|j| F::from_usize(i) - F::from_usize(j)).product::<F>().inverse();
            zip(&mut matrix, basis).for_each(|(row, coefficient)| row[i] = scale * coefficient);
        }
        Self(matrix)
    }

    /// The polynomial of these values.
    pub fn coefficients(&self, values: &[EF]) -> Vec<EF> {
        self.0.iter().map(|row| zip(values, row).map(|(&value, &factor)| value * factor).sum()).collect()
    }
}

/// Its value.
pub(crate) fn eval(coefficients: &[EF], at: EF) -> EF {
    coefficients.iter().rev().fold(EF::ZERO, |sum, &coefficient| sum * at + coefficient)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpolations_give_the_values_back() {
        for num in 1..8 {
            let values: Vec<EF> = (0..num).map(|i| EF::from_usize(i * i * i + 5).square()).collect();
            let coefficients = Interpolation::new(num).coefficients(&values);
            let again: Vec<EF> = (0..num).map(|x| eval(&coefficients, EF::from_usize(x))).collect();
            assert_eq!((coefficients.len(), again), (num, values));
        }
    }
}
