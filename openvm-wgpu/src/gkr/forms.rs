//! An AIR's interactions as sums over cells: what is affine in them once products of expressions are columns, too.

use std::collections::BinaryHeap;

use logup_wgpu::{Air, Column, EF, Error, F, Interaction, Node, NodeId, Result};
use p3_field::PrimeCharacteristicRing;

/// What a term's factor is, row by row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Factor {
    Cell(Column),
    FirstRow,
    LastRow,
    /// One of the products that interactions are affine in, by its place among them.
    Product(usize),
}

/// A factor's weights in numerator and denominator.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Weight {
    pub p: F,
    pub q: EF,
}

/// `p = p_0 + sum_k p_k t_k`, `q = q_0 + sum_k q_k t_k`.
#[derive(Clone, Debug, Default)]
pub(super) struct Form {
    pub constant: Weight,
    pub terms: Vec<(Factor, Weight)>,
}

/// Nodes that the forms of one AIR's interactions visit at most: seconds of the host's time, and 500 MB of terms.
const MAX_VISITS: usize = 1 << 24;

impl Weight {
    fn add(&mut self, other: Self) {
        self.p += other.p;
        self.q += other.q;
    }

    fn times(self, by: F) -> Self {
        Self { p: self.p * by, q: self.q * by }
    }
}

/// The products of two expressions, neither the same on every row, that the interactions are affine in. Those inside of such a product do not count.
pub(crate) fn products(air: &Air) -> Vec<NodeId> {
    let mut reached = vec![false; air.nodes().len()];
    let named = air.interactions().iter().flat_map(|interaction| interaction.message.iter().chain([&interaction.count]));
    named.for_each(|node| reached[node.index()] = true);
    let mut products = vec![];
    for (id, node) in air.node_ids().zip(air.nodes()).collect::<Vec<_>>().into_iter().rev() {
        if !reached[id.index()] {
            continue;
        }
        if is_product(air, node) {
            products.push(id);
        } else {
            node.operands().for_each(|operand| reached[operand.index()] = true);
        }
    }
    products.reverse();
    products
}

fn is_product(air: &Air, node: &Node) -> bool {
    matches!(*node, Node::Mul(a, b) if air.degree(a) > 0 && air.degree(b) > 0)
}

/// The forms of an AIR's interactions, one after the other.
pub(super) struct Forms<'a> {
    pub air: &'a Air,
    /// As [`products`] says, ascending.
    pub products: &'a [NodeId],
    /// Of the degree-0 nodes.
    pub values: &'a [F],
    pub alpha: EF,
    pub beta_pows: &'a [EF],
    /// What numerators are multiplied by.
    pub scale: F,
}

impl Forms<'_> {
    /// # Errors
    /// [`Error::DeviceLimit`] for interactions that together are sums of too many nodes.
    pub fn all(&self) -> Result<Vec<Form>> {
        let mut weights: Vec<Option<Weight>> = vec![None; self.air.nodes().len()];
        let mut visits = 0;
        let forms = self.air.interactions().iter().map(|interaction| {
            let form = self.form(interaction, &mut weights, &mut visits);
            if visits > MAX_VISITS {
                let (subject, what) = (self.air.name().into(), "terms of one AIR's interactions");
                return Err(Error::DeviceLimit { subject, kernel: "fractions", what, requested: visits as u64, limit: MAX_VISITS as u64 });
            }
            Ok(form)
        });
        forms.collect()
    }

    /// `weights` are none before and after.
    fn form(&self, interaction: &Interaction, weights: &mut [Option<Weight>], visits: &mut usize) -> Form {
        let mut form = Form::default();
        form.constant.q = self.alpha + self.beta_pows[interaction.message.len()] * F::from_u32(u32::from(interaction.bus_index) + 1);
        // Nodes come after their operands: from the last on, each has its whole weight when it is its turn.
        let mut next: BinaryHeap<usize> = BinaryHeap::new();
        let mut give = |next: &mut BinaryHeap<usize>, weights: &mut [Option<Weight>], node: NodeId, weight: Weight| {
            *visits += 1;
            match &mut weights[node.index()] {
                Some(known) => known.add(weight),
                none => {
                    *none = Some(weight);
                    next.push(node.index());
                }
            }
        };
        give(&mut next, weights, interaction.count, Weight { p: self.scale, q: EF::ZERO });
        for (&field, &q) in interaction.message.iter().zip(self.beta_pows) {
            give(&mut next, weights, field, Weight { p: F::ZERO, q });
        }
        while let Some(i) = next.pop() {
            let weight = weights[i].take().expect("given before");
            let node = &self.air.nodes()[i];
            let mut term = |factor| form.terms.push((factor, weight));
            match *node {
                Node::PublicValue(_) | Node::Constant(_) => form.constant.add(weight.times(self.values[i])),
                Node::Column(column) => term(Factor::Cell(column)),
                Node::IsFirstRow => term(Factor::FirstRow),
                Node::IsLastRow => term(Factor::LastRow),
                Node::IsTransition => {
                    form.constant.add(weight);
                    form.terms.push((Factor::LastRow, weight.times(F::NEG_ONE)));
                }
                Node::Add(a, b) => {
                    give(&mut next, weights, a, weight);
                    give(&mut next, weights, b, weight);
                }
                Node::Sub(a, b) => {
                    give(&mut next, weights, a, weight);
                    give(&mut next, weights, b, weight.times(F::NEG_ONE));
                }
                Node::Neg(a) => give(&mut next, weights, a, weight.times(F::NEG_ONE)),
                Node::Mul(a, b) => match (self.air.degree(a), self.air.degree(b)) {
                    (0, _) => give(&mut next, weights, b, weight.times(self.values[a.index()])),
                    (_, 0) => give(&mut next, weights, a, weight.times(self.values[b.index()])),
                    _ => {
                        let place = self.products.binary_search_by_key(&i, |product| product.index());
                        term(Factor::Product(place.expect("all are known")));
                    }
                },
            }
        }
        form
    }
}

#[cfg(test)]
mod tests {
    use logup_wgpu::AirBuilder;

    use super::*;

    /// `2 (a b + public c) - next d` as a field, `is_transition + a b` as a count.
    #[test]
    fn interactions_are_sums_of_cells_and_products() {
        let mut air = AirBuilder::new("forms");
        let main = air.main_part(4);
        air.public_values(1);
        let [a, b, c] = [0, 1, 2].map(|i| air.column(main, i));
        let (next, public, two) = (air.next(main, 3), air.public_value(0), air.constant(F::TWO));
        let (ab, scaled) = (air.mul(a, b), air.mul(public, c));
        let sum = air.add(ab, scaled);
        let doubled = air.mul(two, sum);
        let field = air.sub(doubled, next);
        let transition = air.is_transition();
        let count = air.add(transition, ab);
        air.interaction(6, [field], count);
        let air = air.build().unwrap();
        let products = products(&air);
        assert_eq!(products.len(), 1);
        let (public, alpha, beta, scale) = (F::from_u8(9), EF::from_u32(1_000), EF::from_u32(100), F::from_u8(5));
        let values = air.degree_zero_values(&[public]);
        let beta_pows = [EF::ONE, beta];
        let forms = Forms { air: &air, products: &products, values: &values, alpha, beta_pows: &beta_pows, scale };
        let form = forms.all().unwrap().remove(0);
        let of = |factor: Factor| {
            let own = form.terms.iter().filter(|(other, _)| *other == factor);
            own.fold(Weight::default(), |mut sum, (_, weight)| {
                sum.add(*weight);
                sum
            })
        };
        let cell = |index, next| Factor::Cell(Column { part: main, index, next });
        let weight = |p: F, q: EF| Weight { p, q };
        assert_eq!(form.constant, weight(scale, alpha + beta * F::from_u8(7)));
        assert_eq!(of(Factor::Product(0)), weight(scale, EF::TWO));
        assert_eq!(of(cell(2, false)), weight(F::ZERO, EF::from(public.double())));
        assert_eq!(of(cell(3, true)), weight(F::ZERO, EF::NEG_ONE));
        assert_eq!(of(Factor::LastRow), weight(-scale, EF::ZERO));
        assert_eq!(of(cell(0, false)), Weight::default());
    }
}
