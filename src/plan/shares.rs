//! Roots that one expression gives their weight, each times a constant: such weights differ from call to call by one factor, so a kernel adds up
//! the roots with constant coefficients and gives the sum its weight once.

use std::collections::HashMap;

use p3_field::PrimeCharacteristicRing;

use super::pair::Pair;
use crate::{
    air::{Air, Node, NodeId},
    field::F,
};

/// A root's weight as a multiple of the weight that is given to one node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Share {
    /// The node that an interaction or a constraint names.
    pub source: u32,
    /// Not zero.
    pub coefficient: F,
}

/// What is known of a node's weight in one polynomial, whatever the challenges.
#[derive(Clone, Copy, Debug, Default)]
enum Known {
    #[default]
    Zero,
    Share(Share),
    /// More than one source, or a public value in it.
    Mixed,
}

impl Known {
    fn add(&mut self, other: Self) {
        *self = match (*self, other) {
            (Self::Zero, known) | (known, Self::Zero) => known,
            (Self::Share(one), Self::Share(other)) if one.source == other.source => {
                Self::Share(Share { coefficient: one.coefficient + other.coefficient, ..one })
            }
            _ => Self::Mixed,
        };
    }

    fn times(self, by: Option<F>) -> Self {
        match (self, by) {
            (Self::Share(share), Some(by)) => Self::Share(Share { coefficient: share.coefficient * by, ..share }),
            (Self::Zero, _) => Self::Zero,
            _ => Self::Mixed,
        }
    }
}

/// The shares of a pair's roots, in each of its polynomials.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shares(HashMap<NodeId, [Option<Share>; 2]>);

impl Shares {
    pub fn new(air: &Air, pair: Pair) -> Self {
        let constants = constants(air);
        let mut known = vec![[Known::Zero; 2]; air.nodes.len()];
        for (i, named) in pair.named(air).into_iter().enumerate() {
            let own = Known::Share(Share { source: i as u32, coefficient: F::ONE });
            known[i] = named.map(|named| if named { own } else { Known::Zero });
        }
        let mut shares = HashMap::new();
        for (i, node) in air.nodes.iter().enumerate().rev() {
            let of_node = known[i];
            if of_node.iter().all(|side| matches!(side, Known::Zero)) {
                continue;
            }
            let mut give = |node: NodeId, by: Option<F>| {
                known[node.index()].iter_mut().zip(of_node).for_each(|(to, from)| to.add(from.times(by)));
            };
            match *node {
                Node::Mul(a, b) if air.degree(a) > 0 && air.degree(b) > 0 => {
                    let share = |side: Known| match side {
                        Known::Share(share) if share.coefficient != F::ZERO => Some(share),
                        _ => None,
                    };
                    shares.insert(air.node_id(i), of_node.map(share));
                }
                Node::Mul(a, b) if air.degree(a) == 0 => give(b, constants[a.index()]),
                Node::Mul(a, b) => give(a, constants[b.index()]),
                Node::Add(a, b) => {
                    give(a, Some(F::ONE));
                    give(b, Some(F::ONE));
                }
                Node::Sub(a, b) => {
                    give(a, Some(F::ONE));
                    give(b, Some(F::NEG_ONE));
                }
                Node::Neg(a) => give(a, Some(F::NEG_ONE)),
                Node::Column(_) | Node::PublicValue(_) | Node::Constant(_) | Node::IsFirstRow | Node::IsLastRow | Node::IsTransition => {}
            }
        }
        Self(shares)
    }

    /// Of a root, in the first or in the second polynomial.
    pub fn get(&self, root: NodeId, side: usize) -> Option<Share> {
        self.0.get(&root)?[side]
    }
}

/// The values of the degree-0 nodes that no public value enters.
fn constants(air: &Air) -> Vec<Option<F>> {
    let values = air.degree_zero_values_of_zeros();
    let mut constants: Vec<Option<F>> = Vec::with_capacity(values.len());
    for (i, (node, value)) in air.nodes.iter().zip(values).enumerate() {
        let is_constant = air.degrees[i] == 0
            && !matches!(node, Node::PublicValue(_))
            && node.operands().all(|operand| constants[operand.index()].is_some());
        constants.push(is_constant.then_some(value));
    }
    constants
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::air::AirBuilder;

    /// `a b + 3 c d - public e f + 2 g h`, and `g h` in another constraint too.
    #[test]
    fn shares_are_constant_multiples_of_one_weight() {
        let mut air = AirBuilder::new("shares");
        let main = air.main_part(8);
        air.public_values(1);
        let cells: Vec<NodeId> = (0..8).map(|i| air.column(main, i)).collect();
        let (three, public) = (air.constant(F::from_u32(3)), air.public_value(0));
        let [ab, cd, ef, gh] = [0, 2, 4, 6].map(|i| air.mul(cells[i], cells[i + 1]));
        let scaled = air.mul(three, cd);
        let sum = air.add(ab, scaled);
        let of_public = air.mul(public, ef);
        let difference = air.sub(sum, of_public);
        let doubled = air.add(gh, gh);
        let first = air.add(difference, doubled);
        let second = air.neg(gh);
        for node in [first, second] {
            air.constraint(node);
        }
        let air = air.build().unwrap();
        let shares = Shares::new(&air, Pair::Constraints { degrees: [Some(2), None] });
        let share = |coefficient: u32| Some(Share { source: first.index() as u32, coefficient: F::from_u32(coefficient) });
        assert_eq!([ab, cd, ef, gh].map(|root| shares.get(root, 0)), [share(1), share(3), None, None]);
        assert_eq!(shares.get(ab, 1), None);
    }
}
