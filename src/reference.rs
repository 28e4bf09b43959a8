//! The oracle: the formula as it is written, on the CPU, with nothing clever.
//!
//! It shares no arithmetic with the engine's way: columns become coefficients by a sum over `D`, expressions are evaluated at the points
//! `0, 1, 2, ..` of the field, and the result is interpolated from there by Newton's divided differences. Cost:
//! `O(height * columns * (2^l_skip + points))`, `points = constraint_degree * 2^l_skip`.

use p3_field::{Algebra, Field, PrimeCharacteristicRing, TwoAdicField};
use rayon::prelude::*;

use crate::{
    air::{Air, Node, NodeId, Part},
    field::{EF, F},
    matrix::{Layout, Matrix},
    round0::{Frac, Round0Polys},
};

/// The inputs of [`round0`], all in host memory. Shapes as in [`Instance`](crate::Instance).
#[derive(Clone, Copy, Debug)]
pub struct ReferenceInstance<'a> {
    /// The AIR.
    pub air: &'a Air,
    /// log2 of the skip domain's size.
    pub l_skip: usize,
    /// The preprocessed trace.
    pub preprocessed: Option<Matrix<'a>>,
    /// The main trace parts.
    pub main: &'a [Matrix<'a>],
    /// The public values.
    pub public_values: &'a [F],
    /// `eq(xi, x)` for `x` ascending.
    pub eq: &'a [EF],
    /// The challenge whose powers combine a message's fields.
    pub beta: EF,
    /// The weight of each interaction.
    pub weights: &'a [EF],
}

/// `s_p` and `s_q` by the formula of the [crate docs](crate).
///
/// # Panics
/// If the inputs do not have the shapes that the AIR asks for.
pub fn round0(instance: &ReferenceInstance<'_>) -> Round0Polys {
    let air = instance.air;
    let (mut numerator, mut denominator) = (vec![], vec![]);
    if !air.interactions().is_empty() {
        let num_points = air.constraint_degree() << instance.l_skip;
        let points: Vec<F> = (0..num_points).map(F::from_usize).collect();
        let mut p = EF::zero_vec(num_points);
        let mut q = EF::zero_vec(num_points);
        for (x, &eq) in instance.eq.iter().enumerate() {
            let leaves: Vec<Vec<F>> = air.nodes().iter().map(|node| leaf_coeffs(instance, node, x)).collect();
            for (i, &point) in points.iter().enumerate() {
                let sum = interactions(instance, |node| horner(&leaves[node], point));
                p[i] += eq * sum.p;
                q[i] += eq * sum.q;
            }
        }
        numerator = newton(&p);
        denominator = newton(&q);
    }
    Round0Polys { numerator, denominator, l_skip: instance.l_skip }
}

/// `s_p(Z)` and `s_q(Z)` at one point: what a result is checked against in far less time than it takes to compute. Polynomials of degree
/// below `d` that differ agree at a random point of `EF` with a probability below `d / 2^123`.
///
/// A column's value is the sum of its values on `D` times `omega^z (Z^N - 1) / (N (Z - omega^z))`.
///
/// # Panics
/// If the point is in `D`, or the inputs do not have the shapes that the AIR asks for.
pub fn round0_at(instance: &ReferenceInstance<'_>, point: EF) -> Frac {
    let size = F::from_usize(1 << instance.l_skip);
    let zerofier = point.exp_power_of_2(instance.l_skip) - EF::ONE;
    let omegas = F::two_adic_generator(instance.l_skip).powers().take(1 << instance.l_skip);
    let basis: Vec<EF> = omegas.map(|omega| zerofier * omega * ((point - omega) * size).inverse()).collect();
    let at_x = |(x, &eq): (usize, &EF)| {
        let leaf = |node: usize| {
            let values = leaf_values(instance, &instance.air.nodes()[node], x);
            basis.iter().zip(values).map(|(&basis, value)| basis * value).sum::<EF>()
        };
        let Frac { p, q } = interactions(instance, leaf);
        Frac { p: eq * p, q: eq * q }
    };
    instance.eq.par_iter().enumerate().map(at_x).reduce(Frac::default, |a, b| Frac { p: a.p + b.p, q: a.q + b.q })
}

/// `sum_i w_i m_i` and `sum_i w_i (sum_j beta^j f_ij + beta^len_i (b_i + 1))`, where columns and selectors have these values.
fn interactions<A: Algebra<F> + Copy + Into<EF>>(instance: &ReferenceInstance<'_>, leaf: impl Fn(usize) -> A) -> Frac {
    let mut values: Vec<A> = Vec::with_capacity(instance.air.nodes().len());
    for (i, node) in instance.air.nodes().iter().enumerate() {
        let value = |id: NodeId| values[id.index()];
        values.push(match *node {
            Node::Column(_) | Node::IsFirstRow | Node::IsLastRow | Node::IsTransition => leaf(i),
            Node::PublicValue(index) => instance.public_values[index].into(),
            Node::Constant(constant) => constant.into(),
            Node::Add(a, b) => value(a) + value(b),
            Node::Sub(a, b) => value(a) - value(b),
            Node::Mul(a, b) => value(a) * value(b),
            Node::Neg(a) => -value(a),
        });
    }
    let value = |id: NodeId| -> EF { values[id.index()].into() };
    let mut sum = Frac::default();
    for (interaction, &weight) in instance.air.interactions().iter().zip(instance.weights) {
        sum.p += weight * value(interaction.count);
        let bus = F::from_u32(u32::from(interaction.bus_index) + 1);
        let mut denom = instance.beta.exp_u64(interaction.message.len() as u64) * bus;
        for (field, beta_pow) in interaction.message.iter().zip(instance.beta.powers()) {
            denom += beta_pow * value(*field);
        }
        sum.q += weight * denom;
    }
    sum
}

/// A leaf as a polynomial in `Z` at one `x`: the one of degree below `2^l_skip` through its values on `D`. Empty for other nodes.
fn leaf_coeffs(instance: &ReferenceInstance<'_>, node: &Node, x: usize) -> Vec<F> {
    let values = leaf_values(instance, node, x);
    let omega_inv = F::two_adic_generator(instance.l_skip).inverse();
    let size_inv = F::from_usize(1 << instance.l_skip).inverse();
    let coeff = |k: usize| horner(&values, omega_inv.exp_u64(k as u64)) * size_inv;
    (0..values.len()).map(coeff).collect()
}

/// A leaf's values on `D` at one `x`. Empty for other nodes.
fn leaf_values(instance: &ReferenceInstance<'_>, node: &Node, x: usize) -> Vec<F> {
    let height = instance.height();
    let size = 1 << instance.l_skip;
    let on_rows = |value: &dyn Fn(usize) -> F| (x * size..(x + 1) * size).map(value).collect();
    match *node {
        Node::Column(column) => {
            let matrix = match column.part {
                Part::Preprocessed => instance.preprocessed.expect("the AIR has a preprocessed trace"),
                Part::Main(i) => instance.main[i],
            };
            on_rows(&|row| cell(&matrix, (row + usize::from(column.next)) % height, column.index))
        }
        Node::IsFirstRow => on_rows(&|row| F::from_bool(row % height == 0)),
        Node::IsLastRow => on_rows(&|row| F::from_bool(row % height == height - 1)),
        Node::IsTransition => on_rows(&|row| F::from_bool(row % height != height - 1)),
        _ => vec![],
    }
}

impl ReferenceInstance<'_> {
    fn height(&self) -> usize {
        let widest = self.preprocessed.iter().chain(self.main).find(|matrix| matrix.width > 0);
        widest.map_or(1, |matrix| matrix.values.len() / matrix.width)
    }
}

fn cell(matrix: &Matrix<'_>, row: usize, column: usize) -> F {
    let height = matrix.values.len() / matrix.width;
    match matrix.layout {
        Layout::ColMajor => matrix.values[column * height + row],
        Layout::RowMajor => matrix.values[row * matrix.width + column],
    }
}

fn horner(coeffs: &[F], at: F) -> F {
    coeffs.iter().rev().fold(F::ZERO, |sum, &coeff| sum * at + coeff)
}

/// The coefficients of the polynomial with these values at `0, 1, 2, ..`.
fn newton(values: &[EF]) -> Vec<EF> {
    let mut differences = values.to_vec();
    for order in 1..values.len() {
        let inverse = F::from_usize(order).inverse();
        for i in (order..values.len()).rev() {
            differences[i] = (differences[i] - differences[i - 1]) * inverse;
        }
    }
    // From the highest difference inwards: poly * (Z - i) + difference.
    let mut coeffs = vec![EF::ZERO; values.len()];
    for (i, &difference) in differences.iter().enumerate().rev() {
        let node = F::from_usize(i);
        for k in (0..coeffs.len()).rev() {
            let below = if k > 0 { coeffs[k - 1] } else { difference };
            coeffs[k] = below - coeffs[k] * node;
        }
    }
    coeffs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newton_recovers_coefficients() {
        let coeffs: Vec<EF> = (0..7).map(|i| EF::from_usize(i * i + 3)).collect();
        let at = |x: F| coeffs.iter().rev().fold(EF::ZERO, |sum, &coeff| sum * x + coeff);
        let values: Vec<EF> = (0..7).map(|i| at(F::from_usize(i))).collect();
        assert_eq!(newton(&values), coeffs);
    }
}
