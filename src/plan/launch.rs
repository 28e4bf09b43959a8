//! Launch geometry and binding windows: how much work a workgroup gets and which ranges a dispatch binds. Arithmetic only.

/// Threads per workgroup, in every kernel. 256 is what WebGPU guarantees; not tuned further.
pub(crate) const WORKGROUP_SIZE: u32 = 256;
/// Consecutive `x` of one `eq_expand` tile.
pub(crate) const EQ_PER_TILE: u32 = 512;
/// Columns per thread in `column_sums`.
const COLUMNS_PER_THREAD: u32 = 4;
/// Row-major: neighbouring threads on neighbouring columns, at most this many as a power of two. 16 words are a 64-byte line.
const ROW_MAJOR_LOG_C: u32 = 4;
/// Rows that a thread adds up before its workgroup's lanes are summed. Guess.
const ROWS_PER_THREAD: u64 = 32;
/// Tiles of one job beyond which more chunks only cost partial sums.
const MAX_TILES: u64 = 2048;
/// Tiles of one interpreted coset job: bounds its temporaries. Guess.
const MAX_INTERPRETED_TILES: u64 = 1024;
/// Rows per thread of an interpreted coset pass. Guess.
const INTERPRETED_ROWS_PER_THREAD: u64 = 8;
/// Rows per thread of a generated coset pass. Guess.
const GENERATED_ROWS_PER_THREAD: u64 = 4;
/// Loop iterations of one thread of a coset pass, over all its loops. lavapipe (seen with Mesa 22.3) leaves every loop of a thread after
/// 65,535 iterations in all and goes on with wrong values, so rows per thread and program length stay well below; and no thread runs for
/// long elsewhere either.
pub(crate) const MAX_STEPS: u64 = 1 << 14;

/// What a plan needs to know of a device. All of it comes from `wgpu::Limits`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceLimits {
    /// Bytes of one storage binding.
    pub binding_bytes: u64,
    /// Bytes of one buffer.
    pub buffer_bytes: u64,
    /// Storage buffers that one kernel may bind.
    pub storage_buffers: u32,
    /// Workgroups in one dimension of a grid.
    pub workgroups_per_dimension: u32,
    /// Alignment of a storage binding's offset in bytes.
    pub binding_alignment: u64,
}

impl DeviceLimits {
    /// The limits that matter, out of a device's.
    pub fn of(limits: &wgpu::Limits) -> Self {
        Self {
            binding_bytes: limits.max_storage_buffer_binding_size,
            buffer_bytes: limits.max_buffer_size,
            storage_buffers: limits.max_storage_buffers_per_shader_stage,
            workgroups_per_dimension: limits.max_compute_workgroups_per_dimension,
            binding_alignment: u64::from(limits.min_storage_buffer_offset_alignment),
        }
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
    pub(crate) fn grid(&self, num_tiles: u64) -> Result<[u32; 2], u64> {
        let row = u64::from(self.workgroups_per_dimension).min(32768);
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
    pub chunk_x: u32,
    pub num_chunks: u32,
    pub num_groups: u32,
    pub num_z_blocks: u32,
}

impl ColumnGeometry {
    pub fn new(row_major: bool, num_z: u32, num_x: u32, num_columns: u32) -> Self {
        let log_num_z = num_z.ilog2();
        let log_workgroup = WORKGROUP_SIZE.ilog2();
        let log_c = if row_major { num_columns.next_power_of_two().ilog2().min(ROW_MAJOR_LOG_C) } else { 0 };
        let log_z = log_num_z.min(log_workgroup - log_c);
        let num_groups = num_columns.div_ceil(COLUMNS_PER_THREAD << log_c);
        let num_z_blocks = num_z >> log_z;
        let x_lanes = u64::from(WORKGROUP_SIZE >> (log_c + log_z));
        let by_rows = u64::from(num_x).div_ceil(x_lanes * ROWS_PER_THREAD);
        let by_tiles = MAX_TILES.div_ceil(u64::from(num_groups * num_z_blocks));
        let (chunk_x, num_chunks) = chunks(num_x, by_rows.min(by_tiles), x_lanes);
        Self { log_c, log_z, chunk_x, num_chunks, num_groups, num_z_blocks }
    }
}

/// How one AIR's coset pass is cut into tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CosetGeometry {
    pub chunk_x: u32,
    pub num_chunks: u32,
    pub num_z_blocks: u32,
}

impl CosetGeometry {
    /// For the interpreter; `steps` are its loop iterations for one row.
    pub fn interpreted(num_z: u32, num_x: u32, steps: u64) -> Self {
        Self::new(num_z, num_x, steps, INTERPRETED_ROWS_PER_THREAD, MAX_INTERPRETED_TILES)
    }

    /// For a kernel of its own, whose loops are over rows, and over the points of `D` four at a time.
    pub fn generated(num_z: u32, num_x: u32) -> Self {
        Self::new(num_z, num_x, 1 + u64::from(num_z.div_ceil(4)), GENERATED_ROWS_PER_THREAD, MAX_TILES)
    }

    fn new(num_z: u32, num_x: u32, steps: u64, rows_per_thread: u64, max_tiles: u64) -> Self {
        let z_lanes = num_z.min(WORKGROUP_SIZE);
        let num_z_blocks = num_z / z_lanes;
        let x_lanes = u64::from(WORKGROUP_SIZE / z_lanes);
        let by_rows = u64::from(num_x).div_ceil(x_lanes * rows_per_thread);
        let by_tiles = max_tiles / u64::from(num_z_blocks);
        let by_steps = u64::from(num_x).div_ceil(x_lanes * (MAX_STEPS / steps).max(1));
        let (chunk_x, num_chunks) = chunks(num_x, by_rows.min(by_tiles).max(by_steps), x_lanes);
        Self { chunk_x, num_chunks, num_z_blocks }
    }

    pub fn num_tiles(&self) -> u64 {
        u64::from(self.num_chunks) * u64::from(self.num_z_blocks)
    }
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

/// `num_x` in about `wanted` runs of equal length, a multiple of `lanes`: (length, number).
fn chunks(num_x: u32, wanted: u64, lanes: u64) -> (u32, u32) {
    let chunk_x = u64::from(num_x).div_ceil(wanted.max(1)).next_multiple_of(lanes) as u32;
    (chunk_x, num_x.div_ceil(chunk_x))
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

    const LIMITS: DeviceLimits = DeviceLimits {
        binding_bytes: 128 << 20,
        buffer_bytes: 1 << 31,
        storage_buffers: 32,
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
    }

    /// Every (column, z, x) belongs to exactly one thread: lanes times blocks cover the domain, and chunks tile `num_x`.
    #[test]
    fn geometry_covers_everything_once() {
        for row_major in [false, true] {
            for log_z in 0..=9 {
                for num_x in [1, 2, 64, 1 << 20] {
                    for num_columns in [1, 3, 9, 64, 913, 1025] {
                        let g = ColumnGeometry::new(row_major, 1 << log_z, num_x, num_columns);
                        assert!(g.log_c + g.log_z <= WORKGROUP_SIZE.ilog2());
                        assert_eq!(g.num_z_blocks << g.log_z, 1 << log_z);
                        assert!(g.num_groups * (COLUMNS_PER_THREAD << g.log_c) >= num_columns);
                        assert!((g.num_groups - 1) * (COLUMNS_PER_THREAD << g.log_c) < num_columns);
                        assert!(g.num_chunks * g.chunk_x >= num_x && (g.num_chunks - 1) * g.chunk_x < num_x);
                        let steps = u64::from(num_columns);
                        let c = CosetGeometry::interpreted(1 << log_z, num_x, steps);
                        assert_eq!(c.num_z_blocks * (1 << log_z).min(WORKGROUP_SIZE), 1 << log_z);
                        assert!(c.num_chunks * c.chunk_x >= num_x && (c.num_chunks - 1) * c.chunk_x < num_x);
                        let x_lanes = WORKGROUP_SIZE / (1 << log_z).min(WORKGROUP_SIZE);
                        assert!(u64::from(c.chunk_x.div_ceil(x_lanes)) * steps <= MAX_STEPS);
                    }
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
