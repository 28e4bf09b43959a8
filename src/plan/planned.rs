//! A pair's roots as programs: for kernels that are generated for them, or for the interpreter.

use std::{collections::HashSet, ops::Range};

use super::{
    Strategy,
    affine::{Reached, WeightedNodes},
    bundles::equal_runs,
    codegen::Generated,
    geometry::CosetGeometry,
    leaves::Leaves,
    notes::Notes,
    pair::Pair,
    program::{Program, Room, Root},
    shares::Shares,
    steps,
};
use crate::{
    air::Air,
    error::Result,
    kernel::{Kernel, ProgramText},
    kernels::{CHECK_CONSTRAINTS, COSET_INTERPRET, COSET_PASS, Sides},
};

/// Nodes of one generated kernel. Apple's compiler has miscompiled large generated kernels (risc0/risc0#3756), and all compilers take
/// longer than linear.
const MAX_KERNEL_NODES: usize = 128;
/// Leaves of one generated kernel, which keeps them in registers.
const MAX_KERNEL_LEAVES: usize = 40;
/// The same where a root alone has more, or where kernels that share their columns then take far fewer to cosets: a leaf is alive from its load to
/// its last use, so that sums of products need few at a time.
const MAX_WIDE_LEAVES: usize = 96;
/// A kernel of its own.
const ROOM: Room = Room { kernel: &COSET_PASS, num_nodes: MAX_KERNEL_NODES, num_leaves: MAX_KERNEL_LEAVES, over_rows: false };
const WIDE_ROOM: Room = Room { num_leaves: MAX_WIDE_LEAVES, ..ROOM };
/// Different kernels that an AIR may have for taking fewer leaves to cosets: those of six synthetic AIRs took 0.7 to 2.8 s to compile side by
/// side (H200 machine, 2026-11-28).
const MAX_IN_ORDER: usize = 8;
/// Different generated kernels of one AIR. Each takes a compiler up to seconds; what would need more is interpreted. OpenVM's AIRs need one or
/// two. Guess.
pub(super) const MAX_KERNELS: usize = 64;

/// A pair of polynomials, and how it is computed.
#[derive(Clone, Debug)]
pub(crate) struct PlannedPair {
    pub pair: Pair,
    /// For each matrix of the plan's affine split, whether the pair reads it. Empty under `Direct`.
    pub matrices: Vec<bool>,
    /// The nodes that it can give weight.
    pub weighted: WeightedNodes,
    /// None where everything is affine, few in nearly every other case.
    pub programs: Vec<PlannedProgram>,
    /// The degree of its non-affine part.
    degree: usize,
}

impl PlannedPair {
    /// Plans what is not affine.
    pub fn new(air: &Air, l_skip: usize, strategy: Strategy, pair: Pair, reached: Reached) -> Result<Self> {
        let (roots, degree) = match strategy {
            Strategy::Split => {
                let degree = reached.roots.iter().map(|&(root, _)| air.degree(root)).max().unwrap_or(0);
                (reached.roots, degree)
            }
            Strategy::Direct => {
                let named = pair.named(air).into_iter().enumerate().filter(|(_, sides)| *sides != [false; 2]);
                (named.map(|(i, sides)| (air.node_id(i), sides)).collect(), air.constraint_degree)
            }
        };
        let mut programs = vec![];
        for (roots, adds_to) in on_same_cosets(roots, pair) {
            let on_cosets = |with_kernel| PlannedProgram::new(with_kernel, adds_to, l_skip);
            // A root that is too long for a kernel of its own takes a compiler minutes; the interpreter's is compiled already.
            let (with_kernels, beyond) = match strategy {
                Strategy::Split => generated(air, pair, &roots, l_skip)?,
                Strategy::Direct => (vec![], roots),
            };
            programs.extend(with_kernels.into_iter().map(on_cosets));
            programs.extend(interpreted(air, &beyond, l_skip)?.into_iter().map(|program| on_cosets((program, None))));
        }
        let siblings = programs.len();
        for planned in &mut programs {
            planned.siblings = siblings;
            planned.check_steps(&air.name, l_skip)?;
        }
        Ok(Self { pair, matrices: reached.matrices, weighted: reached.nodes, programs, degree })
    }

    /// A pair that one program in the interpreter computes.
    #[cfg(test)]
    pub fn of_program(air: &Air, l_skip: usize, program: Program) -> Self {
        Self {
            pair: Pair::Logup,
            matrices: vec![],
            weighted: Reached::named(air, Pair::Logup).nodes,
            programs: vec![PlannedProgram::new((program, None), Sides::BOTH, l_skip)],
            degree: air.constraint_degree,
        }
    }

    /// Whether column sums count towards it.
    pub fn is_affine(&self) -> bool {
        self.matrices.contains(&true)
    }

    /// The cosets that determine each polynomial; see [`Pair::cosets`].
    pub fn side_cosets(&self, sums: bool) -> [Range<usize>; 2] {
        self.pair.cosets(self.degree, sums)
    }

    /// The cosets that a program runs on.
    pub fn program_cosets(&self, program: &PlannedProgram, sums: bool) -> Range<usize> {
        let [first, second] = self.side_cosets(sums);
        match self.pair {
            Pair::Logup => first,
            Pair::Constraints { .. } => {
                if program.adds_to == Sides::new(true, false) {
                    first
                } else {
                    second
                }
            }
        }
    }

    /// All cosets of the pair's programs.
    pub fn cosets(&self, sums: bool) -> Range<usize> {
        let of_programs = self.programs.iter().map(|program| self.program_cosets(program, sums));
        of_programs.reduce(|a, b| a.start.min(b.start)..a.end.max(b.end)).unwrap_or_default()
    }
}

/// The roots whose weight goes to polynomials that the same cosets determine, with what they can add to. LogUp's two share theirs.
fn on_same_cosets(roots: Vec<Root>, pair: Pair) -> Vec<(Vec<Root>, Sides)> {
    if pair == Pair::Logup {
        return vec![(roots, Sides::BOTH)];
    }
    let of_side = |side: usize| {
        let only: [bool; 2] = std::array::from_fn(|i| i == side);
        let roots = roots.iter().filter(|(_, reached)| reached[side]).map(|&(root, _)| (root, only));
        (roots.collect(), Sides::new(only[0], only[1]))
    };
    vec![of_side(0), of_side(1)]
}

/// A program and, where a kernel of its own runs it, that kernel's text.
#[derive(Clone, Debug)]
pub(crate) struct PlannedProgram {
    pub program: Program,
    /// `None`: the interpreter runs it.
    pub generated: Option<Generated>,
    /// Which polynomials of the pair it is for.
    pub adds_to: Sides,
    /// Programs of the pair, which share the device and the scratch.
    siblings: usize,
    /// Loop iterations of a thread for one row.
    row_steps: u64,
}

impl PlannedProgram {
    fn new((program, generated): WithKernel, adds_to: Sides, l_skip: usize) -> Self {
        let row_steps = match generated {
            Some(_) => steps::generated_row(&program, l_skip),
            None => steps::interpreted_row(&program, l_skip),
        };
        Self { program, generated, adds_to, siblings: 1, row_steps }
    }

    pub fn geometry(&self, l_skip: usize, num_x: u32) -> CosetGeometry {
        match self.generated {
            Some(_) => CosetGeometry::generated(1 << l_skip, num_x, self.row_steps, self.siblings),
            None => CosetGeometry::interpreted(1 << l_skip, num_x, self.row_steps, self.num_temps()),
        }
    }

    /// Refuses a program that is too long for one thread and row.
    pub fn check_steps(&self, air: &str, l_skip: usize) -> Result<()> {
        let thread = match self.generated {
            Some(_) => steps::generated_thread(&self.program, l_skip),
            None => steps::interpreted_thread(&self.program, l_skip),
        };
        steps::check(air, self.kernel().name, thread)
    }

    /// Which sides its partial sums have. The interpreter stores both.
    pub fn sides(&self) -> Sides {
        let reached = |side: usize| self.program.reached.iter().any(|reached| reached[side]);
        if self.generated.is_some() { Sides::new(reached(0), reached(1)) } else { Sides::BOTH }
    }

    /// What runs it.
    pub fn kernel(&self) -> &'static Kernel {
        if self.generated.is_some() { &COSET_PASS } else { &COSET_INTERPRET }
    }

    /// Words of scratch per workgroup.
    pub fn temp_words_per_tile(&self) -> u64 {
        u64::from(self.kernel().workgroup_size) * self.num_temps()
    }

    /// Words of scratch per thread.
    fn num_temps(&self) -> u64 {
        if self.generated.is_some() { 0 } else { self.program.num_temps as u64 }
    }
}

/// A program, and its kernel's text if it has one.
type WithKernel = (Program, Option<Generated>);

/// Programs for kernels of their own, and the roots that are left to the interpreter: those too long for one, and those that would need one
/// kernel too many.
fn generated(air: &Air, pair: Pair, roots: &[Root], l_skip: usize) -> Result<(Vec<WithKernel>, Vec<Root>)> {
    let (leaves, shares) = (Leaves::new(air, roots), Shares::new(air, pair));
    let mut notes = Notes::new(
        air,
        match pair {
            Pair::Logup => leaves, // defined on any trace
            Pair::Constraints { .. } => leaves.with_bits(air, l_skip),
        },
    );
    let few = Room { num_nodes: MAX_IN_ORDER * MAX_KERNEL_NODES, num_leaves: usize::MAX, ..ROOM };
    let can_be_few = Program::size(air, roots, few, &mut notes).is_some();
    let mut in_order = |room: Room| -> Result<Option<Dealt>> {
        let dealt = if can_be_few { Some(dealt(air, &[roots], room, &mut notes)?) } else { None };
        Ok(dealt.filter(|(programs, _)| programs.len() <= MAX_IN_ORDER))
    };
    // Where one kernel is not enough, equal ones have one text; a few different ones, or ones with more leaves in registers, are better only where
    // they take far fewer leaves to cosets. Where they took a fifteenth less, an H200 was 5 % slower (Xorin's constraints, 2026-11-28).
    let (programs, mut beyond) = match (in_order(ROOM)?, in_order(WIDE_ROOM)?) {
        (Some(one), _) if one.0.len() == 1 => one,
        (narrow, wide) => {
            let (runs, rest) = equal_runs(air, roots, ROOM, &mut notes);
            let runs: Vec<&[Root]> = runs.iter().chain([&rest]).map(Vec::as_slice).collect();
            let equal = dealt(air, &runs, ROOM, &mut notes)?;
            let num_leaves = |(programs, _): &Dealt| programs.iter().map(|program| program.leaves.len()).sum::<usize>();
            let far_fewer = |best: Dealt, other: Dealt| if 4 * num_leaves(&other) < 3 * num_leaves(&best) { other } else { best };
            [narrow, wide].into_iter().flatten().fold(equal, far_fewer)
        }
    };
    let mut texts: HashSet<ProgramText> = HashSet::new();
    let mut planned = vec![];
    for program in programs {
        let mut generated = Generated::new(&program, l_skip, &shares);
        match texts.get(&generated.source) {
            Some(known) => generated.source = known.clone(), // one text in memory
            None if texts.len() == MAX_KERNELS => {
                beyond.extend(program.roots.into_iter().zip(program.reached));
                continue;
            }
            None => _ = texts.insert(generated.source.clone()),
        }
        planned.push((program, Some(generated)));
    }
    Ok((planned, beyond))
}

/// Programs, and the roots that have no room.
type Dealt = (Vec<Program>, Vec<Root>);

/// Programs for these runs of roots, as few as each run needs; a root that has no room alone gets a wide one.
fn dealt(air: &Air, runs: &[&[Root]], room: Room, notes: &mut Notes) -> Result<Dealt> {
    let all_fit = |_: &Program| true; // what has room
    let (mut programs, mut beyond) = (vec![], vec![]);
    for run in runs {
        let mut alone = vec![];
        let mut too_wide = |root| {
            alone.push(root);
            Ok(())
        };
        programs.extend(Program::split(air, run, room, &all_fit, &mut too_wide, notes)?);
        for root in alone {
            let mut too_long = |root| {
                beyond.push(root);
                Ok(())
            };
            programs.extend(Program::split(air, &[root], WIDE_ROOM, &all_fit, &mut too_long, notes)?);
        }
    }
    Ok((programs, beyond))
}

/// Programs for the interpreter.
fn interpreted(air: &Air, roots: &[Root], l_skip: usize) -> Result<Vec<Program>> {
    as_data(air, roots, &COSET_INTERPRET, |program| steps::interpreted_thread(program, l_skip))
}

/// Programs that give all constraints of an AIR on a row, in their order, for `check_constraints`.
pub(super) fn checks(air: &Air) -> Result<Vec<Program>> {
    let roots: Vec<Root> = air.constraints.iter().map(|&constraint| (constraint, [true; 2])).collect();
    as_data(air, &roots, &CHECK_CONSTRAINTS, steps::checked_rows)
}

/// Programs for a kernel that interprets them, each within the loop iterations of a thread, as `thread` counts them.
fn as_data(air: &Air, roots: &[Root], kernel: &'static Kernel, thread: impl Fn(&Program) -> u64) -> Result<Vec<Program>> {
    let fits = |program: &Program| thread(program) <= steps::MAX_STEPS;
    // Each node and each column is an iteration at least.
    let max = steps::MAX_STEPS as usize;
    let room = Room { kernel, num_nodes: max, num_leaves: max, over_rows: false };
    let mut too_long = |root| {
        let program = Program::new(air, &[root]);
        steps::check(&*air.name, kernel.name, thread(&program))?;
        unreachable!("{}: a root that fits was taken for one that does not", air.name)
    };
    Program::split(air, roots, room, &fits, &mut too_long, &mut Notes::new(air, Leaves::default()))
}
