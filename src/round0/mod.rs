//! The one public operation: check, record, submit, read, interpolate.

mod instance;
mod polys;
mod record;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use self::{
    instance::Prepared,
    record::{Block, Call, EqMode, Recorded, Work},
};
pub use self::{
    instance::{Eq, Instance},
    polys::{Frac, Round0Polys},
};
use crate::{
    error::{Error, Result},
    field::{self, EF, EXT_WORDS},
    gpu::{Executor, Gpu},
    plan::Round0Plan,
    recording::Recording,
    shaders::Kernel,
    stats::Round0Stats,
};

/// How the work of a call is submitted. All give the same bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Schedule {
    /// Everything in one command encoder: one submission, one wait, one reduction for numerator and denominator of all cosets and
    /// AIRs, scratch kept from call to call. The default.
    #[default]
    Batched,
    /// Where this kernel comes from, kept to measure against: for each AIR and coset, scratch is allocated, `eq` comes from the host,
    /// numerator and denominator are reduced apart, and the host waits.
    PerCoset,
}

/// How an engine runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Round0Options {
    /// How work is submitted.
    pub schedule: Schedule,
    /// Whether to give each stage a compute pass and timestamps of its own. Costs a little, so it is off by default.
    pub stage_times: bool,
}

/// The polynomials of a call's instances in their order, and what the call did.
#[derive(Clone, Debug)]
pub struct Round0Output {
    /// One numerator and denominator per instance.
    pub polys: Vec<Round0Polys>,
    /// Counts and times.
    pub stats: Round0Stats,
}

/// The engine: runs round 0 for any number of AIRs, and keeps its scratch from call to call.
///
/// See the [crate docs](crate) for an example.
#[derive(Debug)]
pub struct Round0 {
    gpu: Gpu,
    options: Round0Options,
    executor: Executor,
    num_runs: u32,
}

impl Round0 {
    /// An engine with the default options: everything in one submission.
    pub fn new(gpu: &Gpu) -> Self {
        Self::with_options(gpu, Round0Options::default())
    }

    /// An engine with chosen options.
    pub fn with_options(gpu: &Gpu, options: Round0Options) -> Self {
        Self { gpu: gpu.clone(), options, executor: Executor::new(gpu), num_runs: 0 }
    }

    /// An engine with a chosen schedule.
    pub fn with_schedule(gpu: &Gpu, schedule: Schedule) -> Self {
        Self::with_options(gpu, Round0Options { schedule, ..Round0Options::default() })
    }

    /// The device.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// The options.
    pub fn options(&self) -> Round0Options {
        self.options
    }

    /// Turns stage times on or off.
    pub fn set_stage_times(&mut self, stage_times: bool) {
        self.options.stage_times = stage_times;
    }

    /// Compiles the kernels that calls with these plans need when their traces share a buffer, so that the first call does not. Kernels
    /// for traces spread over several buffers are compiled at their first use. Compiled kernels belong to the [`Gpu`].
    ///
    /// # Errors
    /// [`Error::Device`] if the driver refuses a kernel.
    pub fn warm_up(&self, plans: &[&Round0Plan]) -> Result<()> {
        for (kernel, slots) in [(Kernel::EqExpand, 0), (Kernel::ColumnSums, 1), (Kernel::DualReduce, 0)] {
            self.gpu.pipeline(kernel, slots, None)?;
        }
        for planned in plans.iter().flat_map(|plan| &plan.programs) {
            let slots = u32::from(!planned.program.columns.is_empty());
            match &planned.generated {
                Some(generated) => self.gpu.pipeline(Kernel::CosetPass, slots, Some(&generated.source))?,
                None => self.gpu.pipeline(Kernel::CosetInterpret, slots, None)?,
            };
        }
        Ok(())
    }

    /// The numerator and denominator polynomial of round 0 for every instance.
    ///
    /// With `Schedule::Batched`: one command encoder, one submission, one wait, whatever the number of instances; nothing is allocated
    /// on the device once the scratch has grown to the work. Instances without interactions, or whose interactions read no trace,
    /// need no device work.
    ///
    /// # Shapes
    /// See [`Instance`] for the inputs and [`Round0Polys`] for the result.
    ///
    /// # Errors
    /// [`Error::Length`], [`Error::TooFew`], [`Error::Height`] and [`Error::OtherDevice`] for instances that do not fit their plan,
    /// before the device is touched; [`Error::DeviceLimit`] for work that the device has no room for; [`Error::Device`],
    /// [`Error::DeviceLost`] for what the device reports.
    pub fn evaluate(&mut self, instances: &[Instance<'_>]) -> Result<Round0Output> {
        let start = Instant::now();
        let span = tracing::debug_span!("logup_round0", airs = instances.len(), schedule = ?self.options.schedule);
        let _entered = span.enter();
        let prepared = self.prepare(instances)?;
        let mut stats = Round0Stats { airs: instances.len(), adapter: self.gpu.adapter(), ..Round0Stats::default() };
        let mut wait = Duration::ZERO;
        let mut blocks: Vec<Vec<(Block, Vec<Frac>)>> = vec![Vec::new(); instances.len()];
        for call in calls(&prepared, self.options.schedule) {
            if call.fresh_scratch {
                self.executor.release_scratch();
            }
            let Recorded { recording, traces, result_bases } = record::record(&prepared, &call, &self.gpu.limits(), self.next_nonce())?;
            let report = self.executor.run(&recording, &traces, self.options.stage_times)?;
            wait += report.wait;
            stats.count(&recording);
            stats.allocations += report.allocations;
            stats.upload_bytes += report.upload_bytes;
            if !report.passes.is_empty() {
                *stats.gpu.get_or_insert_default() += report.passes.iter().map(|pass| pass.gpu).sum::<Duration>();
            }
            if self.options.stage_times {
                stats.stages.extend(report.passes);
            }
            self.trace_stages(&recording);
            for (work, base) in call.work.iter().zip(result_bases) {
                let num_z = 1 << prepared[work.instance].plan.l_skip();
                let words = &report.words[base * EXT_WORDS..(base + 2 * num_z) * EXT_WORDS];
                blocks[work.instance].push((work.block, fracs(words)?));
            }
        }
        let polys = prepared.iter().zip(blocks).map(|(prepared, blocks)| polys::interpolate(prepared, &blocks)).collect();
        stats.wall = start.elapsed();
        stats.cpu = stats.wall.saturating_sub(wait);
        tracing::debug!(%stats, "round 0 done");
        Ok(Round0Output { polys, stats })
    }

    /// What [`evaluate`](Self::evaluate) would submit, without a device: one recording per submission.
    ///
    /// # Errors
    /// As `evaluate`, but for what only the device reports.
    pub fn record(&self, instances: &[Instance<'_>]) -> Result<Vec<Recording>> {
        let prepared = self.prepare(instances)?;
        calls(&prepared, self.options.schedule)
            .into_iter()
            .map(|call| Ok(record::record(&prepared, &call, &self.gpu.limits(), 0)?.recording))
            .collect()
    }

    fn prepare<'a>(&self, instances: &'a [Instance<'a>]) -> Result<Vec<Prepared<'a>>> {
        instances.iter().map(|instance| Prepared::new(instance, &self.gpu)).collect()
    }

    /// Differs from one submission to the next and is never a word that the results hold beforehand.
    fn next_nonce(&mut self) -> u32 {
        self.num_runs = (self.num_runs + 1) % field::P;
        self.num_runs
    }

    /// One event per stage; the wait counts for the reduction, which is what the others were batched towards.
    fn trace_stages(&self, recording: &Recording) {
        for kernel in Kernel::ROUND_0 {
            let kernels = recording.num_dispatches(kernel);
            if kernels == 0 {
                continue;
            }
            let is_reduction = kernel == Kernel::DualReduce;
            tracing::debug!(
                backend = %self.gpu.info().backend,
                stage = kernel.name(),
                kernels,
                reduction_kernels = if is_reduction { kernels } else { 0 },
                cosets = recording.num_cosets(kernel),
                sync_count = usize::from(is_reduction),
                "metal_dispatch_stage",
            );
        }
    }
}

impl Round0Stats {
    fn count(&mut self, recording: &Recording) {
        self.submissions += 1;
        self.waits += 1;
        self.eq_kernels += recording.num_dispatches(Kernel::EqExpand);
        self.column_kernels += recording.num_dispatches(Kernel::ColumnSums);
        self.coset_kernels += recording.num_dispatches(Kernel::CosetPass) + recording.num_dispatches(Kernel::CosetInterpret);
        self.reduction_kernels += recording.num_dispatches(Kernel::DualReduce);
        self.scratch_bytes = self.scratch_bytes.max(recording.scratch_bytes + recording.eq_bytes);
        self.trace_bytes += recording.trace_bytes;
    }
}

/// The submissions of a call.
fn calls(prepared: &[Prepared<'_>], schedule: Schedule) -> Vec<Call> {
    let work: Vec<Work> = prepared
        .iter()
        .enumerate()
        .flat_map(|(instance, prepared)| record::blocks(prepared).into_iter().map(move |block| Work { instance, block }))
        .collect();
    match schedule {
        _ if work.is_empty() => vec![],
        Schedule::Batched => vec![Call { work, eq: EqMode::Expand, reductions: &record::DUAL, fresh_scratch: false }],
        Schedule::PerCoset => record::by_coset(&work)
            .into_iter()
            .map(|(work, first)| Call {
                work,
                eq: if first { EqMode::Upload } else { EqMode::Resident },
                reductions: &record::SEPARATE,
                fresh_scratch: true,
            })
            .collect(),
    }
}

/// `[num_z]` of `Frac { p, q }` out of their words.
fn fracs(words: &[u32]) -> Result<Vec<Frac>> {
    let unwritten = || Error::DeviceLost { reason: "a result was not written".into() };
    let element = |words: &[u32]| -> Result<EF> { field::ext_from_words(words).ok_or_else(unwritten) };
    words.chunks_exact(2 * EXT_WORDS).map(|words| Ok(Frac { p: element(&words[..EXT_WORDS])?, q: element(&words[EXT_WORDS..])? })).collect()
}

/// The trace buffers of a recording, in the order that its windows name.
pub(super) type TraceBuffers = Vec<Arc<wgpu::Buffer>>;
