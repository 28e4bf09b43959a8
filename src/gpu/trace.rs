//! Traces on the device.

use std::{borrow::Cow, ops::Range, sync::Arc};

use super::{Buffer, Gpu, staging::fill};
use crate::{
    error::{Error, Result, Subject},
    field::{self, F, P},
    matrix::{Layout, Matrix, Piece, Placement, check_shape, height, stored_rows},
};

/// A matrix on the device. Clones share its memory.
#[derive(Clone, Debug)]
pub struct Trace {
    gpu: Gpu,
    place: Arc<Placement<Arc<Buffer>>>,
}

/// A matrix that is already on the device, for [`Trace::from_buffer`].
#[derive(Clone, Debug)]
pub struct BufferMatrix {
    /// A buffer with `STORAGE` usage.
    pub buffer: Arc<Buffer>,
    /// Where the matrix starts, in words of four bytes.
    pub first_word: u64,
    /// Columns.
    pub width: usize,
    /// Rows, a power of two.
    pub height: usize,
    /// Order of the cells.
    pub layout: Layout,
}

/// Consecutive columns of a matrix that is already on the device, for [`Trace::from_pieces`].
#[derive(Clone, Debug)]
pub struct BufferColumns {
    /// A buffer with `STORAGE` usage.
    pub buffer: Arc<Buffer>,
    /// Where the first of the columns starts, in words of four bytes.
    pub first_word: u64,
    /// Which columns.
    pub columns: Range<usize>,
}

/// Matrices of one upload start at multiples of this many words, for aligned wide loads.
pub(super) const ALIGN_WORDS: u64 = 64;

impl Trace {
    /// Uploads matrices as they are: no conversion, no transposition (of a column-major matrix with one or two rows, each column is stored twice
    /// or four times); on devices that share the host's memory one copy, into the place where
    /// kernels read. They share a device buffer as far as one holds them; a column-major matrix that no buffer holds is cut between columns.
    /// AIRs whose traces share a buffer share dispatches, so upload together what is evaluated together.
    ///
    /// # Shapes
    /// `values.len()` = `width * height`, `height` a power of two; a matrix without columns has height 1.
    ///
    /// # Errors
    /// [`Error::Length`], [`Error::Height`], [`Error::DeviceLimit`] if no buffer holds a row-major matrix or a column; [`Error::OutOfMemory`],
    /// [`Error::Device`], [`Error::DeviceLost`], [`Error::WrongAnswer`] for what the device reports or did.
    pub fn upload(gpu: &Gpu, matrices: &[Matrix<'_>]) -> Result<Vec<Self>> {
        let heights = heights(matrices)?;
        let (places, buffer_words) = place(matrices, &heights, gpu.limits().buffer_bytes / 4)?;
        Self::upload_to(gpu, matrices, &heights, &places, &buffer_words)
    }

    /// Uploads matrices spread over so many buffers: of a column-major one a share of its columns in each, row-major ones in turn.
    pub(crate) fn scatter(gpu: &Gpu, matrices: &[Matrix<'_>], num_buffers: u32) -> Result<Vec<Self>> {
        let heights = heights(matrices)?;
        let num_buffers = num_buffers as usize;
        let (mut places, mut used) = (Vec::new(), vec![0u64; num_buffers]);
        for (i, (matrix, &height)) in matrices.iter().zip(&heights).enumerate() {
            for (buffer, used) in used.iter_mut().enumerate() {
                let columns = match matrix.layout {
                    Layout::ColMajor => matrix.width * buffer / num_buffers..matrix.width * (buffer + 1) / num_buffers,
                    Layout::RowMajor if i % num_buffers == buffer => 0..matrix.width,
                    Layout::RowMajor => continue,
                };
                let num_words = (columns.len() * stored_rows(matrix.layout, height)) as u64;
                if num_words > 0 {
                    places.push(Place { matrix: i, columns, buffer, first_word: *used });
                    *used += num_words.next_multiple_of(ALIGN_WORDS);
                }
            }
        }
        let buffer_words: Vec<u64> = used.into_iter().map(|used| used.max(ALIGN_WORDS)).collect();
        let (requested, limit) = (4 * buffer_words.iter().max().copied().unwrap_or(0), gpu.limits().buffer_bytes);
        if requested > limit {
            let what = "bytes of one buffer";
            return Err(Error::DeviceLimit { subject: Subject::Upload, kernel: "upload", what, requested, limit });
        }
        Self::upload_to(gpu, matrices, &heights, &places, &buffer_words)
    }

    fn upload_to(gpu: &Gpu, matrices: &[Matrix<'_>], heights: &[usize], places: &[Place], buffer_words: &[u64]) -> Result<Vec<Self>> {
        let buffers = buffer_words.iter().enumerate().map(|(i, &num_words)| {
            let content = places.iter().filter(|place| place.buffer == i).map(|place| {
                let height = heights[place.matrix];
                let cells = place.columns.start * height..place.columns.end * height;
                let Matrix { values, layout, .. } = matrices[place.matrix];
                let values = &values[cells];
                let times = stored_rows(layout, height) / height;
                let stored = if times == 1 { Cow::Borrowed(values) } else { repeated(values, height, times).into() };
                (place.first_word, stored)
            });
            filled_buffer(gpu, num_words, content).map(Arc::new)
        });
        let buffers: Vec<Arc<Buffer>> = buffers.collect::<Result<_>>()?;
        Ok(Self::in_places(gpu, matrices, heights, places, &buffers))
    }

    /// Traces of matrices that lie at these places of these buffers.
    pub(super) fn in_places(gpu: &Gpu, matrices: &[Matrix<'_>], heights: &[usize], places: &[Place], buffers: &[Arc<Buffer>]) -> Vec<Self> {
        let mut pieces: Vec<Vec<Piece<Arc<Buffer>>>> = vec![Vec::new(); matrices.len()];
        for place in places {
            let buffer = Arc::clone(&buffers[place.buffer]);
            pieces[place.matrix].push(Piece { buffer, first_word: place.first_word, columns: place.columns.clone() });
        }
        let traces = matrices.iter().zip(heights).zip(pieces).map(|((matrix, &height), pieces)| {
            let column_words = stored_rows(matrix.layout, height);
            let place = Placement { width: matrix.width, height, layout: matrix.layout, column_words, pieces };
            Self { gpu: gpu.clone(), place: Arc::new(place) }
        });
        traces.collect()
    }

    /// Uploads one matrix. See [`Trace::upload`].
    ///
    /// # Errors
    /// As [`Trace::upload`].
    pub fn new<'a>(gpu: &Gpu, matrix: impl Into<Matrix<'a>>) -> Result<Self> {
        let mut traces = Self::upload(gpu, &[matrix.into()])?;
        Ok(traces.pop().expect("one matrix, one trace"))
    }

    /// Uploads words in Montgomery form after checking that each is below `P`.
    ///
    /// # Errors
    /// [`Error::NotAFieldElement`] with the first bad word, else as [`Trace::upload`].
    pub fn from_words(gpu: &Gpu, words: &[u32], width: usize, layout: Layout) -> Result<Self> {
        if let Some(index) = words.iter().position(|&word| word >= P) {
            return Err(Error::NotAFieldElement { subject: Subject::Matrix(0), index, got: words[index], limit: P });
        }
        let elements: Vec<F> = words.iter().map(|&word| field::from_word(word).expect("checked")).collect();
        Self::new(gpu, Matrix { values: &elements, width, layout })
    }

    /// A matrix that is already on the device, in Montgomery form. The words are not checked. A column-major matrix that starts at a multiple of
    /// four words is read by 16-byte loads.
    ///
    /// # Errors
    /// [`Error::Height`]; [`Error::TooFew`] if the buffer, down to a multiple of 16 bytes, ends before the matrix;
    /// [`Error::DeviceLimit`] for more than `2^32 - 1` columns; [`Error::Unsupported`] without `STORAGE` usage.
    pub fn from_buffer(gpu: &Gpu, matrix: BufferMatrix) -> Result<Self> {
        let BufferMatrix { buffer, first_word, width, height, layout } = matrix;
        check_shape(Subject::Buffer, width, height)?;
        // Sizes come from outside: what does not fit 128 bits cannot be asked for.
        let (needed, there) = (u128::from(first_word) + width as u128 * height as u128, u128::from(buffer.size() / 16 * 4));
        if needed > there {
            let limit = needed.try_into().unwrap_or(usize::MAX);
            return Err(Error::TooFew { subject: Subject::Buffer, what: "words", got: there as usize, needed: limit });
        }
        if !buffer.is_counted() && !buffer.memory().usage().contains(wgpu::BufferUsages::STORAGE) {
            return Err(Error::Unsupported { subject: Subject::Buffer, what: "the buffer has no STORAGE usage".into() });
        }
        let pieces = vec![Piece { buffer, first_word, columns: 0..width }];
        Ok(Self { gpu: gpu.clone(), place: Arc::new(Placement { width, height, layout, column_words: height, pieces }) })
    }

    /// A column-major matrix whose columns already lie on the device, in Montgomery form: `column_words` words from a column to the next, which is its
    /// height, or more where its rows are stored again and again. Each of `pieces` has consecutive columns in one buffer, and together they have
    /// all, in order. The words are not checked.
    ///
    /// # Errors
    /// As [`from_buffer`](Self::from_buffer); [`Error::Length`] for pieces that do not follow each other.
    pub fn from_pieces(gpu: &Gpu, height: usize, column_words: usize, pieces: &[BufferColumns]) -> Result<Self> {
        let width = pieces.last().map_or(0, |last| last.columns.end);
        check_shape(Subject::Buffer, width, height)?;
        let mut next = 0;
        for BufferColumns { buffer, first_word, columns } in pieces {
            if columns.start != next {
                let what = "columns before a piece";
                return Err(Error::Length { subject: Subject::Buffer, what, got: columns.start, expected: next });
            }
            next = columns.end;
            let (needed, there) =
                (u128::from(*first_word) + columns.len() as u128 * column_words as u128, u128::from(buffer.size() / 16 * 4));
            if needed > there {
                let needed = needed.try_into().unwrap_or(usize::MAX);
                return Err(Error::TooFew { subject: Subject::Buffer, what: "words", got: there as usize, needed });
            }
        }
        let pieces = pieces.iter().map(|piece| Piece {
            buffer: Arc::clone(&piece.buffer),
            first_word: piece.first_word,
            columns: piece.columns.clone(),
        });
        let place = Placement { width, height, layout: Layout::ColMajor, column_words, pieces: pieces.collect() };
        Ok(Self { gpu: gpu.clone(), place: Arc::new(place) })
    }

    /// Columns.
    pub fn width(&self) -> usize {
        self.place.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.place.height
    }

    /// Order of the cells.
    pub fn layout(&self) -> Layout {
        self.place.layout
    }

    /// The device buffer that holds a column, and the word at which the column starts.
    ///
    /// # Panics
    /// If there is no such column.
    pub fn location(&self, column: usize) -> (&Arc<Buffer>, u64) {
        let piece_idx = self.place.piece_of(column);
        let first_word = self.place.origin(piece_idx).wrapping_add(column as u64 * u64::from(self.place.strides().1));
        (&self.place.pieces[piece_idx].buffer, first_word)
    }

    pub(crate) fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// Where the cells lie.
    pub(crate) fn place(&self) -> &Placement<Arc<Buffer>> {
        &self.place
    }
}

/// Where an upload puts consecutive columns of a matrix.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub matrix: usize,
    pub columns: Range<usize>,
    pub buffer: usize,
    pub first_word: u64,
}

/// Places matrices one behind another in as few buffers of `buffer_words` as keep a matrix whole where one buffer holds it. The result is
/// each piece's place, and the words of each buffer.
pub(super) fn place(matrices: &[Matrix<'_>], heights: &[usize], buffer_words: u64) -> Result<(Vec<Place>, Vec<u64>)> {
    let mut places = Vec::new();
    let mut used = vec![0u64];
    for (i, (matrix, &height)) in matrices.iter().zip(heights).enumerate() {
        let rows = stored_rows(matrix.layout, height);
        let matrix_words = (matrix.width * rows) as u64;
        if *used.last().expect("one at least") + matrix_words > buffer_words {
            used.push(0);
        }
        let mut begin = 0;
        while begin < matrix.width {
            let first_word = *used.last().expect("one at least");
            let free = buffer_words.saturating_sub(first_word);
            let that_fit = match matrix.layout {
                Layout::ColMajor => (free / rows as u64).min((matrix.width - begin) as u64) as usize,
                Layout::RowMajor if matrix_words <= free => matrix.width,
                Layout::RowMajor => 0,
            };
            if that_fit == 0 {
                if first_word == 0 {
                    let words = if matrix.layout == Layout::ColMajor { rows as u64 } else { matrix_words };
                    let (subject, what) = (Subject::Matrix(i), "bytes of one buffer");
                    return Err(Error::DeviceLimit { subject, kernel: "upload", what, requested: 4 * words, limit: 4 * buffer_words });
                }
                used.push(0);
                continue;
            }
            let columns = begin..begin + that_fit;
            begin = columns.end;
            let num_words = (columns.len() * rows) as u64;
            places.push(Place { matrix: i, columns, buffer: used.len() - 1, first_word });
            *used.last_mut().expect("one at least") += num_words.next_multiple_of(ALIGN_WORDS);
        }
    }
    // The last matrix need not be followed by an aligned one.
    let words = used.into_iter().map(|used| used.clamp(ALIGN_WORDS.min(buffer_words), buffer_words)).collect();
    Ok((places, words))
}

/// A buffer with these cells at these places, in words. A mappable buffer is filled in place; another through a staging buffer of its size, and a
/// copy on the device.
fn filled_buffer<'a>(gpu: &Gpu, num_words: u64, content: impl Iterator<Item = (u64, Cow<'a, [F]>)>) -> Result<Buffer> {
    let mappable = if gpu.writes_in_place() { wgpu::BufferUsages::MAP_WRITE } else { wgpu::BufferUsages::empty() };
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | mappable;
    let size = 4 * num_words;
    gpu.checked("a trace buffer", || {
        let descriptor = wgpu::BufferDescriptor { label: Some("trace"), size, usage, mapped_at_creation: true };
        let buffer = gpu.device().create_buffer(&descriptor);
        let cells: Vec<(u64, Cow<'a, [F]>)> = content.collect();
        let bytes = cells.iter().map(|(first_word, cells)| (4 * first_word, bytemuck::cast_slice(field::words(cells))));
        fill(gpu, &buffer, &bytes.collect::<Vec<(u64, &[u8])>>())?;
        buffer.unmap();
        Ok(buffer.into())
    })?
}

/// Columns of `height` cells, each so many times on end.
fn repeated(cells: &[F], height: usize, times: usize) -> Vec<F> {
    cells.chunks_exact(height).flat_map(|column| column.repeat(times)).collect()
}

/// The matrices' heights.
fn heights(matrices: &[Matrix<'_>]) -> Result<Vec<usize>> {
    matrices.iter().enumerate().map(|(i, matrix)| height(Subject::Matrix(i), matrix.values.len(), matrix.width)).collect()
}

#[cfg(test)]
mod tests {
    use p3_field::PrimeCharacteristicRing;

    use super::*;

    #[test]
    fn matrices_share_buffers_and_are_cut_only_where_they_must() {
        let cells = vec![F::ZERO; 1 << 12];
        let matrix = |width: usize, height: usize| Matrix::col_major(&cells[..width * height], width);
        let place_all = |matrices: &[Matrix<'_>], buffer_words| {
            let heights: Vec<usize> = matrices.iter().map(|m| height(Subject::Matrix(0), m.values.len(), m.width).unwrap()).collect();
            let (places, words) = place(matrices, &heights, buffer_words).unwrap();
            (places.into_iter().map(|p| (p.matrix, p.columns, p.buffer, p.first_word)).collect::<Vec<_>>(), words)
        };
        let (places, words) = place_all(&[matrix(3, 8), matrix(0, 1), matrix(2, 32)], 1 << 12);
        assert_eq!((places, words), (vec![(0, 0..3, 0, 0), (2, 0..2, 0, 64)], vec![128]));
        // The second fits a buffer of its own; the third fits none, and the fourth goes behind its end.
        let (places, words) = place_all(&[matrix(2, 64), matrix(4, 64), matrix(9, 64), matrix(1, 2)], 256);
        assert_eq!(places, [(0, 0..2, 0, 0), (1, 0..4, 1, 0), (2, 0..4, 2, 0), (2, 4..8, 3, 0), (2, 8..9, 4, 0), (3, 0..1, 4, 64)]);
        assert_eq!(words, [128, 256, 256, 256, 128]);
        assert_eq!(place_all(&[], 256).1, [64]);

        let row_major = Matrix::row_major(&cells[..512], 8);
        for (matrix, requested) in [(row_major, 4 * 512), (matrix(2, 512), 4 * 512)] {
            let height = matrix.values.len() / matrix.width;
            let error = place(&[matrix], &[height], 256).unwrap_err();
            assert!(matches!(error, Error::DeviceLimit { requested: r, limit: 1024, .. } if r == requested), "{error}");
        }
    }
}
