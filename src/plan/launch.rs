//! Launch geometry and binding windows: how much work a workgroup gets and which ranges a dispatch binds. Arithmetic only.

use super::steps;
use crate::{
    error::{Error, Result},
    kernel::Variant,
};

/// Threads per workgroup of every kernel but the two below. 256 is what WebGPU guarantees; not tuned further.
pub(crate) const WORKGROUP_SIZE: u32 = 256;
/// Threads per workgroup of `coset_pass`. 64, 128 and 256 were measured on an H200 (2026-11-22).
pub(crate) const PROGRAM_THREADS: u32 = 128;
/// log2 of the threads per workgroup of `column_sums`: 64 was measured against 128 and 256 on an H200 (2026-11-22), narrow AIRs 10 to 20 %
/// faster.
const LOG_VEC4_THREADS: u32 = 6;
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
/// The same of one generated coset job.
const MAX_PROGRAM_TILES: u64 = 1024;
/// Tiles of one interpreted coset job: bounds its temporaries. Guess.
const MAX_INTERPRETED_TILES: u64 = 1024;
/// log2 of the rows per thread of an interpreted coset pass. Guess.
const LOG_INTERPRETED_ROWS: u32 = 3;
/// log2 of the rows per thread of a generated coset pass. 2, 4, 8 and 16 rows were measured on an H200 (2026-11-22); 4 and 8 are best.
const LOG_GENERATED_ROWS: u32 = 2;
/// Words of temporaries that an interpreted coset job is kept below, where its tiles can be fewer: 96 MiB.
const MAX_TEMP_WORDS: u64 = 24 << 20;

/// log2 of the largest trace height: a row's index and the one after it are words.
const MAX_LOG_HEIGHT: u32 = 31;

/// Refuses a height that is no power of two or has no 32-bit row indices.
pub(crate) fn check_height(air: &str, height: usize) -> Result<()> {
    if height.is_power_of_two() && height.ilog2() <= MAX_LOG_HEIGHT {
        Ok(())
    } else {
        Err(Error::Height { air: air.into(), requested: height })
    }
}

/// What a plan needs to know of a device. All of it comes from `wgpu::Limits`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeviceLimits {
    /// Bytes of one storage binding, at most 4 GiB less 16: naga's buffer sizes are words, and bounds checks clamp to them in silence.
    pub binding_bytes: u64,
    /// Bytes of one buffer, a multiple of 16.
    pub buffer_bytes: u64,
    /// Storage buffers that one kernel may bind.
    pub storage_buffers: u32,
    /// Bind groups of one kernel.
    pub bind_groups: u32,
    /// Bindings of one group.
    pub bindings_per_group: u32,
    /// Threads of one workgroup.
    pub workgroup_threads: u32,
    /// Bytes of one workgroup's memory.
    pub workgroup_bytes: u32,
    /// Workgroups in one dimension of a grid.
    pub workgroups_per_dimension: u32,
    /// Alignment of a storage binding's offset in bytes.
    pub binding_alignment: u64,
}

impl DeviceLimits {
    /// The limits that matter, out of a device's.
    pub fn of(limits: &wgpu::Limits) -> Self {
        let whole = |bytes: u64| bytes / 16 * 16;
        Self {
            binding_bytes: whole(limits.max_storage_buffer_binding_size.min(u64::from(u32::MAX))),
            buffer_bytes: whole(limits.max_buffer_size),
            storage_buffers: limits.max_storage_buffers_per_shader_stage,
            bind_groups: limits.max_bind_groups,
            bindings_per_group: limits.max_bindings_per_bind_group,
            workgroup_threads: limits.max_compute_invocations_per_workgroup.min(limits.max_compute_workgroup_size_x),
            workgroup_bytes: limits.max_compute_workgroup_storage_size,
            workgroups_per_dimension: limits.max_compute_workgroups_per_dimension,
            binding_alignment: u64::from(limits.min_storage_buffer_offset_alignment),
        }
    }

    /// Refuses a kernel that needs more than the device gives any kernel.
    pub(crate) fn check_kernel(&self, variant: Variant) -> Result<()> {
        let needs = variant.needs();
        let pairs = [
            ("storage buffers", needs.storage_buffers, self.storage_buffers),
            ("bind groups", needs.bind_groups, self.bind_groups),
            ("bindings in one group", needs.bindings, self.bindings_per_group),
            ("threads in one workgroup", needs.threads, self.workgroup_threads),
            ("bytes of workgroup memory", needs.workgroup_bytes, self.workgroup_bytes),
        ];
        for (what, requested, limit) in pairs {
            if requested > limit {
                let (air, kernel) = ("(every AIR)".into(), variant.kernel.name);
                return Err(Error::DeviceLimit { air, kernel, what, requested: requested.into(), limit: limit.into() });
            }
        }
        Ok(())
    }

    /// log2 of the words of a trace window: the largest power of two that one binding holds, at most `2^29`, so that eight windows
    /// have 32-bit word indices.
    pub fn log_window(&self) -> u32 {
        ((self.binding_bytes / 4).max(1)).ilog2().min(29)
    }

    /// How many trace windows a kernel can bind beside its five other buffers: 1, 2, 4 or 8.
    pub fn max_slots(&self) -> u32 {
        let left = self.storage_buffers.saturating_sub(5).max(1);
        1 << left.ilog2().min(3)
    }

    /// `num_tiles` workgroups as a two-dimensional grid, or the number of tiles that fit.
    pub(crate) fn grid(&self, num_tiles: u64) -> std::result::Result<[u32; 2], u64> {
        let row = u64::from(self.workgroups_per_dimension).min(32768);
        if row == 0 {
            return Err(0);
        }
        let rows = num_tiles.div_ceil(row);
        if rows > u64::from(self.workgroups_per_dimension) {
            return Err(row * u64::from(self.workgroups_per_dimension));
        }
        Ok([num_tiles.min(row) as u32, rows as u32])
    }
}

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
        let log_z = log_groups.min(LOG_VEC4_THREADS);
        let log_x = num_x.ilog2().saturating_sub(3).min(LOG_VEC4_THREADS - log_z);
        let log_c = LOG_VEC4_THREADS - log_z - log_x;
        let num_groups = num_columns.div_ceil(1 << log_c);
        let num_z_blocks = 1 << (log_groups - log_z);
        let log_chunk = log_chunk(num_x, u64::from(num_groups) * u64::from(num_z_blocks), log_x + LOG_VEC4_ROWS, MAX_TILES);
        Self { log_c, log_z, log_chunk, num_chunks: num_x >> log_chunk, num_groups, num_z_blocks }
    }

    /// For `column_sums_scalar`.
    pub fn scalar(row_major: bool, num_z: u32, num_x: u32, num_columns: u32) -> Self {
        let log_workgroup = WORKGROUP_SIZE.ilog2();
        let log_c = if row_major { num_columns.next_power_of_two().ilog2().min(ROW_MAJOR_LOG_C) } else { 0 };
        let log_z = num_z.ilog2().min(log_workgroup - log_c);
        let num_groups = num_columns.div_ceil(COLUMNS_PER_THREAD << log_c);
        let num_z_blocks = num_z >> log_z;
        let log_x = log_workgroup - log_c - log_z;
        let log_chunk = log_chunk(num_x, u64::from(num_groups) * u64::from(num_z_blocks), log_x + LOG_SCALAR_ROWS, MAX_TILES);
        Self { log_c, log_z, log_chunk, num_chunks: num_x >> log_chunk, num_groups, num_z_blocks }
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
        let by_temps = MAX_TEMP_WORDS / (u64::from(WORKGROUP_SIZE) * num_temps.max(1));
        let max_tiles = by_temps.clamp(1, MAX_INTERPRETED_TILES);
        Self::new(WORKGROUP_SIZE, num_z, num_x, row_steps, LOG_INTERPRETED_ROWS, max_tiles)
    }

    /// For a kernel of its own: two points per thread.
    pub fn generated(num_z: u32, num_x: u32, row_steps: u64) -> Self {
        Self::new(PROGRAM_THREADS, (num_z / 2).max(1), num_x, row_steps, LOG_GENERATED_ROWS, MAX_PROGRAM_TILES)
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

/// A run of windows of one buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WindowRun {
    /// Which trace buffer of the call.
    pub buffer: usize,
    /// First and last window, in units of `2^log_window` words from the buffer's start.
    pub first: u64,
    pub last: u64,
}

impl WindowRun {
    /// The windows that hold the words `begin..end` of a buffer.
    pub fn of_words(buffer: usize, begin: u64, end: u64, log_window: u32) -> Self {
        Self { buffer, first: begin >> log_window, last: (end - 1) >> log_window }
    }

    fn len(&self) -> u64 {
        self.last - self.first + 1
    }
}

/// The trace windows that one dispatch binds, in slot order: (buffer, window).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slots(Vec<(usize, u64)>);

impl Slots {
    /// Finds or adds slots for all of `runs`. Leaves everything as it was and gives `None` when they do not fit into `max_slots`.
    /// The result is each run's first slot.
    pub fn place(&mut self, runs: &[WindowRun], max_slots: u32) -> Option<Vec<u32>> {
        let before = self.0.len();
        let mut first_slots = Vec::with_capacity(runs.len());
        for run in runs {
            let wanted = || (run.first..=run.last).map(|window| (run.buffer, window));
            let len = run.len() as usize;
            let found = self.0.windows(len).position(|slots| slots.iter().copied().eq(wanted()));
            first_slots.push(found.unwrap_or(self.0.len()) as u32);
            if found.is_none() {
                if self.0.len() as u64 + run.len() > u64::from(max_slots) {
                    self.0.truncate(before);
                    return None;
                }
                self.0.extend(wanted());
            }
        }
        Some(first_slots)
    }

    /// The bound windows, filled up to a number that a kernel exists for by repeating the last.
    pub fn bound(&self) -> Vec<(usize, u64)> {
        let mut slots = self.0.clone();
        if let Some(&last) = slots.last() {
            slots.resize(slots.len().next_power_of_two(), last);
        }
        slots
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::MAX_L_SKIP;

    const LIMITS: DeviceLimits = DeviceLimits {
        binding_bytes: 128 << 20,
        buffer_bytes: 1 << 31,
        storage_buffers: 32,
        bind_groups: 4,
        bindings_per_group: 1000,
        workgroup_threads: 256,
        workgroup_bytes: 16384,
        workgroups_per_dimension: 65535,
        binding_alignment: 256,
    };

    #[test]
    fn windows_and_slots_follow_the_limits() {
        assert_eq!(LIMITS.log_window(), 25);
        assert_eq!(LIMITS.max_slots(), 8);
        assert_eq!(DeviceLimits { storage_buffers: 8, ..LIMITS }.max_slots(), 2);
        assert_eq!(DeviceLimits { storage_buffers: 9, ..LIMITS }.max_slots(), 4);
        assert_eq!(DeviceLimits { binding_bytes: u64::MAX, ..LIMITS }.log_window(), 29);
    }

    #[test]
    fn grids_fold() {
        assert_eq!(LIMITS.grid(5), Ok([5, 1]));
        assert_eq!(LIMITS.grid(32769), Ok([32768, 2]));
        assert_eq!(LIMITS.grid(1 << 40), Err(32768 * 65535));
        assert_eq!(DeviceLimits { workgroups_per_dimension: 0, ..LIMITS }.grid(5), Err(0));
    }

    /// What a device says is taken down to what kernels can address: 4 GiB of a binding, whole 16 bytes of anything.
    #[test]
    fn limits_are_those_that_hold() {
        let limits = DeviceLimits::of(&wgpu::Limits {
            max_storage_buffer_binding_size: u64::MAX,
            max_buffer_size: (1 << 31) - 1,
            max_compute_invocations_per_workgroup: 512,
            max_compute_workgroup_size_x: 128,
            ..wgpu::Limits::default()
        });
        assert_eq!((limits.binding_bytes, limits.log_window()), ((1 << 32) - 16, 29));
        assert_eq!(limits.buffer_bytes, (1 << 31) - 16);
        assert_eq!(limits.workgroup_threads, 128);
    }

    #[test]
    fn heights_are_powers_of_two_up_to_2_to_31() {
        for height in [1, 2, 1 << 31] {
            check_height("air", height).unwrap();
        }
        for height in [0, 3, 1 << 32, 1 << 40, usize::MAX] {
            assert!(matches!(check_height("air", height), Err(Error::Height { requested, .. }) if requested == height));
        }
    }

    /// Every (column, z, x) belongs to exactly one thread: lanes times blocks cover the domain, and chunks tile `num_x`.
    #[test]
    fn geometry_covers_everything_once() {
        for log_z in 0..=MAX_L_SKIP as u32 {
            for num_x in [1, 2, 64, 1 << 20] {
                for num_columns in [1, 3, 9, 64, 913, 1025] {
                    let scalar = [false, true].map(|row_major| (ColumnGeometry::scalar(row_major, 1 << log_z, num_x, num_columns), 0, 2));
                    let vec4_loads = (log_z >= 2).then(|| (ColumnGeometry::vec4(1 << log_z, num_x, num_columns), 2, 0));
                    for (g, log_z_per_thread, log_columns_per_thread) in scalar.into_iter().chain(vec4_loads) {
                        let log_threads = if log_z_per_thread == 2 { LOG_VEC4_THREADS } else { WORKGROUP_SIZE.ilog2() };
                        assert!(g.log_c + g.log_z <= log_threads);
                        assert_eq!(g.num_z_blocks << (g.log_z + log_z_per_thread), 1 << log_z);
                        let per_group = 1 << (g.log_c + log_columns_per_thread);
                        assert!(g.num_groups * per_group >= num_columns && (g.num_groups - 1) * per_group < num_columns);
                        assert_eq!(g.num_chunks << g.log_chunk, num_x);
                        assert!(g.log_chunk <= LOG_EQ_LOW);
                    }
                    let steps = u64::from(num_columns);
                    let c = CosetGeometry::interpreted(1 << log_z, num_x, steps, 1);
                    assert_eq!(c.num_z_blocks * (1 << log_z).min(WORKGROUP_SIZE), 1 << log_z);
                    assert_eq!(c.num_chunks << c.log_chunk, num_x);
                    assert!(c.log_chunk <= LOG_EQ_LOW);
                    let x_lanes = WORKGROUP_SIZE / (1 << log_z).min(WORKGROUP_SIZE);
                    assert!(u64::from((1u32 << c.log_chunk).div_ceil(x_lanes)) * steps <= steps::MAX_STEPS);
                }
            }
        }
    }

    #[test]
    fn slots_are_shared_and_bounded() {
        let mut slots = Slots::default();
        let run = |buffer, first, last| WindowRun { buffer, first, last };
        assert_eq!(slots.place(&[run(0, 0, 2)], 4), Some(vec![0]));
        assert_eq!(slots.place(&[run(0, 1, 2), run(1, 0, 0)], 4), Some(vec![1, 3]));
        assert_eq!(slots.place(&[run(1, 0, 0), run(2, 0, 0)], 4), None);
        assert_eq!(slots.bound(), [(0, 0), (0, 1), (0, 2), (1, 0)]);
        assert_eq!(Slots::default().place(&[run(0, 0, 4)], 4), None);
        let mut three = Slots::default();
        three.place(&[run(0, 3, 5)], 8).unwrap();
        assert_eq!(three.bound().len(), 4);
        assert_eq!(WindowRun::of_words(7, 1 << 25, (1 << 25) + 1, 25), run(7, 1, 1));
        assert_eq!(WindowRun::of_words(7, (1 << 25) - 1, (1 << 25) + 1, 25), run(7, 0, 1));
    }
}
