//! The affine part: which columns it reads, and how the weights of a call flow back to them.
//!
//! An expression that is linear in the columns commutes with interpolation in `Z`, so its sum over `x` follows from column sums. A
//! message field, count or constraint need not be expanded into a normal form for that: its weight flows back through additions, subtractions,
//! negations and products with degree-0 coefficients until it reaches columns, selectors, constants, or a product of two operands of
//! degree one or more. Such a product is a root of the non-affine part, and what reached it is its weight there.

use std::cell::Cell;

use p3_field::PrimeCharacteristicRing;

use super::{pair::Pair, program::Root};
use crate::{
    air::{Air, Column, Node, NodeId},
    field::{EF, F},
};

/// A weight in each polynomial of a pair.
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

/// The columns whose sums some pair needs. All pairs share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct AffineSplit {
    pub matrices: Vec<AffineMatrix>,
    /// Nodes that weight passes through.
    pub num_affine_nodes: usize,
}

/// Where a pair's weight can arrive, whatever the challenges.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reached {
    /// Products of two operands of degree one or more, in topological order.
    pub roots: Vec<Root>,
    /// For each matrix of the split, whether weight arrives at one of its columns.
    pub matrices: Vec<bool>,
    /// All nodes that weight arrives at.
    pub nodes: WeightedNodes,
}

impl Reached {
    /// Where weight stays where it is given.
    pub fn named(air: &Air, pair: Pair) -> Self {
        let named = pair.named(air).into_iter().enumerate().rev().filter(|(_, by)| *by != [false; 2]);
        Self { nodes: WeightedNodes::new(air, named.map(|(i, _)| i as u32).collect()), ..Self::default() }
    }
}

/// The nodes that can have weight, which may be few of an AIR's.
#[derive(Clone, Debug, Default)]
pub(crate) struct WeightedNodes {
    /// Their indices, in reverse topological order.
    order: Vec<u32>,
    /// For each node, its place in that order; [`Self::NOWHERE`] for the others.
    places: Vec<u32>,
    /// For each place, where a weight there goes on to.
    flows: Vec<Flow>,
}

/// Where a node's weight goes on to: other places, or what is left of it.
#[derive(Clone, Copy, Debug)]
enum Flow {
    /// It stays: at a column, at a root.
    Stays,
    /// To the constant, times a degree-0 value, by its node.
    Constant(u32),
    IsFirst,
    IsLast,
    IsTransition,
    Add(u32, u32),
    Sub(u32, u32),
    Neg(u32),
    /// To a place, times a degree-0 value, by its node.
    Scaled(u32, u32),
}

impl WeightedNodes {
    const NOWHERE: u32 = u32::MAX;

    fn new(air: &Air, order: Vec<u32>) -> Self {
        let mut places = vec![Self::NOWHERE; air.nodes.len()];
        order.iter().enumerate().for_each(|(place, &node)| places[node as usize] = place as u32);
        let place = |node: NodeId| places[node.index()];
        let flow = |&i: &u32| match air.nodes[i as usize] {
            _ if air.degrees[i as usize] == 0 => Flow::Constant(i),
            Node::IsFirstRow => Flow::IsFirst,
            Node::IsLastRow => Flow::IsLast,
            Node::IsTransition => Flow::IsTransition,
            Node::Add(a, b) => Flow::Add(place(a), place(b)),
            Node::Sub(a, b) => Flow::Sub(place(a), place(b)),
            Node::Neg(a) => Flow::Neg(place(a)),
            Node::Mul(a, b) if air.degree(a) == 0 => Flow::Scaled(place(b), a.index() as u32),
            Node::Mul(a, b) if air.degree(b) == 0 => Flow::Scaled(place(a), b.index() as u32),
            Node::Mul(..) | Node::Column(_) | Node::PublicValue(_) | Node::Constant(_) => Flow::Stays,
        };
        let flows = order.iter().map(flow).collect();
        Self { order, places, flows }
    }

    fn place(&self, node: NodeId) -> Option<usize> {
        self.places.get(node.index()).filter(|&&place| place != Self::NOWHERE).map(|&place| place as usize)
    }
}

/// The weights of one call, where they arrive.
#[derive(Clone, Debug)]
pub(crate) struct Weights {
    /// Of the constant 1.
    pub constant: Weight,
    pub is_first: Weight,
    pub is_last: Weight,
    /// Of the nodes that can have some, in their order; only columns and roots are read.
    pub nodes: Vec<Weight>,
}

impl AffineSplit {
    /// The split of all pairs together, and what each of them reaches.
    pub fn new(air: &Air, pairs: &[Pair]) -> (Self, Vec<Reached>) {
        let mut is_affine = vec![false; air.nodes.len()];
        let mut columns: Vec<(Column, NodeId)> = Vec::new();
        let mut column_sets = Vec::with_capacity(pairs.len());
        let mut reached_by_pairs: Vec<Reached> = Vec::with_capacity(pairs.len());
        for &pair in pairs {
            let (mut roots, mut of_pair, mut order) = (Vec::new(), Vec::new(), Vec::new());
            flow(air, pair.named(air), |i, by| {
                order.push(i as u32);
                match air.nodes[i] {
                    Node::Mul(a, b) if air.degree(a) > 0 && air.degree(b) > 0 => roots.push((air.node_id(i), by)),
                    node => {
                        is_affine[i] = true;
                        if let Node::Column(column) = node {
                            of_pair.push((column, air.node_id(i)));
                        }
                    }
                }
            });
            roots.reverse();
            columns.extend(&of_pair);
            column_sets.push(of_pair);
            reached_by_pairs.push(Reached { roots, matrices: vec![], nodes: WeightedNodes::new(air, order) });
        }
        columns.sort_unstable();
        columns.dedup();
        let mut split = Self { matrices: vec![], num_affine_nodes: is_affine.into_iter().filter(|&affine| affine).count() };
        // Sorted as `Air::parts` are.
        for of_part in columns.chunk_by(|(a, _), (b, _)| a.part == b.part) {
            let part = of_part[0].0.part;
            split.matrices.push(AffineMatrix::new(air.part_idx(part), of_part));
            for (reached, columns) in reached_by_pairs.iter_mut().zip(&column_sets) {
                reached.matrices.push(columns.iter().any(|(column, _)| column.part == part));
            }
        }
        (split, reached_by_pairs)
    }
}

impl AffineMatrix {
    /// Of the columns of one part, sorted.
    fn new(part_idx: usize, of_part: &[(Column, NodeId)]) -> Self {
        let mut columns: Vec<AffineColumn> = Vec::new();
        for &(column, node) in of_part {
            if columns.last().is_none_or(|last| last.index != column.index) {
                columns.push(AffineColumn { index: column.index, current: None, next: None });
            }
            let last = columns.last_mut().expect("just pushed");
            *(if column.next { &mut last.next } else { &mut last.current }) = Some(node);
        }
        columns.sort_by_key(|column| column.next.is_none());
        let num_next = columns.iter().filter(|column| column.next.is_some()).count();
        Self { part_idx, columns, num_next }
    }
}

/// Lets weight flow back from the nodes that have some; `arrive` is told of every node that it comes to, in reverse topological order.
fn flow(air: &Air, mut reached: Vec<[bool; 2]>, mut arrive: impl FnMut(usize, [bool; 2])) {
    for (i, node) in air.nodes.iter().enumerate().rev() {
        let by = reached[i];
        if by == [false; 2] {
            continue;
        }
        arrive(i, by);
        let mut reach = |node: NodeId| {
            let node = &mut reached[node.index()];
            *node = [node[0] | by[0], node[1] | by[1]];
        };
        match *node {
            Node::Mul(a, b) if air.degree(a) > 0 && air.degree(b) > 0 => {}
            Node::Mul(a, b) => reach(if air.degree(a) == 0 { b } else { a }),
            Node::Add(a, b) | Node::Sub(a, b) => {
                reach(a);
                reach(b);
            }
            Node::Neg(a) => reach(a),
            Node::Column(_) | Node::PublicValue(_) | Node::Constant(_) | Node::IsFirstRow | Node::IsLastRow | Node::IsTransition => {}
        }
    }
}

/// Nodes for whose weights a thread keeps memory: 4 MiB.
const MAX_KEPT_NODES: usize = 1 << 17;

thread_local! {
    /// Memory for the weights of nodes.
    static NODES: Cell<Vec<Weight>> = const { Cell::new(Vec::new()) };
}

impl Weights {
    fn none(nodes: &WeightedNodes) -> Self {
        let mut of_nodes = NODES.take();
        of_nodes.clear();
        of_nodes.resize(nodes.order.len(), NO_WEIGHT);
        Self { constant: NO_WEIGHT, is_first: NO_WEIGHT, is_last: NO_WEIGHT, nodes: of_nodes }
    }

    /// Forgets the nodes' once they were read, for the thread's next AIR: fresh memory for each would cost more than the weights.
    pub fn forget_nodes(&mut self) {
        let nodes = std::mem::take(&mut self.nodes);
        if nodes.capacity() <= MAX_KEPT_NODES {
            NODES.set(nodes);
        }
    }

    /// The weights as the constraints give them, on their own nodes: `lambda^i` on constraint `i`, in the polynomial of its degree.
    pub fn of_constraints(air: &Air, nodes: &WeightedNodes, degrees: [Option<usize>; 2], lambda_pows: &[EF]) -> Self {
        let mut weights = Self::none(nodes);
        for (&constraint, &lambda_pow) in air.constraints.iter().zip(lambda_pows) {
            if let Some(side) = degrees.iter().position(|&degree| degree == Some(air.degree(constraint))) {
                weights.at(nodes, constraint)[side] += lambda_pow;
            }
        }
        weights
    }

    /// The weights as the interactions give them, on their own nodes:
    /// `eq_3bs[i]` on count `i` in the numerator, `eq_3bs[i] * beta^j` on field `j` and `eq_3bs[i] * beta^len * (b_i + 1)` on the
    /// constant in the denominator.
    pub fn of_interactions(air: &Air, nodes: &WeightedNodes, beta_pows: &[EF], eq_3bs: &[EF]) -> Self {
        let mut weights = Self::none(nodes);
        for (interaction, &eq_3b) in air.interactions.iter().zip(eq_3bs) {
            weights.at(nodes, interaction.count)[0] += eq_3b;
            for (&field, &beta_pow) in interaction.message.iter().zip(beta_pows) {
                weights.at(nodes, field)[1] += eq_3b * beta_pow;
            }
            let bus = F::from_u32(u32::from(interaction.bus_index) + 1);
            weights.constant[1] += eq_3b * beta_pows[interaction.message.len()] * bus;
        }
        weights
    }

    /// Lets the weights flow back to columns, selectors, the constant and the roots. `values` are those of the degree-0 nodes.
    /// One step for each node that can have weight, whatever the number of columns or rows.
    pub fn flow_back(&mut self, nodes: &WeightedNodes, values: &[F]) {
        for (place, &flow) in nodes.flows.iter().enumerate() {
            let weight = self.nodes[place];
            if weight == NO_WEIGHT {
                continue;
            }
            let mut give = |to: u32, weight: Weight| add(&mut self.nodes[to as usize], weight);
            match flow {
                Flow::Stays => {}
                Flow::Constant(value) => add(&mut self.constant, scale(weight, values[value as usize])),
                Flow::IsFirst => add(&mut self.is_first, weight),
                Flow::IsLast => add(&mut self.is_last, weight),
                Flow::IsTransition => {
                    add(&mut self.constant, weight);
                    add(&mut self.is_last, negated(weight));
                }
                Flow::Add(a, b) => {
                    give(a, weight);
                    give(b, weight);
                }
                Flow::Sub(a, b) => {
                    give(a, weight);
                    give(b, negated(weight));
                }
                Flow::Neg(a) => give(a, negated(weight)),
                Flow::Scaled(to, value) => give(to, scale(weight, values[value as usize])),
            }
        }
    }

    /// The weight of a node that can have some.
    fn at(&mut self, nodes: &WeightedNodes, node: NodeId) -> &mut Weight {
        &mut self.nodes[nodes.place(node).expect("weight flows where the plan says")]
    }

    pub fn of(&self, nodes: &WeightedNodes, node: Option<NodeId>) -> Weight {
        node.and_then(|node| nodes.place(node)).map_or(NO_WEIGHT, |place| self.nodes[place])
    }
}

fn add(to: &mut Weight, weight: Weight) {
    to[0] += weight[0];
    to[1] += weight[1];
}

fn negated(weight: Weight) -> Weight {
    weight.map(|w| -w)
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

        let (split, reached) = AffineSplit::new(&air, &Pair::all(&air));
        assert_eq!(reached[0].roots, [(product, [false, true])]);
        assert_eq!(reached[0].matrices, [true]);
        assert_eq!(split.matrices.len(), 1);
        let columns: Vec<_> = split.matrices[0].columns.iter().map(|c| (c.index, c.current, c.next)).collect();
        assert_eq!(columns, [(1, None, Some(b)), (0, Some(a), None)]);
        assert_eq!(split.matrices[0].num_next, 1);

        let (beta, eq_3b, public_value) = (EF::from_u32(1000), EF::from_u32(7), F::from_u32(3));
        let values = air.degree_zero_values(&[public_value]);
        let mut weights = Weights::of_interactions(&air, &reached[0].nodes, &[EF::ONE, beta, beta * beta], &[eq_3b]);
        weights.flow_back(&reached[0].nodes, &values);
        assert_eq!(weights.of(&reached[0].nodes, Some(a)), [EF::ZERO, -eq_3b * public_value]);
        assert_eq!(weights.of(&reached[0].nodes, Some(b)), [EF::ZERO, eq_3b]);
        assert_eq!(weights.of(&reached[0].nodes, Some(product)), [EF::ZERO, -eq_3b]);
        assert_eq!(weights.of(&reached[0].nodes, None), NO_WEIGHT);
        assert_eq!(weights.is_first, [eq_3b, EF::ZERO]);
        assert_eq!(weights.is_last, [EF::ZERO, eq_3b]);
        let bus = beta * beta * EF::from_u32(5);
        assert_eq!(weights.constant, [EF::ZERO, eq_3b * (beta * public_value + bus - EF::ONE)]);
    }
}
