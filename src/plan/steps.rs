//! Loop iterations of one thread: how they are counted, and how many there may be.
//!
//! lavapipe (seen with Mesa 22.3) counts every iteration of every loop of a thread, and when 65,535 are used up it leaves all loops and goes
//! on, with wrong values and without an error. It counts a loop once more than it iterates, and once where it lies in a branch that is not
//! taken, because it masks branches instead of jumping over them. Everything here counts in that way. On other devices the bound only
//! keeps a thread from running for long.

use super::{
    geometry::ROWS_PER_THREAD,
    leaves::LeafKind,
    program::{Program, Segment},
};
use crate::{
    error::{Error, Result, Subject},
    kernels::{COSET_PASS, FAILING_ROWS, Op, STAGED_BITS, STAGED_FORMS},
};

/// Loop iterations that a thread is given at most: half of those after which lavapipe ends its loops. `round0/steps_edge.rs` searches for
/// that number on the device at hand, and checks the margin.
pub(crate) const MAX_STEPS: u64 = 1 << 15;

/// What a kernel's lane sums take beside its loops over rows: at most four sums in two rounds of sixteen.
const LANE_SUMS: u64 = 4 * 2 * 17;

/// A loop that iterates so often.
const fn loop_of(iterations: u64) -> u64 {
    iterations + 1
}

/// Refuses a thread that would take too long.
pub(crate) fn check(subject: impl Into<Subject>, kernel: &'static str, requested: u64) -> Result<()> {
    if requested <= MAX_STEPS {
        return Ok(());
    }
    Err(Error::DeviceLimit { subject: subject.into(), kernel, what: "loop iterations of one thread", requested, limit: MAX_STEPS })
}

/// A selector's loop over the repetitions of a lifted trace of one row, which has one `x`.
fn lifted_selectors(num: u64, l_skip: usize) -> u64 {
    num * loop_of(1 << l_skip)
}

/// The loops of an interpreter over a program's segments.
fn segments(program: &Program) -> u64 {
    let segment = |s: &Segment| 1 + [s.num_loads, s.num_ops, s.num_roots].map(|num| loop_of(num as u64)).iter().sum::<u64>();
    let segments = program.segments.iter().map(segment);
    loop_of(0) + segments.sum::<u64>()
}

/// A row of an interpreter that has the cells at hand.
pub(crate) fn row_thread(program: &Program) -> u64 {
    segments(program)
}

/// One row in `coset_interpret`.
pub(crate) fn interpreted_row(program: &Program, l_skip: usize) -> u64 {
    let size = 1u64 << l_skip;
    let load = if size < 16 { loop_of(size) + 1 } else { 1 + loop_of(size / 16) };
    let selectors = 2 * loop_of(1);
    1 + selectors + segments(program) + load * program.leaves.len() as u64
}

/// The rows that a thread of `check_constraints` takes at a time: every constraint may fail on each of them.
pub(crate) fn checked_rows(program: &Program) -> u64 {
    1 + segments(program) + program.roots.len() as u64 * loop_of(u64::from(ROWS_PER_THREAD * FAILING_ROWS))
}

/// The longest that a thread of `coset_interpret` takes with one row.
pub(crate) fn interpreted_thread(program: &Program, l_skip: usize) -> u64 {
    LANE_SUMS + interpreted_row(program, l_skip) + lifted_selectors(2, l_skip)
}

/// One row in `coset_pass`: a loop over half of `D` for all cells; for each block of `D` and batch of forms, loops over their terms and over the
/// block; loops over the bits of `D`; and a selector's loop for each of two points.
pub(crate) fn generated_row(program: &Program, l_skip: usize) -> u64 {
    let half = (1u64 << l_skip) / 2;
    let threads = u64::from(COSET_PASS.workgroup_size);
    let forms = &program.leaves[program.leaves_of(LeafKind::Form)];
    // Twice a loop over a form's terms, for its two halves, in each block of D.
    let made = forms.iter().map(|leaf| 1 + 2 * loop_of(leaf.form.terms.len().div_ceil(4) as u64)).sum::<u64>();
    let blocks = half.div_ceil(threads).max(1);
    let batch = loop_of(blocks * (1 + loop_of(2) + loop_of(half.min(threads) / 8)));
    let forms = forms.len().div_ceil(STAGED_FORMS as usize) as u64 * batch + blocks * made;
    // Bits are staged 32 at a time, this row's and the next one's apart: for each of them a workgroup makes threads / half words, each in half / 2
    // iterations.
    let num_bits = program.num_bits() as u64;
    let stagings = num_bits.div_ceil(u64::from(STAGED_BITS)) + 1;
    let bits = if num_bits == 0 { 0 } else { (num_bits.div_ceil(half) + 2 * stagings) * (1 + loop_of(half / 2)) };
    1 + loop_of(half / 8) + forms + bits + num_selectors(program) * 2 * loop_of(1)
}

/// The longest that a thread of `coset_pass` takes with one row.
pub(crate) fn generated_thread(program: &Program, l_skip: usize) -> u64 {
    LANE_SUMS + generated_row(program, l_skip) + lifted_selectors(2 * num_selectors(program), l_skip)
}

fn num_selectors(program: &Program) -> u64 {
    let is_selector = |op: u32| [Op::First, Op::Last, Op::Transition].iter().any(|&selector| op == selector as u32);
    program.instructions.iter().filter(|instruction| is_selector(instruction[0])).count() as u64
}

/// log2 of the rows that a thread can take, one at least, when each takes so many steps.
pub(crate) fn log_rows(row_steps: u64) -> u32 {
    ((MAX_STEPS - LANE_SUMS) / row_steps).max(1).ilog2()
}

/// What a run of `num_chunks` partial sums of `num_columns` columns takes of a thread of `dual_reduce` with `num_lanes` lanes for each `z`.
pub(crate) fn reduce_run(num_chunks: u32, num_columns: u32, num_lanes: u32) -> u64 {
    let (num_chunks, num_columns, num_lanes) = (u64::from(num_chunks), u64::from(num_columns), u64::from(num_lanes));
    let column_lanes = num_columns.next_power_of_two().min(num_lanes);
    let chunks = num_chunks.div_ceil(num_lanes / column_lanes);
    let column = loop_of(chunks / 8) + loop_of(8);
    1 + loop_of(num_chunks.div_ceil(num_lanes)) + loop_of(num_columns.div_ceil(column_lanes) * column)
}

/// A job of `dual_reduce` whose runs take so many.
pub(crate) fn reduce_thread(runs: u64) -> u64 {
    LANE_SUMS + loop_of(runs)
}

/// A round of `field_ops`, whose switch has a loop of three.
pub(crate) const FIELD_OPS_ROUND: u64 = 1 + loop_of(3);
