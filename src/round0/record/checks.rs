//! The constraints on the traces' own rows: a job for each program and as many tiles as have room for their temporaries.

use std::sync::Arc;

use super::{
    cells::Cells,
    eq::EqTables,
    group::{Group, Head, Launches},
    layout::Layout,
    tables::{Scratch, Words},
};
use crate::{
    error::Result,
    field::{self, EXT_WORDS},
    gpu::Buffer,
    kernels::{self, CheckJob, FAILING_ROWS, NO_ROW, Tile},
    limits::DeviceLimits,
    plan::{
        budget::Budget,
        geometry::{CheckGeometry, MAX_TEMP_WORDS, ROWS_PER_THREAD},
        steps::checked_rows,
    },
    recording::Recording,
    round0::check::CheckedInstance,
};

/// Words of the results for each constraint: how often it fails, and the first rows.
pub(crate) const CHECK_WORDS: usize = 1 + FAILING_ROWS as usize;

/// Records the check of all constraints of some instances. Results are `[num_constraints][CHECK_WORDS]`, one instance after another.
///
/// # Errors
/// [`Error::DeviceLimit`](crate::Error::DeviceLimit).
pub(crate) fn checks(
    instances: &[CheckedInstance<'_>],
    buffers: &[Arc<Buffer>],
    limits: &DeviceLimits,
    budget: Option<Budget>,
    nonce: u32,
) -> Result<Recording> {
    let mut words = Words::with_capacity(0);
    let mut scratch = Scratch::new(limits);
    let mut launches = Launches::new(limits, budget);
    let mut group = Group::<CheckJob>::new(Head::fixed(&kernels::CHECK_CONSTRAINTS, 0..0));
    let (mut num_constraints, mut trace_bytes) = (0, 0);
    let max_temp_words = MAX_TEMP_WORDS.min(limits.binding_bytes.min(limits.buffer_bytes) / 4);
    for instance in instances {
        let air = instance.plan.air();
        for program in instance.plan.checks()? {
            let (height, num_temps) = (instance.height as u64, program.num_temps as u64);
            let geometry = CheckGeometry::new(height, checked_rows(program), num_temps, max_temp_words);
            let threads_per_tile = kernels::CHECK_CONSTRAINTS.workgroup_size;
            let program_base = words.program(program);
            let values_base = words.next();
            words.extend(program.values.iter().map(|node| field::word(instance.values[node.index()])));
            let seconds = launches.submissions.seconds(|budget| budget.check(program, height));
            let mut first_chunk = 0;
            while first_chunk < geometry.num_tiles {
                let num_tiles = geometry.tiles_at_once.min(geometry.num_tiles - first_chunk);
                let num_threads = num_tiles * threads_per_tile;
                let temp_words = u64::from(ROWS_PER_THREAD * num_threads) * num_temps;
                if !group.jobs.is_empty() && group.temp_words + temp_words > max_temp_words {
                    launches.begin_anew(&mut group)?; // the next launch uses the temporaries again
                }
                let cells = Cells::place(&mut launches, &mut group, air.name(), &instance.traces, program)?;
                let columns_base = words.next();
                program.cells().for_each(|term| words.extend(cells.descriptor(term)));
                let temps_base = group.temp_words;
                group.temp_words += temp_words;
                scratch.temporaries(air.name(), group.temp_words)?;
                let job = CheckJob {
                    program_base,
                    num_segments: program.segments.len() as u32,
                    columns_base,
                    values_base,
                    row_mask: instance.height as u32 - 1,
                    log_rows: geometry.log_rows,
                    temps_base: temps_base as u32 / ROWS_PER_THREAD,
                    num_temps: program.num_temps as u32,
                    first_tile: group.tiles.len() as u32,
                    results_base: (CHECK_WORDS * num_constraints) as u32,
                };
                let job = group.push(job, seconds / f64::from(geometry.num_tiles));
                group.tiles.extend((first_chunk..first_chunk + num_tiles).map(|chunk| Tile { job, chunk, ..Tile::default() }));
                first_chunk += num_tiles;
            }
            trace_bytes += 4 * program.cells().count() as u64 * height;
            num_constraints += program.roots.len();
        }
    }
    launches.close(group)?;
    launches.reduce_nothing(nonce);
    launches.end_submissions(0..0, nonce);

    let mut results = Vec::with_capacity((CHECK_WORDS * num_constraints).next_multiple_of(EXT_WORDS));
    for _ in 0..num_constraints {
        results.push(0);
        results.extend([NO_ROW; FAILING_ROWS as usize]);
    }
    results.resize(results.len().next_multiple_of(EXT_WORDS), 0);
    let largest = || {
        let largest = instances.iter().max_by_key(|instance| instance.plan.air().nodes().len() * instance.height);
        largest.map_or_else(String::new, |instance| instance.plan.air().name().to_owned())
    };
    Layout { limits, words, scratch, launches, eq: EqTables::default(), results, nonce, trace_bytes }
        .finish(buffers, largest)
        .map(|(recording, _)| recording)
}
