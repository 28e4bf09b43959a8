//! Opened rows and their authentication paths, out of a codeword and its tree.

use std::sync::Arc;

use logup_wgpu::{
    F, Result,
    compute::{Binding, Buffer, TraceWindow},
};

use crate::{
    Digest,
    commit::{Columns, Tree, copy_rows},
    compute::Compute,
    kernels::{DIGEST_WORDS, GATHER_DIGESTS, GatherJob},
    recorder::{Recorder, Results, results},
    sumcheck::array::base_elements,
};

/// What is opened. Of a codeword that is not there only the paths are.
pub(super) struct Opened<'a> {
    pub codeword: Option<&'a Columns>,
    pub tree: Tree,
    pub layers: &'a Arc<Buffer>,
}

/// Where the answers to queries are among results.
pub(super) struct Answers {
    width: usize,
    tree: Tree,
    num_queries: usize,
    first_row_word: usize,
    first_digest_word: usize,
}

/// Of each query its rows, and its path from the lowest layer up.
pub(super) type Answered = (Vec<Vec<Vec<F>>>, Vec<Vec<Digest>>);

impl Opened<'_> {
    /// Reserves room for the answers to so many queries.
    pub fn answers(&self, num_queries: usize, results: &mut Results) -> Answers {
        let width = self.codeword.map_or(0, |codeword| codeword.width);
        let row_bytes = (4 * num_queries * width) << self.tree.log_query;
        let path_bytes = 4 * DIGEST_WORDS * num_queries * self.tree.log_queries() as usize;
        let word = |byte: u64| byte as usize / 4;
        Answers {
            width,
            tree: self.tree,
            num_queries,
            first_row_word: word(results.take(row_bytes as u64)),
            first_digest_word: word(results.take(path_bytes as u64)),
        }
    }

    /// Records the answers to queries. The recording's trace buffers become those of the codeword and the tree, too.
    ///
    /// # Errors
    /// As [`Recorder::dispatch`].
    pub fn record(
        &self,
        compute: &Compute,
        recorder: &mut Recorder,
        trace_buffers: &mut Vec<Arc<Buffer>>,
        queries: &[u32],
        answers: &Answers,
    ) -> Result<()> {
        if queries.is_empty() {
            return Ok(());
        }
        if let Some(codeword) = self.codeword {
            let first_buffer = trace_buffers.len();
            trace_buffers.extend(codeword.buffers());
            let first_byte = 4 * answers.first_row_word as u64;
            copy_rows(recorder, &compute.gpu.limits(), codeword, first_buffer, self.tree.log_query, queries, first_byte)?;
        }
        let log_queries = self.tree.log_queries();
        let nodes =
            queries.iter().flat_map(|query| (0..log_queries).map(move |layer| layer_begin(log_queries, layer) + ((query >> layer) ^ 1)));
        let nodes: Vec<u32> = nodes.collect();
        if nodes.is_empty() {
            return Ok(());
        }
        let num_digests = nodes.len() as u32;
        let begin = 4 * answers.first_digest_word as u64;
        let bindings: Vec<Binding> = vec![
            recorder.job(&GatherJob { num_digests }),
            recorder.table(&nodes),
            results(begin..begin + 4 * (DIGEST_WORDS * nodes.len()) as u64),
        ];
        let window = TraceWindow { buffer: trace_buffers.len(), bytes: 0..self.tree.bytes() };
        trace_buffers.push(Arc::clone(self.layers));
        let workgroups = (num_digests * DIGEST_WORDS as u32).div_ceil(GATHER_DIGESTS.workgroup_size);
        recorder.dispatch(&GATHER_DIGESTS, bindings, vec![window], workgroups.into(), 0)
    }
}

/// Nodes before a layer, where layers are one behind the other.
fn layer_begin(log_queries: u32, layer: u32) -> u32 {
    (2 << log_queries) - (2 << (log_queries - layer))
}

impl Answers {
    /// The answers out of results; nothing if a word is no element.
    pub fn read(&self, words: &[u32]) -> Option<Answered> {
        let rows_per_query = 1usize << self.tree.log_query;
        let num_rows = rows_per_query * self.num_queries;
        let rows = base_elements(&words[self.first_row_word..][..num_rows * self.width])?;
        let row = |x: usize, query: usize| rows[(x * self.num_queries + query) * self.width..][..self.width].to_vec();
        let rows = (0..self.num_queries).map(|query| (0..rows_per_query).map(|x| row(x, query)).collect()).collect();
        let depth = self.tree.log_queries() as usize;
        let digests = base_elements(&words[self.first_digest_word..][..DIGEST_WORDS * depth * self.num_queries])?;
        let digests: Vec<Digest> = digests.chunks_exact(DIGEST_WORDS).map(|digest| digest.try_into().expect("a digest")).collect();
        let paths = (0..self.num_queries).map(|query| digests[query * depth..][..depth].to_vec()).collect();
        Some((rows, paths))
    }
}
