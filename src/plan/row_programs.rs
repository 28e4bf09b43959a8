//! Programs over rows: an AIR's expressions for kernels that have its cells at hand, on the rows of a trace or between those of a folded one
//! (`wgsl/shared/instructions.wgsl`). The programs of coset passes are made the same way, of other leaves.

use super::{
    leaves::Leaves,
    notes::Notes,
    program::Program,
    steps::{self, MAX_STEPS},
};
use crate::{
    air::{Air, Column, NodeId},
    error::{Error, Result},
    field::F,
    kernel::Kernel,
    kernels::OPERAND_LEAF,
};

/// What some expressions of an AIR need, each node once, in an order in which it can be computed.
#[derive(Clone, Debug)]
pub struct RowProgram {
    /// Its leaves, ascending, each once.
    pub columns: Vec<Column>,
    /// Expressions that it gives.
    pub num_roots: usize,
    /// Temporaries of a thread.
    pub num_temps: usize,
    /// Segments of its instructions.
    pub num_segments: usize,
    /// Segment by segment, each behind its header.
    pub instructions: Vec<[u32; 4]>,
    /// The nodes of degree 0 that operands name.
    values: Vec<NodeId>,
}

/// Loop iterations of all programs for some expressions at most: 64 MiB of instructions.
const MAX_ALL_STEPS: u64 = 1 << 22;

/// What programs are made with.
struct Making<'a> {
    air: &'a Air,
    notes: Notes,
    /// Loop iterations of a program that gives more than one expression.
    max_steps: u64,
    /// Those that all programs may have yet.
    room: u64,
    done: Vec<Program>,
}

impl RowProgram {
    /// Programs for expressions, none of which is the same on every row, of at most so many loop iterations each unless one expression alone takes more: in
    /// order, each with the expressions behind those of the one before. What programs share they repeat, but not so often that all together are four times as
    /// long as one, as long as that takes no program too long for a thread.
    ///
    /// # Errors
    /// [`Error::DeviceLimit`] in the name of `kernel`, which is to run them, for an expression that is too long for a thread, and for expressions that share so
    /// much that all programs are too long.
    pub fn split(air: &Air, roots: &[NodeId], max_steps: usize, kernel: &'static Kernel) -> Result<Vec<Self>> {
        if roots.is_empty() {
            return Ok(vec![]);
        }
        let mut making =
            Making { air, notes: Notes::new(air, Leaves::default()), max_steps: (max_steps as u64).min(MAX_STEPS), room: 0, done: vec![] };
        let whole = making.program(roots);
        let num_steps = steps::row_thread(&whole);
        loop {
            making.room = if making.max_steps < MAX_STEPS { 4 * num_steps } else { MAX_ALL_STEPS };
            making.done.clear();
            if making.split(roots, whole.clone()) {
                return Ok(making.done.into_iter().map(Self::new).collect());
            }
            if making.max_steps == MAX_STEPS {
                let what = "loop iterations of one thread";
                return Err(Error::DeviceLimit {
                    subject: air.name().into(),
                    kernel: kernel.name,
                    what,
                    requested: num_steps,
                    limit: MAX_STEPS,
                });
            }
            making.max_steps = (2 * making.max_steps).min(MAX_STEPS);
        }
    }

    fn new(program: Program) -> Self {
        let leaves: Vec<Column> = program.cells().map(|term| term.column).collect();
        let mut columns = leaves.clone();
        columns.sort_unstable();
        let own = Self {
            columns: leaves,
            num_roots: program.roots.len(),
            num_temps: program.num_temps,
            num_segments: program.segments.len(),
            instructions: program.encoded().collect(),
            values: program.values,
        };
        own.over(&columns)
    }

    /// The program's values, in its order.
    pub fn values<'a>(&'a self, degree_zero_values: &'a [F]) -> impl Iterator<Item = F> + 'a {
        self.values.iter().map(|value| degree_zero_values[value.index()])
    }

    /// The same over other columns, ascending, all of its own among them.
    ///
    /// # Panics
    /// If they are not.
    pub fn over(mut self, columns: &[Column]) -> Self {
        let places: Vec<u32> = self.columns.iter().map(|column| columns.binary_search(column).expect("among them") as u32).collect();
        let mut next = 0;
        for _ in 0..self.num_segments {
            let [num_loads, num_ops, num_roots, _] = self.instructions[next].map(|num| num as usize);
            let (loads, others) = self.instructions[next + 1..][..num_loads + num_ops + num_roots].split_at_mut(num_loads);
            loads.iter_mut().for_each(|load| load[2] = places[load[2] as usize]);
            let (ops, roots) = others.split_at_mut(num_ops);
            // A root's second operand is its place, which has no such bit.
            for operand in ops.iter_mut().chain(roots).flat_map(|step| &mut step[2..]) {
                if *operand >> 30 == OPERAND_LEAF >> 30 {
                    *operand = OPERAND_LEAF | places[(*operand & !OPERAND_LEAF) as usize];
                }
            }
            next += 1 + num_loads + num_ops + num_roots;
        }
        self.columns = columns.to_vec();
        self
    }
}

impl Making<'_> {
    fn program(&mut self, roots: &[NodeId]) -> Program {
        Program::over_rows(self.air, roots, &mut self.notes)
    }

    /// False where there is no room for so many steps, or a thread has none.
    fn split(&mut self, roots: &[NodeId], program: Program) -> bool {
        let num_steps = steps::row_thread(&program);
        if num_steps > self.max_steps && roots.len() > 1 {
            let (low, high) = roots.split_at(roots.len() / 2);
            return [low, high].into_iter().all(|half| {
                let program = self.program(half);
                self.split(half, program)
            });
        }
        let has_room = num_steps <= self.room && num_steps <= MAX_STEPS;
        self.room = self.room.saturating_sub(num_steps);
        self.done.push(program);
        has_room
    }
}

#[cfg(test)]
mod tests {
    use p3_field::PrimeCharacteristicRing;

    use super::*;
    use crate::{
        air::AirBuilder,
        kernels::{COSET_INTERPRET, OPERAND_VALUE, Op},
    };

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

    fn split(air: &Air, roots: &[NodeId], max_steps: usize) -> Result<Vec<RowProgram>> {
        RowProgram::split(air, roots, max_steps, &COSET_INTERPRET)
    }

    #[test]
    fn pieces_repeat_what_they_share_within_bounds() {
        for (num, length) in [(1_000, 10), (400, 3_000), (9_000, 20_000)] {
            let (air, products) = products_of_a_chain(num, length);
            let whole = split(&air, &products, usize::MAX >> 1).unwrap();
            let pieces = split(&air, &products, 128).unwrap();
            assert_eq!(pieces.iter().map(|piece| piece.num_roots).sum::<usize>(), num);
            let longest = pieces.iter().map(|piece| piece.instructions.len()).max().unwrap();
            let len = |programs: &[RowProgram]| programs.iter().map(|piece| piece.instructions.len()).sum::<usize>();
            let (all, max) = (len(&pieces), MAX_STEPS as usize);
            // An iteration more for each segment and its loops.
            assert!(longest <= max && (all <= 5 * len(&whole) || longest > max / 3), "{num}, {length}: {longest}, {all}");
        }
        let (air, products) = products_of_a_chain(1, 40_000);
        assert!(matches!(split(&air, &products, 128), Err(Error::DeviceLimit { what: "loop iterations of one thread", .. })));
    }

    /// A cell that is read once is an operand, one that is read more often is loaded; a value is the second operand; and the result is the expression's.
    #[test]
    fn leaves_are_loaded_or_read() {
        let mut air = AirBuilder::new("leaves");
        let main = air.main_part(4);
        air.public_values(1);
        let [a, b, c] = [3, 0, 2].map(|i| air.column(main, i));
        let (public, next) = (air.public_value(0), air.next(main, 0));
        let scaled = air.mul(public, a);
        let square = air.mul(b, b);
        let sum = air.add(scaled, square);
        let transition = air.is_transition();
        let first = air.mul(sum, transition);
        let second = air.mul(c, next);
        [first, second].into_iter().for_each(|node| air.constraint(node));
        let air = air.build().unwrap();
        let [program] = &split(&air, &[first, second], 100).unwrap()[..] else { panic!("one program") };
        let column = |index, next| Column { part: main, index, next };
        assert_eq!(program.columns, [column(0, false), column(0, true), column(2, false), column(3, false)]);

        let cells = [2, 30, 500, 7_000].map(F::from_u32);
        let value = F::from_u32(9);
        let mut temps = vec![F::ZERO; program.num_temps];
        let mut roots = vec![F::ZERO; program.num_roots];
        let mut rest = program.instructions.iter();
        let mut num_all_loads = 0;
        for _ in 0..program.num_segments {
            let [num_loads, num_ops, num_roots, _] = rest.next().unwrap().map(|num| num as usize);
            num_all_loads += num_loads;
            for &[_, to, leaf, _] in rest.by_ref().take(num_loads) {
                temps[to as usize] = cells[leaf as usize];
            }
            let of = |operand: u32, temps: &[F]| match operand {
                operand if operand & OPERAND_VALUE != 0 => value,
                operand if operand & OPERAND_LEAF != 0 => cells[(operand & !OPERAND_LEAF) as usize],
                operand => temps[operand as usize],
            };
            for &[op, to, a, b] in rest.by_ref().take(num_ops) {
                assert!(a & OPERAND_VALUE == 0 || op == Op::Sub as u32);
                let one = of(a, &temps);
                temps[to as usize] = match op {
                    op if op == Op::Add as u32 => one + of(b, &temps),
                    op if op == Op::Mul as u32 => one * of(b, &temps),
                    op if op == Op::Transition as u32 => F::ONE,
                    op => panic!("operation {op}"),
                };
            }
            for &[_, _, a, root] in rest.by_ref().take(num_roots) {
                roots[root as usize] = of(a, &temps);
            }
        }
        // The column that is squared.
        assert_eq!(num_all_loads, 1);
        assert_eq!(roots, [F::from_u32(9 * 7_000 + 4), F::from_u32(500 * 30)]);
        assert_eq!(program.values(&air.degree_zero_values(&[value])).collect::<Vec<_>>(), [value]);
    }
}
