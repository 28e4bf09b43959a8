//! A recording in the making: tables, dispatches, and where submissions end.

use std::sync::Arc;

use bytemuck::Pod;
use logup_wgpu::{
    DeviceLimits, Error, Gpu, Result, Subject,
    compute::{Binding, BufferUse, Dispatch, KeptBuffer, Kernel, Recording, Resource, TraceWindow},
    wgpu,
};

use crate::kernels::{MARK, MarkJob};

const INPUTS: Resource = Resource("inputs");
/// What a recording of this crate reads back: results, then the submissions' marks.
pub(crate) const RESULTS: Resource = Resource("results");

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

    /// A buffer that dispatches may bind under this name.
    pub fn keep(&mut self, resource: Resource, buffer: &Arc<wgpu::Buffer>) {
        self.kept.push(KeptBuffer { resource, buffer: Arc::clone(buffer) });
    }

    /// A buffer of the executor's, for what need not be kept.
    pub fn scratch(&mut self, resource: Resource, bytes: u64) -> Binding {
        match self.scratch.iter_mut().find(|used| used.resource == resource) {
            Some(used) => used.bytes = used.bytes.max(bytes),
            None => self.scratch.push(BufferUse { resource, bytes, content: vec![] }),
        }
        Binding { resource, bytes: 0..bytes }
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

    fn push(&mut self, kernel: &'static Kernel, bindings: Vec<Binding>, traces: Vec<TraceWindow>, grid: [u32; 2]) {
        self.dispatches.push(Dispatch { kernel, program: None, constants: vec![], bindings, traces, grid, cosets: 0..0 });
    }

    /// Writes the submission's mark.
    fn end_submission(&mut self) {
        let i = self.ends.len() as u32;
        let job = self.job(&MarkJob { at: 4 * i, nonce: self.nonce });
        let bytes = self.result_bytes..self.result_bytes + 16 * u64::from(i + 1);
        self.push(&MARK, vec![job, Binding { resource: RESULTS, bytes }], vec![], [1, 1]);
        self.ends.push(self.dispatches.len());
        self.spent = 0;
    }

    /// The recording, over these trace buffers.
    pub fn finish(mut self, trace_buffers: Vec<Arc<wgpu::Buffer>>) -> Recording {
        self.end_submission();
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

/// Bytes of the results.
pub(crate) fn results(bytes: std::ops::Range<u64>) -> Binding {
    Binding { resource: RESULTS, bytes }
}
