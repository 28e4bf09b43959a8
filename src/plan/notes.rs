//! What is noted of an AIR's nodes while its programs are made, one after another.

use super::{bundles::shapes, leaves::Leaves};
use crate::air::{Air, NodeId};

/// What is noted of a node while a program is made.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Note {
    /// Its operands were scheduled, or are about to be.
    pub opened: bool,
    /// It was scheduled.
    pub done: bool,
    /// Its step; of a degree-0 node, one more than its place in `Program::values`.
    pub place: u32,
}

/// The notes of all nodes. Each program clears what it touched, so that one costs what it holds and not what the AIR does.
pub(crate) struct Notes {
    pub of: Vec<Note>,
    pub touched: Vec<usize>,
    /// What the leaves are.
    pub leaves: Leaves,
    /// Equal programs must not differ in the order of operands.
    pub shapes: Vec<u64>,
}

impl Notes {
    pub fn new(air: &Air, leaves: Leaves) -> Self {
        Self { of: vec![Note::default(); air.nodes.len()], touched: vec![], shapes: shapes(air, &leaves), leaves }
    }

    /// Operands of a sum or a product: the larger expression first.
    pub fn ordered(&self, a: NodeId, b: NodeId) -> [Option<NodeId>; 2] {
        if self.shapes[a.index()] >= self.shapes[b.index()] { [Some(a), Some(b)] } else { [Some(b), Some(a)] }
    }

    pub fn clear(&mut self) {
        for i in self.touched.drain(..) {
            self.of[i] = Note::default();
        }
    }
}
