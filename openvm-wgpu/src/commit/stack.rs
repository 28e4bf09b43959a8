//! A commitment's traces on the device, stacked: what the code is of, and what the constraint stage reads.
//!
//! A trace of `2^l_skip` rows or more lies in the stacked matrix as a column-major matrix does, and is read there. A shorter one is spread out in it, with
//! zeros between its rows, and is stored once more as kernels read short traces: at most `2^l_skip` words a column. So is one of fewer than four rows.

use std::{ops::Range, sync::Arc};

use logup_wgpu::{
    BufferColumns, ColumnsOf, Error, F, Gpu, Result, Subject, Trace,
    compute::{Buffer, BufferPool, PlacedColumns},
};
use openvm_stark_backend::{
    SystemParams,
    prover::{ColMajorMatrix, stacked_pcs::StackedLayout},
};
use p3_matrix::dense::RowMajorMatrix;
use rayon::prelude::*;

use super::{columns::Columns, zeros};

/// Where traces lie, decided without a device.
#[derive(Clone, Debug)]
pub(crate) struct StackPlan {
    pub layout: StackedLayout,
    /// Of each trace.
    shapes: Vec<Shape>,
    l_skip: u32,
    log_height: u32,
    /// Words of the short traces' second copies.
    compact_words: u64,
}

#[derive(Clone, Copy, Debug)]
struct Shape {
    width: usize,
    height: usize,
    /// Where its second copy is, of a short trace.
    compact: Option<u64>,
}

/// Columns that a thread of the host stacks at a time: as many as a cache line of a row holds.
const COLUMNS_PER_TASK: usize = 16;
/// Rows that it reads before it goes to the next column.
const ROWS_PER_BLOCK: usize = 64;
/// Rows that kernels read at a time: a column of fewer is stored as so many, repeated.
const MIN_ROWS: usize = 4;

/// Words of a column of a short trace's second copy.
fn compact_words(height: usize) -> usize {
    height.max(MIN_ROWS)
}

/// The rows of a trace that can be stacked.
///
/// # Errors
/// [`Error::Height`] for a height that is no power of two, and one that is above the stack's; [`Error::Length`] for a matrix that is none.
pub(crate) fn checked_height(params: &SystemParams, trace: &RowMajorMatrix<F>, subject: impl Fn() -> Subject) -> Result<usize> {
    let RowMajorMatrix { values, width, .. } = trace;
    let height = values.len().checked_div(*width).unwrap_or(0);
    if height * width != values.len() {
        return Err(Error::Length { subject: subject(), what: "cells of a trace", got: values.len(), expected: height * width });
    }
    if !height.is_power_of_two() || height.ilog2() as usize > params.log_stacked_height() {
        return Err(Error::Height { subject: subject(), got: height });
    }
    Ok(height)
}

impl StackPlan {
    /// # Errors
    /// As [`checked_height`]; [`Error::Unsupported`] for no trace at all, and for traces that are not sorted by height.
    pub fn new(params: &SystemParams, traces: &[&RowMajorMatrix<F>]) -> Result<Self> {
        let (l_skip, log_height) = (params.l_skip, params.log_stacked_height());
        let mut compact_end = 0u64;
        let shape = |(i, trace): (usize, &&RowMajorMatrix<F>)| {
            let (width, height) = (trace.width, checked_height(params, trace, || Subject::Matrix(i))?);
            let compact = (height < MIN_ROWS.max(1 << l_skip)).then_some(compact_end);
            if compact.is_some() {
                compact_end += ((width * compact_words(height)) as u64).next_multiple_of(64);
            }
            Ok(Shape { width, height, compact })
        };
        let shapes: Vec<Shape> = traces.iter().enumerate().map(shape).collect::<Result<_>>()?;
        if shapes.is_empty() {
            return Err(Error::Unsupported { subject: Subject::Call, what: "a commitment to no trace".into() });
        }
        if let Some(i) = shapes.windows(2).position(|pair| pair[0].height < pair[1].height) {
            let what = "a trace that is higher than the one before it".into();
            return Err(Error::Unsupported { subject: Subject::Matrix(i + 1), what });
        }
        let sorted = shapes.iter().map(|shape| (shape.width, shape.height.ilog2() as usize)).collect();
        let layout = StackedLayout::new(l_skip, log_height, sorted)
            .map_err(|error| Error::Unsupported { subject: Subject::Call, what: error.to_string() })?;
        Ok(Self { layout, shapes, l_skip: l_skip as u32, log_height: log_height as u32, compact_words: compact_end })
    }

    /// Columns of the stacked matrix.
    pub fn width(&self) -> usize {
        self.layout.width()
    }

    /// Bytes on the device.
    pub fn bytes(&self) -> u64 {
        4 * (((self.width() as u64) << self.log_height) + self.compact_words)
    }

    /// Rows of a trace's columns in the stacked matrix.
    fn stacked_rows(&self, shape: &Shape) -> usize {
        shape.height.max(1 << self.l_skip)
    }

    /// Word of a trace's first column in the stacked matrix.
    fn first_word(&self, trace: usize) -> u64 {
        let slice = self.layout.get(trace, 0).expect("a trace has columns");
        ((slice.col_idx as u64) << self.log_height) + slice.row_idx as u64
    }

    /// The words of the stacked matrix from the first on that no row of a trace fills: short traces' rows are among them.
    fn first_gap_to_end(&self) -> Range<u64> {
        let end = (self.width() as u64) << self.log_height;
        let first_short = self.shapes.iter().position(|shape| shape.height < 1 << self.l_skip);
        let filled = || {
            let last = self.shapes.len() - 1;
            self.first_word(last) + (self.shapes[last].width * self.stacked_rows(&self.shapes[last])) as u64
        };
        first_short.map_or_else(filled, |trace| self.first_word(trace))..end
    }

    /// The stacked matrix, as the stock engine's openings want it.
    pub fn on_host(&self, traces: &[&RowMajorMatrix<F>]) -> ColMajorMatrix<F> {
        let mut values = zeros(self.width() << self.log_height);
        let mut rest = &mut values[..];
        for (trace, shape) in traces.iter().zip(&self.shapes) {
            let rows = self.stacked_rows(shape);
            let (own, others) = rest.split_at_mut(rows * shape.width);
            rest = others;
            own.par_chunks_mut(COLUMNS_PER_TASK * rows).enumerate().for_each(|(task, columns)| {
                let first = task * COLUMNS_PER_TASK;
                // Rows whose cells of these columns stay in the cache until each column has its own.
                for (block, block_rows) in trace.values.chunks(ROWS_PER_BLOCK * shape.width).enumerate() {
                    for (i, column) in columns.chunks_exact_mut(rows).enumerate() {
                        let cells = block_rows[first + i..].iter().step_by(shape.width);
                        let places = column[block * ROWS_PER_BLOCK * (rows / shape.height)..].iter_mut().step_by(rows / shape.height);
                        places.zip(cells).for_each(|(place, &cell)| *place = cell);
                    }
                }
            });
        }
        ColMajorMatrix::new(values, self.width())
    }
}

/// Stacked traces on the device.
#[derive(Clone, Debug)]
pub(crate) struct Stack {
    pub plan: StackPlan,
    pub columns: Columns,
    /// The short traces' second copies.
    compact: Option<Arc<Buffer>>,
}

impl Stack {
    /// Brings traces to the device and stacks them there.
    ///
    /// # Errors
    /// As [`Columns::new`] and [`Gpu::place_columns`].
    pub fn upload(gpu: &Gpu, pool: &BufferPool, plan: StackPlan, traces: &[&RowMajorMatrix<F>]) -> Result<Self> {
        let columns = Columns::new(gpu, pool, "stacked matrix", plan.width(), plan.log_height)?;
        let compact = (plan.compact_words > 0).then(|| pool.take("short traces", 4 * plan.compact_words)).transpose()?;
        let zeros = plan.first_gap_to_end();
        for (buffer, own) in &columns.buffers {
            let [begin, end] = [own.start, own.end].map(|column| (column as u64) << plan.log_height);
            let words = zeros.start.clamp(begin, end)..zeros.end.clamp(begin, end);
            if !words.is_empty() {
                gpu.clear(buffer, 4 * (words.start - begin)..4 * (words.end - begin))?;
            }
        }
        let stack = Self { plan, columns, compact };
        let all: Vec<usize> = (0..traces.iter().map(|trace| trace.width).max().unwrap_or(0)).collect();
        let mut placed = vec![];
        for (i, trace) in traces.iter().enumerate() {
            let shape = &stack.plan.shapes[i];
            let of = |columns: Range<usize>| ColumnsOf { rows: &trace.values, width: shape.width, columns: &all[columns] };
            let rows = stack.plan.stacked_rows(shape);
            let stride = (rows / shape.height) as u32;
            for piece in stack.pieces(i) {
                let (columns, first_word) = (of(piece.columns), piece.first_word);
                let buffer = piece.buffer;
                placed.push(PlacedColumns { columns, buffer, first_word, column_words: rows as u32, row_stride: stride, copies: 1 });
            }
            if let Some(first_word) = shape.compact {
                let words = compact_words(shape.height);
                let (buffer, copies) = (stack.columns.buffers.len(), (words / shape.height) as u32);
                let columns = of(0..shape.width);
                placed.push(PlacedColumns { columns, buffer, first_word, column_words: words as u32, row_stride: 1, copies });
            }
        }
        let buffers: Vec<_> = stack.columns.buffers().into_iter().chain(stack.compact.clone()).collect();
        gpu.place_columns(&placed, &buffers)?;
        Ok(stack)
    }

    /// Where a trace's columns lie in the stacked matrix's buffers.
    fn pieces(&self, trace: usize) -> Vec<StackPiece> {
        let shape = &self.plan.shapes[trace];
        let rows = self.plan.stacked_rows(shape) as u64;
        let first_word = self.plan.first_word(trace);
        let of_buffer = |(buffer, (_, own)): (usize, &(Arc<Buffer>, Range<usize>))| {
            let [begin, end] = [own.start, own.end].map(|column| (column as u64) << self.plan.log_height);
            // Whole columns of the trace, as none lies across two of the stacked matrix's.
            let column = |word: u64| (word.saturating_sub(first_word) / rows).min(shape.width as u64) as usize;
            let columns = column(begin)..column(end);
            let first_word = first_word + columns.start as u64 * rows;
            (!columns.is_empty()).then(|| StackPiece { buffer, first_word: first_word - begin, columns })
        };
        self.columns.buffers.iter().enumerate().filter_map(of_buffer).collect()
    }

    /// A trace, for the constraint stage's kernels.
    ///
    /// # Errors
    /// As [`Trace::from_pieces`].
    pub fn trace(&self, gpu: &Gpu, trace: usize) -> Result<Trace> {
        let shape = &self.plan.shapes[trace];
        if let (Some(first_word), Some(buffer)) = (shape.compact, &self.compact) {
            let whole = BufferColumns { buffer: Arc::clone(buffer), first_word, columns: 0..shape.width };
            return Trace::from_pieces(gpu, shape.height, compact_words(shape.height), &[whole]);
        }
        let pieces = self.pieces(trace).into_iter().map(|piece| BufferColumns {
            buffer: Arc::clone(&self.columns.buffers[piece.buffer].0),
            first_word: piece.first_word,
            columns: piece.columns,
        });
        Trace::from_pieces(gpu, shape.height, shape.height, &pieces.collect::<Vec<_>>())
    }

    /// Bytes of its buffers.
    pub fn bytes(&self) -> u64 {
        self.columns.buffers().iter().chain(&self.compact).map(|buffer| buffer.size()).sum()
    }
}

/// Consecutive columns of a trace in one of the stacked matrix's buffers.
struct StackPiece {
    buffer: usize,
    first_word: u64,
    columns: Range<usize>,
}
