//! The trace commitment on the device: stack, Reed-Solomon code, Merkle tree.
//!
//! ```text
//! traces -> stacked matrix [width][2^(l_skip + n_stack)]        placed and transposed on the device; stays there
//!        -> codeword [width][2^(l_skip + n_stack + log_blowup)] bit-reversed, in place
//!        -> digests of the queries' rows, binary layers, root
//! ```
//! One recording, one wait; all of it stays for the openings. Where the host wants copies, the rows of the codeword come back in pieces.

mod code;
mod columns;
mod known_answer;
mod resident;
mod rows;
mod stack;
mod tree;

use std::{
    array,
    sync::Arc,
    time::{Duration, Instant},
};

use logup_wgpu::{
    Error, F, P, Result, StageTime, Subject,
    compute::{Binding, Buffer, Recording, from_word},
};
use openvm_cpu_backend::merkle::CpuMerkleTree;
use openvm_stark_backend::{
    StarkProtocolConfig, SystemParams,
    prover::{ColMajorMatrix, stacked_pcs::StackedLayout},
};
use p3_field::{PrimeCharacteristicRing, TwoAdicField};
use p3_matrix::dense::RowMajorMatrix;
use rayon::prelude::*;
use tracing::{debug, info_span};

pub(crate) use self::{
    code::{Code, roots},
    columns::Columns,
    rows::copy_rows,
    stack::{Stack, checked_height},
    tree::{DIGEST_BYTES, LAYERS, Tree},
};
use self::{
    resident::{Resident, shapes_of},
    stack::StackPlan,
};
use crate::{
    Digest, PcsData, SC,
    compute::{Compute, Use},
    kernels::stage,
    recorder::Recorder,
};

/// What a commitment did on the device.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct CommitStats {
    /// Bytes of the traces that were uploaded.
    pub upload_bytes: u64,
    /// Host time until they were on their way.
    pub upload: Duration,
    /// Host time from recording the code and the tree until the tree was there.
    pub device: Duration,
    /// What the host did meanwhile, where it wants copies: it stacked the traces for itself, and made room for the codeword.
    pub host: Duration,
    /// GPU time of each kernel's dispatches, in order; nothing where the device has no timestamps.
    pub stages: Vec<StageTime>,
    /// Bytes that the kernels of the code read and write.
    pub code_bytes: u64,
    /// Permutations of the tree.
    pub permutations: u64,
    /// Bytes that came back: the root; with host copies all layers of the tree and the codeword's rows.
    pub readback_bytes: u64,
    /// Host time of the codeword's rows.
    pub readback: Duration,
    /// Times that the host waited for the device.
    pub waits: usize,
    /// Dispatches.
    pub kernels: usize,
    /// Device buffers created.
    pub allocations: u64,
    /// Time of all of it.
    pub wall: Duration,
}

impl CommitStats {
    /// GPU time of a stage of [`kernels::stage`](crate::kernels::stage).
    pub fn gpu(&self, stage: &str) -> Option<Duration> {
        (!self.stages.is_empty()).then(|| self.stages.iter().filter(|time| time.kernel.stage == stage).map(|time| time.gpu).sum())
    }
}

/// A commitment as data. See [`WgpuDevice::record_commitment`](crate::WgpuDevice::record_commitment).
#[derive(Debug)]
pub struct RecordedCommitment {
    /// From the stacked traces to the root.
    pub recording: Recording,
    tree: Tree,
}

impl RecordedCommitment {
    /// The tree's layers, from the queries' digests to the root, out of the words of the recording's results after it ran; nothing if one is no field
    /// element.
    pub fn digest_layers(&self, words: &[u32]) -> Option<Vec<Vec<Digest>>> {
        layers(words, &self.tree, true)
    }
}

/// Commits to traces on a GPU, and keeps them there.
pub(crate) struct Committer {
    compute: Arc<Compute>,
    resident: Resident,
    /// Whether commitments come back whole.
    host_copies: bool,
}

impl Committer {
    pub fn new(compute: &Arc<Compute>, host_copies: bool) -> Self {
        Self { compute: Arc::clone(compute), resident: Resident::default(), host_copies }
    }

    /// Commits to traces, tallest first, as `TraceCommitter` of the stock CPU device does: the same root; with [`host_copies`](Self::host_copies) the same
    /// layers, codeword and stacked matrix too, else what only knows the root. All of it stays on the device.
    ///
    /// # Errors
    /// Those of [`StackPlan::new`] and [`make_room`](Self::make_room) before any work; what the device reports.
    pub fn commit(&self, config: &SC, traces: &[&RowMajorMatrix<F>]) -> Result<(Digest, PcsData, CommitStats)> {
        let (root, data, stats, committed) = self.compute_commitment(config, traces, self.host_copies)?;
        self.resident.keep(root, committed);
        Ok((root, data, stats))
    }

    /// The commitment, what it took, and what is on the device.
    fn compute_commitment(
        &self,
        config: &SC,
        traces: &[&RowMajorMatrix<F>],
        host_copies: bool,
    ) -> Result<(Digest, PcsData, CommitStats, Committed)> {
        let start = Instant::now();
        let params = config.params();
        let (code, tree) = shapes(params)?;
        let plan = StackPlan::new(params, traces)?;
        self.make_room(plan.bytes() + encoded_bytes(&code, &tree, plan.width()))?;
        let allocations = self.compute.pool.allocations();
        let mut stats = CommitStats {
            code_bytes: code.bytes_moved(plan.width()),
            permutations: tree.permutations(plan.width()),
            ..CommitStats::default()
        };

        let span = info_span!("upload_traces").entered();
        let stack = Stack::upload(&self.compute.gpu, &self.compute.pool, plan, traces)?;
        stats.upload = start.elapsed();
        stats.upload_bytes = traces.iter().map(|trace| 4 * trace.values.len() as u64).sum();
        drop(span);

        let begin = Instant::now();
        let (recording, encoded) = self.record(&code, &tree, &stack, host_copies)?;
        stats.kernels = recording.dispatches.len();

        let span = info_span!("stacked_commit").entered();
        let mut executor = self.compute.executor(Use::Commitment);
        let submission = executor.start(&recording, true)?;
        // Meanwhile what the host is to have: the stacked matrix, and room for the codeword.
        let host = Instant::now();
        let copies = host_copies.then(|| (stack.plan.on_host(traces), zeros(stack.plan.width() << code.log_code())));
        stats.host = host.elapsed();
        let report = executor.finish(submission, |words| layers(words, &tree, host_copies))?;
        self.compute.give_back(Use::Commitment, executor);
        drop(span);
        let layers = report.results.ok_or_else(|| no_element("a digest"))?;
        for stage in [stage::CODE, stage::TREE] {
            let of_stage = report.passes.iter().filter(|time| time.kernel.stage == stage);
            let gpu_ms = of_stage.map(|time| time.gpu.as_secs_f64() * 1e3).sum::<f64>();
            let (backend, kernels) = (self.compute.gpu.info().backend, recording.num_in_stage(stage));
            debug!(%backend, stage, kernels, sync_count = usize::from(stage == stage::TREE), gpu_ms, "metal_dispatch_stage");
        }
        stats.device = begin.elapsed();
        stats.stages = report.passes;
        stats.waits = 1;
        stats.allocations = report.allocations as u64;
        stats.readback_bytes = 4 * recording.result_words() as u64;

        let root = layers.last().expect("a root")[0];
        let layout = stack.plan.layout.clone();
        let data = match copies {
            None => PcsData::new(layout, ColMajorMatrix::new(vec![F::ZERO], 1), root_alone(root)),
            Some((matrix, room)) => {
                let _span = info_span!("read_codeword").entered();
                let begin = Instant::now();
                let codeword = encoded.codeword.as_ref().expect("of this commitment");
                let backing = self.rows(codeword, tree.log_query, room, &mut stats)?;
                stats.readback = begin.elapsed();
                stats.readback_bytes += 4 * backing.values.len() as u64;
                PcsData::new(layout, matrix, merkle_tree(backing, layers, tree))
            }
        };
        stats.allocations += self.compute.pool.allocations() - allocations;
        stats.wall = start.elapsed();
        Ok((root, data, stats, Committed { stack, encoded: Some(encoded) }))
    }

    /// Code and tree of a stack, and where both will be. The results are the root, or all layers.
    fn record(&self, code: &Code, tree: &Tree, stack: &Stack, all_layers: bool) -> Result<(Recording, Encoded)> {
        let (gpu, pool) = (&self.compute.gpu, &self.compute.pool);
        let codeword = Columns::new(gpu, pool, "codeword", stack.plan.width(), code.log_code())?;
        let layers = pool.take("layers", tree.bytes())?;
        let bytes = if all_layers { tree.bytes() } else { DIGEST_BYTES };
        let mut recorder = Recorder::new(gpu, bytes, self.compute.next_nonce());
        code.record(&mut recorder, &gpu.limits(), &stack.columns, &codeword)?;
        tree.record(&mut recorder, &gpu.limits(), &codeword, &layers)?;
        let first = if all_layers { 0 } else { tree.root_word() };
        recorder.copy(Binding { resource: LAYERS, bytes: 0..tree.bytes() }, first, 0, (bytes / 4) as u32)?;
        Ok((recorder.finish(codeword.buffers()), Encoded { codeword: Some(codeword), layers }))
    }

    /// Commits to one trace as another device has it under this root, if that one does.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub fn commit_as(&self, other: &Self, config: &SC, root: Digest, trace: &RowMajorMatrix<F>) -> Result<()> {
        let plan = StackPlan::new(config.params(), &[trace])?;
        if other.resident.knows(&root, &shapes_of(&plan.layout)) {
            let (.., committed) = self.compute_commitment(config, &[trace], self.host_copies)?;
            self.resident.keep(root, committed);
        }
        Ok(())
    }

    /// A commitment as data: its traces are on the device, and nothing of it has run.
    pub fn record_commitment(&self, config: &SC, traces: &[&RowMajorMatrix<F>]) -> Result<RecordedCommitment> {
        let (code, tree) = shapes(config.params())?;
        let (stack, _) = self.upload(config.params(), traces)?;
        let (recording, _) = self.record(&code, &tree, &stack, true)?;
        Ok(RecordedCommitment { recording, tree })
    }

    /// The stacked traces of a commitment, brought to the device if they are not there; and the bytes that were brought.
    pub fn stack(&self, params: &SystemParams, root: &Digest, traces: &[&RowMajorMatrix<F>]) -> Result<(Stack, u64)> {
        let plan = StackPlan::new(params, traces)?;
        if let Some(committed) = self.resident.find(root, &shapes_of(&plan.layout)) {
            return Ok((committed.stack, 0));
        }
        let (stack, bytes) = self.place(plan, traces)?;
        Ok((self.resident.keep(*root, Committed { stack, encoded: None }).stack, bytes))
    }

    /// Tree and codeword of a commitment. Both are computed again where the device has neither, and whether they were is the last; the codeword alone is
    /// not: [`rows_again`](Self::rows_again) makes do without it.
    ///
    /// # Errors
    /// As of a commitment.
    pub fn encoded(&self, params: &SystemParams, root: &Digest, stack: &Stack) -> Result<(Encoded, bool)> {
        let (code, tree) = shapes(params)?;
        let shapes = shapes_of(&stack.plan.layout);
        if let Some(encoded) = self.resident.find(root, &shapes).and_then(|committed| committed.encoded) {
            return Ok((encoded, false));
        }
        self.make_room_beside(encoded_bytes(&code, &tree, stack.plan.width()));
        let (recording, encoded) = self.record(&code, &tree, stack, false)?;
        let mut executor = self.compute.executor(Use::Commitment);
        let submission = executor.start(&recording, false)?;
        executor.finish(submission, |_| ())?;
        self.compute.give_back(Use::Commitment, executor);
        self.resident.keep_encoded(root, &shapes, &encoded);
        Ok((encoded, true))
    }

    /// Gives codewords up, and traces of other commitments than those that somebody holds, until so many bytes more are within the budget, or nothing is left
    /// to give up.
    pub fn make_room_beside(&self, bytes: u64) {
        let Some(limit) = self.compute.memory_budget else { return };
        while self.compute.pool.lent_bytes() + bytes > limit && (self.resident.forget_codeword() || self.resident.forget_one()) {}
    }

    /// The same, but gives nothing up but codewords.
    pub fn forget_codewords_beside(&self, bytes: u64) {
        let Some(limit) = self.compute.memory_budget else { return };
        while self.compute.pool.lent_bytes() + bytes > limit && self.resident.forget_codeword() {}
    }

    /// Traces brought to the device and not kept there for others, and their bytes.
    pub fn upload(&self, params: &SystemParams, traces: &[&RowMajorMatrix<F>]) -> Result<(Stack, u64)> {
        self.place(StackPlan::new(params, traces)?, traces)
    }

    fn place(&self, plan: StackPlan, traces: &[&RowMajorMatrix<F>]) -> Result<(Stack, u64)> {
        self.make_room(plan.bytes())?;
        let stack = Stack::upload(&self.compute.gpu, &self.compute.pool, plan, traces)?;
        Ok((stack, traces.iter().map(|trace| 4 * trace.values.len() as u64).sum()))
    }

    /// Forgets traces until so many bytes are within the budget, and the others within what is kept without one.
    ///
    /// # Errors
    /// [`Error::DeviceLimit`] where they are not even then.
    fn make_room(&self, bytes: u64) -> Result<()> {
        let pool = &self.compute.pool;
        let Some(limit) = self.compute.memory_budget else {
            while self.resident.bytes() > RESIDENT_BYTES.max(2 * self.resident.most_bytes()) && self.resident.forget_one() {}
            return Ok(());
        };
        if bytes > limit {
            let (subject, what) = (Subject::Call, "bytes of device memory");
            return Err(Error::DeviceLimit { subject, kernel: "trace commitment", what, requested: bytes, limit });
        }
        // Others may hold buffers for the moment; the pool says so if they do.
        while pool.lent_bytes() + bytes > limit && (self.resident.forget_codeword() || self.resident.forget_one()) {}
        Ok(())
    }

    /// Says that a proof that committed to traces with this root and layout needs them no more.
    pub fn release(&self, root: &Digest, layout: &StackedLayout) {
        self.resident.release(root, &shapes_of(layout));
    }
}

/// What the device has of a commitment.
#[derive(Clone, Debug)]
pub(crate) struct Committed {
    pub stack: Stack,
    /// Nothing of traces that were brought there again.
    pub encoded: Option<Encoded>,
}

/// A commitment's codeword, unless it was given up, and its tree.
#[derive(Clone, Debug)]
pub(crate) struct Encoded {
    pub codeword: Option<Columns>,
    /// From the queries' digests to the root.
    pub layers: Arc<Buffer>,
}

impl Committed {
    /// Bytes of its buffers.
    fn bytes(&self) -> u64 {
        let encoded = self.encoded.iter().map(|encoded| {
            let codeword = encoded.codeword.iter().flat_map(|codeword| codeword.buffers());
            codeword.map(|buffer| buffer.size()).sum::<u64>() + encoded.layers.size()
        });
        self.stack.bytes() + encoded.sum::<u64>()
    }
}

/// Bytes of a codeword and its tree.
fn encoded_bytes(code: &Code, tree: &Tree, width: usize) -> u64 {
    4 * ((width as u64) << code.log_code()) + tree.bytes()
}

/// Bytes that are kept without a budget, before those of the next commitment; twice as many as the largest commitment has, where that is more. Commitments that
/// no proof releases are those of cached traces.
const RESIDENT_BYTES: u64 = 4 << 30;

/// The code and the tree of a configuration.
fn shapes(params: &SystemParams) -> Result<(Code, Tree)> {
    let code = Code { log_message: params.log_stacked_height() as u32, log_blowup: params.log_blowup as u32, l_skip: params.l_skip as u32 };
    let (requested, limit) = (code.log_code().into(), F::TWO_ADICITY as u64);
    if requested > limit {
        let (subject, what) = (Subject::Call, "log2 of a codeword's rows");
        return Err(Error::DeviceLimit { subject, kernel: "code_pass", what, requested, limit });
    }
    Ok((code, Tree::new(code.log_code(), params.k_whir() as u32)?))
}

/// So many zeros, by all threads: fresh memory is slow to come, and memory that was used before slow to clear.
fn zeros(num: usize) -> Vec<F> {
    (0..num).into_par_iter().with_min_len(1 << 16).map(|_| F::ZERO).collect()
}

/// The tree's layers, or its root alone, out of the words of a recording's results; nothing if one is no field element.
fn layers(words: &[u32], tree: &Tree, all: bool) -> Option<Vec<Vec<Digest>>> {
    let log_digests = if all { tree.log_queries() } else { 0 };
    let words = &words[..(DIGEST_BYTES as usize / 4) * ((2 << log_digests) - 1)];
    if words.par_iter().any(|&word| word >= P) {
        return None;
    }
    let mut rest = words;
    let layer = |log_digests: u32| {
        let own;
        (own, rest) = rest.split_at((DIGEST_BYTES as usize / 4) << log_digests);
        let digest = |words: &[u32]| array::from_fn(|i| from_word(words[i]).expect("compared above"));
        own.par_chunks_exact(DIGEST_BYTES as usize / 4).with_min_len(1 << 10).map(digest).collect()
    };
    Some((0..=log_digests).rev().map(layer).collect())
}

#[expect(unsafe_code, reason = "the stock backend makes a tree of other parts by no safe way")]
fn merkle_tree(backing: RowMajorMatrix<F>, layers: Vec<Vec<Digest>>, tree: Tree) -> CpuMerkleTree<F, Digest> {
    // SAFETY: memory is not at stake: the function is marked for the tree's meaning. The layers are those of the rows, one for each power of two from
    // 2^(log_rows - log_query) down to the root, by the kernels that computed both.
    unsafe { CpuMerkleTree::from_raw_parts(backing, layers, 1 << tree.log_query) }
}

/// What stands for a tree that is on the device: its root, over one row that is none of its. Nothing but the root may be asked of it.
#[expect(unsafe_code, reason = "the stock backend makes a tree of other parts by no safe way")]
fn root_alone(root: Digest) -> CpuMerkleTree<F, Digest> {
    // SAFETY: memory is not at stake: the function is marked for the tree's meaning. This one has none but its root; `WgpuOptions::host_copies` says who may
    // not be given it.
    unsafe { CpuMerkleTree::from_raw_parts(RowMajorMatrix::new(vec![F::ZERO], 1), vec![vec![root]], 1) }
}

fn no_element(what: &str) -> Error {
    Error::DeviceLost { reason: format!("{what} is no field element") }
}
