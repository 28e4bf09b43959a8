//! An AIR's expressions as straight-line programs for a device, which runs them on rows of a trace or between rows of a folded one (`wgsl/shared/steps.wgsl`).

use logup_wgpu::{Air, Column, Error, F, Node, NodeId, Part, Result, compute::assign_slots};

use crate::{
    kernels::{OPERAND_CELL, ROW_PRODUCTS, step},
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

/// Steps that one thread runs at most: a software device leaves loops that run for longer (`docs/design.md`, section 4).
const MAX_STEPS: usize = 1 << 15;
/// Steps of all programs for an AIR's products at most: 64 MiB.
const MAX_ALL_STEPS: usize = 1 << 22;

/// Programs for products, ascending, of at most so many steps each unless one product alone has more: in order, each with the products behind those of the one
/// before. What programs share they repeat, but not so often that all together are four times as long as one, as long as that takes no program too long for
/// a thread.
///
/// # Errors
/// [`Error::DeviceLimit`] for a product that is too long for a thread, and for products that share so much that all programs are too long.
pub(crate) fn programs(air: &Air, products: &[NodeId], max_steps: usize) -> Result<Vec<Program>> {
    if products.is_empty() {
        return Ok(vec![]);
    }
    let whole = Program::new(air, products);
    let mut max_steps = max_steps;
    loop {
        let (mut done, mut room) = (vec![], if max_steps < MAX_STEPS { 4 * whole.steps.len() } else { MAX_ALL_STEPS });
        if split(air, products, whole.clone(), max_steps, &mut room, &mut done) {
            return Ok(done);
        }
        if max_steps >= MAX_STEPS {
            let (what, requested, limit) = ("steps of products", whole.steps.len() as u64, MAX_STEPS as u64);
            return Err(Error::DeviceLimit { subject: air.name().into(), kernel: ROW_PRODUCTS.name, what, requested, limit });
        }
        max_steps = (2 * max_steps).min(MAX_STEPS);
    }
}

/// False where there is no room for so many steps, or a thread has none.
fn split(air: &Air, products: &[NodeId], program: Program, max_steps: usize, room: &mut usize, done: &mut Vec<Program>) -> bool {
    let len = program.steps.len();
    if len > max_steps && products.len() > 1 {
        let (low, high) = products.split_at(products.len() / 2);
        return [low, high].into_iter().all(|half| split(air, half, Program::new(air, half), max_steps, room, done));
    }
    let has_room = len <= *room && len <= MAX_STEPS;
    *room = room.saturating_sub(len);
    done.push(program);
    has_room
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

#[cfg(test)]
mod tests {
    use logup_wgpu::AirBuilder;
    use p3_field::PrimeCharacteristicRing;

    use super::*;

    /// So many products, each of a sum of a long chain, and that chain.
    fn products_of_a_chain(num: usize, length: usize) -> (Air, Vec<NodeId>) {
        let mut air = AirBuilder::new("chain");
        let main = air.main_part(2);
        let (a, b) = (air.column(main, 0), air.column(main, 1));
        let chain = (0..length).fold(a, |sum, i| if i % 2 == 0 { air.add(sum, b) } else { air.sub(b, sum) });
        for i in 0..num {
            let own = air.constant(F::from_usize(i + 2));
            let factor = air.add(chain, own);
            let product = air.mul(factor, b);
            air.constraint(product);
        }
        let air = air.build().unwrap();
        let products = air.constraints().to_vec();
        (air, products)
    }

    #[test]
    fn pieces_repeat_what_they_share_within_bounds() {
        for (num, length) in [(1_000, 10), (400, 3_000), (9_000, 20_000)] {
            let (air, products) = products_of_a_chain(num, length);
            let (whole, pieces) = (Program::new(&air, &products), programs(&air, &products, 128).unwrap());
            assert_eq!(pieces.iter().map(|piece| piece.num_roots).sum::<usize>(), num);
            let longest = pieces.iter().map(|piece| piece.steps.len()).max().unwrap();
            let all: usize = pieces.iter().map(|piece| piece.steps.len()).sum();
            assert!(longest <= MAX_STEPS && (all <= 4 * whole.steps.len() || longest > MAX_STEPS / 2), "{num}, {length}: {longest}, {all}");
        }
        let (air, products) = products_of_a_chain(1, 40_000);
        assert!(matches!(programs(&air, &products, 128), Err(Error::DeviceLimit { what: "steps of products", .. })));
    }
}
