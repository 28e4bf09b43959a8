//! Matrices: in host memory as p3 holds them, and where their cells lie in buffers. No device.

use std::ops::Range;

use p3_field::PrimeCharacteristicRing;
use p3_matrix::dense::RowMajorMatrix;
use rayon::prelude::*;

use crate::{
    error::{Error, Result, Subject},
    field::F,
};

/// The order of a matrix's cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layout {
    /// Cell (row, column) at `column * height + row`.
    ColMajor,
    /// Cell (row, column) at `row * width + column`.
    RowMajor,
}

/// A trace matrix in host memory, as p3 holds it.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    /// `width * height` cells.
    pub values: &'a [F],
    /// Columns.
    pub width: usize,
    /// Order of the cells.
    pub layout: Layout,
}

impl<'a> Matrix<'a> {
    /// A column-major matrix.
    pub fn col_major(values: &'a [F], width: usize) -> Self {
        Self { values, width, layout: Layout::ColMajor }
    }

    /// A row-major matrix.
    pub fn row_major(values: &'a [F], width: usize) -> Self {
        Self { values, width, layout: Layout::RowMajor }
    }
}

/// Chosen columns of a row-major matrix in host memory.
#[derive(Clone, Copy, Debug)]
pub struct ColumnsOf<'a> {
    /// `height * width` cells, row by row.
    pub rows: &'a [F],
    /// Columns of the matrix.
    pub width: usize,
    /// Those that are wanted, in the order in which the trace is to have them.
    pub columns: &'a [usize],
}

/// Columns that are picked together: as many as a cache line of a row holds.
const COLUMNS_PER_TASK: usize = 8;

impl ColumnsOf<'_> {
    /// The columns, one after another.
    pub(crate) fn picked(&self) -> Vec<F> {
        let height = self.rows.len() / self.width.max(1);
        let mut picked = F::zero_vec(self.columns.len() * height);
        if picked.is_empty() {
            return picked;
        }
        let tasks = picked.par_chunks_mut(COLUMNS_PER_TASK * height).zip(self.columns.par_chunks(COLUMNS_PER_TASK));
        tasks.for_each(|(picked, columns)| {
            for (row_idx, row) in self.rows.chunks_exact(self.width).enumerate() {
                for (picked, &column) in picked.chunks_exact_mut(height).zip(columns) {
                    picked[row_idx] = row[column];
                }
            }
        });
        picked
    }
}

impl<'a> From<&'a RowMajorMatrix<F>> for Matrix<'a> {
    fn from(matrix: &'a RowMajorMatrix<F>) -> Self {
        Self::row_major(&matrix.values, matrix.width)
    }
}

/// log2 of the largest trace height: a row's index and the one after it are words.
const MAX_LOG_HEIGHT: u32 = 31;

/// Refuses a height that is no power of two or has no 32-bit row indices.
pub(crate) fn check_height(subject: impl Into<Subject>, height: usize) -> Result<()> {
    if height.is_power_of_two() && height.ilog2() <= MAX_LOG_HEIGHT {
        Ok(())
    } else {
        Err(Error::Height { subject: subject.into(), got: height })
    }
}

/// Refuses what has no 32-bit indices of rows and columns.
pub(crate) fn check_shape(subject: Subject, width: usize, height: usize) -> Result<()> {
    check_height(subject.clone(), height)?;
    if u32::try_from(width).is_ok() {
        return Ok(());
    }
    let (what, limit) = ("columns", u32::MAX.into());
    Err(Error::DeviceLimit { subject, kernel: "upload", what, requested: width as u64, limit })
}

/// A matrix's height from its number of cells.
pub(crate) fn height(subject: Subject, len: usize, width: usize) -> Result<usize> {
    let length = |what, expected| Error::Length { subject: subject.clone(), what, got: len, expected };
    if width == 0 {
        return if len == 0 { Ok(1) } else { Err(length("cells of a matrix without columns", 0)) };
    }
    if !len.is_multiple_of(width) {
        return Err(length("cells of a matrix", len.checked_next_multiple_of(width).unwrap_or(usize::MAX)));
    }
    check_shape(subject, width, len / width)?;
    Ok(len / width)
}

/// The rows that an upload stores of a column: a column of one or two is repeated, so that 16-byte loads can read each column-major matrix, and
/// short traces need no kernels of their own.
pub(crate) fn stored_rows(layout: Layout, height: usize) -> usize {
    match layout {
        Layout::ColMajor => height.max(4),
        Layout::RowMajor => height,
    }
}

/// Where a matrix's cells lie, buffers being of whatever kind names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Placement<B> {
    pub width: usize,
    pub height: usize,
    pub layout: Layout,
    /// Words from a column to the next in column-major order; see [`stored_rows`].
    pub column_words: usize,
    /// In the order of their columns, which together are all. A row-major matrix has one at most.
    pub pieces: Vec<Piece<B>>,
}

/// Consecutive columns that lie in one buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece<B> {
    pub buffer: B,
    pub first_word: u64,
    pub columns: Range<usize>,
}

impl<B> Placement<B> {
    /// The same with buffers named otherwise.
    pub fn map<C>(&self, mut name: impl FnMut(&B) -> C) -> Placement<C> {
        let pieces = self.pieces.iter().map(|piece| Piece {
            buffer: name(&piece.buffer),
            first_word: piece.first_word,
            columns: piece.columns.clone(),
        });
        let Self { width, height, layout, column_words, .. } = *self;
        Placement { width, height, layout, column_words, pieces: pieces.collect() }
    }

    /// Which piece holds a column.
    pub fn piece_of(&self, column: usize) -> usize {
        self.pieces.partition_point(|piece| piece.columns.end <= column)
    }

    /// The word of the piece's buffer at which the matrix's cell (0, 0) would be. Wraps below zero for a later piece of a matrix: only sums
    /// with a cell of the piece are used.
    pub fn origin(&self, piece_idx: usize) -> u64 {
        let piece = &self.pieces[piece_idx];
        piece.first_word.wrapping_sub(piece.columns.start as u64 * self.column_words as u64)
    }

    /// Words between a cell and the one below it, and the one right of it.
    pub fn strides(&self) -> (u32, u32) {
        match self.layout {
            Layout::ColMajor => (1, self.column_words as u32),
            Layout::RowMajor => (self.width as u32, 1),
        }
    }

    /// The words of a piece's buffer between the first and the last cell of some rows and columns; in row-major order, of whole rows.
    pub fn words(&self, piece_idx: usize, columns: Range<usize>, rows: Range<u64>) -> Range<u64> {
        let column_words = self.column_words as u64;
        let words = match self.layout {
            Layout::ColMajor => columns.start as u64 * column_words + rows.start..(columns.end as u64 - 1) * column_words + rows.end,
            Layout::RowMajor => rows.start * self.width as u64..rows.end * self.width as u64,
        };
        let origin = self.origin(piece_idx);
        origin.wrapping_add(words.start)..origin.wrapping_add(words.end)
    }

    /// Whether columns can be read by 16-byte loads.
    pub fn is_aligned(&self) -> bool {
        let starts_at_four = || self.pieces.iter().all(|piece| piece.first_word.is_multiple_of(4));
        self.layout == Layout::ColMajor && self.column_words.is_multiple_of(4) && starts_at_four()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heights_are_powers_of_two_up_to_2_to_31() {
        for height in [1, 2, 1 << 31] {
            check_height("air", height).unwrap();
        }
        for height in [0, 3, 1 << 32, 1 << 40, usize::MAX] {
            assert!(matches!(check_height("air", height), Err(Error::Height { got, .. }) if got == height));
        }
    }
}
