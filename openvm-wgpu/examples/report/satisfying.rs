//! Traces of any height that satisfy an AIR's constraints, as far as there are such: rows of a VM's run, repeated on the device. Not every AIR can be
//! repeated (a counter has to go on, a lookup table has one height), so the device checks each candidate and the best one is taken.

use logup_wgpu::{Gpu, Layout, Result, Round0, Round0Plan, Strategy};
use serde_json::{Value, json};

use crate::{
    fixtures::vm_traces::AirTrace,
    measure::{Block, L_SKIP, LOG_BLOCK, Resident, ms, reside_blocks},
};

/// Rows of a permutation in KeccakfPermAir.
const PERMUTATION: usize = 24;

/// A resident trace, and how it was made.
pub struct Satisfying {
    pub resident: Resident,
    /// What it is made of, how many rows fail how many constraints, and how long the check took.
    pub made: Value,
}

/// The first of the candidates of which no constraint fails on any row, or the one with the fewest failures.
pub fn reside(gpu: &Gpu, trace: &AirTrace, log_height: usize) -> Result<Satisfying> {
    let plan = Round0Plan::new(trace.air.whole_air().without_interactions(), L_SKIP, Strategy::Split)?;
    let round0 = Round0::new(gpu);
    let mut best: Option<(u64, Satisfying)> = None;
    for (rows, block) in candidates(trace, log_height) {
        let resident = reside_blocks(gpu, vec![block])?.pop().expect("one");
        let instances = [resident.instance(&plan).weights(&[])];
        round0.check_constraints(&instances)?; // compiles
        let check = round0.check_constraints(&instances)?;
        let failures = check.failing.iter().map(|failing| failing.num_rows).sum();
        if best.as_ref().is_none_or(|(fewest, _)| failures < *fewest) {
            let made = json!({
                "rows": rows,
                "failing_constraints": check.failing.len(),
                "failing_rows": check.failing.iter().map(|failing| failing.num_rows).max().unwrap_or(0),
                "check_ms": ms(check.wall),
                "check_gpu_ms": check.gpu.map(ms),
            });
            best = Some((failures, Satisfying { resident, made }));
        }
        if failures == 0 {
            break;
        }
    }
    Ok(best.expect("there are candidates").1)
}

/// Blocks to be repeated, and what their rows are.
fn candidates(trace: &AirTrace, log_height: usize) -> impl Iterator<Item = (&'static str, Block)> {
    let height = 1usize << log_height.min(LOG_BLOCK);
    let own = trace.height();
    let block = move |rows: usize, source: &dyn Fn(usize) -> Option<usize>| Block {
        case: trace.case_of_rows(L_SKIP, Layout::ColMajor, height, source),
        rows,
        log_height,
    };
    let whole = own / PERMUTATION * PERMUTATION;
    let of_permutations = (whole > 0 && whole < height).then(|| height / whole * whole);
    let repeated = std::iter::once_with(move || ("of a VM's run, repeated", block(height, &|row| Some(row % own))));
    let permutations =
        of_permutations.into_iter().map(move |rows| ("of a VM's run, by 24, repeated", block(rows, &|row| Some(row % whole))));
    let last = std::iter::once_with(move || ("the last of a VM's run, repeated", block(height, &|_| Some(own - 1))));
    let zeros = std::iter::once_with(move || ("zeros", block(height, &|_| None)));
    repeated.chain(permutations).chain(last).chain(zeros)
}
