//! The codeword's rows on the host, as the stock openings read them: in pieces, of which one is made while another is copied.

use logup_wgpu::{
    DeviceLimits, F, Result,
    compute::{Executor, Recording, Submission, copy_words},
};
use openvm_stark_backend::SystemParams;
use p3_field::PrimeCharacteristicRing;
use p3_matrix::dense::RowMajorMatrix;
use rayon::prelude::*;

use super::{CommitStats, Committer, Stack, columns::Columns, no_element, shapes};
use crate::{
    compute::{Compute, Use},
    kernels::{CODE_ROWS, CodeRowsJob},
    recorder::{Recorder, results},
};

/// Bytes of a piece.
const PIECE_BYTES: u64 = 64 << 20;
/// Pieces that are under way at a time.
const IN_FLIGHT: usize = 2;
/// Words that a thread copies at a time.
const COPY_WORDS: usize = 1 << 17;

impl Committer {
    /// `[2^log_rows][width]`, in order, written over `values`, of as many.
    pub(super) fn rows(&self, code: &Columns, log_query: u32, mut values: Vec<F>, stats: &mut CommitStats) -> Result<RowMajorMatrix<F>> {
        let num_queries = 1u32 << (code.log_rows - log_query);
        let query_bytes = (4 * code.width as u64) << log_query;
        let limits = self.compute.gpu.limits();
        let bytes = PIECE_BYTES.min(limits.binding_bytes).min(limits.buffer_bytes / 2);
        let per_piece = 1 << (bytes / query_bytes).clamp(1, num_queries.into()).ilog2();
        let mut under_way: Vec<(u32, Executor, Submission)> = vec![];
        let mut first = 0;
        while first < num_queries || !under_way.is_empty() {
            while first < num_queries && under_way.len() < IN_FLIGHT {
                let queries: Vec<u32> = (first..first + per_piece).collect();
                let recording = self.record_rows(code, log_query, &queries)?;
                stats.kernels += recording.dispatches.len();
                let mut executor = self.compute.executor(Use::CodeRows);
                let submission = executor.start(&recording, true)?;
                under_way.push((first, executor, submission));
                first += per_piece;
            }
            let (piece, mut executor, submission) = under_way.remove(0);
            let words_per_query = (per_piece as usize) * code.width;
            let report = executor.finish(submission, |words| {
                let rows = values.par_chunks_exact_mut(code.width * num_queries as usize).zip(words.par_chunks_exact(words_per_query));
                let copied = rows.map(|(rows, words)| {
                    let own = &mut rows[piece as usize * code.width..][..words_per_query];
                    own.par_chunks_mut(COPY_WORDS).zip(words.par_chunks(COPY_WORDS)).all(|(own, words)| copy_words(words, own))
                });
                copied.all(|copied| copied)
            })?;
            self.compute.give_back(Use::CodeRows, executor);
            if !report.results {
                return Err(no_element("a codeword's word"));
            }
            stats.waits += 1;
            stats.allocations += report.allocations as u64;
            stats.stages.extend(report.passes);
        }
        Ok(RowMajorMatrix::new(values, code.width))
    }

    /// Of each query its rows, out of a codeword that is computed for them: as many columns at a time as the budget has room for. And how often that waited.
    ///
    /// # Errors
    /// As of a commitment.
    pub fn rows_again(&self, params: &SystemParams, stack: &Stack, queries: &[u32]) -> Result<(Vec<Vec<Vec<F>>>, usize)> {
        let (code, tree) = shapes(params)?;
        let Compute { gpu, pool, memory_budget, .. } = &*self.compute;
        let (width, rows_per_query) = (stack.plan.width(), 1 << tree.log_query);
        // Buffers are rounded up by an eighth at most.
        let column_bytes = (4u64 << code.log_code()) / 8 * 9;
        let room = memory_budget.map_or(u64::MAX, |limit| limit.saturating_sub(pool.lent_bytes()));
        let per_chunk = (room / column_bytes).clamp(1, width as u64) as usize;
        let mut rows = vec![vec![Vec::with_capacity(width); rows_per_query]; queries.len()];
        let mut waits = 0;
        for first in (0..width).step_by(per_chunk) {
            let chunk = Columns::new(gpu, pool, "codeword", per_chunk.min(width - first), code.log_code())?;
            let bytes = (4 * queries.len() * chunk.width * rows_per_query) as u64;
            let mut recorder = Recorder::new(gpu, bytes, self.compute.next_nonce());
            code.record_from(&mut recorder, &gpu.limits(), &stack.columns, first, &chunk)?;
            copy_rows(&mut recorder, &gpu.limits(), &chunk, 0, tree.log_query, queries, 0)?;
            let mut executor = self.compute.executor(Use::CodeRows);
            let submission = executor.start(&recorder.finish(chunk.buffers()), false)?;
            let report = executor.finish(submission, |words| {
                words[..bytes as usize / 4].chunks_exact(chunk.width).enumerate().all(|(i, words)| {
                    let row: &mut Vec<F> = &mut rows[i % queries.len()][i / queries.len()];
                    let known = row.len();
                    row.resize(known + words.len(), F::ZERO);
                    copy_words(words, &mut row[known..])
                })
            })?;
            self.compute.give_back(Use::CodeRows, executor);
            if !report.results {
                return Err(no_element("a codeword's word"));
            }
            waits += 1;
        }
        Ok((rows, waits))
    }

    /// `[2^log_query][queries][width]` of the codeword, as results.
    fn record_rows(&self, code: &Columns, log_query: u32, queries: &[u32]) -> Result<Recording> {
        let bytes = (4 * queries.len() as u64 * code.width as u64) << log_query;
        let mut recorder = Recorder::new(&self.compute.gpu, bytes, self.compute.next_nonce());
        copy_rows(&mut recorder, &self.compute.gpu.limits(), code, 0, log_query, queries, 0)?;
        Ok(recorder.finish(code.buffers()))
    }
}

/// Copies the rows of queries out of a codeword, which is the recording's trace buffers from this one on, into the results from a byte on:
/// `[2^log_query][queries][width]`.
///
/// # Errors
/// As [`Columns::bound`] and [`Recorder::dispatch`].
pub(crate) fn copy_rows(
    recorder: &mut Recorder,
    limits: &DeviceLimits,
    code: &Columns,
    first_buffer: usize,
    log_query: u32,
    queries: &[u32],
    first_byte: u64,
) -> Result<()> {
    let table_of_queries = recorder.table(queries);
    let bytes = (4 * queries.len() as u64 * code.width as u64) << log_query;
    for bound in code.bound(limits, 1)? {
        let table = recorder.table(&bound.table());
        let job = recorder.job(&CodeRowsJob {
            log_rows: code.log_rows,
            log_query,
            num_queries: queries.len() as u32,
            first_column: bound.columns.start as u32,
            num_columns: bound.columns.len() as u32,
            width: code.width as u32,
        });
        let workgroups = ((queries.len() as u64) << log_query).div_ceil(CODE_ROWS.workgroup_size.into());
        let rows = results(first_byte..(first_byte + bytes).next_multiple_of(16));
        let windows = bound.windows_from(first_buffer);
        recorder.dispatch(&CODE_ROWS, vec![job, table, table_of_queries.clone(), rows], windows, workgroups, 0)?;
    }
    Ok(())
}
