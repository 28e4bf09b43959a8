//! Programs: the nodes that a coset pass evaluates point by point, or another kernel row by row, as straight-line instructions.

use std::{collections::HashMap, ops::Range};

use super::{
    leaves::{Leaf, LeafKind, Leaves, Term, few_bits_are_cells, make_differences},
    notes::Notes,
    slots::assign_slots,
};
use crate::{
    air::{Air, Node, NodeId},
    error::{Error, Result},
    kernel::Kernel,
    kernels::{self, OPERAND_LEAF, OPERAND_VALUE, Op},
};

/// Leaves that a segment of a program loads at most, and roots that wait for its end: few enough to keep temporaries few.
const SEGMENT_LOADS: usize = 32;
const SEGMENT_ROOTS: usize = 8;
/// The same of programs over rows.
const ROW_SEGMENT_LOADS: usize = 8;

/// Instructions of an AIR's programs together. Roots that share nodes may not fit one program, and then each computes them: a million nodes
/// could become as many instructions for each of thousands of programs. 256 MiB where the interpreter reads them.
pub(crate) const MAX_INSTRUCTIONS: usize = 1 << 24;

/// A run of instructions: loads, then operations on what was loaded so far, then the roots among their results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub num_loads: usize,
    pub num_ops: usize,
    pub num_roots: usize,
}

impl Segment {
    /// Its instructions.
    pub fn len(&self) -> usize {
        self.num_loads + self.num_ops + self.num_roots
    }
}

/// Instructions in order, with what they refer to. Each leaf is loaded once, or over rows read where its one reader is, and each node is computed once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Program {
    /// `[op, destination, a, b]`, as the kernel reads them.
    pub instructions: Vec<[u32; 4]>,
    /// The instructions' segments, in order.
    pub segments: Vec<Segment>,
    /// What `Op::Load` and `OPERAND_LEAF` name, by their kinds.
    pub leaves: Vec<Leaf>,
    /// The degree-0 nodes that operands name.
    pub values: Vec<NodeId>,
    /// What `Op::Root` names.
    pub roots: Vec<NodeId>,
    /// Whether a root can have weight in the numerator, and in the denominator.
    pub reached: Vec<[bool; 2]>,
    /// Words per thread.
    pub num_temps: usize,
    /// Nodes computed, leaves and selectors not counted.
    pub num_nodes: usize,
}

/// An instruction whose destination and operands are still nodes.
struct Step {
    op: Op,
    node: NodeId,
    operands: Operands,
    /// `Load`: index into `leaves`; `Root`: index into `roots`.
    index: u32,
}

/// Up to two operands.
type Operands = [Option<NodeId>; 2];

/// A root, and whether it can have weight in the numerator and in the denominator.
pub(crate) type Root = (NodeId, [bool; 2]);

/// How far a program is made before it is given up as too long for its kernel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// The kernel.
    pub kernel: &'static Kernel,
    /// Nodes computed, as `Program::num_nodes` counts them.
    pub num_nodes: usize,
    /// Leaves loaded.
    pub num_leaves: usize,
    /// Whether it is a program over rows, where a leaf is a cell: one that is read once is an operand, and of a product or a sum the second operand is the
    /// one that is a value.
    pub over_rows: bool,
}

impl Room {
    const UNBOUNDED: Self = Self { kernel: &kernels::COSET_INTERPRET, num_nodes: usize::MAX, num_leaves: usize::MAX, over_rows: false };
}

impl Program {
    /// The programs that together add up `roots`, each within the limits of the kernel that is to run it: `fits` says whether it is, and what
    /// has no `room` never is. `beyond` is given the roots that do not fit on their own.
    ///
    /// # Errors
    /// [`Error::DeviceLimit`] for programs of more than [`MAX_INSTRUCTIONS`] together; what `beyond` returns.
    pub fn split(
        air: &Air,
        roots: &[Root],
        room: Room,
        fits: &impl Fn(&Self) -> bool,
        beyond: &mut impl FnMut(Root) -> Result<()>,
        notes: &mut Notes,
    ) -> Result<Vec<Self>> {
        let mut programs: Vec<Self> = vec![];
        let mut num_instructions = 0;
        // Runs of roots that are still to be tried, the first on top.
        let mut runs = vec![roots];
        while let Some(run) = runs.pop() {
            if run.is_empty() {
                continue;
            }
            match Self::with_notes(air, run, room, notes).filter(fits) {
                Some(program) => {
                    num_instructions += program.instructions.len();
                    if num_instructions > MAX_INSTRUCTIONS {
                        let (requested, limit) = (num_instructions as u64, MAX_INSTRUCTIONS as u64);
                        let (kernel, what) = (room.kernel.name, "instructions of one AIR's programs");
                        return Err(Error::DeviceLimit { subject: air.name().into(), kernel, what, requested, limit });
                    }
                    programs.push(program);
                }
                None if run.len() == 1 => beyond(run[0])?,
                None => {
                    let (left, right) = run.split_at(run.len() / 2);
                    runs.extend([right, left]);
                }
            }
        }
        Ok(programs)
    }

    /// The program that adds up `roots`, its leaves columns. Operands are computed just before their first use, so that few are alive at a time.
    pub fn new(air: &Air, roots: &[Root]) -> Self {
        Self::with_notes(air, roots, Room::UNBOUNDED, &mut Notes::new(air, Leaves::default())).expect("there is room for all")
    }

    /// The program that gives `roots`, its leaves those of the notes, for kernels that have them at hand.
    pub fn over_rows(air: &Air, roots: &[NodeId], notes: &mut Notes) -> Self {
        let roots: Vec<Root> = roots.iter().map(|&root| (root, [true; 2])).collect();
        Self::with_notes(air, &roots, Room { over_rows: true, ..Room::UNBOUNDED }, notes).expect("there is room for all")
    }

    /// The instructions as interpreters read them: each segment behind its header.
    pub fn encoded(&self) -> impl Iterator<Item = [u32; 4]> + '_ {
        let mut rest = &self.instructions[..];
        self.segments.iter().flat_map(move |segment| {
            let own = rest.split_off(..segment.len()).expect("segments are all instructions");
            let header = [segment.num_loads, segment.num_ops, segment.num_roots, 0].map(|num| num as u32);
            [header].into_iter().chain(own.iter().copied())
        })
    }

    /// The cells that its leaves are made of, with repetitions.
    pub fn cells(&self) -> impl Iterator<Item = &Term> {
        self.leaves.iter().flat_map(|leaf| &leaf.form.terms)
    }

    /// Its leaves of one kind.
    pub fn leaves_of(&self, kind: LeafKind) -> Range<usize> {
        self.leaves.partition_point(|leaf| leaf.kind < kind)..self.leaves.partition_point(|leaf| leaf.kind <= kind)
    }

    /// How many of its leaves are bits.
    pub fn num_bits(&self) -> usize {
        self.leaves_of(LeafKind::Bit).len() + self.leaves_of(LeafKind::NextBit).len()
    }

    /// How many nodes the program that adds up `roots` has, and the nodes that are its leaves, if there is room for it.
    pub fn size(air: &Air, roots: &[Root], room: Room, notes: &mut Notes) -> Option<(usize, Vec<NodeId>)> {
        let mut program = Self::default();
        let mut steps = vec![];
        let scheduled = roots.iter().try_for_each(|&(root, _)| program.schedule(air, root, room, notes, &mut steps));
        notes.clear();
        scheduled?;
        Some((program.num_nodes, steps.iter().filter(|step| step.op == Op::Load).map(|step| step.node).collect()))
    }

    fn with_notes(air: &Air, roots: &[Root], room: Room, notes: &mut Notes) -> Option<Self> {
        let program = Self::within(air, roots, room, notes);
        notes.clear();
        program
    }

    fn within(air: &Air, roots: &[Root], room: Room, notes: &mut Notes) -> Option<Self> {
        let mut program = Self::default();
        let mut steps: Vec<Step> = Vec::new();
        for (root_idx, &(root, reached)) in roots.iter().enumerate() {
            program.schedule(air, root, room, notes, &mut steps)?;
            steps.push(Step { op: Op::Root, node: root, operands: [Some(root), None], index: root_idx as u32 });
            program.roots.push(root);
            program.reached.push(reached);
        }
        program.sort_leaves(&mut steps, room.over_rows);
        let read_once = if room.over_rows { take_what_is_read_once(&mut steps) } else { HashMap::new() };
        let steps = program.segment(steps, if room.over_rows { ROW_SEGMENT_LOADS } else { SEGMENT_LOADS });
        program.allocate(air, notes, &steps, room.over_rows.then_some(&read_once));
        Some(program)
    }

    /// Sorts the leaves by their kinds. A few bits are cells, and forms may be differences, but not over rows.
    fn sort_leaves(&mut self, steps: &mut [Step], over_rows: bool) {
        few_bits_are_cells(&mut self.leaves);
        let mut order: Vec<usize> = (0..self.leaves.len()).collect();
        order.sort_by_key(|&i| self.leaves[i].kind);
        let mut places = vec![0; order.len()];
        order.iter().enumerate().for_each(|(place, &leaf)| places[leaf] = place as u32);
        self.leaves.sort_by_key(|leaf| leaf.kind);
        if !over_rows {
            let forms = self.leaves_of(LeafKind::Form);
            make_differences(&mut self.leaves[forms]);
        }
        for step in steps.iter_mut().filter(|step| step.op == Op::Load) {
            step.index = places[step.index as usize];
        }
    }

    /// Moves loads, which need no operand, to the front of their segment, and roots, which nothing needs, to its end.
    fn segment(&mut self, steps: Vec<Step>, max_loads: usize) -> Vec<Step> {
        let mut ordered = Vec::with_capacity(steps.len());
        let mut rest = steps.into_iter().peekable();
        while rest.peek().is_some() {
            let (mut loads, mut ops, mut roots) = (Vec::new(), Vec::new(), Vec::new());
            let has_room = |step: &Step, loads: &[Step], roots: &[Step]| match step.op {
                Op::Load => loads.len() < max_loads,
                Op::Root => roots.len() < SEGMENT_ROOTS,
                _ => true,
            };
            while let Some(step) = rest.next_if(|step| has_room(step, &loads, &roots)) {
                match step.op {
                    Op::Load => loads.push(step),
                    Op::Root => roots.push(step),
                    _ => ops.push(step),
                }
            }
            self.segments.push(Segment { num_loads: loads.len(), num_ops: ops.len(), num_roots: roots.len() });
            ordered.extend(loads.into_iter().chain(ops).chain(roots));
        }
        ordered
    }

    /// Schedules `root` after everything that it needs; depth first, without recursion. `None` where there is no room.
    fn schedule(&mut self, air: &Air, root: NodeId, room: Room, notes: &mut Notes, steps: &mut Vec<Step>) -> Option<()> {
        let mut stack = vec![root];
        while let Some(&node) = stack.last() {
            let i = node.index();
            if notes.of[i].done || air.degrees[i] == 0 {
                stack.pop();
                continue;
            }
            let (op, operands) = match air.nodes[i] {
                _ if notes.leaves.form(node).is_some() => (Op::Load, [None; 2]),
                Node::Column(_) => (Op::Load, [None; 2]),
                Node::IsFirstRow => (Op::First, [None; 2]),
                Node::IsLastRow => (Op::Last, [None; 2]),
                Node::IsTransition => (Op::Transition, [None; 2]),
                Node::Add(a, b) => (Op::Add, notes.ordered(a, b)),
                Node::Sub(a, b) => (Op::Sub, [Some(a), Some(b)]),
                Node::Mul(a, b) => (Op::Mul, notes.ordered(a, b)),
                Node::Neg(a) => (Op::Neg, [Some(a), None]),
                Node::PublicValue(_) | Node::Constant(_) => unreachable!("degree 0"),
            };
            if !std::mem::replace(&mut notes.of[i].opened, true) {
                notes.touched.push(i);
                self.num_nodes += usize::from(operands[0].is_some());
                if self.num_nodes > room.num_nodes {
                    return None;
                }
            }
            let before = stack.len();
            stack.extend(operands.into_iter().rev().flatten().filter(|o| !notes.of[o.index()].done && air.degrees[o.index()] > 0));
            if stack.len() > before {
                continue;
            }
            let mut index = 0;
            if op == Op::Load {
                index = self.leaves.len() as u32;
                self.leaves.push(notes.leaves.get(air, node).expect("loaded, so a leaf"));
                if self.leaves.len() > room.num_leaves {
                    return None;
                }
            }
            steps.push(Step { op, node, operands, index });
            notes.of[i].done = true;
            stack.pop();
        }
        Some(())
    }

    /// Gives every node a temporary from its step to its last use. Of a program over rows the leaves that are read once have none.
    fn allocate(&mut self, air: &Air, notes: &mut Notes, steps: &[Step], over_rows: Option<&HashMap<usize, u32>>) {
        let leaf = |node: NodeId| over_rows?.get(&node.index()).copied();
        let is_temp = |node: NodeId| air.degrees[node.index()] > 0 && leaf(node).is_none();
        let mut operands = Vec::with_capacity(steps.len());
        for (at, step) in steps.iter().enumerate() {
            operands.push(step.operands.map(|operand| operand.filter(|&node| is_temp(node)).map(|node| notes.of[node.index()].place)));
            if step.op != Op::Root {
                notes.of[step.node.index()].place = at as u32;
            }
        }
        let (temps, num_temps) = assign_slots(&operands, |at| steps[at].op != Op::Root, &[]);
        self.num_temps = num_temps;
        for (step, &temp) in steps.iter().zip(&temps) {
            let mut words = [0; 2];
            for (word, operand) in words.iter_mut().zip(step.operands.into_iter().flatten()) {
                let note = &mut notes.of[operand.index()];
                if is_temp(operand) {
                    *word = temps[note.place as usize];
                    continue;
                }
                if let Some(leaf) = leaf(operand) {
                    *word = OPERAND_LEAF | leaf;
                    continue;
                }
                if note.place == 0 {
                    notes.touched.push(operand.index());
                    self.values.push(operand);
                    note.place = self.values.len() as u32;
                }
                *word = OPERAND_VALUE | (note.place - 1);
            }
            if over_rows.is_some() && words[0] & OPERAND_VALUE != 0 && matches!(step.op, Op::Add | Op::Mul) {
                words.swap(0, 1);
            }
            self.instructions.push(match step.op {
                Op::Root => [step.op as u32, 0, words[0], step.index],
                Op::Load => [step.op as u32, temp, step.index, 0],
                _ => [step.op as u32, temp, words[0], words[1]],
            });
        }
    }
}

/// Takes the loads of leaves that one operand names away: those leaves, by their nodes.
fn take_what_is_read_once(steps: &mut Vec<Step>) -> HashMap<usize, u32> {
    let mut reads: HashMap<usize, usize> = HashMap::new();
    for operand in steps.iter().flat_map(|step| step.operands.into_iter().flatten()) {
        *reads.entry(operand.index()).or_default() += 1;
    }
    let mut taken = HashMap::new();
    steps.retain(|step| {
        let is_taken = step.op == Op::Load && reads[&step.node.index()] == 1;
        if is_taken {
            taken.insert(step.node.index(), step.index);
        }
        !is_taken
    });
    taken
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{air::AirBuilder, field::F};
    use p3_field::PrimeCharacteristicRing;

    /// Runs the instructions on the columns' values, as the kernel does.
    fn run(program: &Program, cells: &[F], values: &[F]) -> Vec<F> {
        let mut temps = vec![F::ZERO; program.num_temps];
        let mut roots = vec![F::ZERO; program.roots.len()];
        for &[op, destination, a, b] in &program.instructions {
            let operand = |word: u32| {
                if word & OPERAND_VALUE != 0 { values[(word & !OPERAND_VALUE) as usize] } else { temps[word as usize] }
            };
            let result = match op {
                0 => cells[a as usize],
                1 => operand(a) + operand(b),
                2 => operand(a) - operand(b),
                3 => operand(a) * operand(b),
                4 => -operand(a),
                8 => {
                    roots[b as usize] = operand(a);
                    continue;
                }
                _ => unreachable!(),
            };
            temps[destination as usize] = result;
        }
        roots
    }

    /// A sum of 100 columns' products: 200 loads in seven segments, and the same value as without them.
    #[test]
    fn loads_come_first_in_their_segments() {
        let mut air = AirBuilder::new("segments");
        let main = air.main_part(200);
        let mut sum = air.constant(F::ZERO);
        for i in 0..100 {
            let (a, b) = (air.column(main, 2 * i), air.column(main, 2 * i + 1));
            let product = air.mul(a, b);
            sum = air.add(sum, product);
        }
        air.interaction(0, [sum], sum);
        let air = air.build().unwrap();
        let program = Program::new(&air, &[(sum, [true; 2])]);
        assert_eq!(program.segments.len(), 7);
        let mut at = 0;
        for segment in &program.segments {
            let (loads, rest) = program.instructions[at..].split_at(segment.num_loads);
            assert!(loads.iter().all(|load| load[0] == Op::Load as u32) && loads.len() <= SEGMENT_LOADS);
            let (ops, rest) = rest.split_at(segment.num_ops);
            assert!(ops.iter().all(|op| ![Op::Load as u32, Op::Root as u32].contains(&op[0])));
            assert!(rest[..segment.num_roots].iter().all(|root| root[0] == Op::Root as u32));
            at += segment.len();
        }
        assert_eq!(at, program.instructions.len());
        assert!(program.num_temps <= SEGMENT_LOADS + 2, "{}", program.num_temps);
        let value = |i: usize| F::from_usize(3 + i * i);
        let loaded: Vec<F> = program.cells().map(|term| value(term.column.index)).collect();
        assert_eq!(run(&program, &loaded, &[]), [(0..100).map(|i| value(2 * i) * value(2 * i + 1)).sum::<F>()]);
    }

    #[test]
    fn temporaries_do_not_overlap() {
        let mut air = AirBuilder::new("temps");
        let main = air.main_part(6);
        air.public_values(1);
        let cells: Vec<_> = (0..6).map(|i| air.column(main, i)).collect();
        let public = air.public_value(0);
        // ((((c0 c1) - c2 c0) c3 + public) (c4 - c0), with c0 alive to the end, and a square
        let p01 = air.mul(cells[0], cells[1]);
        let p20 = air.mul(cells[2], cells[0]);
        let difference = air.sub(p01, p20);
        let product = air.mul(difference, cells[3]);
        let shifted = air.add(product, public);
        let tail = air.sub(cells[4], cells[0]);
        let first = air.mul(shifted, tail);
        let square = air.mul(cells[5], cells[5]);
        let second = air.neg(square);
        air.interaction(0, [first], second);
        let air = air.build().unwrap();
        let program = Program::new(&air, &[(first, [true; 2]), (second, [true; 2])]);
        assert_eq!(program.leaves.len(), 6);
        assert_eq!(program.num_nodes, 9);
        assert!(program.num_temps <= 6, "{}", program.num_temps);

        let value = |i: usize| F::from_usize(10 + i * i);
        let loaded: Vec<F> = program.cells().map(|term| value(term.column.index)).collect();
        let public_value = F::from_u32(5);
        let (roots, c) = (run(&program, &loaded, &[public_value]), value);
        let expected = ((c(0) * c(1) - c(2) * c(0)) * c(3) + public_value) * (c(4) - c(0));
        assert_eq!(roots, [expected, -(c(5) * c(5))]);
    }
}
