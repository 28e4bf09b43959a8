//! The coset program: the nodes that a coset pass evaluates point by point, as straight-line instructions.

use crate::air::{Air, Column, Node, NodeId};

/// `OP_*` of `wgsl/coset_interpret.wgsl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Op {
    Load = 0,
    Add = 1,
    Sub = 2,
    Mul = 3,
    Neg = 4,
    First = 5,
    Last = 6,
    Transition = 7,
    Root = 8,
}

/// `OPERAND_VALUE` of `wgsl/coset_interpret.wgsl`.
pub(super) const OPERAND_VALUE: u32 = 1 << 31;

/// Columns that a segment of a program loads at most: few enough to keep temporaries few.
const SEGMENT_LOADS: usize = 32;

/// A run of instructions: loads, then operations on what was loaded so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub num_loads: usize,
    pub num_ops: usize,
}

/// Instructions in order, with what they refer to. Each column is loaded once and each node is computed once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Program {
    /// `[op, destination, a, b]`, as the kernel reads them.
    pub instructions: Vec<[u32; 4]>,
    /// The instructions' segments, in order.
    pub segments: Vec<Segment>,
    /// What `Op::Load` names: position in `Air::parts`, and the column.
    pub columns: Vec<(usize, Column)>,
    /// The degree-0 nodes that operands name.
    pub values: Vec<NodeId>,
    /// What `Op::Root` names.
    pub roots: Vec<NodeId>,
    /// Whether a root can have weight in the numerator, and in the denominator.
    pub reached: Vec<[bool; 2]>,
    /// Words per thread.
    pub num_temps: usize,
    /// Nodes computed, columns and selectors not counted.
    pub num_nodes: usize,
}

/// An instruction whose destination and operands are still nodes.
struct Step {
    op: Op,
    node: NodeId,
    operands: Vec<NodeId>,
    /// `Load`: index into `columns`; `Root`: index into `roots`.
    index: u32,
}

/// A root, and whether it can have weight in the numerator and in the denominator.
pub(crate) type Root = (NodeId, [bool; 2]);

impl Program {
    /// The programs that together add up `roots`, each within the limits of the kernel that is to run it; and the roots that are beyond
    /// them on their own.
    pub fn split(air: &Air, roots: &[Root], fits: &impl Fn(&Self) -> bool) -> (Vec<Self>, Vec<Root>) {
        if roots.is_empty() {
            return (vec![], vec![]);
        }
        let program = Self::new(air, roots);
        if fits(&program) {
            return (vec![program], vec![]);
        }
        if roots.len() == 1 {
            return (vec![], roots.to_vec());
        }
        let (left, right) = roots.split_at(roots.len() / 2);
        let (mut programs, mut beyond) = Self::split(air, left, fits);
        let (more_programs, more_beyond) = Self::split(air, right, fits);
        programs.extend(more_programs);
        beyond.extend(more_beyond);
        (programs, beyond)
    }

    /// The program that adds up `roots`. Operands are computed just before their first use, so that few are alive at a time.
    pub fn new(air: &Air, roots: &[Root]) -> Self {
        let mut program = Self::default();
        let mut steps: Vec<Step> = Vec::new();
        let mut done = vec![false; air.nodes.len()];
        for (root_idx, &(root, reached)) in roots.iter().enumerate() {
            program.schedule(air, root, &mut done, &mut steps);
            steps.push(Step { op: Op::Root, node: root, operands: vec![root], index: root_idx as u32 });
            program.roots.push(root);
            program.reached.push(reached);
        }
        let steps = program.segment(steps);
        program.allocate(air, &steps);
        program
    }

    /// Moves loads, which need no operand, to the front of their segment.
    fn segment(&mut self, steps: Vec<Step>) -> Vec<Step> {
        let mut ordered = Vec::with_capacity(steps.len());
        let mut rest = steps.into_iter().peekable();
        while rest.peek().is_some() {
            let (mut loads, mut ops) = (Vec::new(), Vec::new());
            while let Some(step) = rest.next_if(|step| step.op != Op::Load || loads.len() < SEGMENT_LOADS) {
                if step.op == Op::Load { &mut loads } else { &mut ops }.push(step);
            }
            self.segments.push(Segment { num_loads: loads.len(), num_ops: ops.len() });
            ordered.extend(loads);
            ordered.extend(ops);
        }
        ordered
    }

    /// Schedules `root` after everything that it needs; depth first, without recursion.
    fn schedule(&mut self, air: &Air, root: NodeId, done: &mut [bool], steps: &mut Vec<Step>) {
        let mut stack = vec![root];
        while let Some(&node) = stack.last() {
            let i = node.index();
            if done[i] || air.degrees[i] == 0 {
                stack.pop();
                continue;
            }
            let (op, operands) = match air.nodes[i] {
                Node::Column(_) => (Op::Load, vec![]),
                Node::IsFirstRow => (Op::First, vec![]),
                Node::IsLastRow => (Op::Last, vec![]),
                Node::IsTransition => (Op::Transition, vec![]),
                Node::Add(a, b) => (Op::Add, vec![a, b]),
                Node::Sub(a, b) => (Op::Sub, vec![a, b]),
                Node::Mul(a, b) => (Op::Mul, vec![a, b]),
                Node::Neg(a) => (Op::Neg, vec![a]),
                Node::PublicValue(_) | Node::Constant(_) => unreachable!("degree 0"),
            };
            let pending = operands.iter().rev().filter(|o| !done[o.index()] && air.degree(**o) > 0).copied();
            let before = stack.len();
            stack.extend(pending);
            if stack.len() > before {
                continue;
            }
            let mut index = 0;
            if let Node::Column(column) = air.nodes[i] {
                let part_idx = air.parts().position(|(part, _)| part == column.part).expect("checked by AirBuilder");
                index = self.columns.len() as u32;
                self.columns.push((part_idx, column));
            }
            self.num_nodes += usize::from(!operands.is_empty());
            steps.push(Step { op, node, operands, index });
            done[i] = true;
            stack.pop();
        }
    }

    /// Gives every node a temporary from its step to its last use.
    fn allocate(&mut self, air: &Air, steps: &[Step]) {
        let mut last_use = vec![0; air.nodes.len()];
        for (at, step) in steps.iter().enumerate() {
            for operand in &step.operands {
                last_use[operand.index()] = at;
            }
        }
        let mut temps: Vec<Option<u32>> = vec![None; air.nodes.len()];
        let mut value_index: Vec<Option<u32>> = vec![None; air.nodes.len()];
        let mut free: Vec<u32> = Vec::new();
        for (at, step) in steps.iter().enumerate() {
            let mut words = [0; 2];
            for (word, operand) in words.iter_mut().zip(&step.operands) {
                *word = if air.degree(*operand) == 0 {
                    OPERAND_VALUE
                        | *value_index[operand.index()].get_or_insert_with(|| {
                            self.values.push(*operand);
                            self.values.len() as u32 - 1
                        })
                } else {
                    temps[operand.index()].expect("operands are scheduled first")
                };
            }
            // An instruction reads its operands before it writes, so a dying operand's temporary can be its destination.
            for operand in &step.operands {
                if air.degree(*operand) > 0 && last_use[operand.index()] == at && !free.contains(&temps[operand.index()].unwrap()) {
                    free.extend(temps[operand.index()]);
                }
            }
            let instruction = match step.op {
                Op::Root => [step.op as u32, 0, words[0], step.index],
                _ => {
                    let temp = free.pop().unwrap_or_else(|| {
                        self.num_temps += 1;
                        self.num_temps as u32 - 1
                    });
                    temps[step.node.index()] = Some(temp);
                    match step.op {
                        Op::Load => [step.op as u32, temp, step.index, 0],
                        _ => [step.op as u32, temp, words[0], words[1]],
                    }
                }
            };
            self.instructions.push(instruction);
        }
    }
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
            let (loads, ops) = program.instructions[at..].split_at(segment.num_loads);
            assert!(loads.iter().all(|load| load[0] == Op::Load as u32) && loads.len() <= SEGMENT_LOADS);
            assert!(ops[..segment.num_ops].iter().all(|op| op[0] != Op::Load as u32));
            at += segment.num_loads + segment.num_ops;
        }
        assert_eq!(at, program.instructions.len());
        assert!(program.num_temps <= SEGMENT_LOADS + 2, "{}", program.num_temps);
        let value = |i: usize| F::from_usize(3 + i * i);
        let loaded: Vec<F> = program.columns.iter().map(|(_, column)| value(column.index)).collect();
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
        assert_eq!(program.columns.len(), 6);
        assert_eq!(program.num_nodes, 9);
        assert!(program.num_temps <= 6, "{}", program.num_temps);

        let value = |i: usize| F::from_usize(10 + i * i);
        let loaded: Vec<F> = program.columns.iter().map(|(_, column)| value(column.index)).collect();
        let public_value = F::from_u32(5);
        let roots = run(&program, &loaded, &[public_value]);
        let c = value;
        let expected = ((c(0) * c(1) - c(2) * c(0)) * c(3) + public_value) * (c(4) - c(0));
        assert_eq!(roots, [expected, -(c(5) * c(5))]);
    }
}
