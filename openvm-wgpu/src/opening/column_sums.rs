//! Sums of each trace column over the cube, for each point of the skip domain: what column openings are made of, and round 0 of the stacked reduction.
//!
//! One read of the traces serves both: the sums that the column openings make stay on the device until the stacked reduction has weighed them.

use std::{
    cmp::Reverse,
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use logup_wgpu::{
    DeviceLimits, EF, Result,
    compute::{Binding, Buffer, Resource, TraceWindow},
};
use p3_field::PrimeCharacteristicRing;

use super::Opening;
use crate::{
    Digest,
    compute::Compute,
    kernels::{COLUMN_VALUES, ColumnValuesJob, OPENING_SUMS, OpeningSumsJob},
    lock,
    poly::lagrange,
    recorder::{MAX_BUFFERS, Names, Recorder, numbered, results},
    sumcheck::{
        array::{ExtArray, elements, words},
        session::Session,
        tensor::Tensor,
    },
};

/// Cells that a workgroup of `opening_sums` adds up.
const CELLS_PER_TASK: usize = 1 << 14;
/// Bytes of its sums at a time.
pub(super) const SUM_BYTES: usize = 32 << 20;

const EQ: Names = numbered!("eq");
const SUMS: Names = numbered!("sums of columns");

/// A trace column in the stacked matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slice {
    pub commitment: usize,
    /// Column of the commitment's stacked matrix, and its row there.
    pub column: usize,
    pub row: usize,
    /// log2 of its height, less `l_skip`.
    pub n: isize,
    /// Whether it is opened rotated as well.
    pub is_rotated: bool,
}

impl Slice {
    /// log2 of the points of its cube.
    pub fn log_points(&self) -> usize {
        self.n.max(0) as usize
    }
}

/// A piece of a slice, for a workgroup of `opening_sums`: what it reads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Task {
    pub slice: usize,
    words: [u32; 4],
}

/// A dispatch of `opening_sums`.
pub(super) struct Sums {
    windows: Vec<TraceWindow>,
    pub tasks: Vec<Task>,
}

/// The trace columns of some commitments: all of them, by commitment, in the order in which they are stacked.
pub(super) struct TraceColumns<'a> {
    pub l_skip: usize,
    pub openings: &'a [Opening],
    pub slices: Vec<Slice>,
}

/// Column sums at a point that stay on the device, dispatch by dispatch.
struct ColumnSums {
    roots: Vec<Digest>,
    slices: Vec<Slice>,
    r: Vec<EF>,
    buffers: Vec<Arc<Buffer>>,
}

/// Column sums that proofs have not come back to. Without a memory budget they stay; within one they are made again.
#[derive(Default)]
pub(crate) struct KeptSums(Mutex<Vec<ColumnSums>>);

/// Proofs whose sums are kept at most: those that failed between two stages do not come back.
const MAX_KEPT: usize = 4;

impl KeptSums {
    fn keep(&self, sums: ColumnSums) {
        let mut kept = lock(&self.0);
        kept.insert(0, sums);
        kept.truncate(MAX_KEPT);
    }

    /// Those of these columns at this point, which nobody else gets; nothing if there are none.
    pub(super) fn take(&self, columns: &TraceColumns<'_>, r: &[EF]) -> Option<Vec<Arc<Buffer>>> {
        let mut kept = lock(&self.0);
        let roots = || columns.openings.iter().map(|opening| opening.root);
        let found = kept.iter().position(|sums| sums.r == r && sums.slices == columns.slices && sums.roots.iter().copied().eq(roots()))?;
        Some(kept.remove(found).buffers)
    }
}

/// Every trace column at a point, plain and rotated, by commitment and in the order in which they are stacked; nothing for columns of traces that are shorter than
/// the skip domain. The sums stay for the stacked reduction at the same point.
///
/// # Errors
/// What the device, or its limits, say.
pub(super) fn column_values(
    session: &mut Session<'_>,
    kept: &KeptSums,
    l_skip: usize,
    openings: &[Opening],
    r: &[EF],
) -> Result<Vec<Option<[EF; 2]>>> {
    let columns = TraceColumns::new(l_skip, openings);
    let (compute, num_z) = (session.compute, 1usize << l_skip);
    let mut recorder = session.recorder(0);
    let eq = columns.record_eq(compute, &mut recorder, r)?;
    let lagrange = recorder.table(&words(lagrange(l_skip, r[0])));
    let dispatches = columns.dispatches(|slice| slice.n >= 0, &compute.gpu.limits(), recorder.max_scratch() as usize)?;
    let keeps = compute.memory_budget.is_none() && dispatches.len() <= MAX_BUFFERS;
    let mut buffers = vec![];
    // Of each dispatch, the slices that it has pieces of.
    let mut owners: Vec<usize> = vec![];
    for (i, dispatch) in dispatches.iter().enumerate() {
        let sums = if keeps {
            let buffer = compute.pool.take(SUMS[i], dispatch.bytes(l_skip))?;
            let sums = dispatch.bind(&mut recorder, i, &buffer, l_skip);
            buffers.push(buffer);
            sums
        } else {
            recorder.scratch(Resource("sums"), dispatch.bytes(l_skip))
        };
        dispatch.record(&mut recorder, &eq, l_skip, sums.clone())?;
        let (own, segments, pieces) = dispatch.by_slice(columns.slices.len());
        let (num_columns, to_first) = (own.len() as u32, owners.len() as u64);
        let end = 32 * (to_first + u64::from(num_columns));
        recorder.grow_results(end);
        let job = recorder.job(&ColumnValuesJob { num_columns, log_skip: l_skip as u32, to_first: 2 * to_first as u32 });
        let bindings = vec![job, recorder.table(segments.as_flattened()), recorder.table(&pieces), lagrange.clone(), sums, results(0..end)];
        recorder.dispatch(&COLUMN_VALUES, bindings, vec![], num_columns.into(), 40 * (dispatch.tasks.len() * num_z) as u64)?;
        owners.extend(own);
    }
    let mut values = vec![None; columns.slices.len()];
    if owners.is_empty() {
        return Ok(values);
    }
    let read = |words: &[u32]| elements(&words[..8 * owners.len()]);
    for (&slice, own) in owners.iter().zip(session.run(recorder, columns.trace_buffers(), read)?.chunks_exact(2)) {
        let [plain, rotated] = values[slice].get_or_insert([EF::ZERO; 2]);
        *plain += own[0];
        *rotated += own[1];
    }
    if keeps {
        let roots = openings.iter().map(|opening| opening.root).collect();
        kept.keep(ColumnSums { roots, slices: columns.slices, r: r.to_vec(), buffers });
    }
    Ok(values)
}

impl<'a> TraceColumns<'a> {
    pub fn new(l_skip: usize, openings: &'a [Opening]) -> Self {
        let of_opening = |(commitment, opening): (usize, &'a Opening)| {
            opening.stack.plan.layout.sorted_cols.iter().map(move |(trace, _, slice)| Slice {
                commitment,
                column: slice.col_idx,
                row: slice.row_idx,
                n: slice.log_height() as isize - l_skip as isize,
                is_rotated: opening.needs_rotation[*trace],
            })
        };
        Self { l_skip, openings, slices: openings.iter().enumerate().flat_map(of_opening).collect() }
    }

    /// The trace buffers of all commitments.
    pub fn trace_buffers(&self) -> Vec<Arc<Buffer>> {
        self.openings.iter().flat_map(|opening| opening.stack.columns.buffers()).collect()
    }

    /// Where each commitment's buffers begin among [`trace_buffers`](Self::trace_buffers).
    pub fn begins(&self) -> impl Iterator<Item = usize> {
        self.openings.iter().scan(0, |end, opening| {
            let begin = *end;
            *end += opening.stack.columns.buffers().len();
            Some(begin)
        })
    }

    /// `eq` on each cube that slices have: over `2^n` points from element `2^n` on.
    pub fn record_eq(&self, compute: &Compute, recorder: &mut Recorder, r: &[EF]) -> Result<ExtArray> {
        let cubes: BTreeSet<usize> = self.slices.iter().map(Slice::log_points).collect();
        let eq = ExtArray::whole(compute, &EQ, cubes.last().map_or(0, |&n| 2usize << n))?;
        for &n in &cubes {
            Tensor::eq(&r[1..=n]).record_at(recorder, eq.one()?, 1 << n)?;
        }
        Ok(eq)
    }

    /// The work of `opening_sums` on some slices, dispatch by dispatch: of columns that one binds, and as many tasks as scratch has room for the sums of.
    pub fn dispatches(&self, wants: impl Fn(&Slice) -> bool, limits: &DeviceLimits, max_scratch: usize) -> Result<Vec<Sums>> {
        let per_dispatch = (SUM_BYTES.min(max_scratch) / (32 << self.l_skip)).max(1);
        let points_per_task = (CELLS_PER_TASK >> self.l_skip).max(1);
        let mut dispatches = vec![];
        for ((commitment, opening), begin) in self.openings.iter().enumerate().zip(self.begins()) {
            for bound in opening.stack.columns.bound(limits, 1)? {
                let mut tasks: Vec<Task> = vec![];
                let here = |slice: &Slice| slice.commitment == commitment && bound.columns.contains(&slice.column);
                for (i, slice) in self.slices.iter().enumerate().filter(|(_, slice)| here(slice) && wants(slice)) {
                    let first = bound.first_words[slice.column - bound.columns.start] + slice.row as u32;
                    let num_points = 1usize << slice.log_points();
                    for begin in (0..num_points).step_by(points_per_task) {
                        let points = points_per_task.min(num_points - begin);
                        let words = [first + (begin << self.l_skip) as u32, num_points as u32, begin as u32, points as u32];
                        tasks.push(Task { slice: i, words });
                    }
                }
                // Those that take long come first.
                tasks.sort_by_key(|task| Reverse(task.words[3]));
                let windows = bound.windows_from(begin);
                dispatches.extend(tasks.chunks(per_dispatch).map(|tasks| Sums { windows: windows.clone(), tasks: tasks.to_vec() }));
            }
        }
        Ok(dispatches)
    }
}

impl Sums {
    /// Bytes of the sums.
    pub fn bytes(&self, l_skip: usize) -> u64 {
        (32 * self.tasks.len() as u64) << l_skip
    }

    /// The sums in a buffer that stays, as those of the i-th dispatch.
    pub fn bind(&self, recorder: &mut Recorder, i: usize, buffer: &Arc<Buffer>, l_skip: usize) -> Binding {
        let resource = Resource(SUMS[i]);
        recorder.keep(resource, buffer);
        Binding { resource, bytes: 0..self.bytes(l_skip) }
    }

    /// Computes the sums.
    ///
    /// # Errors
    /// As [`Recorder::dispatch`].
    pub fn record(&self, recorder: &mut Recorder, eq: &ExtArray, l_skip: usize, sums: Binding) -> Result<()> {
        let (eq, num_tasks) = (eq.one()?, self.tasks.len() as u32);
        let bindings = vec![
            recorder.job(&OpeningSumsJob { num_tasks, log_skip: l_skip as u32, eq_stride: eq.stride() as u32 }),
            recorder.table(&self.tasks.iter().flat_map(|task| task.words).collect::<Vec<_>>()),
            eq.bind(recorder),
            sums,
        ];
        let cells: u64 = self.tasks.iter().map(|task| u64::from(task.words[3]) << l_skip).sum();
        recorder.dispatch(&OPENING_SUMS, bindings, self.windows.clone(), num_tasks.into(), 24 * cells)
    }

    /// The slices that it has pieces of, of each the first piece and how many, and all pieces by slice.
    fn by_slice(&self, num_slices: usize) -> (Vec<usize>, Vec<[u32; 2]>, Vec<u32>) {
        let mut ends = vec![0u32; num_slices];
        self.tasks.iter().for_each(|task| ends[task.slice] += 1);
        let (mut own, mut segments, mut end) = (vec![], vec![], 0);
        for (slice, count) in ends.iter_mut().enumerate().filter(|(_, count)| **count > 0) {
            own.push(slice);
            segments.push([end, *count]);
            end += *count;
            *count = end - *count;
        }
        let mut pieces = vec![0; self.tasks.len()];
        for (task, i) in self.tasks.iter().zip(0..) {
            pieces[ends[task.slice] as usize] = i;
            ends[task.slice] += 1;
        }
        (own, segments, pieces)
    }
}
