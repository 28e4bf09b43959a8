//! Weighted sums of an AIR's expressions as sums over cells: what is affine in them once products of expressions are columns, too.

use logup_wgpu::{Air, Column, EF, Error, F, Interaction, Node, NodeId, Result};
use p3_field::PrimeCharacteristicRing;

/// What a term's factor is, row by row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Factor {
    Cell(Column),
    FirstRow,
    LastRow,
    /// One of the products that the expressions are affine in, by its place among them.
    Product(usize),
}

/// A factor's weights in numerator and denominator.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Weight {
    pub p: F,
    pub q: EF,
}

/// `p = p_0 + sum_k p_k t_k`, `q = q_0 + sum_k q_k t_k`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Form {
    pub constant: Weight,
    pub terms: Vec<(Factor, Weight)>,
}

/// Nodes that the forms of one AIR visit at most: seconds of the host's time, and 500 MB of terms.
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

/// The products of two expressions, neither the same on every row, that these nodes are affine in: ascending. Those inside of such a product do not count.
pub(crate) fn products<'a>(air: &Air, nodes: impl IntoIterator<Item = &'a NodeId>) -> Vec<NodeId> {
    let mut reached = vec![false; air.nodes().len()];
    nodes.into_iter().for_each(|node| reached[node.index()] = true);
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

/// Makes an AIR's forms, one after the other.
pub(crate) struct Forms<'a> {
    air: &'a Air,
    products: &'a [NodeId],
    values: &'a [F],
    next: Pending,
    visits: usize,
}

/// Nodes that have a weight and wait for their turn, from the last one down: none between two forms.
struct Pending {
    weights: Vec<Weight>,
    /// A bit for each node.
    waits: Vec<u64>,
    /// Words of them that may have bits.
    end: usize,
}

impl Pending {
    fn new(num_nodes: usize) -> Self {
        Self { weights: vec![Weight::default(); num_nodes], waits: vec![0; num_nodes.div_ceil(64)], end: 0 }
    }

    fn give(&mut self, node: NodeId, weight: Weight) {
        let (i, word) = (node.index(), node.index() / 64);
        if self.waits[word] >> (i % 64) & 1 == 1 {
            self.weights[i].add(weight);
        } else {
            self.weights[i] = weight;
            self.waits[word] |= 1 << (i % 64);
            self.end = self.end.max(word + 1);
        }
    }

    /// The last node that waits, and its weight.
    fn pop(&mut self) -> Option<(usize, Weight)> {
        while self.end > 0 {
            let word = &mut self.waits[self.end - 1];
            if let Some(bit) = word.checked_ilog2() {
                *word ^= 1 << bit;
                let i = 64 * (self.end - 1) + bit as usize;
                return Some((i, self.weights[i]));
            }
            self.end -= 1;
        }
        None
    }
}

/// What a fraction is beside its interaction's expressions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fraction<'a> {
    pub alpha: EF,
    pub beta_pows: &'a [EF],
    /// What the numerator is multiplied by.
    pub scale: F,
}

impl<'a> Forms<'a> {
    /// `products` as [`products`] says, of all nodes that will be given; `values` of the degree-0 nodes.
    pub fn new(air: &'a Air, products: &'a [NodeId], values: &'a [F]) -> Self {
        Self { air, products, values, next: Pending::new(air.nodes().len()), visits: 0 }
    }

    /// An interaction's fraction.
    ///
    /// # Errors
    /// As [`form`](Self::form).
    pub fn fraction(&mut self, interaction: &Interaction, of: &Fraction<'_>) -> Result<Form> {
        let bus = of.beta_pows[interaction.message.len()] * F::from_u32(u32::from(interaction.bus_index) + 1);
        let fields = interaction.message.iter().zip(of.beta_pows).map(|(&field, &q)| (field, Weight { p: F::ZERO, q }));
        let count = (interaction.count, Weight { p: of.scale, q: EF::ZERO });
        self.form(Weight { p: F::ZERO, q: of.alpha + bus }, [count].into_iter().chain(fields))
    }

    /// A sum of nodes, each by its weight, and a constant.
    ///
    /// # Errors
    /// [`Error::DeviceLimit`] for expressions that together are sums of too many nodes.
    pub fn form(&mut self, constant: Weight, nodes: impl IntoIterator<Item = (NodeId, Weight)>) -> Result<Form> {
        let mut form = Form { constant, terms: vec![] };
        // Nodes come after their operands: from the last on, each has its whole weight when it is its turn.
        let Self { air, products, values, next, visits } = self;
        let mut give = |next: &mut Pending, node: NodeId, weight: Weight| {
            *visits += 1;
            next.give(node, weight);
        };
        for (node, weight) in nodes {
            give(next, node, weight);
        }
        while let Some((i, weight)) = next.pop() {
            let node = &air.nodes()[i];
            let mut term = |factor| form.terms.push((factor, weight));
            match *node {
                Node::PublicValue(_) | Node::Constant(_) => form.constant.add(weight.times(values[i])),
                Node::Column(column) => term(Factor::Cell(column)),
                Node::IsFirstRow => term(Factor::FirstRow),
                Node::IsLastRow => term(Factor::LastRow),
                Node::IsTransition => {
                    form.constant.add(weight);
                    form.terms.push((Factor::LastRow, weight.times(F::NEG_ONE)));
                }
                Node::Add(a, b) => {
                    give(next, a, weight);
                    give(next, b, weight);
                }
                Node::Sub(a, b) => {
                    give(next, a, weight);
                    give(next, b, weight.times(F::NEG_ONE));
                }
                Node::Neg(a) => give(next, a, weight.times(F::NEG_ONE)),
                Node::Mul(a, b) => match (air.degree(a), air.degree(b)) {
                    (0, _) => give(next, b, weight.times(values[a.index()])),
                    (_, 0) => give(next, a, weight.times(values[b.index()])),
                    _ => {
                        let place = products.binary_search_by_key(&i, |product| product.index());
                        term(Factor::Product(place.expect("all are known")));
                    }
                },
            }
        }
        if self.visits > MAX_VISITS {
            let (subject, what) = (self.air.name().into(), "terms of one AIR's expressions");
            let (requested, limit) = (self.visits as u64, MAX_VISITS as u64);
            return Err(Error::DeviceLimit { subject, kernel: "fractions", what, requested, limit });
        }
        Ok(form)
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
        let products = products(&air, &[field, count]);
        assert_eq!(products.len(), 1);
        let (public, alpha, beta, scale) = (F::from_u8(9), EF::from_u32(1_000), EF::from_u32(100), F::from_u8(5));
        let values = air.degree_zero_values(&[public]);
        let beta_pows = [EF::ONE, beta];
        let of = Fraction { alpha, beta_pows: &beta_pows, scale };
        let form = Forms::new(&air, &products, &values).fraction(&air.interactions()[0], &of).unwrap();
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
