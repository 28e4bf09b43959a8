//! The one public operation: check, record, submit, wait, interpolate.

mod instance;
mod polys;
mod record;

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use rayon::prelude::*;

use self::{
    instance::Prepared,
    polys::Interpolation,
    record::{Block, COSET_QUAD_ROWS, Call, EqMode, Recorded, Work},
};
pub use self::{
    instance::{Eq, Instance},
    polys::{Frac, Round0Polys},
};
#[cfg(doc)]
use crate::error::Error;
use crate::{
    error::Result,
    field::{self, EXT_WORDS},
    gpu::{Executor, Gpu, Layout, Submission},
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
    /// By `l_skip` and number of cosets.
    interpolations: HashMap<(usize, usize), Interpolation>,
}

impl Round0 {
    /// An engine with the default options: everything in one submission.
    pub fn new(gpu: &Gpu) -> Self {
        Self::with_options(gpu, Round0Options::default())
    }

    /// An engine with chosen options.
    pub fn with_options(gpu: &Gpu, options: Round0Options) -> Self {
        Self { gpu: gpu.clone(), options, executor: Executor::new(gpu), num_runs: 0, interpolations: HashMap::new() }
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

    /// Compiles the kernels that calls with these plans need when their traces have this layout and share a buffer, so that the first
    /// call does not. Kernels for traces spread over several buffers are compiled at their first use. Compiled kernels belong to the [`Gpu`].
    ///
    /// # Errors
    /// [`Error::Device`] if the driver refuses a kernel.
    pub fn warm_up(&self, plans: &[&Round0Plan], layout: Layout) -> Result<()> {
        let col_major = layout == Layout::ColMajor;
        let columns = if col_major { Kernel::ColumnSums } else { Kernel::ColumnSumsScalar };
        for (kernel, slots) in [(columns, 1), (Kernel::DualReduce, 0)] {
            self.gpu.pipeline(kernel, slots, None, false)?;
        }
        for (plan, planned) in plans.iter().flat_map(|plan| plan.programs.iter().map(move |planned| (plan, planned))) {
            let slots = u32::from(!planned.program.columns.is_empty());
            match &planned.generated {
                Some(generated) => {
                    let quads = col_major && (1 << plan.l_skip()) >= COSET_QUAD_ROWS;
                    self.gpu.pipeline(Kernel::CosetPass, slots, Some(&generated.source), quads)?
                }
                None => self.gpu.pipeline(Kernel::CosetInterpret, slots, None, false)?,
            };
        }
        Ok(())
    }

    /// The numerator and denominator polynomial of round 0 for every instance.
    ///
    /// With `Schedule::Batched`: one command encoder, one submission, one wait, whatever the number of instances; nothing is allocated
    /// on the device once the scratch has grown to the work. Instances without interactions, or whose interactions read no trace,
    /// need no device work. [`submit`](Self::submit) does the same in two steps.
    ///
    /// # Shapes
    /// See [`Instance`] for the inputs and [`Round0Polys`] for the result.
    ///
    /// # Errors
    /// [`Error::Length`], [`Error::TooFew`], [`Error::Height`] and [`Error::OtherDevice`] for instances that do not fit their plan,
    /// before the device is touched; [`Error::DeviceLimit`] for work that the device has no room for; [`Error::Device`],
    /// [`Error::DeviceLost`] for what the device reports.
    pub fn evaluate(&mut self, instances: &[Instance<'_>]) -> Result<Round0Output> {
        self.submit(instances)?.wait()
    }

    /// A call whose results are still to come: the device works while the caller does something else, until [`InFlight::wait`].
    ///
    /// The engine is busy until then. A call that is dropped instead is finished by the device and forgotten; the engine then needs new
    /// upload and readback buffers. Under `Schedule::PerCoset` only the last submission is left in flight.
    ///
    /// ```
    /// # use logup_wgpu::{AirBuilder, EF, Eq, F, Gpu, GpuOptions, Instance, Matrix, Round0, Round0Plan, Strategy, Trace};
    /// # use p3_field::PrimeCharacteristicRing;
    /// # let mut air = AirBuilder::new("lookup");
    /// # let main = air.main_part(1);
    /// # let value = air.column(main, 0);
    /// # air.interaction(1, [value], value);
    /// # let plan = Round0Plan::new(air.build()?, 2, Strategy::Split)?;
    /// # let gpu = Gpu::new(GpuOptions::default())?;
    /// # let trace = Trace::new(&gpu, Matrix::col_major(&[F::TWO; 4], 1))?;
    /// # let instances = [Instance { plan: &plan, preprocessed: None, main: &[&trace], public_values: &[], eq: Eq::Challenges(&[]),
    /// #     beta_pows: &[EF::ONE, EF::TWO], eq_3bs: &[EF::ONE] }];
    /// let mut round0 = Round0::new(&gpu);
    /// let in_flight = round0.submit(&instances)?;
    /// let meanwhile: u64 = (0..1000).sum(); // other work of the prover
    /// let output = in_flight.wait()?;
    /// # assert_eq!((meanwhile, output.polys[0].numerator[0]), (499500, EF::TWO));
    /// # Ok::<(), logup_wgpu::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`evaluate`](Self::evaluate), but for what the device reports of the last submission.
    pub fn submit<'a>(&'a mut self, instances: &'a [Instance<'a>]) -> Result<InFlight<'a>> {
        let start = Instant::now();
        let span = tracing::debug_span!("logup_round0", airs = instances.len(), schedule = ?self.options.schedule);
        let entered = span.enter();
        let prepared = prepare(instances, &self.gpu)?;
        let calls = calls(&prepared, self.options.schedule);
        let stats = Round0Stats { airs: instances.len(), adapter: self.gpu.adapter(), ..Round0Stats::default() };
        drop(entered);
        let mut in_flight = InFlight {
            engine: self,
            prepared,
            done: Vec::new(),
            running: None,
            stats,
            wait: Duration::ZERO,
            start,
            cpu: Duration::ZERO,
            span,
        };
        for call in calls {
            in_flight.finish_running()?;
            in_flight.run(call)?;
        }
        in_flight.cpu = start.elapsed().saturating_sub(in_flight.wait);
        Ok(in_flight)
    }

    /// What [`evaluate`](Self::evaluate) would submit, without a device: one recording per submission.
    ///
    /// # Errors
    /// As `evaluate`, but for what only the device reports.
    pub fn record(&self, instances: &[Instance<'_>]) -> Result<Vec<Recording>> {
        let prepared = prepare(instances, &self.gpu)?;
        calls(&prepared, self.options.schedule)
            .into_iter()
            .map(|call| Ok(record::record(&prepared, &call, &self.gpu.limits(), 0)?.recording))
            .collect()
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

/// A call that was submitted. See [`Round0::submit`].
#[derive(Debug)]
#[must_use = "the results come from `wait`"]
pub struct InFlight<'a> {
    engine: &'a mut Round0,
    prepared: Vec<Prepared<'a>>,
    /// Finished submissions: their work, where each work's result starts in EF elements, and the result words.
    done: Vec<(Vec<Work>, Vec<usize>, Vec<u32>)>,
    running: Option<(Vec<Work>, Vec<usize>, Submission)>,
    stats: Round0Stats,
    /// Host time spent waiting.
    wait: Duration,
    start: Instant,
    /// Host time of `submit` outside the wait.
    cpu: Duration,
    span: tracing::Span,
}

impl InFlight<'_> {
    /// Waits for the device and interpolates.
    ///
    /// # Errors
    /// [`Error::Device`], [`Error::DeviceLost`].
    pub fn wait(mut self) -> Result<Round0Output> {
        let resumed = Instant::now();
        let wait_before = self.wait;
        self.finish_running()?;
        let span = self.span.clone();
        let _entered = span.enter();
        let mut blocks: Vec<Vec<(Block, &[u32])>> = vec![Vec::new(); self.prepared.len()];
        for (work, bases, words) in &self.done {
            for (work, base) in work.iter().zip(bases) {
                let num_words = (2 * EXT_WORDS) << self.prepared[work.instance].plan.l_skip();
                blocks[work.instance].push((work.block, &words[base * EXT_WORDS..][..num_words]));
            }
        }
        let interpolations = &mut self.engine.interpolations;
        let sizes = |prepared: &Prepared<'_>| (prepared.plan.l_skip(), prepared.plan.num_cosets());
        for prepared in &self.prepared {
            let (l_skip, num_cosets) = sizes(prepared);
            interpolations.entry((l_skip, num_cosets)).or_insert_with(|| Interpolation::new(l_skip, num_cosets));
        }
        let interpolations = &*interpolations;
        let polys = (self.prepared.par_iter().zip(&blocks))
            .map(|(prepared, blocks)| polys::interpolate(prepared, blocks, &interpolations[&sizes(prepared)]))
            .collect::<Result<_>>()?;
        let mut stats = std::mem::take(&mut self.stats);
        stats.wall = self.start.elapsed();
        stats.cpu = self.cpu + resumed.elapsed().saturating_sub(self.wait - wait_before);
        tracing::debug!(%stats, "round 0 done");
        Ok(Round0Output { polys, stats })
    }

    /// Records and submits.
    fn run(&mut self, call: Call) -> Result<()> {
        let _entered = self.span.enter();
        let engine = &mut *self.engine;
        if call.fresh_scratch {
            engine.executor.release_scratch();
        }
        let nonce = engine.next_nonce();
        let Recorded { recording, traces, result_bases } = record::record(&self.prepared, &call, &engine.gpu.limits(), nonce)?;
        let submission = engine.executor.submit(&recording, &traces, engine.options.stage_times)?;
        self.stats.count(&recording);
        self.stats.allocations += submission.allocations;
        self.stats.upload_bytes += submission.upload_bytes;
        engine.trace_stages(&recording);
        self.running = Some((call.work, result_bases, submission));
        Ok(())
    }

    /// Waits for the submission that is running, if one is.
    fn finish_running(&mut self) -> Result<()> {
        let Some((work, bases, submission)) = self.running.take() else { return Ok(()) };
        let report = self.engine.executor.wait(submission)?;
        self.wait += report.wait;
        if !report.passes.is_empty() {
            *self.stats.gpu.get_or_insert_default() += report.passes.iter().map(|pass| pass.gpu).sum::<Duration>();
        }
        if self.engine.options.stage_times {
            self.stats.stages.extend(report.passes);
        }
        self.done.push((work, bases, report.words));
        Ok(())
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        if self.running.is_some() {
            self.engine.executor.abandon();
        }
    }
}

fn prepare<'a>(instances: &'a [Instance<'a>], gpu: &Gpu) -> Result<Vec<Prepared<'a>>> {
    instances.par_iter().map(|instance| Prepared::new(instance, gpu)).collect()
}

impl Round0Stats {
    fn count(&mut self, recording: &Recording) {
        self.submissions += 1;
        self.waits += 1;
        self.column_kernels += recording.num_dispatches(Kernel::ColumnSums) + recording.num_dispatches(Kernel::ColumnSumsScalar);
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
        Schedule::Batched => vec![Call { work, eq: EqMode::Split, reductions: &record::DUAL, fresh_scratch: false }],
        Schedule::PerCoset => record::by_coset(&work)
            .into_iter()
            .map(|(work, first)| Call {
                work,
                eq: if first { EqMode::Evals } else { EqMode::Resident },
                reductions: &record::SEPARATE,
                fresh_scratch: true,
            })
            .collect(),
    }
}

/// The trace buffers of a recording, in the order that its windows name.
pub(super) type TraceBuffers = Vec<Arc<wgpu::Buffer>>;
