//! Turns prepared instances into a recording. Each stage of a call has a room: it fills groups of jobs and tiles, which become launches, and
//! notes what the reduction adds up. `layout` then gives every table its place.
//!
//! Launches in order: the column sums, the coset passes, the reduction. AIRs share a launch as long as their traces fit into its windows.

mod cells;
mod changing;
mod checks;
mod column_sums;
mod coset_passes;
mod eq;
mod group;
mod layout;
mod reduction;
mod tables;

pub(super) use self::{
    changing::Changing,
    checks::{CHECK_WORDS, checks},
    column_sums::COLUMN_VEC4_ROWS,
    coset_passes::{COSET_VEC4_ROWS, VEC4_LOADS},
    eq::{EqOf, EqTables},
    layout::{EQ, SCRATCH},
};
use self::{
    group::Launches,
    tables::{Scratch, Words},
};
use super::prepared::{PairInputs, Prepared, PreparedCall};
use crate::{
    error::Result,
    field::{EXT_WORDS, NOT_AN_ELEMENT},
    kernels::{ReduceRun, Sides},
    limits::DeviceLimits,
    plan::budget::Budget,
    recording::Recording,
};

/// What a pair of polynomials is determined by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Block {
    /// The affine part on `D`.
    Affine,
    /// The programs on coset `g^c D`.
    Coset(usize),
}

/// One block of one pair of one instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Work {
    pub instance: usize,
    /// Which of the plan's pairs.
    pub pair: usize,
    pub block: Block,
}

impl Work {
    /// All blocks of all instances, one pair after another.
    pub fn all(call: &PreparedCall<'_>) -> Vec<Self> {
        let mut all = vec![];
        for (instance, prepared) in call.instances.iter().enumerate() {
            for (pair, planned) in prepared.plan.pairs.iter().enumerate() {
                let affine = planned.is_affine().then_some(Block::Affine);
                let blocks = affine.into_iter().chain(planned.cosets(call.sums).map(Block::Coset));
                all.extend(blocks.map(|block| Self { instance, pair, block }));
            }
        }
        all
    }
}

/// What one wait is for.
#[derive(Debug)]
pub(super) struct Step {
    pub work: Vec<Work>,
    pub eq: EqTables,
    /// The reduction's dispatches, by the sides that each writes.
    pub reductions: &'static [Sides],
    /// Whether scratch is allocated anew.
    pub fresh_scratch: bool,
}

impl Step {
    /// The whole call in one step: the schedule that is no baseline.
    pub fn batched(call: &PreparedCall<'_>) -> Option<Self> {
        let work = Work::all(call);
        let eq = EqTables::split(&call.instances, &work);
        (!work.is_empty()).then_some(Self { work, eq, reductions: &[Sides::BOTH], fresh_scratch: false })
    }
}

/// Where a step's results are.
#[derive(Debug)]
pub(super) struct Results {
    pub work: Vec<Work>,
    /// Where each block's result starts, in EF elements.
    pub bases: Vec<usize>,
}

/// What all rooms add to.
struct Recorder<'a> {
    instances: &'a [Prepared<'a>],
    /// As [`PreparedCall::sums`].
    sums: bool,
    limits: &'a DeviceLimits,
    /// For each instance, its cube's `eq`.
    eq: &'a [EqOf],
    words: Words,
    scratch: Scratch,
    launches: Launches<'a>,
    /// For each block, what its reduction adds up.
    runs: Vec<Vec<ReduceRun>>,
    trace_bytes: u64,
}

/// Records one step: one submission, or as many as the work takes by the budget.
///
/// # Errors
/// [`Error::DeviceLimit`](crate::Error::DeviceLimit).
pub(super) fn record(
    call: &PreparedCall<'_>,
    step: Step,
    limits: &DeviceLimits,
    budget: Option<Budget>,
    nonce: u32,
) -> Result<(Recording, Results, Changing)> {
    let Step { work, mut eq, reductions, .. } = step;
    let eq_of = std::mem::take(&mut eq.of);
    let mut recorder = Recorder {
        instances: &call.instances,
        sums: call.sums,
        limits,
        eq: &eq_of,
        words: Words::with_capacity(words_bound(&call.instances)),
        scratch: Scratch::new(limits),
        launches: Launches::new(limits, budget),
        runs: vec![vec![]; work.len()],
        trace_bytes: 0,
    };
    recorder.column_sums(&work)?;
    recorder.coset_passes(&work)?;
    let (bases, result_elements) = recorder.reduction(&work, reductions, nonce)?;

    let Recorder { words, scratch, launches, trace_bytes, .. } = recorder;
    let largest = || {
        let instances = work.iter().map(|work| &call.instances[work.instance]);
        let largest = instances.max_by_key(|prepared| prepared.plan.scratch_bytes(prepared.height).unwrap_or(0));
        largest.map_or_else(String::new, |prepared| prepared.plan.air().name().to_owned())
    };
    let results = vec![NOT_AN_ELEMENT; EXT_WORDS * result_elements as usize];
    let laid_out = layout::Layout { limits, words, scratch, launches, eq, results, nonce, trace_bytes };
    let (recording, changing) = laid_out.finish(&call.buffers, largest)?;
    Ok((recording, Results { work, bases }, changing))
}

/// About as many words as the word table will have, so that it does not grow by copies.
fn words_bound(instances: &[Prepared<'_>]) -> usize {
    let of_matrices = |pair: &PairInputs| pair.matrices.iter().map(|m| 2 * (m.current.len() + m.next.len())).sum::<usize>();
    let of_programs =
        |pair: &PairInputs| pair.programs.iter().map(|program| program.values.len() + program.weights.len() + 1024).sum::<usize>();
    instances.iter().flat_map(|prepared| &prepared.pairs).map(|pair| of_matrices(pair) + of_programs(pair)).sum()
}
