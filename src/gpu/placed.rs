//! Columns written where a crate with kernels of its own wants them.

use std::sync::Arc;

use super::{
    Buffer, Gpu,
    columns::{chunks, kernel, room, transpose},
    trace::{ALIGN_WORDS, Place},
};
use crate::{
    error::{Error, Result, Subject},
    kernels::TRANSPOSE,
    matrix::{ColumnsOf, Layout, stored_rows},
};

/// Columns of a row-major matrix in host memory, and where in a buffer kernels want them: row `i` of column `j` at word
/// `first_word + j * column_words + i * row_stride`.
#[derive(Clone, Copy, Debug)]
pub struct PlacedColumns<'a> {
    /// The columns.
    pub columns: ColumnsOf<'a>,
    /// Which buffer.
    pub buffer: usize,
    /// Word of the first column's first row.
    pub first_word: u64,
    /// Words from a column to the next.
    pub column_words: u32,
    /// Words from a row to the next.
    pub row_stride: u32,
    /// How often a column is stored, its copies dividing its words evenly: rows that repeat.
    pub copies: u32,
}

impl<'a> PlacedColumns<'a> {
    pub(super) fn of(place: &Place, matrix: &ColumnsOf<'a>, heights: &[usize]) -> Self {
        let height = heights[place.matrix];
        let column_words = stored_rows(Layout::ColMajor, height);
        Self {
            columns: ColumnsOf { columns: &matrix.columns[place.columns.clone()], ..*matrix },
            buffer: place.buffer,
            first_word: place.first_word,
            column_words: column_words as u32,
            row_stride: 1,
            copies: (column_words / height) as u32,
        }
    }

    pub(super) fn height(&self) -> usize {
        self.columns.rows.len() / self.columns.width.max(1)
    }

    pub(super) fn num_words(&self) -> u64 {
        self.columns.columns.len() as u64 * u64::from(self.column_words)
    }
}

impl Gpu {
    /// Writes columns of row-major matrices where kernels want them. Rows cross the bus as they are, by all threads, and the device transposes;
    /// work that is submitted afterwards sees them. To buffers that are only counted nothing is written.
    ///
    /// # Errors
    /// [`Error::DeviceLimit`] for a column or a row that no binding holds, or a word beyond its buffer; [`Error::WrongAnswer`] if the kernel, at its first
    /// use, transposes wrongly; [`Error::OutOfMemory`], [`Error::Device`], [`Error::DeviceLost`].
    pub fn place_columns(&self, placed: &[PlacedColumns<'_>], buffers: &[Arc<Buffer>]) -> Result<()> {
        let limits = self.limits();
        let refuse =
            |what, requested, limit| Err(Error::DeviceLimit { subject: Subject::Upload, kernel: TRANSPOSE.name, what, requested, limit });
        let mut cut: Vec<PlacedColumns<'_>> = vec![];
        for whole in placed.iter().filter(|placed| !placed.columns.columns.is_empty()) {
            let (end, there) = (4 * (whole.first_word + whole.num_words()), buffers[whole.buffer].size());
            if end > there {
                return refuse("bytes of a buffer", end, there);
            }
            // A binding starts at an aligned word.
            let column_bytes = 4 * u64::from(whole.column_words);
            let per_binding =
                (limits.binding_bytes.saturating_sub(if column_bytes < limits.binding_bytes { 4 * ALIGN_WORDS } else { 0 })) / column_bytes;
            if per_binding == 0 {
                return refuse("bytes of a column", column_bytes, limits.binding_bytes);
            }
            for (columns, i) in whole.columns.columns.chunks(per_binding as usize).zip(0..) {
                let first_word = whole.first_word + i * per_binding * u64::from(whole.column_words);
                cut.push(PlacedColumns { columns: ColumnsOf { columns, ..whole.columns }, first_word, ..*whole });
            }
        }
        if buffers.iter().any(|buffer| buffer.is_counted()) {
            return Ok(());
        }
        let room = room(self);
        let Some(chunks) = chunks(&cut, room) else {
            let longest = cut.iter().map(|placed| placed.columns.width as u64).max().unwrap_or(0);
            return refuse("bytes of a row with its tables", 4 * longest, 4 * room);
        };
        transpose(self, &*kernel(self)?, &cut, &chunks, buffers)
    }
}
