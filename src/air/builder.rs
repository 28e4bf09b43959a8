//! Building an AIR's interactions and constraints, and their check.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU32, Ordering},
};

use p3_field::PrimeCharacteristicRing;

use super::{Air, Column, Interaction, MAX_DEGREE, Node, NodeId, Part};
use crate::{
    error::{Error, Result},
    field::F,
};

/// Builds an [`Air`]. Equal expressions become one node, and constants are folded.
///
/// ```
/// use logup_wgpu::AirBuilder;
///
/// // A range check: send `value` with multiplicity `is_real` on bus 3.
/// let mut air = AirBuilder::new("range check");
/// let main = air.main_part(2);
/// let (value, is_real) = (air.column(main, 0), air.column(main, 1));
/// air.interaction(3, [value], is_real);
/// let air = air.build()?;
/// assert_eq!(air.interactions().len(), 1);
/// # Ok::<(), logup_wgpu::Error>(())
/// ```
#[derive(Debug)]
pub struct AirBuilder {
    name: String,
    /// Tells its nodes from those of other builders.
    id: u32,
    preprocessed_width: Option<usize>,
    main_widths: Vec<usize>,
    num_public_values: usize,
    constraint_degree: usize,
    nodes: Vec<Node>,
    known: HashMap<Node, NodeId>,
    interactions: Vec<Interaction>,
    constraints: Vec<NodeId>,
}

impl AirBuilder {
    /// An AIR without traces, public values, interactions or constraints.
    pub fn new(name: impl Into<String>) -> Self {
        static BUILDERS: AtomicU32 = AtomicU32::new(0);
        Self {
            name: name.into(),
            id: BUILDERS.fetch_add(1, Ordering::Relaxed),
            preprocessed_width: None,
            main_widths: vec![],
            num_public_values: 0,
            constraint_degree: 0,
            nodes: vec![],
            known: HashMap::new(),
            interactions: vec![],
            constraints: vec![],
        }
    }

    /// Declares the preprocessed trace of `width` columns.
    pub fn preprocessed_part(&mut self, width: usize) -> Part {
        self.preprocessed_width = Some(width);
        Part::Preprocessed
    }

    /// Declares the next main trace part of `width` columns. Cached mains come first, the common main last.
    pub fn main_part(&mut self, width: usize) -> Part {
        self.main_widths.push(width);
        Part::Main(self.main_widths.len() - 1)
    }

    /// Declares how many public values there are.
    pub fn public_values(&mut self, num: usize) {
        self.num_public_values = num;
    }

    /// States the degree of the AIR's constraints, where it is above that of the interactions and constraints that are given. It sets the number
    /// of cosets of [`Strategy::Direct`](crate::Strategy::Direct) and the number of coefficients of the result, as in the stock prover.
    pub fn constraint_degree(&mut self, degree: usize) {
        self.constraint_degree = degree;
    }

    /// The current row's cell of a column.
    pub fn column(&mut self, part: Part, index: usize) -> NodeId {
        self.intern(Node::Column(Column { part, index, next: false }))
    }

    /// The next row's cell of a column; the last row's next is the first.
    pub fn next(&mut self, part: Part, index: usize) -> NodeId {
        self.intern(Node::Column(Column { part, index, next: true }))
    }

    /// A public value.
    pub fn public_value(&mut self, index: usize) -> NodeId {
        self.intern(Node::PublicValue(index))
    }

    /// A constant.
    pub fn constant(&mut self, value: F) -> NodeId {
        self.intern(Node::Constant(value))
    }

    /// 1 on the first row.
    pub fn is_first_row(&mut self) -> NodeId {
        self.intern(Node::IsFirstRow)
    }

    /// 1 on the last row.
    pub fn is_last_row(&mut self) -> NodeId {
        self.intern(Node::IsLastRow)
    }

    /// 1 on every row but the last.
    pub fn is_transition(&mut self) -> NodeId {
        self.intern(Node::IsTransition)
    }

    /// `a + b`.
    pub fn add(&mut self, a: NodeId, b: NodeId) -> NodeId {
        match (self.value(a), self.value(b)) {
            (Some(x), Some(y)) => self.constant(x + y),
            (Some(x), None) if x == F::ZERO => b,
            (None, Some(y)) if y == F::ZERO => a,
            _ => self.intern(Node::Add(a.min(b), a.max(b))),
        }
    }

    /// `a - b`.
    pub fn sub(&mut self, a: NodeId, b: NodeId) -> NodeId {
        match (self.value(a), self.value(b)) {
            (Some(x), Some(y)) => self.constant(x - y),
            (None, Some(y)) if y == F::ZERO => a,
            _ => self.intern(Node::Sub(a, b)),
        }
    }

    /// `a * b`.
    pub fn mul(&mut self, a: NodeId, b: NodeId) -> NodeId {
        match (self.value(a), self.value(b)) {
            (Some(x), Some(y)) => self.constant(x * y),
            (Some(x), None) if x == F::ONE => b,
            (None, Some(y)) if y == F::ONE => a,
            (Some(x), None) | (None, Some(x)) if x == F::ZERO => self.constant(F::ZERO),
            _ => self.intern(Node::Mul(a.min(b), a.max(b))),
        }
    }

    /// `-a`.
    pub fn neg(&mut self, a: NodeId) -> NodeId {
        match self.value(a) {
            Some(x) => self.constant(-x),
            None => self.intern(Node::Neg(a)),
        }
    }

    /// Adds an interaction. Its weight is the entry of `eq_3bs` at its position.
    pub fn interaction(&mut self, bus_index: u16, message: impl IntoIterator<Item = NodeId>, count: NodeId) {
        self.interactions.push(Interaction { bus_index, message: message.into_iter().collect(), count });
    }

    /// Adds a constraint: this node must be zero on every row. Its weight is the power of `lambda` of its position.
    pub fn constraint(&mut self, node: NodeId) {
        self.constraints.push(node);
    }

    /// The finished AIR.
    ///
    /// # Errors
    /// [`Error::Index`] for a part, column or public value that was not declared; [`Error::Node`] for a node of another builder;
    /// [`Error::Degree`] for a message, a count or a constraint of a degree above [`MAX_DEGREE`].
    pub fn build(self) -> Result<Air> {
        self.check()?;
        let mut degrees: Vec<usize> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            degrees.push(match *node {
                Node::PublicValue(_) | Node::Constant(_) => 0,
                Node::Column(_) | Node::IsFirstRow | Node::IsLastRow | Node::IsTransition => 1,
                Node::Add(a, b) | Node::Sub(a, b) => degrees[a.index()].max(degrees[b.index()]),
                Node::Mul(a, b) => degrees[a.index()].saturating_add(degrees[b.index()]),
                Node::Neg(a) => degrees[a.index()],
            });
        }
        let roots = self.roots().map(|node| degrees[node.index()]);
        let constraint_degree = self.constraint_degree.max(roots.max().unwrap_or(0)).max(usize::from(!self.interactions.is_empty()));
        if constraint_degree > MAX_DEGREE {
            return Err(Error::Degree { subject: self.name.into(), got: constraint_degree, limit: MAX_DEGREE });
        }
        Ok(Air {
            constraint_degree,
            name: self.name,
            builder: self.id,
            preprocessed_width: self.preprocessed_width,
            main_widths: self.main_widths,
            num_public_values: self.num_public_values,
            nodes: self.nodes,
            degrees,
            interactions: self.interactions,
            constraints: self.constraints,
        })
    }

    fn check(&self) -> Result<()> {
        let index = |what, got, len| {
            if got < len { Ok(()) } else { Err(Error::Index { subject: self.name.clone().into(), what, got, len }) }
        };
        // An own node is always an earlier one: it was made before what it is an operand of. Where builders' numbers have come round after
        // 2^32 of them, a foreign node can look like an own one, and its place be anywhere.
        let own = |node: NodeId, before: usize| {
            let is_own = node.builder == self.id && node.index() < before;
            if is_own { Ok(()) } else { Err(Error::Node { subject: self.name.clone().into(), node: node.index() }) }
        };
        for (i, node) in self.nodes.iter().enumerate() {
            match *node {
                Node::Column(Column { part: Part::Preprocessed, index: column, .. }) => {
                    index("preprocessed column", column, self.preprocessed_width.unwrap_or(0))?;
                }
                Node::Column(Column { part: Part::Main(part), index: column, .. }) => {
                    index("main part", part, self.main_widths.len())?;
                    index("main column", column, self.main_widths[part])?;
                }
                Node::PublicValue(i) => index("public value", i, self.num_public_values)?,
                _ => node.operands().try_for_each(|operand| own(operand, i))?,
            }
        }
        self.roots().try_for_each(|node| own(node, self.nodes.len()))
    }

    /// What interactions and constraints name.
    fn roots(&self) -> impl Iterator<Item = NodeId> {
        let of_interactions = self.interactions.iter().flat_map(|i| i.message.iter().chain([&i.count]));
        of_interactions.chain(&self.constraints).copied()
    }

    fn value(&self, node: NodeId) -> Option<F> {
        match self.nodes.get(node.index()) {
            Some(Node::Constant(value)) if node.builder == self.id => Some(*value),
            _ => None,
        }
    }

    fn intern(&mut self, node: Node) -> NodeId {
        *self.known.entry(node).or_insert_with(|| {
            self.nodes.push(node);
            NodeId { place: self.nodes.len() as u32 - 1, builder: self.id }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_expressions_are_one_node() {
        let mut air = AirBuilder::new("dedup");
        let main = air.main_part(2);
        let (a, b) = (air.column(main, 0), air.column(main, 1));
        let sum = air.add(a, b);
        assert_eq!(air.add(b, a), sum);
        assert_eq!(air.mul(sum, a), air.mul(a, sum));
        assert_ne!(air.sub(a, b), air.sub(b, a));
        let (zero, one) = (air.constant(F::ZERO), air.constant(F::ONE));
        assert_eq!(air.mul(a, one), a);
        assert_eq!(air.add(zero, a), a);
        assert_eq!(air.mul(a, zero), zero);
        assert_eq!(air.sub(one, one), zero);
    }

    #[test]
    fn degrees_add_in_products_only() {
        let mut air = AirBuilder::new("degree");
        let main = air.main_part(1);
        air.public_values(1);
        let (x, public) = (air.column(main, 0), air.public_value(0));
        let scaled = air.mul(x, public);
        let square = air.mul(scaled, x);
        let sum = air.add(square, x);
        air.interaction(0, [sum], scaled);
        let air = air.build().unwrap();
        assert_eq!([air.degree(public), air.degree(scaled), air.degree(sum)], [0, 1, 2]);
        assert_eq!(air.constraint_degree(), 2);
    }

    #[test]
    fn undeclared_inputs_are_refused() {
        let index_error = |build: fn(&mut AirBuilder) -> NodeId| {
            let mut air = AirBuilder::new("bad");
            air.main_part(2);
            let node = build(&mut air);
            air.interaction(0, [node], node);
            match air.build().unwrap_err() {
                Error::Index { what, got, len, .. } => (what, got, len),
                other => panic!("{other}"),
            }
        };
        assert_eq!(index_error(|air| air.column(Part::Main(0), 2)), ("main column", 2, 2));
        assert_eq!(index_error(|air| air.next(Part::Main(1), 0)), ("main part", 1, 1));
        assert_eq!(index_error(|air| air.column(Part::Preprocessed, 0)), ("preprocessed column", 0, 0));
        assert_eq!(index_error(|air| air.public_value(0)), ("public value", 0, 0));
    }

    #[test]
    fn nodes_of_other_builders_are_refused() {
        let mut other = AirBuilder::new("other");
        let main = other.main_part(2);
        let (foreign, foreign_constant) = (other.column(main, 1), other.constant(F::ZERO));
        // Places 0 and 1 exist here too.
        for (name, node) in [("column", foreign), ("constant", foreign_constant)] {
            for operand in [false, true] {
                let mut air = AirBuilder::new(name);
                let main = air.main_part(2);
                let (a, zero) = (air.column(main, 0), air.constant(F::ZERO));
                let field = if operand { air.add(a, node) } else { node };
                air.interaction(0, [field, zero], a);
                assert!(matches!(air.build(), Err(Error::Node { node: place, .. }) if place == node.index()), "{name} {operand}");
            }
        }
    }

    /// Degrees of 2^8, of 2^63, where a usize wraps next, and of 2^64, where it has wrapped to 0.
    #[test]
    fn degrees_are_bounded() {
        let squared = |times: u32| {
            let mut air = AirBuilder::new("squares");
            let main = air.main_part(1);
            let count = air.column(main, 0);
            let power = (0..times).fold(count, |x, _| air.mul(x, x));
            air.interaction(1, [power], count);
            air.build()
        };
        assert_eq!(squared(7).unwrap().constraint_degree(), 128);
        for (times, degree) in [(8, 256), (63, 1 << 63), (64, usize::MAX), (70, usize::MAX)] {
            let error = squared(times).unwrap_err();
            assert!(matches!(error, Error::Degree { got, limit: 255, .. } if got == degree), "{error}");
        }
        let stated = |degree| {
            let mut air = AirBuilder::new("stated");
            air.constraint_degree(degree);
            air.build()
        };
        assert_eq!(stated(255).unwrap().constraint_degree(), 255);
        assert!(matches!(stated(100_000_000), Err(Error::Degree { got: 100_000_000, .. })));
    }
}
