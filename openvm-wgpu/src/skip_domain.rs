//! The skip domain `D = <omega>` of `N = 2^l_skip` points: from evaluations on it to evaluations on its cosets.

use logup_wgpu::F;
use p3_field::{Field, PrimeCharacteristicRing, TwoAdicField, batch_multiplicative_inverse};

use crate::lanes::P;

/// Twiddles and tables for the cosets `g^1 D, g^2 D, ..`, `g = F::GENERATOR`: the points at which the stock prover evaluates.
#[derive(Debug)]
pub(crate) struct SkipDomain {
    l_skip: usize,
    /// `omega^j`, `j < N / 2`.
    twiddles: Vec<F>,
    /// `omega^-j`, `j < N / 2`.
    inverse_twiddles: Vec<F>,
    /// For each coset, what turns evaluations' inverse transform into coefficients on the coset: `g^(c j) / N`, in bit-reversed order of `j`.
    scales: Vec<Vec<F>>,
    /// For each coset, the Lagrange basis polynomial of the last point of `D` at the coset's points.
    last_basis: Vec<Vec<F>>,
    /// For each coset, the inverse of `Z^N - 1` on it.
    zerofier_inverses: Vec<F>,
}

impl SkipDomain {
    pub fn new(l_skip: usize, num_cosets: usize) -> Self {
        let num_z = 1 << l_skip;
        let omega = F::two_adic_generator(l_skip);
        let half_powers = |base: F| base.powers().take(num_z / 2).collect();
        let shifts: Vec<F> = F::GENERATOR.powers().skip(1).take(num_cosets).collect();
        let num_z_inverse = F::from_usize(num_z).inverse();
        let scales = |&shift: &F| {
            let powers: Vec<F> = shift.shifted_powers(num_z_inverse).take(num_z).collect();
            (0..num_z).map(|i| powers[reverse_bits(i, l_skip)]).collect()
        };
        // L(y) = omega^-1 (y^N - 1) / (N (y - omega^-1)), and y^N = shift^N on a coset
        let last = omega.inverse();
        let last_basis = |&shift: &F| {
            let factor = last * num_z_inverse * (shift.exp_power_of_2(l_skip) - F::ONE);
            let denominators: Vec<F> = shift_points(omega, shift, num_z).map(|y| y - last).collect();
            batch_multiplicative_inverse(&denominators).into_iter().map(|inverse| factor * inverse).collect()
        };
        Self {
            l_skip,
            twiddles: half_powers(omega),
            inverse_twiddles: half_powers(last),
            scales: shifts.iter().map(scales).collect(),
            last_basis: shifts.iter().map(last_basis).collect(),
            zerofier_inverses: shifts.iter().map(|shift| (shift.exp_power_of_2(l_skip) - F::ONE).inverse()).collect(),
        }
    }

    /// log2 of the domain's size.
    pub fn l_skip(&self) -> usize {
        self.l_skip
    }

    /// Points of `D`.
    pub fn num_z(&self) -> usize {
        1 << self.l_skip
    }

    /// `1 / (Z^N - 1)`, the same on all of a coset.
    pub fn zerofier_inverse(&self, coset: usize) -> F {
        self.zerofier_inverses[coset]
    }

    /// The Lagrange basis polynomial of `omega^(N - 1)` at a coset's points.
    pub fn last_basis(&self, coset: usize) -> &[F] {
        &self.last_basis[coset]
    }

    /// Evaluations on `D`, in place, to `N` times their coefficients in bit-reversed order.
    ///
    /// # Shapes
    /// `block: [N][width]`.
    pub fn inverse_transform(&self, block: &mut [P], width: usize) {
        for log_half in (0..self.l_skip).rev() {
            layer(&self.inverse_twiddles, log_half, block, width, |twiddle, a, b| {
                let difference = *a - *b;
                *a += *b;
                *b = difference * twiddle;
            });
        }
    }

    /// What [`SkipDomain::inverse_transform`] gave, to evaluations on a coset.
    ///
    /// # Shapes
    /// Both `[N][width]`.
    pub fn coset_evaluations(&self, coset: usize, transformed: &[P], evaluations: &mut [P], width: usize) {
        let rows = transformed.chunks_exact(width).zip(evaluations.chunks_exact_mut(width));
        for (&scale, (from, to)) in self.scales[coset].iter().zip(rows) {
            for (&from, to) in from.iter().zip(to) {
                *to = from * scale;
            }
        }
        for log_half in 0..self.l_skip {
            layer(&self.twiddles, log_half, evaluations, width, |twiddle, a, b| {
                let product = *b * twiddle;
                *b = *a - product;
                *a += product;
            });
        }
    }
}

/// One layer of a transform: the butterfly on all pairs of cells that are `2^log_half` rows apart, with the pair's twiddle.
fn layer(twiddles: &[F], log_half: usize, block: &mut [P], width: usize, butterfly: impl Fn(F, &mut P, &mut P)) {
    let half = 1 << log_half;
    for pair in block.chunks_exact_mut(2 * half * width) {
        let (high, low) = pair.split_at_mut(half * width);
        let rows = high.chunks_exact_mut(width).zip(low.chunks_exact_mut(width));
        for ((high, low), &twiddle) in rows.zip(twiddles.iter().step_by(twiddles.len() / half)) {
            high.iter_mut().zip(low).for_each(|(a, b)| butterfly(twiddle, a, b));
        }
    }
}

fn shift_points(omega: F, shift: F, num_z: usize) -> impl Iterator<Item = F> {
    omega.shifted_powers(shift).take(num_z)
}

fn reverse_bits(i: usize, num_bits: usize) -> usize {
    if num_bits == 0 { 0 } else { i.reverse_bits() >> (usize::BITS as usize - num_bits) }
}

#[cfg(test)]
mod tests {
    use logup_wgpu::F;
    use p3_field::PackedValue;

    use super::*;

    #[test]
    fn coset_evaluations_are_the_polynomials() {
        for l_skip in [0, 1, 2, 5] {
            let (num_z, width) = (1usize << l_skip, 3);
            let domain = SkipDomain::new(l_skip, 2);
            let omega = F::two_adic_generator(l_skip);
            let at = |column: usize, x: F| (0..num_z).rev().fold(F::ZERO, |sum, i| sum * x + F::from_usize(i * i + column + 1));
            let points = |shift| shift_points(omega, shift, num_z);
            let mut block: Vec<P> = points(F::ONE).flat_map(|x| (0..width).map(move |column| P::from_fn(|_| at(column, x)))).collect();
            domain.inverse_transform(&mut block, width);
            for coset in 0..2 {
                let shift = F::GENERATOR.exp_u64(coset as u64 + 1);
                let mut evaluations = vec![P::ZERO; block.len()];
                domain.coset_evaluations(coset, &block, &mut evaluations, width);
                let expected: Vec<P> = points(shift).flat_map(|x| (0..width).map(move |column| P::from_fn(|_| at(column, x)))).collect();
                assert_eq!(evaluations, expected);

                let last = omega.inverse();
                let basis = |y: F| points(F::ONE).filter(|&z| z != last).map(|z| (y - z) * (last - z).inverse()).product();
                assert_eq!(domain.last_basis(coset), points(shift).map(basis).collect::<Vec<F>>());
                assert_eq!(domain.zerofier_inverse(coset) * (shift.exp_power_of_2(l_skip) - F::ONE), F::ONE);
            }
        }
    }
}
