//! An AIR's expressions as straight-line code, run on packed rows.

use logup_wgpu::{
    Air, Column, F, Node, NodeId, Part,
    compute::{assign_slots, word},
};
use p3_field::{Algebra, PackedValue, PrimeCharacteristicRing};

use crate::{kernels::step, lanes::P, rows::Cell};

/// What some nodes of an AIR need, in an order in which it can be computed: each node once, temporaries reusing slots.
///
/// Slots are `[cells | temporaries and results]`. Nodes of degree 0 (constants, public values and what is made of them) are *values*:
/// the same in every row, so computed once per proof by [`Program::bind`].
#[derive(Debug)]
pub(crate) struct Program {
    /// The cells that a run reads, in slot order: sorted, each once.
    pub cells: Vec<Cell>,
    /// The slot of each root, in the order of the roots given to [`Program::new`].
    pub roots: Vec<u32>,
    pub num_slots: usize,
    values: Vec<NodeId>,
    steps: Vec<Step>,
}

/// `slots[target] = op`. Operands are slots, but for those named `value`.
#[derive(Clone, Copy, Debug)]
struct Step {
    op: Op,
    target: u32,
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Add(u32, u32),
    Sub(u32, u32),
    Mul(u32, u32),
    Neg(u32),
    AddValue(u32, u32),
    SubValue(u32, u32),
    MulValue(u32, u32),
    Value(u32),
}

impl Op {
    /// The op with its slot operands renamed.
    fn rename(self, slot: impl Fn(u32) -> u32) -> Self {
        match self {
            Op::Add(a, b) => Op::Add(slot(a), slot(b)),
            Op::Sub(a, b) => Op::Sub(slot(a), slot(b)),
            Op::Mul(a, b) => Op::Mul(slot(a), slot(b)),
            Op::Neg(a) => Op::Neg(slot(a)),
            Op::AddValue(a, value) => Op::AddValue(slot(a), value),
            Op::SubValue(a, value) => Op::SubValue(slot(a), value),
            Op::MulValue(a, value) => Op::MulValue(slot(a), value),
            Op::Value(value) => Op::Value(value),
        }
    }

    /// The slots that it reads.
    fn operands(self) -> [Option<u32>; 2] {
        match self {
            Op::Add(a, b) | Op::Sub(a, b) | Op::Mul(a, b) => [Some(a), Some(b)],
            Op::Neg(a) | Op::AddValue(a, _) | Op::SubValue(a, _) | Op::MulValue(a, _) => [Some(a), None],
            Op::Value(_) => [None; 2],
        }
    }
}

/// Where a node is while a program is made.
#[derive(Clone, Copy)]
enum Place {
    Value(u32),
    /// A cell's slot, or `cells.len()` plus the index of the step that makes the node.
    Slot(u32),
}

impl Cell {
    /// The cell that a node reads, if it is one that reads a cell.
    pub fn of(air: &Air, node: &Node) -> Option<Self> {
        Some(match *node {
            Node::IsFirstRow => Self::IsFirst,
            Node::IsTransition => Self::IsTransition,
            Node::IsLastRow => Self::IsLast,
            Node::Column(Column { part, index: column, next }) => {
                let part = match part {
                    Part::Preprocessed => 0,
                    Part::Main(i) => i + usize::from(air.preprocessed_width().is_some()),
                };
                Self::Column { part, next, column }
            }
            _ => return None,
        })
    }
}

impl Program {
    /// The program that computes `roots`, nodes of `air`.
    pub fn new(air: &Air, roots: &[NodeId]) -> Self {
        let needed = needed_nodes(air, roots);
        let in_order = || air.node_ids().zip(air.nodes()).filter(|(id, _)| needed[id.index()]);
        let mut cells: Vec<Cell> = in_order().filter_map(|(_, node)| Cell::of(air, node)).collect();
        cells.sort_unstable();
        cells.dedup();
        let num_cells = cells.len() as u32;

        let mut values = Vec::new();
        let mut ops: Vec<Op> = Vec::new();
        let mut places: Vec<Option<Place>> = vec![None; air.nodes().len()];
        for (id, node) in in_order() {
            let place = |operand: NodeId| places[operand.index()].expect("operands come before their nodes");
            let mut step = |op| {
                ops.push(op);
                num_cells + ops.len() as u32 - 1
            };
            places[id.index()] = Some(if air.degree(id) == 0 {
                values.push(id);
                Place::Value(values.len() as u32 - 1)
            } else if let Some(cell) = Cell::of(air, node) {
                Place::Slot(cells.binary_search(&cell).expect("collected above") as u32)
            } else {
                Place::Slot(match *node {
                    Node::Add(a, b) => match (place(a), place(b)) {
                        (Place::Slot(a), Place::Slot(b)) => step(Op::Add(a, b)),
                        (Place::Slot(a), Place::Value(b)) | (Place::Value(b), Place::Slot(a)) => step(Op::AddValue(a, b)),
                        (Place::Value(_), Place::Value(_)) => unreachable!("degree 0"),
                    },
                    Node::Sub(a, b) => match (place(a), place(b)) {
                        (Place::Slot(a), Place::Slot(b)) => step(Op::Sub(a, b)),
                        (Place::Slot(a), Place::Value(b)) => step(Op::SubValue(a, b)),
                        (Place::Value(a), Place::Slot(b)) => {
                            let difference = step(Op::SubValue(b, a));
                            step(Op::Neg(difference))
                        }
                        (Place::Value(_), Place::Value(_)) => unreachable!("degree 0"),
                    },
                    Node::Mul(a, b) => match (place(a), place(b)) {
                        (Place::Slot(a), Place::Slot(b)) => step(Op::Mul(a, b)),
                        (Place::Slot(a), Place::Value(b)) | (Place::Value(b), Place::Slot(a)) => step(Op::MulValue(a, b)),
                        (Place::Value(_), Place::Value(_)) => unreachable!("degree 0"),
                    },
                    Node::Neg(a) => match place(a) {
                        Place::Slot(a) => step(Op::Neg(a)),
                        Place::Value(_) => unreachable!("degree 0"),
                    },
                    _ => unreachable!("a cell or of degree 0"),
                })
            });
        }
        let mut root = |root: &NodeId| match places[root.index()].expect("roots are needed") {
            Place::Slot(slot) => slot,
            Place::Value(value) => {
                ops.push(Op::Value(value));
                num_cells + ops.len() as u32 - 1
            }
        };
        let roots: Vec<u32> = roots.iter().map(&mut root).collect();

        // Cells keep their slots, and so do roots; results of steps share those behind the cells.
        let step_of = |slot: u32| slot.checked_sub(num_cells);
        let kept: Vec<u32> = roots.iter().filter_map(|&root| step_of(root)).collect();
        let operands: Vec<[Option<u32>; 2]> = ops.iter().map(|op| op.operands().map(|operand| operand.and_then(step_of))).collect();
        let (targets, num_targets) = assign_slots(&operands, |_| true, &kept);
        let slot_of = |slot: u32| step_of(slot).map_or(slot, |step| num_cells + targets[step as usize]);
        let steps = ops.iter().zip(&targets).map(|(op, &target)| Step { op: op.rename(slot_of), target: num_cells + target });
        Self {
            roots: roots.iter().map(|&root| slot_of(root)).collect(),
            num_slots: num_cells as usize + num_targets,
            steps: steps.collect(),
            values,
            cells,
        }
    }

    /// The values for these values of the AIR's degree-0 nodes, in every lane.
    pub fn bind(&self, degree_zero_values: &[F]) -> Vec<P> {
        self.values.iter().map(|value| P::from_fn(|_| degree_zero_values[value.index()])).collect()
    }

    /// Computes all other slots from the cells, which the caller has put into the first slots. Cells stay as they are.
    ///
    /// # Shapes
    /// `values` from [`Program::bind`], `slots: [num_slots]`.
    pub fn run<V: Algebra<P> + Copy>(&self, values: &[P], slots: &mut [V]) {
        let slots = &mut slots[..self.num_slots];
        for &Step { op, target } in &self.steps {
            let at = |slot: u32| slots[slot as usize];
            let value = |i: u32| values[i as usize];
            slots[target as usize] = match op {
                Op::Add(a, b) => at(a) + at(b),
                Op::Sub(a, b) => at(a) - at(b),
                Op::Mul(a, b) => at(a) * at(b),
                Op::Neg(a) => -at(a),
                Op::AddValue(a, b) => at(a) + value(b),
                Op::SubValue(a, b) => at(a) - value(b),
                Op::MulValue(a, b) => at(a) * value(b),
                Op::Value(a) => V::from(value(a)),
            };
        }
    }

    /// The program as `wgsl/row_products.wgsl` reads it; its products are the roots, in order. `word_of` says at which word a column's row 0 is, and whether
    /// the next row is meant; nothing if a dispatch does not reach it.
    pub fn device_steps(&self, degree_zero_values: &[F], word_of: impl FnMut(Cell) -> Option<(u32, bool)>) -> Option<Vec<[u32; 4]>> {
        let mut word_of = word_of;
        let one = word(F::ONE);
        let mut steps: Vec<[u32; 4]> = vec![];
        for (slot, &cell) in (0..).zip(&self.cells) {
            match cell {
                Cell::IsFirst => steps.push([step::FIRST_ROW, slot, 0, 0]),
                Cell::IsLast => steps.push([step::LAST_ROW, slot, 0, 0]),
                Cell::IsTransition => {
                    steps.push([step::LAST_ROW, slot, 0, 0]);
                    steps.push([step::NEG, slot, slot, 0]);
                    steps.push([step::ADD_VALUE, slot, slot, one]);
                }
                Cell::Column { .. } => {
                    let (word, next) = word_of(cell)?;
                    steps.push([step::LOAD, slot, word, next.into()]);
                }
            }
        }
        let value = |i: u32| word(degree_zero_values[self.values[i as usize].index()]);
        steps.extend(self.steps.iter().map(|&Step { op, target }| match op {
            Op::Add(a, b) => [step::ADD, target, a, b],
            Op::Sub(a, b) => [step::SUB, target, a, b],
            Op::Mul(a, b) => [step::MUL, target, a, b],
            Op::Neg(a) => [step::NEG, target, a, 0],
            Op::AddValue(a, b) => [step::ADD_VALUE, target, a, value(b)],
            Op::SubValue(a, b) => [step::SUB_VALUE, target, a, value(b)],
            Op::MulValue(a, b) => [step::MUL_VALUE, target, a, value(b)],
            Op::Value(_) => unreachable!("a product's degree is not 0"),
        }));
        steps.extend((0..).zip(&self.roots).map(|(product, &slot)| [step::STORE, product, slot, 0]));
        Some(steps)
    }

    /// Steps of [`device_steps`](Self::device_steps), at most.
    pub fn num_device_steps(&self) -> usize {
        3 * self.cells.len() + self.steps.len() + self.roots.len()
    }

    /// Slots for a run.
    pub fn slots<V: PrimeCharacteristicRing + Copy>(&self) -> Vec<V> {
        vec![V::ZERO; self.num_slots]
    }
}

/// Which nodes the roots are made of, themselves included.
fn needed_nodes(air: &Air, roots: &[NodeId]) -> Vec<bool> {
    let mut needed = vec![false; air.nodes().len()];
    roots.iter().for_each(|root| needed[root.index()] = true);
    for (i, node) in air.nodes().iter().enumerate().rev() {
        if needed[i] {
            node.operands().for_each(|operand| needed[operand.index()] = true);
        }
    }
    needed
}
