//! Programs over rows: an AIR's expressions for kernels that have its cells at hand, on the rows of a trace or between those of a folded one
//! (`wgsl/shared/instructions.wgsl`). The programs of coset passes are made the same way, of other leaves.

use std::{
    collections::HashMap,
    hash::{Hash, Hasher},
    sync::Arc,
};

use super::{
    leaves::{Form, LeafKind, Leaves},
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
    /// Its leaves that are cells, ascending, each once.
    pub columns: Vec<Column>,
    /// Its leaves behind those.
    pub forms: Vec<RowForm>,
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

/// An affine expression that is a leaf: whoever runs the program has its values. Of programs that were made together equal ones are one expression.
#[derive(Clone, Debug)]
pub struct RowForm(Arc<Form>);

impl PartialEq for RowForm {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for RowForm {}

impl Hash for RowForm {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

impl RowForm {
    /// Cells and their coefficients.
    pub fn terms(&self) -> impl ExactSizeIterator<Item = (Column, F)> + '_ {
        self.0.terms.iter().map(|term| (term.column, term.coefficient))
    }

    /// What is added to them.
    pub fn constant(&self) -> F {
        self.0.constant
    }
}

/// Loop iterations of all programs for some expressions at most, where they cannot be kept to four times the whole: 64 MiB of instructions.
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
    /// long as one, as long as that takes no program too long for a thread. Affine expressions of `form_terms` terms and more, if that is said, are leaves.
    ///
    /// # Errors
    /// [`Error::DeviceLimit`] in the name of `kernel`, which is to run them, for an expression that is too long for a thread, and for expressions that share so
    /// much that all programs are too long.
    pub fn split(air: &Air, roots: &[NodeId], max_steps: usize, form_terms: Option<usize>, kernel: &'static Kernel) -> Result<Vec<Self>> {
        if roots.is_empty() {
            return Ok(vec![]);
        }
        let leaves = form_terms.map_or_else(Leaves::default, |min_terms| Leaves::with_long_forms(air, roots, min_terms));
        let mut making =
            Making { air, notes: Notes::new(air, leaves), max_steps: (max_steps as u64).min(MAX_STEPS), room: 0, done: vec![] };
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
        let (cells, forms) = program.leaves.split_at(program.leaves_of(LeafKind::Cell).end);
        let leaves: Vec<Column> = cells.iter().map(|leaf| leaf.form.terms[0].column).collect();
        let forms: Vec<RowForm> = forms.iter().map(|leaf| RowForm(Arc::clone(&leaf.form))).collect();
        let mut columns = leaves.clone();
        columns.sort_unstable();
        let places = forms.iter().cloned().zip(columns.len()..).collect();
        let in_order_of_use = Self {
            columns: leaves,
            forms,
            num_roots: program.roots.len(),
            num_temps: program.num_temps,
            num_segments: program.segments.len(),
            instructions: program.encoded().collect(),
            values: program.values,
        };
        let program = in_order_of_use.over(&columns, &places);
        Self { columns, ..program }
    }

    /// How many values it has.
    pub fn num_values(&self) -> usize {
        self.values.len()
    }

    /// The program's values, in its order.
    pub fn values<'a>(&'a self, degree_zero_values: &'a [F]) -> impl Iterator<Item = F> + 'a {
        self.values.iter().map(|value| degree_zero_values[value.index()])
    }

    /// The program with its leaves numbered as others are, all of its own among them: columns, ascending, and forms with their places behind those. `columns` and
    /// `forms` stay those that it reads.
    ///
    /// # Panics
    /// If they are not.
    pub fn over(mut self, columns: &[Column], forms: &HashMap<RowForm, usize>) -> Self {
        let column = |own: &Column| columns.binary_search(own).expect("among them");
        let form = |own: &RowForm| *forms.get(own).expect("among them");
        let places: Vec<u32> = self.columns.iter().map(column).chain(self.forms.iter().map(form)).map(|place| place as u32).collect();
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
        RowProgram::split(air, roots, max_steps, None, &COSET_INTERPRET)
    }

    #[test]
    fn pieces_repeat_what_they_share_within_bounds() {
        for (num, length) in [(1_000, 10), (400, 3_000), (9_000, 20_000)] {
            let (air, products) = products_of_a_chain(num, length);
            let whole = split(&air, &products, usize::MAX).unwrap();
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

    /// A long affine operand is a leaf, a short one is none, and programs that were made together share it.
    #[test]
    fn long_forms_are_leaves() {
        let mut air = AirBuilder::new("forms");
        let main = air.main_part(6);
        let cells: Vec<NodeId> = (0..6).map(|i| air.column(main, i)).collect();
        let (three, five) = (air.constant(F::from_u8(3)), air.constant(F::from_u8(5)));
        let scaled = air.mul(three, cells[0]);
        let mut long = air.sub(five, scaled);
        for &cell in &cells[1..4] {
            long = air.add(long, cell);
        }
        let short = air.add(cells[4], cells[5]);
        let products = [air.mul(long, short), air.mul(long, long)];
        products.into_iter().for_each(|product| air.constraint(product));
        let air = air.build().unwrap();
        let programs = RowProgram::split(&air, &products, 8, Some(4), &COSET_INTERPRET).unwrap();
        let [first, second] = &programs[..] else { panic!("two programs") };
        let column = |index| Column { part: main, index, next: false };
        assert_eq!((&first.columns[..], second.columns.len()), (&[column(4), column(5)][..], 0));
        let ([form], [other]) = (&first.forms[..], &second.forms[..]) else { panic!("one form") };
        assert_eq!(form, other);
        let mut terms: Vec<(Column, F)> = form.terms().collect();
        terms.sort_unstable_by_key(|term| term.0);
        assert_eq!(terms, [(column(0), -F::from_u8(3)), (column(1), F::ONE), (column(2), F::ONE), (column(3), F::ONE)]);
        assert_eq!(form.constant(), F::from_u8(5));
        // The form behind the columns, where a program is over all leaves.
        let second = second.clone().over(&first.columns, &first.forms.iter().cloned().zip(2..).collect());
        assert!(second.instructions.iter().any(|step| step[2] == 2), "{:?}", second.instructions);
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
