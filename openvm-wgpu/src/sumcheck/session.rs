//! The recordings of a stage, one after the other, and what they took.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use logup_wgpu::{
    Error, Result, StageTime,
    compute::{Buffer, Executor, Recording},
};
use tracing::debug;

use crate::{
    compute::{Compute, Use},
    recorder::Recorder,
};

/// What a part of a stage did on the device.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct PartStats {
    /// Time of all of it.
    pub wall: Duration,
    /// Times that the host waited for the device, but for its proofs of work.
    pub waits: usize,
    /// Time of those.
    pub wait: Duration,
    /// Time on the GPU, where the device has timestamps.
    pub gpu: Option<Duration>,
    /// Dispatches.
    pub kernels: usize,
    /// Bytes that went to the device: challenges and tables made of them.
    pub up_bytes: u64,
    /// Bytes that came back: sums for the transcript, opened rows and paths.
    pub down_bytes: u64,
}

/// Is told of each recording of GKR, of the rounds after round 0 and of the openings before it runs, and of its results: for whoever wants to read it or run it elsewhere.
pub trait RecordingObserver: Send + Sync {
    /// What the device is about to run; the buffers that the recording names lie there as it will find them.
    fn before(&self, recording: &Recording);

    /// The words of its results, with the submissions' marks.
    fn after(&self, results: &[u32]);
}

/// A stage that is going on.
pub(crate) struct Session<'a> {
    pub compute: &'a Compute,
    of: Use,
    executor: Executor,
    observer: Option<&'a dyn RecordingObserver>,
    stage_times: bool,
    totals: Totals,
    /// Buffers that the pool had made before.
    allocations_before: u64,
    /// Codewords and trees that were computed again.
    pub codes_again: usize,
    /// What the current part has done.
    part: PartStats,
    part_began: Instant,
}

/// What all parts did.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    /// GPU time of each kernel's dispatches, where asked for.
    pub stages: Vec<StageTime>,
    /// Device buffers created.
    pub allocations: u64,
}

impl<'a> Session<'a> {
    pub fn new(compute: &'a Compute, of: Use, observer: Option<&'a dyn RecordingObserver>, stage_times: bool) -> Self {
        let executor = compute.executor(of);
        Self {
            compute,
            of,
            executor,
            observer,
            stage_times,
            totals: Totals { stages: vec![], allocations: 0 },
            allocations_before: compute.pool.allocations(),
            codes_again: 0,
            part: PartStats::default(),
            part_began: Instant::now(),
        }
    }

    /// Ends a part, which is one of [`kernels::stage`](crate::kernels::stage): what it did, as an event too.
    pub fn end_part(&mut self, stage: &'static str) -> PartStats {
        let wall = std::mem::replace(&mut self.part_began, Instant::now()).elapsed();
        let part = PartStats { wall, ..std::mem::take(&mut self.part) };
        let gpu_ms = part.gpu.unwrap_or_default().as_secs_f64() * 1e3;
        let (backend, kernels, sync_count) = (self.compute.gpu.info().backend, part.kernels, part.waits);
        debug!(%backend, stage, kernels, sync_count, gpu_ms, "metal_dispatch_stage");
        part
    }

    /// Ends the stage.
    pub fn end(mut self) -> Totals {
        self.totals.allocations += self.compute.pool.allocations() - self.allocations_before;
        self.compute.give_back(self.of, self.executor);
        self.totals
    }

    /// Counts waits of somebody else's for this part.
    pub fn add_waits(&mut self, waits: usize) {
        self.part.waits += waits;
    }

    /// A recording for results of so many bytes.
    pub fn recorder(&self, result_bytes: u64) -> Recorder {
        Recorder::new(&self.compute.gpu, result_bytes, self.compute.next_nonce())
    }

    /// Runs a recording and reads its results, which say whether they are what they should be.
    ///
    /// # Errors
    /// As `Executor::run`; [`Error::DeviceLost`] for results that are no field elements.
    pub fn run<T>(&mut self, recorder: Recorder, trace_buffers: Vec<Arc<Buffer>>, read: impl FnOnce(&[u32]) -> Option<T>) -> Result<T> {
        let recording = recorder.finish(trace_buffers);
        if let Some(observer) = self.observer {
            observer.before(&recording);
        }
        let submission = self.executor.start(&recording, self.stage_times)?;
        let report = self.executor.finish(submission, |words| {
            if let Some(observer) = self.observer {
                observer.after(words);
            }
            read(words)
        })?;
        self.part.waits += 1;
        self.part.wait += report.wait;
        self.part.kernels += recording.dispatches.len();
        self.part.up_bytes += report.upload_bytes;
        self.part.down_bytes += 4 * recording.result_words() as u64;
        if !report.passes.is_empty() {
            *self.part.gpu.get_or_insert_default() += report.passes.iter().map(|pass| pass.gpu).sum::<Duration>();
        }
        if self.stage_times {
            self.totals.stages.extend(report.passes);
        }
        self.totals.allocations += report.allocations as u64;
        report.results.ok_or_else(|| Error::DeviceLost { reason: "a result is no field element".into() })
    }
}
