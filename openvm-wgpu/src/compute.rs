//! What the stages on the device share: buffers, executors, nonces.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use logup_wgpu::{
    Gpu,
    compute::{BufferPool, Executor},
};

use crate::lock;

/// A device's buffers, and executors that nobody uses.
#[derive(Debug)]
pub(crate) struct Compute {
    pub gpu: Gpu,
    pub pool: BufferPool,
    pub memory_budget: Option<u64>,
    /// Whether nothing runs and buffers are only counted.
    is_counting: bool,
    executors: Mutex<Vec<(Use, Executor)>>,
    nonce: AtomicU32,
}

/// What an executor is for: each has buffers of the sizes that go with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    Commitment,
    CodeRows,
    ProofOfWork,
    Openings,
    Gkr,
    MleRounds,
}

/// Executors of each use that are kept.
const MAX_EXECUTORS: usize = 2;

impl Compute {
    pub fn new(gpu: &Gpu, memory_budget: Option<u64>) -> Self {
        Self::with_pool(gpu, BufferPool::new(gpu, memory_budget), memory_budget, false)
    }

    /// One whose executors run nothing and whose buffers are only counted.
    pub fn counting(gpu: &Gpu, memory_budget: Option<u64>) -> Self {
        Self::with_pool(gpu, BufferPool::counting(gpu, memory_budget), memory_budget, true)
    }

    fn with_pool(gpu: &Gpu, pool: BufferPool, memory_budget: Option<u64>, is_counting: bool) -> Self {
        // What memory that nobody wrote seldom holds.
        let nonce = RandomState::new().hash_one(0) as u32;
        Self { gpu: gpu.clone(), pool, memory_budget, is_counting, executors: Mutex::default(), nonce: nonce.into() }
    }

    /// Whether kernels give known answers before they are used.
    pub fn asks(&self) -> bool {
        self.gpu.known_answers() && !self.is_counting
    }

    /// An executor for one recording at a time.
    pub fn executor(&self, of: Use) -> Executor {
        let mut executors = lock(&self.executors);
        let kept = executors.iter().position(|(other, _)| *other == of);
        let new = if self.is_counting { Executor::counting } else { Executor::new };
        kept.map_or_else(|| new(&self.gpu), |kept| executors.remove(kept).1)
    }

    /// Takes an executor back whose work was waited for.
    pub fn give_back(&self, of: Use, executor: Executor) {
        let mut executors = lock(&self.executors);
        if executors.iter().filter(|(other, _)| *other == of).count() < MAX_EXECUTORS {
            executors.push((of, executor));
        }
    }

    pub fn next_nonce(&self) -> u32 {
        self.nonce.fetch_add(1, Ordering::Relaxed)
    }

    /// The most bytes that the pool had at a time, with those of the executors that nobody uses.
    pub fn peak_bytes(&self) -> u64 {
        self.pool.peak_bytes() + lock(&self.executors).iter().map(|(_, executor)| executor.bytes()).sum::<u64>()
    }
}
