//! A stock AIR's expressions as straight-line code, run on packed rows.

use logup_wgpu::{Error, F, Result};
use openvm_stark_backend::air_builders::symbolic::{SymbolicExpressionDag, SymbolicExpressionNode, symbolic_variable::Entry};
use p3_field::{Algebra, PackedValue, PrimeCharacteristicRing};

use crate::{
    air::needed_nodes,
    lanes::P,
    rows::{Cell, RowShape},
};

/// What some nodes of a DAG need, in an order in which it can be computed: each node once, temporaries reusing slots.
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
    values: Vec<Value>,
    steps: Vec<Step>,
}

/// A node of degree 0 over earlier ones.
#[derive(Clone, Copy, Debug)]
enum Value {
    Constant(F),
    Public(usize),
    Add(u32, u32),
    Sub(u32, u32),
    Mul(u32, u32),
    Neg(u32),
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

    fn operands(self) -> impl Iterator<Item = u32> {
        let (a, b) = match self {
            Op::Add(a, b) | Op::Sub(a, b) | Op::Mul(a, b) => (Some(a), Some(b)),
            Op::Neg(a) | Op::AddValue(a, _) | Op::SubValue(a, _) | Op::MulValue(a, _) => (Some(a), None),
            Op::Value(_) => (None, None),
        };
        a.into_iter().chain(b)
    }
}

/// Where a node is while a program is made.
#[derive(Clone, Copy)]
enum Place {
    Value(u32),
    /// A cell's slot, or `cells.len()` plus the index of the step that makes the node.
    Slot(u32),
}

impl Program {
    /// The program that computes `roots`, nodes of `dag`.
    ///
    /// # Errors
    /// [`Error::Index`] for a column or public value that the AIR does not have, [`Error::Unsupported`] for a challenge or a rotation
    /// beyond the next row.
    pub fn new(air: &str, dag: &SymbolicExpressionDag<F>, roots: &[usize], shape: &RowShape, num_public_values: usize) -> Result<Self> {
        let nodes = &dag.nodes;
        let needed = needed_nodes(air, nodes, roots.iter().copied())?;
        let in_order = || nodes.iter().enumerate().filter(|&(i, _)| needed[i]);

        let mut cells = Vec::new();
        for (_, node) in in_order() {
            if let Some(cell) = shape.cell(air, node)? {
                cells.push(cell);
            }
        }
        cells.sort_unstable();
        cells.dedup();
        let num_cells = cells.len() as u32;

        let mut values = Vec::new();
        let mut ops: Vec<Op> = Vec::new();
        let mut places: Vec<Option<Place>> = vec![None; nodes.len()];
        for (i, node) in in_order() {
            let place = |idx: usize| places[idx].expect("needed nodes' operands come before them");
            let mut value = |value| {
                values.push(value);
                Place::Value(values.len() as u32 - 1)
            };
            let mut step = |op| {
                ops.push(op);
                Place::Slot(num_cells + ops.len() as u32 - 1)
            };
            places[i] = Some(match *node {
                SymbolicExpressionNode::Constant(constant) => value(Value::Constant(constant)),
                SymbolicExpressionNode::Variable(variable) if matches!(variable.entry, Entry::Public) => {
                    if variable.index >= num_public_values {
                        let (got, len) = (variable.index, num_public_values);
                        return Err(Error::Index { subject: air.into(), what: "public value", got, len });
                    }
                    value(Value::Public(variable.index))
                }
                SymbolicExpressionNode::Variable(_)
                | SymbolicExpressionNode::IsFirstRow
                | SymbolicExpressionNode::IsLastRow
                | SymbolicExpressionNode::IsTransition => {
                    let cell = shape.cell(air, node)?.expect("variables and selectors are cells");
                    Place::Slot(cells.binary_search(&cell).expect("collected above") as u32)
                }
                SymbolicExpressionNode::Add { left_idx, right_idx, .. } => match (place(left_idx), place(right_idx)) {
                    (Place::Value(a), Place::Value(b)) => value(Value::Add(a, b)),
                    (Place::Slot(a), Place::Value(b)) | (Place::Value(b), Place::Slot(a)) => step(Op::AddValue(a, b)),
                    (Place::Slot(a), Place::Slot(b)) => step(Op::Add(a, b)),
                },
                SymbolicExpressionNode::Sub { left_idx, right_idx, .. } => match (place(left_idx), place(right_idx)) {
                    (Place::Value(a), Place::Value(b)) => value(Value::Sub(a, b)),
                    (Place::Slot(a), Place::Value(b)) => step(Op::SubValue(a, b)),
                    (Place::Value(a), Place::Slot(b)) => match step(Op::SubValue(b, a)) {
                        Place::Slot(difference) => step(Op::Neg(difference)),
                        place @ Place::Value(_) => place,
                    },
                    (Place::Slot(a), Place::Slot(b)) => step(Op::Sub(a, b)),
                },
                SymbolicExpressionNode::Mul { left_idx, right_idx, .. } => match (place(left_idx), place(right_idx)) {
                    (Place::Value(a), Place::Value(b)) => value(Value::Mul(a, b)),
                    (Place::Slot(a), Place::Value(b)) | (Place::Value(b), Place::Slot(a)) => step(Op::MulValue(a, b)),
                    (Place::Slot(a), Place::Slot(b)) => step(Op::Mul(a, b)),
                },
                SymbolicExpressionNode::Neg { idx, .. } => match place(idx) {
                    Place::Value(a) => value(Value::Neg(a)),
                    Place::Slot(a) => step(Op::Neg(a)),
                },
            });
        }
        let mut root = |&root: &usize| match places[root].expect("roots are needed") {
            Place::Slot(slot) => slot,
            Place::Value(value) => {
                ops.push(Op::Value(value));
                num_cells + ops.len() as u32 - 1
            }
        };
        let roots: Vec<u32> = roots.iter().map(&mut root).collect();
        let (steps, roots, num_slots) = assign_slots(num_cells, &ops, &roots);
        Ok(Self { cells, roots, num_slots, values, steps })
    }

    /// The values for these public values, in every lane.
    pub fn bind(&self, public_values: &[F]) -> Vec<P> {
        let mut bound: Vec<F> = Vec::with_capacity(self.values.len());
        for value in &self.values {
            let at = |i: u32| bound[i as usize];
            bound.push(match *value {
                Value::Constant(constant) => constant,
                Value::Public(i) => public_values[i],
                Value::Add(a, b) => at(a) + at(b),
                Value::Sub(a, b) => at(a) - at(b),
                Value::Mul(a, b) => at(a) * at(b),
                Value::Neg(a) => -at(a),
            });
        }
        bound.into_iter().map(|value| P::from_fn(|_| value)).collect()
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

    /// Slots for a run.
    pub fn slots<V: PrimeCharacteristicRing + Copy>(&self) -> Vec<V> {
        vec![V::ZERO; self.num_slots]
    }
}

/// The steps with a slot for each result: one that is free by then, or a new one. Cells and roots keep theirs.
fn assign_slots(num_cells: u32, ops: &[Op], roots: &[u32]) -> (Vec<Step>, Vec<u32>, usize) {
    const KEPT: usize = usize::MAX;
    let mut last_use = vec![0; num_cells as usize + ops.len()];
    for (i, op) in ops.iter().enumerate() {
        for operand in op.operands() {
            last_use[operand as usize] = i;
        }
    }
    last_use[..num_cells as usize].fill(KEPT);
    for &root in roots {
        last_use[root as usize] = KEPT;
    }

    let mut slots: Vec<u32> = (0..num_cells).collect();
    let mut num_slots = num_cells;
    let mut free = Vec::new();
    let mut steps = Vec::with_capacity(ops.len());
    for (i, op) in ops.iter().enumerate() {
        let mut freed: Vec<u32> = op.operands().filter(|&operand| last_use[operand as usize] == i).collect();
        freed.dedup();
        free.extend(freed.into_iter().map(|operand| slots[operand as usize]));
        let target = free.pop().unwrap_or_else(|| {
            num_slots += 1;
            num_slots - 1
        });
        steps.push(Step { op: op.rename(|operand| slots[operand as usize]), target });
        slots.push(target);
    }
    let roots = roots.iter().map(|&root| slots[root as usize]).collect();
    (steps, roots, num_slots as usize)
}
