//! Chosen columns of row-major matrices, transposed on the device: rows cross the bus as they are.

use std::{ops::Range, sync::Arc};

use super::{
    Buffer, Gpu, Key, Trace,
    pipelines::Compiled,
    placed::PlacedColumns,
    staging::{STAGING_BYTES, Staging},
    trace::{ALIGN_WORDS, place},
};
use crate::{
    error::{Error, Result, Subject},
    field::{self, F},
    kernels::{TRANSPOSE, TRANSPOSE_SIDE, Tile, TransposeJob},
    matrix::{ColumnsOf, Matrix, height},
};

impl Trace {
    /// Uploads chosen columns of row-major matrices as column-major traces, which kernels read fastest. Rows cross the bus as they are, by all
    /// threads, and the device picks and transposes. A software device, whose cores are the host's, leaves that to the host, and so does one
    /// whose bindings do not hold a trace. Traces lie as [`Trace::upload`] places them.
    ///
    /// # Shapes
    /// `rows.len()` = `width * height`, `height` a power of two; no columns give a trace without columns.
    ///
    /// # Errors
    /// [`Error::Index`] for a column that there is not; [`Error::WrongAnswer`] if the kernel, at its first use, transposes wrongly; else as
    /// [`Trace::upload`].
    pub fn upload_columns(gpu: &Gpu, matrices: &[ColumnsOf<'_>]) -> Result<Vec<Self>> {
        let mut heights = Vec::with_capacity(matrices.len());
        for (i, matrix) in matrices.iter().enumerate() {
            let rows = height(Subject::Matrix(i), matrix.rows.len(), matrix.width)?;
            if let Some(&got) = matrix.columns.iter().find(|&&column| column >= matrix.width) {
                return Err(Error::Index { subject: Subject::Matrix(i), what: "column", got, len: matrix.width });
            }
            heights.push(if matrix.columns.is_empty() { 1 } else { rows });
        }
        let limits = gpu.limits();
        let shapes: Vec<Matrix<'_>> = matrices.iter().map(|matrix| Matrix::col_major(&[], matrix.columns.len())).collect();
        let (places, buffer_words) = place(&shapes, &heights, limits.buffer_bytes / 4)?;
        let placed: Vec<PlacedColumns<'_>> =
            places.iter().map(|place| PlacedColumns::of(place, &matrices[place.matrix], &heights)).collect();
        let room = room(gpu);
        let on_device = gpu.options().transpose_on_device.unwrap_or(!gpu.is_software()) && room >= KNOWN_ROOM;
        let is_bound = |placed: &PlacedColumns<'_>| 4 * placed.num_words() <= limits.binding_bytes;
        let chunks = if on_device && placed.iter().all(is_bound) { chunks(&placed, room) } else { None };
        let Some(chunks) = chunks else {
            let cells: Vec<Vec<F>> = matrices.iter().map(ColumnsOf::picked).collect();
            let picked = matrices.iter().zip(&cells).map(|(matrix, cells)| Matrix::col_major(cells, matrix.columns.len()));
            return Self::upload(gpu, &picked.collect::<Vec<_>>());
        };
        let kernel = kernel(gpu)?;
        let buffers = new_buffers(gpu, &buffer_words)?;
        transpose(gpu, &kernel, &placed, &chunks, &buffers)?;
        Ok(Self::in_places(gpu, &shapes, &heights, &places, &buffers))
    }
}

/// Words of a piece of staging memory.
pub(super) fn room(gpu: &Gpu) -> u64 {
    let limits = gpu.limits();
    STAGING_BYTES.min(limits.buffer_bytes).min(limits.binding_bytes) / 4
}

/// The kernel, which has given its known answer.
pub(super) fn kernel(gpu: &Gpu) -> Result<Arc<Compiled>> {
    let kernel = gpu.kernel(&Key::fixed(&TRANSPOSE, 0))?;
    if gpu.known_answers() && !kernel.answered() {
        known_answer(gpu, &kernel)?;
        kernel.set_answered();
    }
    Ok(kernel)
}

/// Words of a piece of staging memory for the known answer, which takes two: a device with less room is not asked to transpose.
const KNOWN_ROOM: u64 = 1 << 13;
/// Words to which tables are aligned.
const TABLE_WORDS: u64 = 64;

/// What one piece of staging memory brings: rows, and the dispatches that read them.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    /// Which rows of which of the placed columns' matrices, and the word at which they start.
    pieces: Vec<(usize, Range<usize>, u64)>,
    dispatches: Vec<Dispatch>,
    num_words: u64,
    /// Words of tables at most, with their alignment.
    table_words: u64,
}

/// Some rows' columns.
#[derive(Debug)]
struct Dispatch {
    /// Which output buffer, and its words.
    buffer: usize,
    out: Range<u64>,
    job: TransposeJob,
    tiles: Vec<Tile>,
    columns: Vec<u32>,
}

impl Chunk {
    /// Adds some rows.
    fn add(&mut self, i: usize, placed: &PlacedColumns<'_>, rows: Range<usize>) {
        let ColumnsOf { width, columns, .. } = placed.columns;
        let rows_base = self.num_words;
        let side = TRANSPOSE_SIDE as usize;
        let tile = |chunk, col_group| Tile { job: 0, chunk, col_group, z_block: 0 };
        let num_groups = columns.len().div_ceil(side) as u32;
        let tiles = (0..rows.len().div_ceil(side) as u32).flat_map(|chunk| (0..num_groups).map(move |group| tile(chunk, group)));
        let begin = placed.first_word / ALIGN_WORDS * ALIGN_WORDS;
        self.dispatches.push(Dispatch {
            buffer: placed.buffer,
            out: begin..placed.first_word + placed.num_words(),
            job: TransposeJob {
                rows_base: rows_base as u32,
                width: width as u32,
                num_rows: rows.len() as u32,
                columns_base: 0,
                num_columns: columns.len() as u32,
                out_base: (placed.first_word - begin) as u32 + rows.start as u32 * placed.row_stride,
                column_words: placed.column_words,
                row_stride: placed.row_stride,
                copies: placed.copies,
            },
            tiles: tiles.collect(),
            columns: columns.iter().map(|&column| column as u32).collect(),
        });
        self.num_words += ((rows.len() * width) as u64).next_multiple_of(4);
        self.table_words += table_words(&placed.columns, rows.len());
        self.pieces.push((i, rows, rows_base));
    }
}

/// Words at most of the tables for some rows.
fn table_words(columns: &ColumnsOf<'_>, num_rows: usize) -> u64 {
    let side = TRANSPOSE_SIDE as usize;
    let tiles = num_rows.div_ceil(side) * columns.columns.len().div_ceil(side);
    (4 * tiles + columns.columns.len()) as u64 + 12 + 3 * TABLE_WORDS
}

/// Deals rows out to pieces of staging memory of so many words. `None` where one does not hold a row of a matrix with its tables.
pub(super) fn chunks(placed: &[PlacedColumns<'_>], room: u64) -> Option<Vec<Chunk>> {
    let mut chunks = vec![Chunk::default()];
    for (i, placed) in placed.iter().enumerate().filter(|(_, placed)| !placed.columns.columns.is_empty()) {
        let words = |num_rows: usize| (num_rows * placed.columns.width) as u64 + 4 + table_words(&placed.columns, num_rows);
        let (mut begin, height) = (0, placed.height());
        while begin < height {
            let chunk = chunks.last_mut().expect("one at least");
            let free = room.saturating_sub(chunk.num_words + chunk.table_words);
            let left = height - begin;
            // Halves of what is left until it fits: whole tiles as long as there are any.
            let fitting = std::iter::successors(Some(left), |num_rows| (*num_rows > 1).then(|| num_rows.div_ceil(2)));
            let Some(num_rows) = fitting.into_iter().find(|&num_rows| words(num_rows) <= free) else {
                if chunk.pieces.is_empty() {
                    return None;
                }
                chunks.push(Chunk::default());
                continue;
            };
            chunk.add(i, placed, begin..begin + num_rows);
            begin += num_rows;
        }
    }
    Some(chunks)
}

/// New buffers of so many words.
fn new_buffers(gpu: &Gpu, buffer_words: &[u64]) -> Result<Vec<Arc<Buffer>>> {
    gpu.checked("a trace buffer", || -> Vec<Arc<Buffer>> {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC;
        let buffer = |&words: &u64| {
            let descriptor = wgpu::BufferDescriptor { label: Some("trace"), size: 4 * words, usage, mapped_at_creation: false };
            Arc::new(gpu.device().create_buffer(&descriptor).into())
        };
        buffer_words.iter().map(buffer).collect()
    })
}

/// Runs the chunks, which write these buffers.
pub(super) fn transpose(
    gpu: &Gpu,
    kernel: &Compiled,
    placed: &[PlacedColumns<'_>],
    chunks: &[Chunk],
    buffers: &[Arc<Buffer>],
) -> Result<()> {
    for chunk in chunks.iter().filter(|chunk| !chunk.pieces.is_empty()) {
        let staging = Staging::take(gpu)?;
        let mut content: Vec<(u64, &[u8])> = vec![];
        for (i, rows, first_word) in &chunk.pieces {
            let ColumnsOf { rows: cells, width, .. } = placed[*i].columns;
            content.push((4 * first_word, bytemuck::cast_slice(field::words(&cells[rows.start * width..rows.end * width]))));
        }
        // Tables behind the rows: tiles, jobs and columns of each dispatch.
        let mut end = chunk.num_words;
        let mut tables: Vec<[Range<u64>; 3]> = vec![];
        for dispatch in &chunk.dispatches {
            let Dispatch { tiles, job, columns, .. } = dispatch;
            let parts: [&[u8]; 3] = [bytemuck::cast_slice(tiles), bytemuck::bytes_of(job), bytemuck::cast_slice(columns)];
            tables.push(parts.map(|bytes| {
                let begin = 4 * end.next_multiple_of(TABLE_WORDS);
                content.push((begin, bytes));
                end = (begin + bytes.len() as u64).div_ceil(4);
                begin..begin + bytes.len() as u64
            }));
        }
        staging.fill(gpu, &content)?;
        let submission = gpu.checked(TRANSPOSE.name, || {
            let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some(TRANSPOSE.name) });
            staging.copy(&mut encoder, 4 * end);
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some(TRANSPOSE.name), timestamp_writes: None });
            pass.set_pipeline(&kernel.pipeline);
            for (dispatch, tables) in chunk.dispatches.iter().zip(&tables) {
                encode(gpu, &mut pass, kernel, (staging.rows(), 4 * chunk.num_words, tables), dispatch, buffers[dispatch.buffer].memory());
            }
            drop(pass);
            gpu.queue().submit([encoder.finish()])
        })?;
        staging.give_back(gpu, submission);
    }
    Ok(())
}

/// `rows` is what the staging memory has: rows up to a byte, and where a dispatch's tables are.
fn encode(
    gpu: &Gpu,
    pass: &mut wgpu::ComputePass<'_>,
    kernel: &Compiled,
    (rows, row_bytes, tables): (&wgpu::Buffer, u64, &[Range<u64>; 3]),
    dispatch: &Dispatch,
    out: &wgpu::Buffer,
) {
    let bind = |buffer, bytes: Range<u64>| {
        wgpu::BindingResource::Buffer(wgpu::BufferBinding {
            buffer,
            offset: bytes.start,
            size: wgpu::BufferSize::new(bytes.end - bytes.start),
        })
    };
    let [tiles, jobs, columns] = tables.clone();
    let resources = [
        bind(rows, tiles),
        bind(rows, jobs),
        bind(rows, columns),
        bind(rows, 0..row_bytes),
        bind(out, 4 * dispatch.out.start..4 * dispatch.out.end),
    ];
    let entries = resources.into_iter().zip(0..).map(|(resource, binding)| wgpu::BindGroupEntry { binding, resource });
    let bind_group = gpu.device().create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some(TRANSPOSE.name),
        layout: &kernel.layouts[0],
        entries: &entries.collect::<Vec<_>>(),
    });
    pass.set_bind_group(0, &bind_group, &[]);
    let num_tiles = dispatch.tiles.len() as u32;
    let row = num_tiles.min(32768);
    pass.dispatch_workgroups(row, num_tiles.div_ceil(row), 1);
}

/// Has the kernel transpose words that are known: several tiles of rows and of columns, chosen out of order, and a matrix of two rows.
///
/// # Errors
/// [`Error::WrongAnswer`].
fn known_answer(gpu: &Gpu, kernel: &Compiled) -> Result<()> {
    let cells: Vec<F> = (0..128 * 77).map(F::new).collect();
    let columns: Vec<usize> = (0..70).map(|i| (i * 31 + 5) % 77).collect();
    let of = |rows, width, columns, first_word, (column_words, row_stride, copies)| {
        let columns = ColumnsOf { rows, width, columns };
        PlacedColumns { columns, buffer: 0, first_word, column_words, row_stride, copies }
    };
    let two_rows = (&cells[..10], 5, &[4, 0, 3][..]);
    // Several tiles; two rows that are repeated; two rows with others between them, behind a word that no binding starts at.
    let placed = [
        of(&cells, 77, &columns, 0, (128, 1, 1)),
        of(two_rows.0, two_rows.1, two_rows.2, 70 * 128, (4, 1, 2)),
        of(two_rows.0, two_rows.1, two_rows.2, 70 * 128 + 12, (8, 4, 1)),
    ];
    let end = placed[2].first_word + placed[2].num_words();
    let chunks = chunks(&placed, KNOWN_ROOM).expect("room for some rows");
    let buffers = new_buffers(gpu, &[end])?;
    transpose(gpu, kernel, &placed, &chunks, &buffers)?;
    let words = super::readback::copy_of(gpu, buffers[0].memory())?;
    let is_placed = |placed: &PlacedColumns<'_>| {
        let (height, words_per_copy) = (placed.height(), placed.column_words / placed.copies);
        placed.columns.picked().chunks_exact(height).enumerate().all(|(column, cells)| {
            (0..placed.copies).all(|copy| {
                let at = |row: usize| {
                    let first = placed.first_word as usize + column * placed.column_words as usize + (copy * words_per_copy) as usize;
                    first + row * placed.row_stride as usize
                };
                cells.iter().enumerate().all(|(row, &cell)| words[at(row)] == field::word(cell))
            })
        })
    };
    if placed.iter().all(is_placed) {
        return Ok(());
    }
    Err(gpu.distrust(TRANSPOSE.name, "the known answer of matrices of this crate".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every row of every matrix is in one piece, in order; tables have room behind the rows; a row that has none is refused.
    #[test]
    fn rows_are_dealt_out_to_pieces() {
        let cells = vec![F::new(1); 1 << 16];
        let columns: Vec<usize> = (0..64).collect();
        let matrix = |height: usize, width: usize| ColumnsOf { rows: &cells[..height * width], width, columns: &columns[..width] };
        let matrices = [matrix(1 << 9, 60), matrix(2, 3), matrix(1 << 10, 1), matrix(64, 64)];
        let heights = [1 << 9, 2, 1 << 10, 64];
        let shapes = matrices.map(|matrix| Matrix::col_major(&[], matrix.columns.len()));
        let (places, _) = place(&shapes, &heights, 1 << 20).unwrap();
        let room = 1 << 13;
        let placed: Vec<PlacedColumns<'_>> =
            places.iter().map(|place| PlacedColumns::of(place, &matrices[place.matrix], &heights)).collect();
        let chunks = chunks(&placed, room).unwrap();
        assert!(chunks.len() > 3 && chunks.iter().all(|chunk| chunk.num_words + chunk.table_words <= room));
        for (i, &height) in heights.iter().enumerate() {
            let pieces = chunks.iter().flat_map(|chunk| &chunk.pieces).filter(|piece| piece.0 == i);
            let end = pieces.fold(0, |end, (_, rows, _)| {
                assert_eq!(rows.start, end);
                rows.end
            });
            assert_eq!(end, height);
        }
        for chunk in &chunks {
            let tables = chunk.dispatches.iter().map(|dispatch| {
                let words = [4 * dispatch.tiles.len(), 9, dispatch.columns.len()];
                words.iter().map(|&words| (words as u64).next_multiple_of(TABLE_WORDS)).sum::<u64>()
            });
            assert!(tables.sum::<u64>() <= chunk.table_words + TABLE_WORDS);
        }
        assert!(super::chunks(&placed, 128).is_none());
    }
}
