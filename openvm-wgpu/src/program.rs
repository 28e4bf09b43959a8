//! An AIR's expressions as straight-line programs for a device, which runs them on rows of a trace or between rows of a folded one (`wgsl/shared/steps.wgsl`).

use logup_wgpu::{Air, Column, F, Node, NodeId, Part, compute::assign_slots};

use crate::{
    kernels::{OPERAND_CELL, step},
    rows::Cell,
};

/// What some products of an AIR need, in an order in which it can be computed: each node once, temporaries reusing slots.
///
/// Nodes of degree 0 (constants, public values and what is made of them) are *values*: the same in every row.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// The cells that a run reads: sorted, each once.
    pub cells: Vec<Cell>,
    pub num_roots: usize,
    pub num_slots: usize,
    /// `[operation, target, a, b]`.
    pub steps: Vec<[u32; 4]>,
    /// Of degree 0.
    values: Vec<NodeId>,
}

/// Where a node is while a program is made.
#[derive(Clone, Copy)]
enum Place {
    Value(u32),
    Cell(u32),
    /// What a step computes.
    Step(u32),
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
    /// The program of some products of expressions, neither of which is the same on every row.
    pub fn new(air: &Air, roots: &[NodeId]) -> Self {
        let needed = needed_nodes(air, roots);
        let in_order = || air.node_ids().zip(air.nodes()).filter(|(id, _)| needed[id.index()]);
        let mut cells: Vec<Cell> = in_order().filter_map(|(_, node)| Cell::of(air, node)).collect();
        cells.sort_unstable();
        cells.dedup();

        let mut values = Vec::new();
        // Operands are places, until slots are known.
        let mut steps: Vec<(u32, u32, Place, Place)> = Vec::new();
        let mut places: Vec<Option<Place>> = vec![None; air.nodes().len()];
        for (id, node) in in_order() {
            let place = |operand: NodeId| places[operand.index()].expect("operands come before their nodes");
            let mut compute = |op, a, b| {
                steps.push((op, 0, a, b));
                Place::Step(steps.len() as u32 - 1)
            };
            let own = if air.degree(id) == 0 {
                values.push(id);
                Place::Value(values.len() as u32 - 1)
            } else if let Some(cell) = Cell::of(air, node) {
                Place::Cell(cells.binary_search(&cell).expect("collected above") as u32)
            } else {
                match *node {
                    Node::Add(a, b) => match (place(a), place(b)) {
                        (value @ Place::Value(_), other) | (other, value @ Place::Value(_)) => compute(step::ADD_VALUE, other, value),
                        (a, b) => compute(step::ADD, a, b),
                    },
                    Node::Sub(a, b) => match (place(a), place(b)) {
                        (value @ Place::Value(_), other) => {
                            let difference = compute(step::SUB_VALUE, other, value);
                            compute(step::NEG, difference, difference)
                        }
                        (other, value @ Place::Value(_)) => compute(step::SUB_VALUE, other, value),
                        (a, b) => compute(step::SUB, a, b),
                    },
                    Node::Mul(a, b) => match (place(a), place(b)) {
                        (value @ Place::Value(_), other) | (other, value @ Place::Value(_)) => compute(step::MUL_VALUE, other, value),
                        (a, b) => compute(step::MUL, a, b),
                    },
                    Node::Neg(a) => compute(step::NEG, place(a), place(a)),
                    _ => unreachable!("a cell or of degree 0"),
                }
            };
            places[id.index()] = Some(own);
            if let Ok(root) = roots.binary_search(&id) {
                steps.push((step::ROOT, root as u32, own, own));
            }
        }

        let step_of = |place: Place| match place {
            Place::Step(step) => Some(step),
            _ => None,
        };
        let operands: Vec<[Option<u32>; 2]> = steps.iter().map(|&(_, _, a, b)| [a, b].map(step_of)).collect();
        let (slots, num_slots) = assign_slots(&operands, |i| steps[i].0 != step::ROOT, &[]);
        let operand = |place: Place| match place {
            Place::Value(value) => value,
            Place::Cell(cell) => OPERAND_CELL | cell,
            Place::Step(step) => slots[step as usize],
        };
        let encoded = steps.iter().zip(&slots).map(|(&(op, root, a, b), &slot)| {
            let target = if op == step::ROOT { root } else { slot };
            [op, target, operand(a), operand(b)]
        });
        Self { num_roots: roots.len(), num_slots: num_slots.max(1), steps: encoded.collect(), values, cells }
    }

    /// The program's values, in its order.
    pub fn values<'a>(&'a self, degree_zero_values: &'a [F]) -> impl Iterator<Item = F> + 'a {
        self.values.iter().map(|value| degree_zero_values[value.index()])
    }

    /// The same over other cells, all of its own among them; sorted.
    pub fn over(mut self, cells: &[Cell]) -> Self {
        let places: Vec<u32> = self.cells.iter().map(|cell| cells.binary_search(cell).expect("among them") as u32).collect();
        let is_value = |op: u32, i: usize| i == 3 && (step::ADD_VALUE..=step::MUL_VALUE).contains(&op);
        for step in &mut self.steps {
            for i in 2..4 {
                if step[i] & OPERAND_CELL != 0 && !is_value(step[0], i) {
                    step[i] = OPERAND_CELL | places[(step[i] & !OPERAND_CELL) as usize];
                }
            }
        }
        self.cells = cells.to_vec();
        self
    }
}

/// Programs for products, ascending, of at most so many steps each unless one product alone has more: in order, each with the first of its products. What
/// programs share they repeat, but not so often that all together are four times as long as one.
pub(crate) fn programs(air: &Air, products: &[NodeId], max_steps: usize) -> Vec<Program> {
    if products.is_empty() {
        return vec![];
    }
    let whole = Program::new(air, products);
    let most = 4 * whole.steps.len();
    let mut max_steps = max_steps;
    loop {
        let (mut done, mut room) = (vec![], most);
        if split(air, products, whole.clone(), max_steps, &mut room, &mut done) {
            return done;
        }
        max_steps *= 2;
    }
}

/// False where there is no room for so many steps.
fn split(air: &Air, products: &[NodeId], program: Program, max_steps: usize, room: &mut usize, done: &mut Vec<Program>) -> bool {
    if program.steps.len() <= max_steps || products.len() == 1 {
        let has_room = program.steps.len() <= *room;
        *room = room.saturating_sub(program.steps.len());
        done.push(program);
        return has_room;
    }
    let (low, high) = products.split_at(products.len() / 2);
    [low, high].into_iter().all(|half| split(air, half, Program::new(air, half), max_steps, room, done))
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
