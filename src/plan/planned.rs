//! An AIR's roots as programs: for kernels that are generated for them, or for the interpreter.

use std::collections::HashSet;

use super::{
    codegen::Generated,
    geometry::CosetGeometry,
    program::{Program, Room, Root},
    steps,
};
use crate::{
    air::Air,
    error::Result,
    kernel::{Kernel, ProgramText},
    kernels::{COSET_INTERPRET, COSET_PASS, Sides},
};

/// Nodes of one generated kernel. Apple's compiler has miscompiled large generated kernels (risc0/risc0#3756), and all compilers take
/// longer than linear.
const MAX_KERNEL_NODES: usize = 128;
/// Columns of one generated kernel: a column is 16 loads or more, and takes a compiler as long as many nodes. On lavapipe (Mesa 22.3 on two
/// cores, 2026-11-25) 126 nodes took 1.5 s, 32 columns 3.6 s, 48 columns 7.4 s, 64 columns 15.5 s.
const MAX_KERNEL_COLUMNS: usize = 40;
/// Different generated kernels of one AIR. Each takes a compiler up to seconds; what would need more is interpreted. OpenVM's AIRs need one or
/// two. Guess.
pub(super) const MAX_KERNELS: usize = 64;

/// A program and, where a kernel of its own runs it, that kernel's text.
#[derive(Clone, Debug)]
pub(crate) struct PlannedProgram {
    pub program: Program,
    /// `None`: the interpreter runs it.
    pub generated: Option<Generated>,
}

impl PlannedProgram {
    pub fn geometry(&self, l_skip: usize, num_x: u32) -> CosetGeometry {
        match self.generated {
            Some(_) => CosetGeometry::generated(1 << l_skip, num_x, steps::generated_row(&self.program, l_skip)),
            None => {
                let row_steps = steps::interpreted_row(&self.program, l_skip);
                CosetGeometry::interpreted(1 << l_skip, num_x, row_steps, self.num_temps())
            }
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

/// Programs for kernels of their own, and the roots that are left to the interpreter: those too long for one, and those that would need one
/// kernel too many.
pub(super) fn generated(air: &Air, roots: &[Root], l_skip: usize) -> Result<(Vec<PlannedProgram>, Vec<Root>)> {
    let room = Room { kernel: &COSET_PASS, num_nodes: MAX_KERNEL_NODES, num_columns: MAX_KERNEL_COLUMNS };
    let mut beyond = vec![];
    let all_fit = |_: &Program| true; // what has room
    let programs = Program::split(air, roots, room, &all_fit, &mut |root| {
        beyond.push(root);
        Ok(())
    })?;
    let mut texts: HashSet<ProgramText> = HashSet::new();
    let mut planned = vec![];
    for program in programs {
        let mut generated = Generated::new(&program, l_skip);
        match texts.get(&generated.source) {
            Some(known) => generated.source = known.clone(), // one text in memory
            None if texts.len() == MAX_KERNELS => {
                beyond.extend(program.roots.into_iter().zip(program.reached));
                continue;
            }
            None => _ = texts.insert(generated.source.clone()),
        }
        planned.push(PlannedProgram { program, generated: Some(generated) });
    }
    Ok((planned, beyond))
}

/// Programs for the interpreter.
pub(super) fn interpreted(air: &Air, roots: &[Root], l_skip: usize) -> Result<Vec<PlannedProgram>> {
    let planned = |program| PlannedProgram { program, generated: None };
    let fits = |program: &Program| steps::interpreted_thread(program, l_skip) <= steps::MAX_STEPS;
    // Each node and each column is an iteration at least.
    let max = steps::MAX_STEPS as usize;
    let room = Room { kernel: &COSET_INTERPRET, num_nodes: max, num_columns: max };
    let programs = Program::split(air, roots, room, &fits, &mut |root| {
        planned(Program::new(air, &[root])).check_steps(&air.name, l_skip)?;
        unreachable!("{}: a root that fits was taken for one that does not", air.name)
    })?;
    Ok(programs.into_iter().map(planned).collect())
}
