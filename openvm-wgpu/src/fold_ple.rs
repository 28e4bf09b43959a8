//! Folding at round 0's challenge: every trace's prismalinear extension at `Z = r`, a multilinear function of `x` that the later rounds fold
//! further.

use logup_wgpu::{EF, F};
use p3_field::{
    BasedVectorSpace, Field, PackedFieldExtension, PackedValue, PrimeCharacteristicRing, TwoAdicField, batch_multiplicative_inverse,
};
use rayon::prelude::*;

use crate::{
    lanes::{EP, P},
    rows::{Cell, NUM_SELECTORS, RowShape, Rows},
};

/// How rows are folded at `Z = r`: `T(r, x) = sum_z weights[z] T(omega^z, x)`.
#[derive(Debug)]
pub(crate) struct SkipFold {
    /// The weights' coefficients of `X^0`, `X^1`, .., in every lane.
    weights: [Vec<P>; 4],
}

impl SkipFold {
    /// `r` outside `D`.
    pub fn new(l_skip: usize, r: EF) -> Self {
        let num_z = 1 << l_skip;
        let omega_pows: Vec<F> = F::two_adic_generator(l_skip).powers().take(num_z).collect();
        // Lagrange: omega^z (r^N - 1) / (N (r - omega^z))
        let denominators: Vec<EF> = omega_pows.iter().map(|&point| r - point).collect();
        let factor = (r.exp_power_of_2(l_skip) - F::ONE) * F::from_usize(num_z).inverse();
        let inverses = batch_multiplicative_inverse(&denominators);
        let weights: Vec<EF> = inverses.into_iter().zip(omega_pows).map(|(inverse, point)| factor * inverse * point).collect();
        let in_lanes = |weight: F| P::from_fn(|_| weight);
        let coefficient = |k: usize| weights.iter().map(|weight| in_lanes(weight.as_basis_coefficients_slice()[k])).collect();
        Self { weights: std::array::from_fn(coefficient) }
    }

    /// `sum_z weights[z] cells[z]`.
    fn sum(&self, cells: &[P]) -> EP {
        EP::from_basis_coefficients_fn(|k| dot(&self.weights[k], cells))
    }

    /// Points of `D`.
    fn num_z(&self) -> usize {
        self.weights[0].len()
    }
}

/// Four products are reduced together.
fn dot(weights: &[P], cells: &[P]) -> P {
    let (weights, weights_rest) = weights.as_chunks::<4>();
    let (cells, cells_rest) = cells.as_chunks::<4>();
    let chunks: P = weights.iter().zip(cells).map(|(weights, cells)| P::dot_product(weights, cells)).sum();
    chunks + weights_rest.iter().zip(cells_rest).map(|(&weight, &cell)| weight * cell).sum::<P>()
}

/// The first cells, a lane for each; zeros where there are fewer.
fn load(cells: &[F]) -> P {
    match cells.get(..P::WIDTH) {
        Some(cells) => *P::from_slice(cells),
        None => P::from_fn(|lane| cells.get(lane).copied().unwrap_or(F::ZERO)),
    }
}

/// A lane for each of the first cells, as far as there are cells.
fn store(lanes: EP, cells: &mut [EF]) {
    cells.iter_mut().take(P::WIDTH).enumerate().for_each(|(lane, cell)| *cell = lanes.extract(lane));
}

/// An AIR's wide rows, folded: `[num_y][wide_width]`.
#[derive(Debug)]
pub(crate) struct FoldedTrace {
    values: Vec<EF>,
    width: usize,
}

impl FoldedTrace {
    /// The rows folded at `Z = r`, one for each of the `num_x` points `x`.
    pub fn new(shape: &RowShape, rows: &Rows<'_>, num_x: usize, fold: &SkipFold) -> Self {
        let width = shape.wide_width();
        let mut values = EF::zero_vec(num_x * width);
        let num_z = fold.num_z();
        values.par_chunks_exact_mut(width).enumerate().for_each_init(
            || vec![P::ZERO; num_z + 1],
            |cells, (x, wide)| {
                let first = x * num_z;
                for (folded, selector) in wide[..NUM_SELECTORS].iter_mut().zip([Cell::IsFirst, Cell::IsTransition, Cell::IsLast]) {
                    cells.iter_mut().enumerate().for_each(|(z, cell)| *cell = P::from_fn(|_| rows.get(selector, first + z)));
                    *folded = fold.sum(&cells[..num_z]).extract(0);
                }
                for part in 0..shape.widths.len() {
                    let part_rows: Vec<&[F]> = (0..=num_z).map(|z| rows.row(part, first + z)).collect();
                    // A lane for each column.
                    for column in (0..shape.widths[part]).step_by(P::WIDTH) {
                        cells.iter_mut().zip(&part_rows).for_each(|(cell, row)| *cell = load(&row[column..]));
                        store(fold.sum(&cells[..num_z]), &mut wide[shape.wide_range(part, false)][column..]);
                        if shape.needs_next {
                            store(fold.sum(&cells[1..]), &mut wide[shape.wide_range(part, true)][column..]);
                        }
                    }
                }
            },
        );
        Self { values, width }
    }

    /// Folded rows.
    pub fn num_y(&self) -> usize {
        self.values.len() / self.width
    }

    pub fn row(&self, y: usize) -> &[EF] {
        &self.values[y * self.width..(y + 1) * self.width]
    }

    /// Folds pairs of rows at `X = r`; a single row stays.
    pub fn fold(&mut self, r: EF) {
        let num_y = self.num_y() / 2;
        if num_y == 0 {
            return;
        }
        let mut folded = EF::zero_vec(num_y * self.width);
        folded.par_chunks_exact_mut(self.width).enumerate().for_each(|(y, folded)| {
            let pair = self.row(2 * y).iter().zip(self.row(2 * y + 1));
            folded.iter_mut().zip(pair).for_each(|(folded, (&low, &high))| *folded = low + (high - low) * r);
        });
        self.values = folded;
    }
}
