//! The affine part: which columns it reads, and how the weights of a call flow back to them.
//!
//! An expression that is linear in the columns commutes with interpolation in `Z`, so its sum over `x` follows from column sums. A
//! message field or count need not be expanded into a normal form for that: its weight flows back through additions, subtractions,
//! negations and products with degree-0 coefficients until it reaches columns, selectors, constants, or a product of two operands of
//! degree one or more. Such a product is a root of the non-affine part, and what reached it is its weight there.

use p3_field::PrimeCharacteristicRing;

use super::program::Root;
use crate::{
    air::{Air, Column, Node, NodeId},
    field::{EF, F},
};

/// A weight in the numerator and one in the denominator.
pub(crate) type Weight = [EF; 2];

const NO_WEIGHT: Weight = [EF::ZERO; 2];

/// A column that the affine part reads.
#[derive(Clone, Debug)]
pub(crate) struct AffineColumn {
    pub index: usize,
    /// The node of its current-row cell, where one carries weight.
    pub current: Option<NodeId>,
    /// The node of its next-row cell, where one carries weight.
    pub next: Option<NodeId>,
}

/// The columns of one matrix, those with a next-row cell first.
#[derive(Clone, Debug)]
pub(crate) struct AffineMatrix {
    /// Position in `Air::parts`.
    pub part_idx: usize,
    pub columns: Vec<AffineColumn>,
    pub num_next: usize,
}

/// Where weight can arrive, whatever the challenges.
#[derive(Clone, Debug, Default)]
pub(crate) struct AffineSplit {
    pub matrices: Vec<AffineMatrix>,
    /// Products of two operands of degree one or more, in topological order.
    pub roots: Vec<Root>,
    /// Nodes that weight passes through.
    pub num_affine_nodes: usize,
}

/// The weights of one call, where they arrive.
#[derive(Clone, Debug)]
pub(crate) struct Weights {
    /// Of the constant 1.
    pub constant: Weight,
    pub is_first: Weight,
    pub is_last: Weight,
    /// Of every node; only columns and roots are read.
    pub nodes: Vec<Weight>,
}

impl AffineSplit {
    pub fn new(air: &Air) -> Self {
        // [numerator, denominator]
        let mut reached = vec![[false; 2]; air.nodes.len()];
        for interaction in &air.interactions {
            reached[interaction.count.index()][0] = true;
            for field in &interaction.message {
                reached[field.index()][1] = true;
            }
        }
        let mut split = Self::default();
        let mut columns: Vec<(Column, NodeId)> = Vec::new();
        for (i, node) in air.nodes.iter().enumerate().rev() {
            let by = reached[i];
            if by == [false; 2] {
                continue;
            }
            let mut reach = |node: NodeId| {
                let node = &mut reached[node.index()];
                *node = [node[0] | by[0], node[1] | by[1]];
            };
            match *node {
                Node::Column(column) => columns.push((column, air.node_id(i))),
                Node::Mul(a, b) if air.degree(a) > 0 && air.degree(b) > 0 => {
                    split.roots.push((air.node_id(i), by));
                    continue;
                }
                Node::Mul(a, b) => reach(if air.degree(a) == 0 { b } else { a }),
                Node::Add(a, b) | Node::Sub(a, b) => {
                    reach(a);
                    reach(b);
                }
                Node::Neg(a) => reach(a),
                Node::PublicValue(_) | Node::Constant(_) | Node::IsFirstRow | Node::IsLastRow | Node::IsTransition => {}
            }
            split.num_affine_nodes += 1;
        }
        split.roots.reverse();
        columns.sort_unstable();
        // Sorted as `Air::parts` are.
        for of_part in columns.chunk_by(|(a, _), (b, _)| a.part == b.part) {
            let mut matrix = AffineMatrix { part_idx: air.part_idx(of_part[0].0.part), columns: Vec::new(), num_next: 0 };
            for &(column, node) in of_part {
                if matrix.columns.last().is_none_or(|last| last.index != column.index) {
                    matrix.columns.push(AffineColumn { index: column.index, current: None, next: None });
                }
                let last = matrix.columns.last_mut().expect("just pushed");
                *(if column.next { &mut last.next } else { &mut last.current }) = Some(node);
            }
            matrix.columns.sort_by_key(|column| column.next.is_none());
            matrix.num_next = matrix.columns.iter().filter(|column| column.next.is_some()).count();
            split.matrices.push(matrix);
        }
        split
    }
}

impl Weights {
    /// The weights as the interactions give them, on their own nodes:
    /// `eq_3bs[i]` on count `i` in the numerator, `eq_3bs[i] * beta^j` on field `j` and `eq_3bs[i] * beta^len * (b_i + 1)` on the
    /// constant in the denominator.
    pub fn of_interactions(air: &Air, beta_pows: &[EF], eq_3bs: &[EF]) -> Self {
        let mut weights = Self { constant: NO_WEIGHT, is_first: NO_WEIGHT, is_last: NO_WEIGHT, nodes: vec![NO_WEIGHT; air.nodes.len()] };
        for (interaction, &eq_3b) in air.interactions.iter().zip(eq_3bs) {
            weights.nodes[interaction.count.index()][0] += eq_3b;
            for (field, &beta_pow) in interaction.message.iter().zip(beta_pows) {
                weights.nodes[field.index()][1] += eq_3b * beta_pow;
            }
            let bus = F::from_u32(u32::from(interaction.bus_index) + 1);
            weights.constant[1] += eq_3b * beta_pows[interaction.message.len()] * bus;
        }
        weights
    }

    /// Lets the weights flow back to columns, selectors, the constant and the roots. `values` are those of the degree-0 nodes.
    /// One step for each node and weight, whatever the number of columns or rows.
    pub fn flow_back(&mut self, air: &Air, values: &[F]) {
        for (i, node) in air.nodes.iter().enumerate().rev() {
            let weight = self.nodes[i];
            if weight == NO_WEIGHT {
                continue;
            }
            let mut give = |node: NodeId, weight: Weight| add(&mut self.nodes[node.index()], weight);
            match *node {
                _ if air.degrees[i] == 0 => add(&mut self.constant, scale(weight, values[i])),
                Node::Column(_) | Node::PublicValue(_) | Node::Constant(_) => {}
                Node::IsFirstRow => add(&mut self.is_first, weight),
                Node::IsLastRow => add(&mut self.is_last, weight),
                Node::IsTransition => {
                    add(&mut self.constant, weight);
                    add(&mut self.is_last, weight.map(|w| -w));
                }
                Node::Add(a, b) => {
                    give(a, weight);
                    give(b, weight);
                }
                Node::Sub(a, b) => {
                    give(a, weight);
                    give(b, weight.map(|w| -w));
                }
                Node::Neg(a) => give(a, weight.map(|w| -w)),
                Node::Mul(a, b) if air.degree(a) == 0 => give(b, scale(weight, values[a.index()])),
                Node::Mul(a, b) if air.degree(b) == 0 => give(a, scale(weight, values[b.index()])),
                Node::Mul(..) => {} // a root
            }
        }
    }

    pub fn of(&self, node: Option<NodeId>) -> Weight {
        node.map_or(NO_WEIGHT, |node| self.nodes[node.index()])
    }
}

/// The values of the degree-0 nodes; zero for the others.
pub(crate) fn degree_zero_values(air: &Air, public_values: &[F]) -> Vec<F> {
    let mut values = vec![F::ZERO; air.nodes.len()];
    for (i, node) in air.nodes.iter().enumerate() {
        if air.degrees[i] > 0 {
            continue;
        }
        values[i] = match *node {
            Node::PublicValue(index) => public_values[index],
            Node::Constant(value) => value,
            Node::Add(a, b) => values[a.index()] + values[b.index()],
            Node::Sub(a, b) => values[a.index()] - values[b.index()],
            Node::Mul(a, b) => values[a.index()] * values[b.index()],
            Node::Neg(a) => -values[a.index()],
            Node::Column(_) | Node::IsFirstRow | Node::IsLastRow | Node::IsTransition => F::ZERO,
        };
    }
    values
}

fn add(to: &mut Weight, weight: Weight) {
    to[0] += weight[0];
    to[1] += weight[1];
}

fn scale(weight: Weight, by: F) -> Weight {
    weight.map(|w| w * by)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::air::AirBuilder;

    /// A weight that reaches a node through linear steps is the derivative of the weighted sum by that node.
    #[test]
    fn weights_are_derivatives() {
        let mut air = AirBuilder::new("flow");
        let main = air.main_part(3);
        air.public_values(1);
        let (a, b, c) = (air.column(main, 0), air.next(main, 1), air.column(main, 2));
        let public = air.public_value(0);
        let scaled = air.mul(public, a);
        let product = air.mul(b, c);
        let (transition, first) = (air.is_transition(), air.is_first_row());
        let sum = air.sub(scaled, b);
        let sum = air.add(sum, product);
        let sum = air.add(sum, transition);
        let sum = air.neg(sum);
        air.interaction(4, [sum, public], first);
        let air = air.build().unwrap();

        let split = AffineSplit::new(&air);
        assert_eq!(split.roots, [(product, [false, true])]);
        assert_eq!(split.matrices.len(), 1);
        let columns: Vec<_> = split.matrices[0].columns.iter().map(|c| (c.index, c.current, c.next)).collect();
        assert_eq!(columns, [(1, None, Some(b)), (0, Some(a), None)]);
        assert_eq!(split.matrices[0].num_next, 1);

        let (beta, eq_3b, public_value) = (EF::from_u32(1000), EF::from_u32(7), F::from_u32(3));
        let values = degree_zero_values(&air, &[public_value]);
        let mut weights = Weights::of_interactions(&air, &[EF::ONE, beta, beta * beta], &[eq_3b]);
        weights.flow_back(&air, &values);
        assert_eq!(weights.of(Some(a)), [EF::ZERO, -eq_3b * public_value]);
        assert_eq!(weights.of(Some(b)), [EF::ZERO, eq_3b]);
        assert_eq!(weights.of(Some(product)), [EF::ZERO, -eq_3b]);
        assert_eq!(weights.of(None), NO_WEIGHT);
        assert_eq!(weights.is_first, [eq_3b, EF::ZERO]);
        assert_eq!(weights.is_last, [EF::ZERO, eq_3b]);
        let bus = beta * beta * EF::from_u32(5);
        assert_eq!(weights.constant, [EF::ZERO, eq_3b * (beta * public_value + bus - EF::ONE)]);
    }
}
