//! The oracle: the formula as it is written, on the CPU, with nothing clever.
//!
//! It shares no arithmetic with the engine's way: columns become coefficients by a sum over `D`, expressions are evaluated point by point,
//! and the result is interpolated from there by Newton's divided differences. Cost:
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
    /// The challenge whose powers combine the constraints.
    pub lambda: EF,
    /// The weight of each interaction.
    pub weights: &'a [EF],
}

/// The polynomials at a point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Round0At {
    /// `s_p` and `s_q`.
    pub logup: Frac,
    /// `s_zc`, of the constraints of degree 2 and more.
    pub zerocheck: EF,
}

/// `s_p`, `s_q` and `s_zc` by the formulas of the [crate docs](crate).
///
/// The constraints of each degree `d` go into `s_zc` as `Z^N - 1` times the polynomial that their sum divided by it is on the cosets
/// `g^1 D, .., g^(d - 1) D`: on a trace that satisfies the constraints that is their sum, and on others the engine gives the same.
///
/// # Panics
/// If the inputs do not have the shapes that the AIR asks for.
pub fn round0(instance: &ReferenceInstance<'_>) -> Round0Polys {
    let air = instance.air;
    let (mut numerator, mut denominator) = (vec![], vec![]);
    if !air.interactions().is_empty() {
        let points: Vec<F> = (0..air.constraint_degree() << instance.l_skip).map(F::from_usize).collect();
        let sums = sums(instance, &points, |values| {
            let Frac { p, q } = interactions(instance, values);
            [p, q]
        });
        numerator = newton(&points, &sums.iter().map(|sum| sum[0]).collect::<Vec<EF>>());
        denominator = newton(&points, &sums.iter().map(|sum| sum[1]).collect::<Vec<EF>>());
    }
    Round0Polys { numerator, denominator, zerocheck: zerocheck(instance), l_skip: instance.l_skip }
}

fn zerocheck(instance: &ReferenceInstance<'_>) -> Vec<EF> {
    let (air, size) = (instance.air, 1usize << instance.l_skip);
    let mut degrees: Vec<usize> = air.constraints().iter().map(|&constraint| air.degree(constraint)).collect();
    degrees.sort_unstable();
    degrees.dedup();
    if air.constraints().is_empty() || air.constraint_degree() < 2 {
        return vec![];
    }
    let mut coeffs = vec![EF::ZERO; air.constraint_degree() * (size - 1) + 1];
    for degree in degrees {
        let coset = |shift: F| F::two_adic_generator(instance.l_skip).shifted_powers(shift).take(size);
        let points: Vec<F> = F::GENERATOR.powers().take(degree.max(1)).skip(1).flat_map(coset).collect();
        let sums = sums(instance, &points, |values| [constraints(instance, values, |of| of == degree), EF::ZERO]);
        let quotients = points.iter().zip(sums).map(|(&point, [sum, _])| sum * (point.exp_u64(size as u64) - F::ONE).inverse());
        for (i, quotient) in newton(&points, &quotients.collect::<Vec<EF>>()).into_iter().enumerate() {
            for (at, term) in [(i, -quotient), (i + size, quotient)] {
                if let Some(coeff) = coeffs.get_mut(at) {
                    *coeff += term;
                }
            }
        }
    }
    coeffs
}

/// `sum_x eq(x) v(Z, x)` at some points, for two expressions `v` of the nodes' values.
fn sums(instance: &ReferenceInstance<'_>, points: &[F], expressions: impl Fn(&[F]) -> [EF; 2]) -> Vec<[EF; 2]> {
    let mut sums = vec![[EF::ZERO; 2]; points.len()];
    for (x, &eq) in instance.eq.iter().enumerate() {
        let leaves: Vec<Vec<F>> = instance.air.nodes().iter().map(|node| leaf_coeffs(instance, node, x)).collect();
        for (sum, &point) in sums.iter_mut().zip(points) {
            let [p, q] = expressions(&node_values(instance, |node| horner(&leaves[node], point)));
            *sum = [sum[0] + eq * p, sum[1] + eq * q];
        }
    }
    sums
}

/// `s_p(Z)`, `s_q(Z)` and `sum_x eq(x) sum_i lambda^i c_i(Z, x)` over the constraints of degree 2 and more, at one point: what a result is
/// checked against in far less time than it takes to compute. Polynomials of degree below `d` that differ agree at a random point of `EF` with
/// a probability below `d / 2^123`.
///
/// A column's value is the sum of its values on `D` times `omega^z (Z^N - 1) / (N (Z - omega^z))`.
///
/// # Panics
/// If the point is in `D`, or the inputs do not have the shapes that the AIR asks for.
pub fn round0_at(instance: &ReferenceInstance<'_>, point: EF) -> Round0At {
    let size = F::from_usize(1 << instance.l_skip);
    let zerofier = point.exp_power_of_2(instance.l_skip) - EF::ONE;
    let omegas = F::two_adic_generator(instance.l_skip).powers().take(1 << instance.l_skip);
    let basis: Vec<EF> = omegas.map(|omega| zerofier * omega * ((point - omega) * size).inverse()).collect();
    let at_x = |(x, &eq): (usize, &EF)| {
        let leaf = |node: usize| {
            let values = leaf_values(instance, &instance.air.nodes()[node], x);
            basis.iter().zip(values).map(|(&basis, value)| basis * value).sum::<EF>()
        };
        let values = node_values(instance, leaf);
        let Frac { p, q } = interactions(instance, &values);
        [eq * p, eq * q, eq * constraints(instance, &values, |degree| degree > 1)]
    };
    let add = |a: [EF; 3], b: [EF; 3]| std::array::from_fn(|i| a[i] + b[i]);
    let [p, q, zerocheck] = instance.eq.par_iter().enumerate().map(at_x).reduce(|| [EF::ZERO; 3], add);
    Round0At { logup: Frac { p, q }, zerocheck }
}

/// The values of all constraints on one row of the traces.
///
/// # Panics
/// If the inputs do not have the shapes that the AIR asks for.
pub fn constraints_on_row(instance: &ReferenceInstance<'_>, row: usize) -> Vec<F> {
    let values = node_values(instance, |node| leaf_on_row(instance, &instance.air.nodes()[node], row));
    instance.air.constraints().iter().map(|constraint| values[constraint.index()]).collect()
}

/// The values of all nodes, where columns and selectors have these.
fn node_values<A: Algebra<F> + Copy>(instance: &ReferenceInstance<'_>, leaf: impl Fn(usize) -> A) -> Vec<A> {
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
    values
}

/// `sum_i lambda^i c_i` over the constraints of some degrees.
fn constraints<A: Copy + Into<EF>>(instance: &ReferenceInstance<'_>, values: &[A], of_degree: impl Fn(usize) -> bool) -> EF {
    let air = instance.air;
    let weighted = air.constraints().iter().zip(instance.lambda.powers()).filter(|(constraint, _)| of_degree(air.degree(**constraint)));
    weighted.map(|(&constraint, lambda_pow)| lambda_pow * values[constraint.index()].into()).sum()
}

/// `sum_i w_i m_i` and `sum_i w_i (sum_j beta^j f_ij + beta^len_i (b_i + 1))`.
fn interactions<A: Copy + Into<EF>>(instance: &ReferenceInstance<'_>, values: &[A]) -> Frac {
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
    let size = 1 << instance.l_skip;
    match *node {
        Node::Column(_) | Node::IsFirstRow | Node::IsLastRow | Node::IsTransition => {
            (x * size..(x + 1) * size).map(|row| leaf_on_row(instance, node, row)).collect()
        }
        _ => vec![],
    }
}

/// A leaf on a row; rows repeat.
fn leaf_on_row(instance: &ReferenceInstance<'_>, leaf: &Node, row: usize) -> F {
    let height = instance.height();
    let row = row % height;
    match *leaf {
        Node::Column(column) => {
            let matrix = match column.part {
                Part::Preprocessed => instance.preprocessed.expect("the AIR has a preprocessed trace"),
                Part::Main(i) => instance.main[i],
            };
            cell(&matrix, (row + usize::from(column.next)) % height, column.index)
        }
        Node::IsFirstRow => F::from_bool(row == 0),
        Node::IsLastRow => F::from_bool(row == height - 1),
        Node::IsTransition => F::from_bool(row != height - 1),
        _ => unreachable!("no leaf"),
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

/// The coefficients of the polynomial with these values at these points.
fn newton(points: &[F], values: &[EF]) -> Vec<EF> {
    let mut differences = values.to_vec();
    for order in 1..values.len() {
        for i in (order..values.len()).rev() {
            differences[i] = (differences[i] - differences[i - 1]) * (points[i] - points[i - order]).inverse();
        }
    }
    // From the highest difference inwards: poly * (Z - point) + difference.
    let mut coeffs = vec![EF::ZERO; values.len()];
    for (&point, &difference) in points.iter().zip(&differences).rev() {
        for k in (0..coeffs.len()).rev() {
            let below = if k > 0 { coeffs[k - 1] } else { difference };
            coeffs[k] = below - coeffs[k] * point;
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
        let points: Vec<F> = (0..7).map(|i| F::from_usize(i * i + 2)).collect();
        let values: Vec<EF> = points.iter().map(|&point| at(point)).collect();
        assert_eq!(newton(&points, &values), coeffs);
    }
}
