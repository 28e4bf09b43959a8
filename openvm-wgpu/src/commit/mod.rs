//! The trace commitment on the device: stack, Reed-Solomon code, Merkle tree.
//!
//! ```text
//! traces -> stacked matrix [width][2^(l_skip + n_stack)]        placed and transposed on the device; stays there
//!        -> codeword [width][2^(l_skip + n_stack + log_blowup)] bit-reversed, in place
//!        -> digests of the queries' rows, binary layers, root
//! ```
//! One recording, one wait, but for the rows of the codeword, which the stock openings read on the host and which come back in pieces.

mod code;
mod columns;
mod known_answer;
mod resident;
mod rows;
mod stack;
mod tree;

use std::{
    array,
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use logup_wgpu::{
    Error, F, P, Result, StageTime, Subject,
    compute::{Recording, from_word},
};
use openvm_cpu_backend::merkle::CpuMerkleTree;
use openvm_stark_backend::{StarkProtocolConfig, SystemParams, prover::stacked_pcs::StackedLayout};
use p3_field::{PrimeCharacteristicRing, TwoAdicField};
use p3_matrix::dense::RowMajorMatrix;
use rayon::prelude::*;
use tracing::{debug, info_span};

pub(crate) use self::stack::checked_height;
use self::{
    code::Code,
    columns::Columns,
    resident::{Resident, shapes_of},
    stack::{Stack, StackPlan},
    tree::{DIGEST_BYTES, Tree},
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
    /// What the host did meanwhile: it stacked the traces for itself, and made room for the codeword.
    pub host: Duration,
    /// GPU time of each kernel's dispatches, in order; nothing where the device has no timestamps.
    pub stages: Vec<StageTime>,
    /// Bytes that the kernels of the code read and write.
    pub code_bytes: u64,
    /// Permutations of the tree.
    pub permutations: u64,
    /// Bytes that came back: layers of the tree, and the codeword's rows.
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
        layers(words, &self.tree)
    }
}

/// Commits to traces on a GPU, and keeps them there.
pub(crate) struct Committer {
    compute: Arc<Compute>,
    resident: Resident,
    /// Whether the kernels gave their known answer.
    answered: AtomicBool,
}

impl Committer {
    pub fn new(compute: &Arc<Compute>) -> Self {
        Self { compute: Arc::clone(compute), resident: Resident::default(), answered: AtomicBool::new(false) }
    }

    /// Commits to traces, tallest first, as `TraceCommitter` of the stock CPU device does: the same root, layers and codeword. The traces stay.
    ///
    /// # Errors
    /// Those of [`StackPlan::new`] and [`make_room`](Self::make_room) before any work; [`Error::WrongAnswer`]; what the device reports.
    pub fn commit(&self, config: &SC, traces: &[&RowMajorMatrix<F>]) -> Result<(Digest, PcsData, CommitStats)> {
        self.ask(config)?;
        let (root, data, stats, stack) = self.compute_commitment(config, traces)?;
        self.resident.keep(root, stack);
        Ok((root, data, stats))
    }

    /// The commitment, what it took, and the traces where the device has them.
    fn compute_commitment(&self, config: &SC, traces: &[&RowMajorMatrix<F>]) -> Result<(Digest, PcsData, CommitStats, Stack)> {
        let start = Instant::now();
        let params = config.params();
        let (code, tree) = shapes(params)?;
        let plan = StackPlan::new(params, traces)?;
        self.make_room(plan.bytes() + 4 * ((plan.width() as u64) << code.log_code()))?;
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
        let (recording, codeword) = self.record(&code, &tree, &stack)?;
        stats.kernels = recording.dispatches.len();

        let span = info_span!("stacked_commit").entered();
        let mut executor = self.compute.executor(Use::Commitment);
        let submission = executor.start(&recording, true)?;
        // Meanwhile what the host needs: the stacked matrix, and room for the codeword.
        let host = Instant::now();
        let matrix = stack.plan.on_host(traces);
        let room = zeros(codeword.width << codeword.log_rows);
        stats.host = host.elapsed();
        let report = executor.finish(submission, |words| layers(words, &tree))?;
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

        let _span = info_span!("read_codeword").entered();
        let begin = Instant::now();
        let backing = self.rows(&codeword, tree.log_query, room, &mut stats)?;
        stats.readback = begin.elapsed();
        stats.readback_bytes = tree.bytes() + 4 * backing.values.len() as u64;
        stats.allocations += self.compute.pool.allocations() - allocations;

        let root = layers.last().expect("a root")[0];
        let pcs_data = PcsData::new(stack.plan.layout.clone(), matrix, merkle_tree(backing, layers, tree));
        stats.wall = start.elapsed();
        Ok((root, pcs_data, stats, stack))
    }

    /// Code and tree of a stack, and where the codeword will be.
    fn record(&self, code: &Code, tree: &Tree, stack: &Stack) -> Result<(Recording, Columns)> {
        let (gpu, pool) = (&self.compute.gpu, &self.compute.pool);
        let codeword = Columns::new(gpu, pool, "codeword", stack.plan.width(), code.log_code())?;
        let mut recorder = Recorder::new(gpu, tree.bytes(), self.compute.next_nonce());
        code.record(&mut recorder, &gpu.limits(), &stack.columns, &codeword)?;
        tree.record(&mut recorder, &gpu.limits(), &codeword)?;
        Ok((recorder.finish(codeword.buffers()), codeword))
    }

    /// A commitment as data: its traces are on the device, and nothing of it has run.
    pub fn record_commitment(&self, config: &SC, traces: &[&RowMajorMatrix<F>]) -> Result<RecordedCommitment> {
        let (code, tree) = shapes(config.params())?;
        let (stack, _) = self.upload(config.params(), traces)?;
        let (recording, _) = self.record(&code, &tree, &stack)?;
        Ok(RecordedCommitment { recording, tree })
    }

    /// The stacked traces of a commitment, brought to the device if they are not there; and the bytes that were brought.
    pub fn stack(&self, params: &SystemParams, root: &Digest, traces: &[&RowMajorMatrix<F>]) -> Result<(Stack, u64)> {
        let plan = StackPlan::new(params, traces)?;
        if let Some(stack) = self.resident.find(root, &shapes_of(&plan.layout)) {
            return Ok((stack, 0));
        }
        let (stack, bytes) = self.place(plan, traces)?;
        Ok((self.resident.keep(*root, stack), bytes))
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
            while self.resident.bytes() > RESIDENT_BYTES && self.resident.forget_one() {}
            return Ok(());
        };
        // Others may hold buffers for the moment; the pool says so if they do.
        while pool.lent_bytes() + bytes > limit && self.resident.forget_one() {}
        if bytes > limit {
            let (subject, what) = (Subject::Call, "bytes of device memory");
            return Err(Error::DeviceLimit { subject, kernel: "trace commitment", what, requested: bytes, limit });
        }
        Ok(())
    }

    /// Says that a proof that committed to traces with this root and layout needs them no more.
    pub fn release(&self, root: &Digest, layout: &StackedLayout) {
        self.resident.release(root, &shapes_of(layout));
    }
}

/// Bytes of traces that are kept without a budget, before those of the next commitment. Commitments that no proof releases are cached traces.
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

/// The tree's layers out of the words of a recording's results; nothing if one is no field element.
fn layers(words: &[u32], tree: &Tree) -> Option<Vec<Vec<Digest>>> {
    let (words, _) = words.split_at(tree.bytes() as usize / 4);
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
    Some((0..=tree.log_queries()).rev().map(layer).collect())
}

#[expect(unsafe_code, reason = "the stock backend makes a tree of other parts by no safe way")]
fn merkle_tree(backing: RowMajorMatrix<F>, layers: Vec<Vec<Digest>>, tree: Tree) -> CpuMerkleTree<F, Digest> {
    // SAFETY: memory is not at stake: the function is marked for the tree's meaning. The layers are those of the rows, one for each power of two from
    // 2^(log_rows - log_query) down to the root, by the kernels that computed both.
    unsafe { CpuMerkleTree::from_raw_parts(backing, layers, 1 << tree.log_query) }
}

fn no_element(what: &str) -> Error {
    Error::DeviceLost { reason: format!("{what} is no field element") }
}
