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
    executors: Mutex<Vec<Executor>>,
    nonce: AtomicU32,
}

/// Executors that are kept: each has room for a tree, or for a piece of a codeword.
const MAX_EXECUTORS: usize = 4;

impl Compute {
    pub fn new(gpu: &Gpu, memory_budget: Option<u64>) -> Self {
        // What memory that nobody wrote seldom holds.
        let nonce = RandomState::new().hash_one(0) as u32;
        Self {
            gpu: gpu.clone(),
            pool: BufferPool::new(gpu, memory_budget),
            memory_budget,
            executors: Mutex::default(),
            nonce: nonce.into(),
        }
    }

    /// An executor for one recording at a time.
    pub fn executor(&self) -> Executor {
        lock(&self.executors).pop().unwrap_or_else(|| Executor::new(&self.gpu))
    }

    /// Takes an executor back whose work was waited for.
    pub fn give_back(&self, executor: Executor) {
        let mut executors = lock(&self.executors);
        if executors.len() < MAX_EXECUTORS {
            executors.push(executor);
        }
    }

    pub fn next_nonce(&self) -> u32 {
        self.nonce.fetch_add(1, Ordering::Relaxed)
    }

    /// The most bytes that the pool had at a time, with those of the executors that nobody uses.
    pub fn peak_bytes(&self) -> u64 {
        self.pool.peak_bytes() + lock(&self.executors).iter().map(Executor::bytes).sum::<u64>()
    }
}
