//! A recording in the making: tables, dispatches, and where submissions end.

use std::sync::Arc;

use bytemuck::Pod;
use logup_wgpu::{
    DeviceLimits, Error, Gpu, Result, Subject,
    compute::{Binding, Buffer, BufferUse, Dispatch, KeptBuffer, Kernel, Recording, Resource, TraceWindow},
};

use crate::kernels::{COPY_WORDS, CopyJob, MARK, MarkJob, SUM_ROWS, SumJob};

const INPUTS: Resource = Resource("inputs");
/// What a recording of this crate reads back: results, then the submissions' marks.
pub(crate) const RESULTS: Resource = Resource("results");

/// Buffers over which what is one to the host may be spread.
pub(crate) const MAX_BUFFERS: usize = 64;

/// Names of such buffers.
pub(crate) type Names = [&'static str; MAX_BUFFERS];

/// Such names of one: `"eq"` is `"eq 0"`, `"eq 1"` and so on.
macro_rules! numbered {
    ($name:literal) => {
        numbered!($name: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31
            32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63)
    };
    ($name:literal: $($i:literal)+) => {
        [$(concat!($name, " ", $i)),+]
    };
}

pub(crate) use numbered;

/// Bytes to which bindings are aligned, on every device.
const ALIGN: u64 = 256;

/// Collects what one wait is for.
pub(crate) struct Recorder {
    limits: DeviceLimits,
    inputs: Vec<u32>,
    dispatches: Vec<Dispatch>,
    kept: Vec<KeptBuffer>,
    scratch: Vec<BufferUse>,
    ends: Vec<usize>,
    result_bytes: u64,
    /// What is in the results before.
    filled: Vec<u32>,
    nonce: u32,
    /// Products that a submission may take, and those of the last one so far.
    budget: Option<u64>,
    spent: u64,
}

impl Recorder {
    /// For results of so many bytes.
    pub fn new(gpu: &Gpu, result_bytes: u64, nonce: u32) -> Self {
        Self {
            limits: gpu.limits(),
            inputs: vec![],
            dispatches: vec![],
            kept: vec![],
            scratch: vec![],
            ends: vec![],
            result_bytes: result_bytes.next_multiple_of(ALIGN),
            filled: vec![],
            nonce,
            budget: gpu.products_per_submission(),
            spent: 0,
        }
    }

    /// Gives the results at least as many bytes.
    pub fn grow_results(&mut self, bytes: u64) {
        self.result_bytes = self.result_bytes.max(bytes.next_multiple_of(ALIGN));
    }

    /// Products that a submission may take.
    pub fn budget(&self) -> Option<u64> {
        self.budget
    }

    /// Uploads a table.
    pub fn table(&mut self, words: &[u32]) -> Binding {
        let begin = 4 * self.inputs.len() as u64;
        self.inputs.extend_from_slice(words);
        let end = 4 * self.inputs.len() as u64;
        self.inputs.resize(self.inputs.len().next_multiple_of(ALIGN as usize / 4), 0);
        // Tables are read four words at a time.
        Binding { resource: INPUTS, bytes: begin..end.next_multiple_of(16) }
    }

    /// Uploads a job.
    pub fn job<T: Pod>(&mut self, job: &T) -> Binding {
        self.table(bytemuck::cast_slice(std::slice::from_ref(job)))
    }

    /// Has the first words of the results hold this before anything writes them.
    pub fn fill_results(&mut self, word: u32, num_words: usize) {
        self.filled = vec![word; num_words];
    }

    /// A buffer that dispatches may bind under this name, which is no other's.
    pub fn keep(&mut self, resource: Resource, buffer: &Arc<Buffer>) {
        match self.kept.iter().find(|kept| kept.resource == resource) {
            Some(kept) => assert!(Arc::ptr_eq(&kept.buffer, buffer), "two buffers called {resource:?}"),
            None => self.kept.push(KeptBuffer { resource, buffer: Arc::clone(buffer) }),
        }
    }

    /// A buffer of the executor's, for what need not be kept.
    pub fn scratch(&mut self, resource: Resource, bytes: u64) -> Binding {
        match self.scratch.iter_mut().find(|used| used.resource == resource) {
            Some(used) => used.bytes = used.bytes.max(bytes),
            None => self.scratch.push(BufferUse { resource, bytes, content: vec![] }),
        }
        Binding { resource, bytes: 0..bytes }
    }

    /// Bytes that a scratch buffer may have.
    pub fn max_scratch(&self) -> u64 {
        self.limits.binding_bytes.min(self.limits.buffer_bytes)
    }

    /// What workgroups leave for [`sum_rows`](Self::sum_rows): `width` elements of the extension field each.
    pub fn partials(&mut self, workgroups: u32, width: u32) -> Binding {
        self.scratch(Resource("partials"), 16 * u64::from(workgroups) * u64::from(width))
    }

    /// Adds up what workgroups left, as results from a byte on.
    ///
    /// # Errors
    /// As [`dispatch`](Self::dispatch).
    pub fn sum_rows(&mut self, partials: Binding, num_rows: u32, width: u32, to_byte: u64) -> Result<()> {
        let job = self.job(&SumJob { num_rows, width });
        let bindings = vec![job, partials, results(to_byte..to_byte + 16 * u64::from(width))];
        self.dispatch(&SUM_ROWS, bindings, vec![], width.into(), 0)
    }

    /// A launch of so many workgroups, which takes so many products.
    ///
    /// # Errors
    /// [`Error::DeviceLimit`] for more workgroups than a grid has, or a binding that is too large.
    pub fn dispatch(
        &mut self,
        kernel: &'static Kernel,
        bindings: Vec<Binding>,
        windows: Vec<TraceWindow>,
        workgroups: u64,
        products: u64,
    ) -> Result<()> {
        let over = |what, requested, limit: u64| {
            let subject = Subject::Kernel(kernel.name);
            if requested > limit { Err(Error::DeviceLimit { subject, kernel: kernel.name, what, requested, limit }) } else { Ok(()) }
        };
        for binding in &bindings {
            over("bytes of a binding", binding.bytes.end - binding.bytes.start, self.limits.binding_bytes)?;
        }
        if self.budget.is_some_and(|budget| self.spent > 0 && self.spent + products > budget) {
            self.end_submission();
        }
        self.spent += products;
        let side = u64::from(self.limits.workgroups_per_dimension);
        let high = workgroups.div_ceil(side).max(1);
        over("workgroups", high, side)?;
        let grid = [workgroups.div_ceil(high) as u32, high as u32];
        self.push(kernel, bindings, windows, grid);
        Ok(())
    }

    /// Copies words of a buffer into the results, from this word of either on.
    ///
    /// # Errors
    /// As [`dispatch`](Self::dispatch).
    pub fn copy(&mut self, from: Binding, first: u32, to_word: u64, num_words: u32) -> Result<()> {
        let to = results(4 * to_word..(4 * to_word + 4 * u64::from(num_words)).next_multiple_of(16));
        self.copy_to(from, first, to, num_words)
    }

    /// Copies words of a buffer, from the first on, to the beginning of a binding.
    ///
    /// # Errors
    /// As [`dispatch`](Self::dispatch).
    pub fn copy_to(&mut self, from: Binding, first: u32, to: Binding, num_words: u32) -> Result<()> {
        let job = self.job(&CopyJob { first, num_words });
        self.dispatch(&COPY_WORDS, vec![job, from, to], vec![], num_words.div_ceil(COPY_WORDS.workgroup_size).into(), 0)
    }

    fn push(&mut self, kernel: &'static Kernel, bindings: Vec<Binding>, traces: Vec<TraceWindow>, grid: [u32; 2]) {
        self.dispatches.push(Dispatch { kernel, program: None, constants: vec![], bindings, traces, grid, cosets: 0..0 });
    }

    /// Writes the submission's mark; [`finish`](Self::finish) says where.
    fn end_submission(&mut self) {
        let i = self.ends.len() as u32;
        let job = self.job(&MarkJob { at: 4 * i, nonce: self.nonce });
        self.push(&MARK, vec![job, results(0..0)], vec![], [1, 1]);
        self.ends.push(self.dispatches.len());
        self.spent = 0;
    }

    /// The recording, over these trace buffers.
    pub fn finish(mut self, trace_buffers: Vec<Arc<Buffer>>) -> Recording {
        self.end_submission();
        for (i, &end) in self.ends.iter().enumerate() {
            self.dispatches[end - 1].bindings[1].bytes = self.result_bytes..self.result_bytes + 16 * (i as u64 + 1);
        }
        let results = BufferUse { resource: RESULTS, bytes: self.result_bytes + 16 * self.ends.len() as u64, content: self.filled };
        let inputs = BufferUse { resource: INPUTS, bytes: 4 * self.inputs.len() as u64, content: self.inputs };
        let mut buffers = vec![inputs, results];
        buffers.append(&mut self.scratch);
        Recording {
            trace_buffers,
            log_window: self.limits.log_window(),
            buffers,
            kept: self.kept,
            results: RESULTS,
            dispatches: self.dispatches,
            ends: self.ends,
            nonce: self.nonce,
            trace_bytes: 0,
        }
    }
}

/// Deals out the results.
#[derive(Debug, Default)]
pub(crate) struct Results {
    bytes: u64,
}

impl Results {
    /// Room for so many bytes: where it begins, as bindings can.
    pub fn take(&mut self, bytes: u64) -> u64 {
        let begin = self.bytes;
        self.bytes = (begin + bytes).next_multiple_of(ALIGN);
        begin
    }

    /// Bytes of all.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// Bytes of the results.
pub(crate) fn results(bytes: std::ops::Range<u64>) -> Binding {
    Binding { resource: RESULTS, bytes }
}
