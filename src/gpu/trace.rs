//! Traces on the device.

use std::sync::Arc;

use p3_matrix::dense::RowMajorMatrix;

use super::Gpu;
use crate::{
    error::{Error, Result},
    field::{self, F, P},
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

impl<'a> From<&'a RowMajorMatrix<F>> for Matrix<'a> {
    fn from(matrix: &'a RowMajorMatrix<F>) -> Self {
        Self::row_major(&matrix.values, matrix.width)
    }
}

#[cfg(feature = "openvm")]
impl<'a> From<&'a openvm_stark_backend::prover::ColMajorMatrix<F>> for Matrix<'a> {
    fn from(matrix: &'a openvm_stark_backend::prover::ColMajorMatrix<F>) -> Self {
        use openvm_stark_backend::prover::MatrixDimensions;
        Self::col_major(&matrix.values, matrix.width())
    }
}

/// A matrix on the device. Clones share its memory.
#[derive(Clone, Debug)]
pub struct Trace {
    gpu: Gpu,
    buffer: Arc<wgpu::Buffer>,
    first_word: u64,
    width: usize,
    height: usize,
    layout: Layout,
}

/// Matrices of one upload start at multiples of this many words, for aligned wide loads.
const ALIGN_WORDS: u64 = 64;

impl Trace {
    /// Uploads matrices into one device buffer, as they are: no conversion, no transposition; on devices that share the host's memory one
    /// copy, into the place where kernels read. AIRs whose traces share a buffer share
    /// dispatches, so upload together what is evaluated together.
    ///
    /// # Shapes
    /// `values.len()` = `width * height`, `height` a power of two; a matrix without columns has height 1.
    ///
    /// # Errors
    /// [`Error::Length`], [`Error::Height`], [`Error::DeviceLimit`] if the buffer would be too large, [`Error::Device`].
    pub fn upload(gpu: &Gpu, matrices: &[Matrix<'_>]) -> Result<Vec<Self>> {
        let mut num_words = 0u64;
        let mut places = Vec::with_capacity(matrices.len());
        for (i, matrix) in matrices.iter().enumerate() {
            let air = || format!("matrix {i}");
            let height = height(air, matrix.values.len(), matrix.width)?;
            places.push((num_words, height));
            num_words += (matrix.values.len() as u64).next_multiple_of(ALIGN_WORDS);
        }
        let bytes = 4 * num_words.max(ALIGN_WORDS);
        if bytes > gpu.limits().buffer_bytes {
            return Err(Error::DeviceLimit {
                air: format!("{} matrices", matrices.len()),
                kernel: "upload",
                what: "bytes of one buffer",
                requested: bytes,
                limit: gpu.limits().buffer_bytes,
            });
        }
        // A mappable buffer is filled in place; another through a staging buffer of its size, and a copy on the device.
        let mappable = if gpu.writes_in_place() { wgpu::BufferUsages::MAP_WRITE } else { wgpu::BufferUsages::empty() };
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | mappable;
        let buffer = gpu.checked("a trace buffer", || {
            let buffer =
                gpu.device().create_buffer(&wgpu::BufferDescriptor { label: Some("trace"), size: bytes, usage, mapped_at_creation: true });
            if let Ok(mut mapped) = buffer.slice(..).get_mapped_range_mut() {
                for (matrix, &(first_word, _)) in matrices.iter().zip(&places) {
                    let words: &[u8] = bytemuck::cast_slice(field::words(matrix.values));
                    let begin = 4 * first_word as usize;
                    mapped.slice(begin..begin + words.len()).copy_from_slice(words);
                }
            }
            buffer.unmap();
            buffer
        })?;
        let buffer = Arc::new(buffer);
        let trace = |(matrix, &(first_word, height)): (&Matrix<'_>, &(u64, usize))| Self {
            gpu: gpu.clone(),
            buffer: Arc::clone(&buffer),
            first_word,
            width: matrix.width,
            height,
            layout: matrix.layout,
        };
        Ok(matrices.iter().zip(&places).map(trace).collect())
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
            return Err(Error::NotAFieldElement { air: "matrix 0".into(), index, requested: words[index], limit: P });
        }
        let elements: Vec<F> = words.iter().map(|&word| field::from_word(word).expect("checked")).collect();
        Self::new(gpu, Matrix { values: &elements, width, layout })
    }

    /// A matrix that is already on the device: `width * height` words in Montgomery form from word `first_word` of a buffer with
    /// `STORAGE` usage. The words are not checked. A column-major matrix that starts at a multiple of four words is read by 16-byte loads.
    ///
    /// # Errors
    /// [`Error::Height`]; [`Error::TooFew`] if the buffer, down to a multiple of 16 bytes, ends before the matrix;
    /// [`Error::Unsupported`] without `STORAGE` usage.
    pub fn from_buffer(gpu: &Gpu, buffer: Arc<wgpu::Buffer>, first_word: u64, width: usize, height: usize, layout: Layout) -> Result<Self> {
        let name = || "caller's buffer".to_owned();
        if !height.is_power_of_two() {
            return Err(Error::Height { air: name(), requested: height });
        }
        let (needed, there) = (first_word as usize + width * height, (buffer.size() / 16 * 4) as usize);
        if needed > there {
            return Err(Error::TooFew { air: name(), what: "words", requested: there, limit: needed });
        }
        if !buffer.usage().contains(wgpu::BufferUsages::STORAGE) {
            return Err(Error::Unsupported { air: name(), what: "the buffer has no STORAGE usage".into() });
        }
        Ok(Self { gpu: gpu.clone(), buffer, first_word, width, height, layout })
    }

    /// Columns.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Order of the cells.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// The device buffer that holds a column-major matrix's column, and the word at which the column starts.
    pub fn location(&self, column: usize) -> (&wgpu::Buffer, u64) {
        let offset = if self.layout == Layout::ColMajor { column * self.height } else { column };
        (&self.buffer, self.first_word + offset as u64)
    }

    pub(crate) fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    pub(crate) fn buffer(&self) -> &Arc<wgpu::Buffer> {
        &self.buffer
    }

    pub(crate) fn first_word(&self) -> u64 {
        self.first_word
    }

    /// Words between a cell and the one below it, and the one right of it.
    pub(crate) fn strides(&self) -> (u32, u32) {
        match self.layout {
            Layout::ColMajor => (1, self.height as u32),
            Layout::RowMajor => (self.width as u32, 1),
        }
    }
}

fn height(air: impl Fn() -> String, len: usize, width: usize) -> Result<usize> {
    if width == 0 {
        return if len == 0 {
            Ok(1)
        } else {
            Err(Error::Length { air: air(), what: "a matrix without columns", requested: len, limit: 0 })
        };
    }
    if !len.is_multiple_of(width) {
        let limit = len.next_multiple_of(width);
        return Err(Error::Length { air: air(), what: "a matrix", requested: len, limit });
    }
    let height = len / width;
    if height.is_power_of_two() { Ok(height) } else { Err(Error::Height { air: air(), requested: height }) }
}
