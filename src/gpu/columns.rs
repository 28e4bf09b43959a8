//! Chosen columns of row-major matrices, transposed on the device: rows cross the bus as they are.

use std::{ops::Range, sync::Arc};

use super::{
    Gpu, Key, Trace,
    pipelines::Compiled,
    staging::{STAGING_BYTES, Staging},
    trace::{ALIGN_WORDS, Place, place},
};
use crate::{
    error::{Error, Result, Subject},
    field::{self, F},
    kernels::{TRANSPOSE, TRANSPOSE_SIDE, Tile, TransposeJob},
    matrix::{ColumnsOf, Layout, Matrix, height, stored_rows},
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
        let room = STAGING_BYTES.min(limits.buffer_bytes).min(limits.binding_bytes) / 4;
        let on_device = gpu.options().transpose_on_device.unwrap_or(!gpu.is_software()) && room >= KNOWN_ROOM;
        let is_bound = |place: &Place| 4 * place.num_words(heights[place.matrix]) <= limits.binding_bytes;
        let chunks = if on_device && places.iter().all(is_bound) { chunks(matrices, &heights, &places, room) } else { None };
        let Some(chunks) = chunks else {
            let cells: Vec<Vec<F>> = matrices.iter().map(ColumnsOf::picked).collect();
            let picked = matrices.iter().zip(&cells).map(|(matrix, cells)| Matrix::col_major(cells, matrix.columns.len()));
            return Self::upload(gpu, &picked.collect::<Vec<_>>());
        };
        let kernel = gpu.kernel(&Key::fixed(&TRANSPOSE, 0))?;
        if gpu.known_answers() && !kernel.answered() {
            known_answer(gpu, &kernel)?;
            kernel.set_answered();
        }
        let buffers = transpose(gpu, &kernel, matrices, &chunks, &buffer_words)?;
        Ok(Self::in_places(gpu, &shapes, &heights, &places, &buffers))
    }
}

/// Words of a piece of staging memory for the known answer, which takes two: a device with less room is not asked to transpose.
const KNOWN_ROOM: u64 = 1 << 13;
/// Words to which tables are aligned.
const TABLE_WORDS: u64 = 64;

/// What one piece of staging memory brings: rows, and the dispatches that read them.
#[derive(Debug, Default)]
struct Chunk {
    /// Which rows of which matrix, and the word at which they start.
    pieces: Vec<(usize, Range<usize>, u64)>,
    dispatches: Vec<Dispatch>,
    num_words: u64,
    /// Words of tables at most, with their alignment.
    table_words: u64,
}

/// Some rows' columns that lie in one place.
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
    /// Adds some rows of a matrix: a dispatch for each place of its columns.
    fn add(&mut self, matrices: &[ColumnsOf<'_>], heights: &[usize], places: &[Place], i: usize, rows: Range<usize>) {
        let matrix = &matrices[i];
        let rows_base = self.num_words;
        let side = TRANSPOSE_SIDE as usize;
        for place in places.iter().filter(|place| place.matrix == i) {
            let column_words = stored_rows(Layout::ColMajor, heights[i]);
            let columns = matrix.columns[place.columns.clone()].iter().map(|&column| column as u32);
            let tile = |chunk, col_group| Tile { job: 0, chunk, col_group, z_block: 0 };
            let num_groups = place.columns.len().div_ceil(side) as u32;
            let tiles = (0..rows.len().div_ceil(side) as u32).flat_map(|chunk| (0..num_groups).map(move |group| tile(chunk, group)));
            self.dispatches.push(Dispatch {
                buffer: place.buffer,
                out: place.first_word..place.first_word + place.num_words(heights[i]),
                job: TransposeJob {
                    rows_base: rows_base as u32,
                    width: matrix.width as u32,
                    num_rows: rows.len() as u32,
                    columns_base: 0,
                    num_columns: place.columns.len() as u32,
                    out_base: rows.start as u32,
                    column_words: column_words as u32,
                    copies: (column_words / heights[i]) as u32,
                },
                tiles: tiles.collect(),
                columns: columns.collect(),
            });
        }
        self.num_words += ((rows.len() * matrix.width) as u64).next_multiple_of(4);
        self.table_words += table_words(matrix, places.iter().filter(|place| place.matrix == i).count(), rows.len());
        self.pieces.push((i, rows, rows_base));
    }
}

/// Words at most of the tables for some rows of a matrix whose columns have so many places.
fn table_words(matrix: &ColumnsOf<'_>, num_places: usize, num_rows: usize) -> u64 {
    let side = TRANSPOSE_SIDE as usize;
    let tiles = num_rows.div_ceil(side) * (matrix.columns.len() / side + num_places);
    (4 * tiles + matrix.columns.len()) as u64 + num_places as u64 * (8 + 3 * TABLE_WORDS)
}

/// Deals the matrices' rows out to pieces of staging memory of so many words. `None` where one does not hold a row of a matrix with its tables.
fn chunks(matrices: &[ColumnsOf<'_>], heights: &[usize], places: &[Place], room: u64) -> Option<Vec<Chunk>> {
    let mut chunks = vec![Chunk::default()];
    for (i, matrix) in matrices.iter().enumerate().filter(|(_, matrix)| !matrix.columns.is_empty()) {
        let num_places = places.iter().filter(|place| place.matrix == i).count();
        let words = |num_rows: usize| (num_rows * matrix.width) as u64 + 4 + table_words(matrix, num_places, num_rows);
        let mut begin = 0;
        while begin < heights[i] {
            let chunk = chunks.last_mut().expect("one at least");
            let free = room.saturating_sub(chunk.num_words + chunk.table_words);
            let left = heights[i] - begin;
            // Halves of what is left until it fits: whole tiles as long as there are any.
            let fitting = std::iter::successors(Some(left), |num_rows| (*num_rows > 1).then(|| num_rows.div_ceil(2)));
            let Some(num_rows) = fitting.into_iter().find(|&num_rows| words(num_rows) <= free) else {
                if chunk.pieces.is_empty() {
                    return None;
                }
                chunks.push(Chunk::default());
                continue;
            };
            chunk.add(matrices, heights, places, i, begin..begin + num_rows);
            begin += num_rows;
        }
    }
    Some(chunks)
}

/// Runs the chunks: buffers of so many words with the transposed columns.
fn transpose(
    gpu: &Gpu,
    kernel: &Compiled,
    matrices: &[ColumnsOf<'_>],
    chunks: &[Chunk],
    buffer_words: &[u64],
) -> Result<Vec<Arc<wgpu::Buffer>>> {
    let buffers = gpu.checked("a trace buffer", || -> Vec<Arc<wgpu::Buffer>> {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC;
        let buffer = |&words: &u64| {
            let descriptor = wgpu::BufferDescriptor { label: Some("trace"), size: 4 * words, usage, mapped_at_creation: false };
            Arc::new(gpu.device().create_buffer(&descriptor))
        };
        buffer_words.iter().map(buffer).collect()
    })?;
    for chunk in chunks.iter().filter(|chunk| !chunk.pieces.is_empty()) {
        let staging = Staging::take(gpu)?;
        let mut content: Vec<(u64, &[u8])> = vec![];
        for (i, rows, first_word) in &chunk.pieces {
            let matrix = &matrices[*i];
            let cells = &matrix.rows[rows.start * matrix.width..rows.end * matrix.width];
            content.push((4 * first_word, bytemuck::cast_slice(field::words(cells))));
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
                encode(gpu, &mut pass, kernel, (staging.rows(), 4 * chunk.num_words, tables), dispatch, &buffers[dispatch.buffer]);
            }
            drop(pass);
            gpu.queue().submit([encoder.finish()])
        })?;
        staging.give_back(gpu, submission);
    }
    Ok(buffers)
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
    let matrices =
        [ColumnsOf { rows: &cells, width: 77, columns: &columns }, ColumnsOf { rows: &cells[..10], width: 5, columns: &[4, 0, 3] }];
    let heights = [128, 2];
    let shapes = matrices.map(|matrix| Matrix::col_major(&[], matrix.columns.len()));
    let (places, buffer_words) = place(&shapes, &heights, 1 << 20)?;
    let chunks = chunks(&matrices, &heights, &places, KNOWN_ROOM).expect("room for some rows");
    let buffers = transpose(gpu, kernel, &matrices, &chunks, &buffer_words)?;
    let expected = matrices.iter().zip(&heights).flat_map(|(matrix, &height)| {
        let picked = matrix.picked();
        let times = stored_rows(Layout::ColMajor, height) / height;
        picked.chunks_exact(height).flat_map(|column| column.repeat(times)).collect::<Vec<F>>()
    });
    let expected: Vec<F> = expected.collect();
    let words = super::readback::copy_of(gpu, &buffers[0])?;
    let (first, second) = (70 * 128, (70u64 * 128).next_multiple_of(ALIGN_WORDS) as usize);
    if words[..first] == *field::words(&expected[..first]) && words[second..second + 12] == *field::words(&expected[first..]) {
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
        let chunks = chunks(&matrices, &heights, &places, room).unwrap();
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
                let words = [4 * dispatch.tiles.len(), 8, dispatch.columns.len()];
                words.iter().map(|&words| (words as u64).next_multiple_of(TABLE_WORDS)).sum::<u64>()
            });
            assert!(tables.sum::<u64>() <= chunk.table_words + TABLE_WORDS);
        }
        assert!(super::chunks(&matrices, &heights, &places, 128).is_none());
    }
}
