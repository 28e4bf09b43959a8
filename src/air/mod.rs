//! An AIR's interactions and constraints as data: a deduplicated expression DAG.
//!
//! A constraint is an expression that must be zero on every row.
//!
//! An interaction `i` sends or receives the `message` `f_i0, f_i1, ..` on the bus `b_i` with multiplicity `count` `m_i`. Messages and
//! counts are nodes of one DAG over trace cells of a row and of the next one, public values, constants and the row selectors. Build it
//! with [`AirBuilder`]; `openvm_wgpu::air` makes it from OpenVM's own DAG.

mod boolean;
mod builder;

use p3_field::PrimeCharacteristicRing;

pub use self::builder::AirBuilder;
use crate::field::F;

/// The largest degree of an expression or a constraint: what OpenVM's verifying key holds in a byte.
pub const MAX_DEGREE: usize = u8::MAX as usize;

/// A node of an [`Air`]'s DAG: its place in topological order, and whose DAG it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId {
    place: u32,
    builder: u32,
}

impl NodeId {
    /// Its place in [`Air::nodes`].
    pub fn index(self) -> usize {
        self.place as usize
    }
}

/// The matrix that a column belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// The preprocessed trace.
    Preprocessed,
    /// Main trace part `i`: cached mains first, the common main last.
    Main(usize),
}

/// A trace cell of the current row, or of row `(row + 1) mod height`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Column {
    /// Which matrix.
    pub part: Part,
    /// Which of its columns.
    pub index: usize,
    /// The next row's cell.
    pub next: bool,
}

/// What a node is. Operands come before their node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Node {
    /// A trace cell. Degree 1.
    Column(Column),
    /// A public value. Degree 0.
    PublicValue(usize),
    /// A constant. Degree 0.
    Constant(F),
    /// 1 on the first row, 0 elsewhere. Degree 1.
    IsFirstRow,
    /// 1 on the last row, 0 elsewhere. Degree 1.
    IsLastRow,
    /// 0 on the last row, 1 elsewhere. Degree 1.
    IsTransition,
    /// Sum.
    Add(NodeId, NodeId),
    /// Difference.
    Sub(NodeId, NodeId),
    /// Product. Degrees add up.
    Mul(NodeId, NodeId),
    /// Negation.
    Neg(NodeId),
}

impl Node {
    /// What it is made of: up to two nodes, in order.
    pub fn operands(&self) -> impl DoubleEndedIterator<Item = NodeId> {
        let operands = match *self {
            Self::Add(a, b) | Self::Sub(a, b) | Self::Mul(a, b) => [Some(a), Some(b)],
            Self::Neg(a) => [Some(a), None],
            _ => [None; 2],
        };
        operands.into_iter().flatten()
    }
}

/// A bus message and its multiplicity.
#[derive(Clone, Debug)]
pub struct Interaction {
    /// The bus, `b_i`. It enters the denominator as `beta^len * (b_i + 1)`.
    pub bus_index: u16,
    /// The fields `f_i0, f_i1, ..`.
    pub message: Vec<NodeId>,
    /// The multiplicity `m_i`.
    pub count: NodeId,
}

/// An AIR's interactions and constraints, checked and deduplicated.
#[derive(Clone, Debug)]
pub struct Air {
    pub(crate) name: String,
    builder: u32,
    pub(crate) preprocessed_width: Option<usize>,
    pub(crate) main_widths: Vec<usize>,
    pub(crate) num_public_values: usize,
    pub(crate) constraint_degree: usize,
    pub(crate) nodes: Vec<Node>,
    pub(crate) degrees: Vec<usize>,
    pub(crate) interactions: Vec<Interaction>,
    pub(crate) constraints: Vec<NodeId>,
}

impl Air {
    /// The name that errors and logs use.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The DAG's nodes in topological order.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Its nodes' names, in the same order.
    pub fn node_ids(&self) -> impl Iterator<Item = NodeId> {
        (0..self.nodes.len()).map(|place| self.node_id(place))
    }

    /// The preprocessed trace's columns, where there is one.
    pub fn preprocessed_width(&self) -> Option<usize> {
        self.preprocessed_width
    }

    /// The columns of each main trace part.
    pub fn main_widths(&self) -> &[usize] {
        &self.main_widths
    }

    /// How many public values there are.
    pub fn num_public_values(&self) -> usize {
        self.num_public_values
    }

    /// The interactions in the order of their weights `eq_3bs`.
    pub fn interactions(&self) -> &[Interaction] {
        &self.interactions
    }

    /// The constraints in the order of their weights, the powers of `lambda`: nodes that must be zero on every row.
    pub fn constraints(&self) -> &[NodeId] {
        &self.constraints
    }

    /// The same AIR with its interactions alone: LogUp's half of round 0. Its constraint degree stays.
    pub fn without_constraints(self) -> Self {
        Self { constraints: vec![], ..self }
    }

    /// The same AIR with its constraints alone: the zerocheck's half of round 0. Its constraint degree stays.
    pub fn without_interactions(self) -> Self {
        Self { interactions: vec![], ..self }
    }

    /// The largest degree of the AIR's constraints and interactions: the number of cosets that the textbook way evaluates on.
    pub fn constraint_degree(&self) -> usize {
        self.constraint_degree
    }

    /// The total degree of a node in the trace columns and selectors.
    ///
    /// # Panics
    /// If the node is not of this AIR.
    pub fn degree(&self, node: NodeId) -> usize {
        assert_eq!(node.builder, self.builder, "AIR {:?}: node {} belongs to another builder", self.name, node.place);
        self.degrees[node.index()]
    }

    /// The values of the degree-0 nodes, which are the same on every row, in the order of [`Self::nodes`]; zero for the others.
    ///
    /// # Panics
    /// If there are fewer public values than [`Self::num_public_values`].
    pub fn degree_zero_values(&self, public_values: &[F]) -> Vec<F> {
        self.degree_zero_values_by(|index| public_values[index])
    }

    /// As [`Self::degree_zero_values`], where public values are zero. However many the AIR has, none is stored.
    pub(crate) fn degree_zero_values_of_zeros(&self) -> Vec<F> {
        self.degree_zero_values_by(|_| F::ZERO)
    }

    fn degree_zero_values_by(&self, public_value: impl Fn(usize) -> F) -> Vec<F> {
        let mut values = vec![F::ZERO; self.nodes.len()];
        for (i, node) in self.nodes.iter().enumerate().filter(|&(i, _)| self.degrees[i] == 0) {
            let at = |node: NodeId| values[node.index()];
            values[i] = match *node {
                Node::PublicValue(index) => public_value(index),
                Node::Constant(value) => value,
                Node::Add(a, b) => at(a) + at(b),
                Node::Sub(a, b) => at(a) - at(b),
                Node::Mul(a, b) => at(a) * at(b),
                Node::Neg(a) => -at(a),
                Node::Column(_) | Node::IsFirstRow | Node::IsLastRow | Node::IsTransition => unreachable!("degree 1"),
            };
        }
        values
    }

    /// The node at a place in topological order.
    pub(crate) fn node_id(&self, place: usize) -> NodeId {
        NodeId { place: place as u32, builder: self.builder }
    }

    /// The longest message's length.
    pub fn max_message_len(&self) -> usize {
        self.interactions.iter().map(|i| i.message.len()).max().unwrap_or(0)
    }

    /// The matrices in binding order, preprocessed first: part and width.
    pub(crate) fn parts(&self) -> impl Iterator<Item = (Part, usize)> + '_ {
        let preprocessed = self.preprocessed_width.map(|width| (Part::Preprocessed, width));
        let mains = self.main_widths.iter().enumerate().map(|(i, &width)| (Part::Main(i), width));
        preprocessed.into_iter().chain(mains)
    }

    /// A part's place among all: the preprocessed one, where there is one, is the first.
    pub fn part_idx(&self, part: Part) -> usize {
        match part {
            Part::Preprocessed => 0,
            Part::Main(i) => i + usize::from(self.preprocessed_width.is_some()),
        }
    }
}
