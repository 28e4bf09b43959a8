//! Columns that the constraints say are 0 or 1.

use std::collections::BTreeSet;

use p3_field::PrimeCharacteristicRing;

use super::{Air, Column, Node, NodeId, Part};
use crate::field::F;

/// Nodes of a constraint that is looked at: `b (b - 1)` has four, written in whatever way.
const MAX_NODES: usize = 16;

impl Air {
    /// The columns of which a constraint says that each cell is 0 or 1, as matrix and column: constraints of degree 2 over one column alone that hold
    /// for 0 and 1 and not for 2.
    pub fn boolean_columns(&self) -> BTreeSet<(Part, usize)> {
        self.constraints
            .iter()
            .filter_map(|&constraint| self.boolean_column(constraint))
            .map(|column| (column.part, column.index))
            .collect()
    }

    /// The column that this constraint says is boolean.
    fn boolean_column(&self, constraint: NodeId) -> Option<Column> {
        if self.degrees[constraint.index()] != 2 {
            return None;
        }
        // What it is made of, operands first.
        let mut cone = BTreeSet::from([constraint.index()]);
        let mut open = vec![constraint];
        let mut column = None;
        while let Some(node) = open.pop() {
            match self.nodes[node.index()] {
                Node::Column(own) if *column.get_or_insert(own) == own => {}
                Node::Column(_) | Node::PublicValue(_) | Node::IsFirstRow | Node::IsLastRow | Node::IsTransition => return None,
                node => open.extend(node.operands().filter(|operand| cone.insert(operand.index()))),
            }
            if cone.len() > MAX_NODES {
                return None;
            }
        }
        let value_at = |cell: F| {
            let mut values: Vec<(usize, F)> = Vec::with_capacity(cone.len());
            for &i in &cone {
                let at = |node: NodeId| values[values.binary_search_by_key(&node.index(), |value| value.0).expect("operands come first")].1;
                let value = match self.nodes[i] {
                    Node::Column(_) => cell,
                    Node::Constant(value) => value,
                    Node::Add(a, b) => at(a) + at(b),
                    Node::Sub(a, b) => at(a) - at(b),
                    Node::Mul(a, b) => at(a) * at(b),
                    Node::Neg(a) => -at(a),
                    Node::PublicValue(_) | Node::IsFirstRow | Node::IsLastRow | Node::IsTransition => unreachable!("left out above"),
                };
                values.push((i, value));
            }
            values.last().expect("the constraint itself").1
        };
        let is_boolean = value_at(F::ZERO) == F::ZERO && value_at(F::ONE) == F::ZERO && value_at(F::TWO) != F::ZERO;
        column.filter(|_| is_boolean)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::air::AirBuilder;

    #[test]
    fn boolean_columns_are_those_with_a_constraint_that_says_so() {
        let mut air = AirBuilder::new("booleans");
        let main = air.main_part(8);
        air.public_values(1);
        let (one, two, three) = (air.constant(F::ONE), air.constant(F::TWO), air.constant(F::from_u32(3)));
        let cell: Vec<NodeId> = (0..8).map(|i| air.column(main, i)).collect();
        let next = air.next(main, 2);
        let public = air.public_value(0);
        // b (b - 1), 3 (b - b^2), the same of a next row
        let less_one = air.sub(cell[0], one);
        let usual = air.mul(cell[0], less_one);
        let square = air.mul(cell[1], cell[1]);
        let difference = air.sub(cell[1], square);
        let scaled = air.mul(three, difference);
        let less_one = air.sub(one, next);
        let of_next = air.mul(less_one, next);
        // 1 or 2; a gate; two columns; 0 or a public value; always zero
        let [less_one, less_two] = [one, two].map(|value| air.sub(cell[3], value));
        let other_values = air.mul(less_one, less_two);
        let less_one = air.sub(cell[5], one);
        let gated = air.mul(cell[4], less_one);
        let less_public = air.sub(cell[6], public);
        let of_public = air.mul(cell[6], less_public);
        let square = air.mul(cell[7], cell[7]);
        let nothing = air.sub(square, square);
        for node in [usual, scaled, of_next, other_values, gated, of_public, nothing] {
            air.constraint(node);
        }
        let air = air.build().unwrap();
        assert_eq!(air.boolean_columns(), BTreeSet::from([0, 1, 2].map(|column| (main, column))));
    }
}
