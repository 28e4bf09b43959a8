//! The reduction of every block: partial sums and weights to the polynomials' evaluations.

use std::{ops::Range, rc::Rc};

use super::{
    Block, Recorder, Work,
    group::{Head, Jobs, Launch, Launches},
};
use crate::{
    error::Result,
    field::EXT_WORDS,
    kernel::{FieldForm, Variant},
    kernels::{DUAL_REDUCE, ReduceJob, ReduceRun, Sides, Tile},
    plan::{geometry::reduce_log_z, steps, windows::Slots},
};

impl Recorder<'_> {
    /// Records the reduction, as a launch for each entry of `reductions`: where each block's result starts, and the length of all, in EF elements.
    pub fn reduction(&mut self, work: &[Work], reductions: &[Sides], nonce: u32) -> Result<(Vec<usize>, u64)> {
        let mut bases = Vec::with_capacity(work.len());
        let mut elements = 0u64;
        let mut jobs: Vec<ReduceJob> = Vec::with_capacity(work.len());
        let mut runs: Vec<ReduceRun> = Vec::new();
        let mut tiles: Vec<Tile> = Vec::new();
        for (work, work_runs) in work.iter().zip(&self.runs) {
            let instance = &self.instances[work.instance];
            let num_z = instance.num_z();
            bases.push(elements as usize);
            let num_partials = work_runs.iter().map(|run| u64::from(run.num_chunks) * u64::from(run.num_columns)).sum();
            let log_z = reduce_log_z(num_z, num_partials);
            let run_steps = |run: &ReduceRun| steps::reduce_run(run.num_chunks, run.num_columns, DUAL_REDUCE.workgroup_size >> log_z);
            let thread_steps = steps::reduce_thread(work_runs.iter().map(run_steps).sum());
            steps::check(instance.plan.air().name(), DUAL_REDUCE.name, thread_steps)?;
            let job = jobs.len() as u32;
            tiles.extend((0..num_z >> log_z).map(|z_block| Tile { job, z_block, ..Tile::default() }));
            let (first_run, num_runs) = (runs.len() as u32, work_runs.len() as u32);
            jobs.push(ReduceJob { num_z, log_z, result_base: elements as u32, first_run, num_runs, sides: 0, nonce });
            runs.extend(work_runs);
            elements += 2 * u64::from(num_z);
        }
        self.limits.check_kernel(Variant { kernel: &DUAL_REDUCE, form: FieldForm::U64, slots: 0 })?;
        let words = EXT_WORDS as u64 * self.scratch.num_partials();
        let seconds = self.launches.submissions.seconds(|budget| budget.sums(words));
        self.launches.submissions.cut(self.launches.all.len(), std::iter::once(seconds));
        let (cosets, tiles, runs) = (cosets(work), Rc::new(tiles), Rc::new(runs));
        for sides in reductions {
            let jobs = jobs.iter().map(|job| ReduceJob { sides: sides.bits(), ..*job }).collect();
            self.launches.all.push(launch(Rc::clone(&tiles), jobs, Rc::clone(&runs), cosets.clone()));
        }
        self.launches.end_submissions(cosets, nonce);
        Ok((bases, elements))
    }
}

impl Launches<'_> {
    /// Adds a reduction of nothing, which writes the nonce: for what is not reduced.
    pub fn reduce_nothing(&mut self, nonce: u32) {
        self.all.push(nothing(0..1, nonce));
    }

    /// Ends every submission but the last with a reduction of nothing, which writes the nonce; the last has a reduction at its end.
    pub fn end_submissions(&mut self, cosets: Range<u32>, nonce: u32) {
        let begins = self.submissions.take_begins();
        for (i, begin) in begins.into_iter().enumerate() {
            self.all.insert(begin + i, nothing(cosets.clone(), nonce));
            self.ends.push(begin + i + 1);
        }
        self.ends.push(self.all.len());
    }
}

fn nothing(cosets: Range<u32>, nonce: u32) -> Launch {
    let job = ReduceJob { num_z: 1, nonce, ..ReduceJob::default() };
    launch(Rc::new(vec![Tile::default()]), vec![job], Rc::new(vec![ReduceRun::default()]), cosets)
}

fn launch(tiles: Rc<Vec<Tile>>, jobs: Vec<ReduceJob>, runs: Rc<Vec<ReduceRun>>, cosets: Range<u32>) -> Launch {
    Launch { head: Head::fixed(&DUAL_REDUCE, cosets), tiles, jobs: Jobs::Reduce(jobs), runs, slots: Slots::default() }
}

/// The cosets that a step's reductions fold: up to the last that it evaluates a program on.
fn cosets(work: &[Work]) -> Range<u32> {
    let end = |work: &Work| if let Block::Coset(coset) = work.block { coset as u32 + 1 } else { 1 };
    0..work.iter().map(end).max().unwrap_or(1)
}
