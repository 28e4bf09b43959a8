//! The affine parts: one job for each matrix, whatever the number of pairs that read it, and one more for the last sums of its rotated columns.

use std::ops::Range;

use super::{
    Block, EqOf, Recorder, Work,
    group::{Group, Head, flat_word, too_many_windows},
};
use crate::{
    error::Result,
    field::EXT_WORDS,
    kernels::{self, ColumnJob, ReduceRun, RunKind, Tile},
    matrix::{Layout, Placement},
    plan::{
        affine::{AffineColumn, AffineMatrix},
        geometry::ColumnGeometry,
        windows::WindowRun,
    },
    round0::prepared::{InputWords, Prepared, WordsOf},
};

/// Rows at each `x` that `column_sums` needs.
pub(crate) const COLUMN_VEC4_ROWS: u32 = 4;

impl Recorder<'_> {
    /// Records the column sums of all affine blocks. Matrices that allow 16-byte loads have a kernel of their own.
    pub fn column_sums(&mut self, work: &[Work]) -> Result<()> {
        let instances = self.instances;
        let mut groups =
            [&kernels::COLUMN_SUMS, &kernels::COLUMN_SUMS_SCALAR].map(|kernel| Group::<ColumnJob>::new(Head::fixed(kernel, 0..1)));
        let affine = work.iter().enumerate().filter(|(_, work)| work.block == Block::Affine);
        let affine: Vec<(usize, Work)> = affine.map(|(work_idx, work)| (work_idx, *work)).collect();
        for of_instance in affine.chunk_by(|(_, a), (_, b)| a.instance == b.instance) {
            let instance_idx = of_instance[0].1.instance;
            let instance = &instances[instance_idx];
            for (matrix_idx, matrix) in instance.plan.affine.matrices.iter().enumerate() {
                let readers = of_instance.iter().filter(|(_, work)| instance.plan.pairs[work.pair].matrices[matrix_idx]);
                let readers: Vec<Reader> = readers.copied().collect();
                if readers.is_empty() {
                    continue;
                }
                let trace = &instance.traces[matrix.part_idx];
                let vec4 = trace.is_aligned() && instance.num_z() >= COLUMN_VEC4_ROWS;
                let group = &mut groups[usize::from(!vec4)];
                for (columns, wrap) in [(0..matrix.columns.len(), false), (0..matrix.num_next, true)] {
                    for (columns, piece_idx) in runs_in_pieces(trace, &matrix.columns, columns) {
                        let (x, eq) = (0..instance.num_x, self.eq[instance_idx]);
                        self.column_job(group, &ColumnSums { instance, matrix_idx, piece_idx, columns, x, wrap, eq, readers: &readers })?;
                    }
                }
            }
        }
        groups.into_iter().try_for_each(|group| self.launches.close(group))
    }

    /// Adds a job to the group; if its windows fit no launch, halves it.
    fn column_job(&mut self, group: &mut Group<ColumnJob>, sums: &ColumnSums<'_>) -> Result<()> {
        let (instance, trace, air) = (sums.instance, sums.trace(), sums.instance.plan.air().name());
        let words = sums.words_touched();
        let buffer = trace.pieces[sums.piece_idx].buffer;
        let run = WindowRun::of_words(buffer, words.start, words.end, self.limits.log_window());
        let Some(first_slots) = self.launches.place(group, &[run])? else {
            let error = || too_many_windows(air, group.head.kernel, "trace windows for one x", &[run], self.limits);
            let [left, right] = sums.halves().ok_or_else(error)?;
            self.column_job(group, &left)?;
            return self.column_job(group, &right);
        };

        let num_columns = sums.columns.len() as u32;
        let num_x = sums.x.end - sums.x.start;
        let row_major = trace.layout == Layout::RowMajor;
        let x_rows = instance.num_z();
        // Of a wrap only the first z counts; a thread of column_sums computes four.
        let vec4 = group.head.kernel == &kernels::COLUMN_SUMS;
        let num_z = match (sums.wrap, vec4) {
            (false, _) => x_rows,
            (true, true) => 4,
            (true, false) => 1,
        };
        let geometry = match vec4 {
            true => ColumnGeometry::vec4(num_z, num_x, num_columns),
            false => ColumnGeometry::scalar(row_major, num_z, num_x, num_columns),
        };
        let num_partials = u64::from(geometry.num_chunks) * u64::from(num_columns) * u64::from(num_z);
        let partial_base = self.scratch.partials(air, num_partials)?;
        let (row_stride, col_stride) = trace.strides();
        let job = ColumnJob {
            trace_base: flat_word(trace.origin(sums.piece_idx), first_slots[0], run.first, self.limits),
            row_stride,
            col_stride,
            row_mask: instance.height as u32 - 1,
            x_rows,
            row_offset: if sums.wrap { x_rows } else { 0 },
            first_x: sums.x.start,
            log_chunk: geometry.log_chunk,
            num_z,
            log_c: geometry.log_c,
            log_z: geometry.log_z,
            row_major: u32::from(row_major),
            num_columns,
            columns_base: self.words.next(),
            eq_low: sums.eq.low,
            eq_high: sums.eq.high,
            log_low: sums.eq.log_low,
            partial_base,
        };
        self.words.extend(sums.columns().iter().map(|column| column.index as u32));
        let num_cells = u64::from(num_columns) * u64::from(num_x) * u64::from(num_z);
        let seconds = self.launches.submissions.seconds(|budget| budget.sums(num_cells));
        let job_idx = group.push(job, seconds / geometry.num_tiles() as f64);
        for col_group in 0..geometry.num_groups {
            for z_block in 0..geometry.num_z_blocks {
                // neighbouring tiles read neighbouring rows
                group.tiles.extend((0..geometry.num_chunks).map(|chunk| Tile { job: job_idx, chunk, col_group, z_block }));
            }
        }
        if !sums.wrap {
            self.trace_bytes += 4 * u64::from(num_columns) * u64::from(num_x) * u64::from(x_rows.min(instance.height as u32));
        }

        let run = |kind: RunKind, num_columns: usize, weights_base: u32| ReduceRun {
            kind: kind as u32,
            partial_base,
            num_chunks: geometry.num_chunks,
            num_columns: num_columns as u32,
            num_stored: job.num_columns,
            stored_z: num_z,
            weights_base,
            sides: 0,
        };
        let words_of = |columns: Range<usize>| 2 * EXT_WORDS * columns.start..2 * EXT_WORDS * columns.end;
        // Columns with a next-row cell come first.
        let next_columns = sums.columns.start..sums.columns.end.min(sums.matrix().num_next);
        for &(work_idx, work) in sums.readers {
            let mut weights = |next: bool, columns: Range<usize>| {
                let of = WordsOf::Columns { matrix: sums.matrix_idx, next, words: words_of(columns) };
                self.words.input(self.instances, InputWords { instance: work.instance, pair: work.pair, of })
            };
            if !sums.wrap {
                let current = weights(false, sums.columns.clone());
                self.runs[work_idx].push(run(RunKind::Columns, sums.columns.len(), current));
            }
            if !next_columns.is_empty() {
                let next = weights(true, next_columns.clone());
                self.runs[work_idx].push(run(if sums.wrap { RunKind::Wrap } else { RunKind::Next }, next_columns.len(), next));
            }
        }
        Ok(())
    }
}

/// A block that column sums count towards, and its place in the step's work.
type Reader = (usize, Work);

/// The column sums of a part of a matrix: some columns, some `x`.
#[derive(Clone)]
struct ColumnSums<'a> {
    instance: &'a Prepared<'a>,
    /// Which of the plan's affine matrices.
    matrix_idx: usize,
    /// Which of the trace's pieces has the columns.
    piece_idx: usize,
    columns: Range<usize>,
    x: Range<u32>,
    /// The sums of the rows after each `x`'s last, for rotated columns.
    wrap: bool,
    eq: EqOf,
    readers: &'a [Reader],
}

impl<'a> ColumnSums<'a> {
    fn trace(&self) -> &'a Placement<usize> {
        &self.instance.traces[self.matrix().part_idx]
    }

    fn matrix(&self) -> &'a AffineMatrix {
        &self.instance.plan.affine.matrices[self.matrix_idx]
    }

    fn columns(&self) -> &'a [AffineColumn] {
        &self.matrix().columns[self.columns.clone()]
    }

    /// The words of the trace's buffer between the first and the last that are read.
    fn words_touched(&self) -> Range<u64> {
        let rows = rows_touched(self.x.clone(), self.instance.num_z(), self.instance.height as u64, self.wrap);
        let indices = || self.columns().iter().map(|column| column.index);
        let (min, max) = (indices().min().unwrap_or(0), indices().max().unwrap_or(0));
        self.trace().words(self.piece_idx, min..max + 1, rows)
    }

    /// The two halves of a job whose windows do not fit one launch. Column-major, other columns lie farther apart than other rows.
    fn halves(&self) -> Option<[Self; 2]> {
        if self.trace().layout == Layout::ColMajor && self.columns.len() > 1 {
            return Some(halves(&self.columns).map(|columns| Self { columns, ..self.clone() }));
        }
        let x = self.x.start as usize..self.x.end as usize;
        (x.len() > 1).then(|| halves(&x).map(|x| Self { x: x.start as u32..x.end as u32, ..self.clone() }))
    }
}

fn halves(range: &Range<usize>) -> [Range<usize>; 2] {
    let middle = range.start.midpoint(range.end);
    [range.start..middle, middle..range.end]
}

/// The rows that sums over some `x` read: all of each `x`, or of a wrap the row after each `x`'s last, which after the trace's last is the first.
fn rows_touched(x: Range<u32>, num_z: u32, height: u64, wrap: bool) -> Range<u64> {
    let rows_per_x = u64::from(num_z).min(height);
    let rows = u64::from(x.start) * rows_per_x..u64::from(x.end) * rows_per_x;
    match x.len() {
        _ if !wrap => rows,
        1 => (rows.end % height)..(rows.end % height + 1),
        _ if rows.end == height => 0..height,
        _ => rows.start + rows_per_x..rows.end + 1,
    }
}

/// Runs of neighbours among the columns of an affine matrix, each within one of the trace's pieces: with the piece's index.
fn runs_in_pieces<'a>(
    trace: &'a Placement<usize>,
    columns: &'a [AffineColumn],
    range: Range<usize>,
) -> impl Iterator<Item = (Range<usize>, usize)> + 'a {
    let piece_of = |at: usize| trace.piece_of(columns[at].index);
    let mut begin = range.start;
    std::iter::from_fn(move || {
        let piece_idx = (begin < range.end).then(|| piece_of(begin))?;
        let end = (begin..range.end).find(|&at| piece_of(at) != piece_idx).unwrap_or(range.end);
        Some((std::mem::replace(&mut begin, end)..end, piece_idx))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::Piece;

    /// A wrap reads one row after each `x`: rows 4, 8, .. of a trace of four rows at each `x`, and after the last `x` row 0.
    #[test]
    fn wraps_read_the_row_after_each_x() {
        assert_eq!(rows_touched(0..4, 4, 16, false), 0..16);
        assert_eq!(rows_touched(1..3, 4, 16, false), 4..12);
        assert_eq!(rows_touched(0..1, 4, 16, true), 4..5);
        assert_eq!(rows_touched(3..4, 4, 16, true), 0..1);
        assert_eq!(rows_touched(0..3, 4, 16, true), 4..13);
        // row 0 and rows 4 to 12
        assert_eq!(rows_touched(0..4, 4, 16, true), 0..16);
        // lifted: two rows, repeated
        assert_eq!(rows_touched(0..1, 8, 2, false), 0..2);
        assert_eq!(rows_touched(0..1, 8, 2, true), 0..1);
    }

    #[test]
    fn halves_are_the_whole() {
        assert_eq!(halves(&(3..8)), [3..5, 5..8]);
        assert_eq!(halves(&(0..2)), [0..1, 1..2]);
    }

    #[test]
    fn runs_end_where_pieces_do() {
        let piece = |columns: Range<usize>| Piece { buffer: 0, first_word: 0, columns };
        let trace = Placement {
            width: 9,
            height: 4,
            layout: Layout::ColMajor,
            column_words: 4,
            pieces: vec![piece(0..4), piece(4..6), piece(6..9)],
        };
        let columns: Vec<AffineColumn> = [1, 3, 4, 7, 8, 2].map(|index| AffineColumn { index, current: None, next: None }).into();
        let runs = |range| runs_in_pieces(&trace, &columns, range).collect::<Vec<_>>();
        assert_eq!(runs(0..6), [(0..2, 0), (2..3, 1), (3..5, 2), (5..6, 0)]);
        assert_eq!(runs(1..4), [(1..2, 0), (2..3, 1), (3..4, 2)]);
        assert_eq!(runs(2..2), []);
    }
}
