//! Launch geometry: how much work a workgroup gets. Arithmetic only.

use super::steps;
use crate::kernels::{CHECK_CONSTRAINTS, COLUMN_SUMS, COLUMN_SUMS_SCALAR, COSET_INTERPRET, COSET_PASS};

/// log2 of `eq`'s low table, where the host expands it: 32 KiB. A chunk of `x` lies within one run of so many.
pub(crate) const LOG_EQ_LOW: u32 = 11;
/// Columns per thread in `column_sums_scalar`.
const COLUMNS_PER_THREAD: u32 = 4;
/// Row-major: neighbouring threads on neighbouring columns, at most this many as a power of two. 16 words are a 64-byte line.
const ROW_MAJOR_LOG_C: u32 = 4;
/// log2 of the rows that a thread of `column_sums_scalar` adds up at least before its workgroup's lanes are summed. Guess.
const LOG_SCALAR_ROWS: u32 = 5;
/// The same for `column_sums`; fewer leave narrow AIRs more workgroups. Measured on an H200 (2026-11-22).
const LOG_VEC4_ROWS: u32 = 5;
/// Tiles of one job beyond which more chunks only cost partial sums.
const MAX_TILES: u64 = 2048;
/// The same of one generated coset job, and of all those of a pair of polynomials, of which each has some.
const MAX_PROGRAM_TILES: u64 = 1024;
const MAX_PAIR_TILES: u64 = 8192;
const MIN_PROGRAM_TILES: u64 = 16;
/// Tiles of one interpreted coset job: bounds its temporaries. Guess.
const MAX_INTERPRETED_TILES: u64 = 1024;
/// log2 of the rows per thread of an interpreted coset pass. Guess.
const LOG_INTERPRETED_ROWS: u32 = 3;
/// log2 of the rows per thread of a generated coset pass. 2, 4, 8 and 16 rows were measured on an H200 (2026-11-22); 4 and 8 are best.
const LOG_GENERATED_ROWS: u32 = 2;
/// Words of temporaries that an interpreted coset job is kept below, where its tiles can be fewer: 96 MiB.
pub(crate) const MAX_TEMP_WORDS: u64 = 24 << 20;

/// How one matrix's column sums are cut into tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ColumnGeometry {
    pub log_c: u32,
    pub log_z: u32,
    pub log_chunk: u32,
    pub num_chunks: u32,
    pub num_groups: u32,
    pub num_z_blocks: u32,
}

impl ColumnGeometry {
    /// For `column_sums`: four `z` per thread, so `num_z >= 4`. Where there are few `x`, columns share a workgroup, and each thread still has
    /// its eight.
    pub fn vec4(num_z: u32, num_x: u32, num_columns: u32) -> Self {
        let log_groups = num_z.ilog2() - 2;
        let log_threads = COLUMN_SUMS.workgroup_size.ilog2();
        let log_z = log_groups.min(log_threads);
        let log_x = num_x.ilog2().saturating_sub(3).min(log_threads - log_z);
        let log_c = log_threads - log_z - log_x;
        let num_groups = num_columns.div_ceil(1 << log_c);
        let num_z_blocks = 1 << (log_groups - log_z);
        let log_chunk = log_chunk(num_x, u64::from(num_groups) * u64::from(num_z_blocks), log_x + LOG_VEC4_ROWS, MAX_TILES);
        Self { log_c, log_z, log_chunk, num_chunks: num_x >> log_chunk, num_groups, num_z_blocks }
    }

    /// For `column_sums_scalar`.
    pub fn scalar(row_major: bool, num_z: u32, num_x: u32, num_columns: u32) -> Self {
        let log_workgroup = COLUMN_SUMS_SCALAR.workgroup_size.ilog2();
        let log_c = if row_major { num_columns.next_power_of_two().ilog2().min(ROW_MAJOR_LOG_C) } else { 0 };
        let log_z = num_z.ilog2().min(log_workgroup - log_c);
        let num_groups = num_columns.div_ceil(COLUMNS_PER_THREAD << log_c);
        let num_z_blocks = num_z >> log_z;
        let log_x = log_workgroup - log_c - log_z;
        let log_chunk = log_chunk(num_x, u64::from(num_groups) * u64::from(num_z_blocks), log_x + LOG_SCALAR_ROWS, MAX_TILES);
        Self { log_c, log_z, log_chunk, num_chunks: num_x >> log_chunk, num_groups, num_z_blocks }
    }

    pub fn num_tiles(&self) -> u64 {
        u64::from(self.num_groups) * u64::from(self.num_z_blocks) * u64::from(self.num_chunks)
    }
}

/// How one AIR's coset pass is cut into tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CosetGeometry {
    pub log_chunk: u32,
    pub num_chunks: u32,
    pub num_z_blocks: u32,
}

impl CosetGeometry {
    /// For the interpreter: `row_steps` are its loop iterations for one row, `num_temps` its words of scratch per thread.
    pub fn interpreted(num_z: u32, num_x: u32, row_steps: u64, num_temps: u64) -> Self {
        let by_temps = MAX_TEMP_WORDS / (u64::from(COSET_INTERPRET.workgroup_size) * num_temps.max(1));
        let max_tiles = by_temps.clamp(1, MAX_INTERPRETED_TILES);
        Self::new(COSET_INTERPRET.workgroup_size, num_z, num_x, row_steps, LOG_INTERPRETED_ROWS, max_tiles)
    }

    /// For a kernel of its own, one of so many: two points per thread.
    pub fn generated(num_z: u32, num_x: u32, row_steps: u64, siblings: usize) -> Self {
        let max_tiles = (MAX_PAIR_TILES / siblings.max(1) as u64).clamp(MIN_PROGRAM_TILES, MAX_PROGRAM_TILES);
        Self::new(COSET_PASS.workgroup_size, (num_z / 2).max(1), num_x, row_steps, LOG_GENERATED_ROWS, max_tiles)
    }

    /// For `num_z` threads at each `x`, in workgroups of `threads`.
    fn new(threads: u32, num_z: u32, num_x: u32, row_steps: u64, log_rows: u32, max_tiles: u64) -> Self {
        let z_lanes = num_z.min(threads);
        let num_z_blocks = num_z / z_lanes;
        let log_x = (threads / z_lanes).ilog2();
        let by_steps = log_x + steps::log_rows(row_steps);
        let log_chunk = log_chunk(num_x, num_z_blocks.into(), log_x + log_rows, max_tiles).min(by_steps);
        Self { log_chunk, num_chunks: num_x >> log_chunk, num_z_blocks }
    }

    pub fn num_tiles(&self) -> u64 {
        u64::from(self.num_chunks) * u64::from(self.num_z_blocks)
    }
}

/// Rows that a thread of a check takes at a time.
pub(crate) const ROWS_PER_THREAD: u32 = 4;

/// How the rows of a check are cut into tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CheckGeometry {
    /// log2 of the rows of a tile.
    pub log_rows: u32,
    pub num_tiles: u32,
    /// Tiles of a launch at most.
    pub tiles_at_once: u32,
}

impl CheckGeometry {
    /// `row_steps` are a thread's loop iterations for the rows that it takes at a time, `num_temps` the temporaries of each row; a launch has so
    /// many words of them at most, as far as a tile needs no more.
    pub fn new(height: u64, row_steps: u64, num_temps: u64, max_temp_words: u64) -> Self {
        let rows = u64::from(ROWS_PER_THREAD * CHECK_CONSTRAINTS.workgroup_size);
        let more = (height / rows / MAX_INTERPRETED_TILES).max(1).ilog2();
        let log_rows = rows.ilog2() + more.min(steps::log_rows(row_steps));
        let num_tiles = height.div_ceil(1 << log_rows) as u32;
        let by_temps = max_temp_words / (rows * num_temps.max(1));
        Self { log_rows, num_tiles, tiles_at_once: by_temps.clamp(1, num_tiles.into()) as u32 }
    }
}

/// log2 of the `x` per chunk: at least `wanted`, more where `num_x` (a power of two) times `tiles_per_x_chunk` would be more than
/// `max_tiles` tiles, and never more than one run of `eq`'s low table.
fn log_chunk(num_x: u32, tiles_per_x_chunk: u64, wanted: u32, max_tiles: u64) -> u32 {
    let by_tiles = (u64::from(num_x) * tiles_per_x_chunk / max_tiles).max(1).ilog2();
    wanted.max(by_tiles).min(LOG_EQ_LOW).min(num_x.ilog2())
}

/// log2 of the `z` that one workgroup of the reduction takes, for a job that adds up `num_partials` for each: up to sixteen lanes share a
/// `z` when there are few, a whole workgroup when there are many.
pub(crate) fn reduce_log_z(num_z: u32, num_partials: u64) -> u32 {
    let wanted = match num_partials {
        0..=128 => 4,
        129..=512 => 2,
        _ => 0,
    };
    num_z.ilog2().min(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::MAX_L_SKIP;

    /// Every (column, z, x) belongs to exactly one thread: lanes times blocks cover the domain, and chunks tile `num_x`.
    #[test]
    fn geometry_covers_everything_once() {
        for log_z in 0..=MAX_L_SKIP as u32 {
            for num_x in [1, 2, 64, 1 << 20] {
                for num_columns in [1, 3, 9, 64, 913, 1025] {
                    let scalar = [false, true].map(|row_major| (ColumnGeometry::scalar(row_major, 1 << log_z, num_x, num_columns), 0, 2));
                    let vec4_loads = (log_z >= 2).then(|| (ColumnGeometry::vec4(1 << log_z, num_x, num_columns), 2, 0));
                    for (g, log_z_per_thread, log_columns_per_thread) in scalar.into_iter().chain(vec4_loads) {
                        let log_threads = (if log_z_per_thread == 2 { &COLUMN_SUMS } else { &COLUMN_SUMS_SCALAR }).workgroup_size.ilog2();
                        assert!(g.log_c + g.log_z <= log_threads);
                        assert_eq!(g.num_z_blocks << (g.log_z + log_z_per_thread), 1 << log_z);
                        let per_group = 1 << (g.log_c + log_columns_per_thread);
                        assert!(g.num_groups * per_group >= num_columns && (g.num_groups - 1) * per_group < num_columns);
                        assert_eq!(g.num_chunks << g.log_chunk, num_x);
                        assert!(g.log_chunk <= LOG_EQ_LOW);
                    }
                    let (steps, threads) = (u64::from(num_columns), COSET_INTERPRET.workgroup_size);
                    let c = CosetGeometry::interpreted(1 << log_z, num_x, steps, 1);
                    assert_eq!(c.num_z_blocks * (1 << log_z).min(threads), 1 << log_z);
                    assert_eq!(c.num_chunks << c.log_chunk, num_x);
                    assert!(c.log_chunk <= LOG_EQ_LOW);
                    let x_lanes = threads / (1 << log_z).min(threads);
                    assert!(u64::from((1u32 << c.log_chunk).div_ceil(x_lanes)) * steps <= steps::MAX_STEPS);
                }
            }
        }
    }
}
