//! The one public operation: check, record, submit, wait, interpolate.

mod instance;
mod known_answers;
mod polys;
mod record;
#[cfg(test)]
mod steps_edge;

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use rayon::prelude::*;

use self::{
    instance::Prepared,
    known_answers::Asked,
    polys::Interpolation,
    record::{Block, COLUMN_VEC4_ROWS, COSET_VEC4_ROWS, Call, EqMode, Recorded, VEC4_LOADS, Work},
};
pub use self::{
    instance::{Eq, Instance},
    polys::{Frac, Round0Polys},
};
use crate::{
    error::{Error, Result},
    field::{self, EXT_WORDS},
    gpu::{Executor, Gpu, Key, Layout, Submission},
    kernels::{self, stage},
    plan::Round0Plan,
    recording::Recording,
    stats::Round0Stats,
};

/// How the work of a call is submitted. All give the same bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Schedule {
    /// Everything in one command encoder: one submission, one wait, one reduction for numerator and denominator of all cosets and
    /// AIRs, scratch kept from call to call. The default. Work beyond [`GpuOptions::submission_budget`](crate::GpuOptions) takes more
    /// submissions, still with one wait.
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

/// What [`Round0::warm_up`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WarmUp {
    /// Kernels that calls with the plans need.
    pub kernels: usize,
    /// Of them, those that gave their known answer now; the others had given it before, or [`GpuOptions`](crate::GpuOptions) switch it off.
    pub known_answers: usize,
    /// Time of compiling.
    pub compile: Duration,
    /// Time of the known answers.
    pub answer: Duration,
}

/// The engine: runs round 0 for any number of AIRs, and keeps its scratch from call to call.
///
/// Threads can share it: a call takes buffers that no other call is using, or makes new ones, and no lock is held while a call prepares,
/// waits or interpolates.
///
/// See the [crate docs](crate) for an example.
#[derive(Debug)]
pub struct Round0 {
    gpu: Gpu,
    options: Round0Options,
    /// Buffers that no call is using.
    idle: Mutex<Vec<Executor>>,
    num_runs: AtomicU32,
    /// By `l_skip` and number of cosets.
    interpolations: Mutex<HashMap<(usize, usize), Arc<Interpolation>>>,
    /// Set while kernels give known answers.
    asked: Option<Asked>,
}

/// Sets of buffers that an engine keeps for calls to come. More are made where more calls are in flight, and dropped after them.
const MAX_IDLE: usize = 4;

impl Round0 {
    /// An engine with the default options: everything in one submission.
    pub fn new(gpu: &Gpu) -> Self {
        Self::with_options(gpu, Round0Options::default())
    }

    /// An engine with chosen options.
    pub fn with_options(gpu: &Gpu, options: Round0Options) -> Self {
        Self {
            gpu: gpu.clone(),
            options,
            idle: Mutex::default(),
            num_runs: AtomicU32::new(0),
            interpolations: Mutex::default(),
            asked: None,
        }
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

    /// Compiles the kernels that calls with these plans need when their traces have this layout and share a buffer, and has each give a
    /// known answer, so that the first call does not. Kernels for traces spread over several buffers, and those for traces of fewer than
    /// `2^l_skip` rows where they differ, are compiled and asked at their first use. Compiled kernels belong to the [`Gpu`].
    ///
    /// Known answers: the fixed kernels evaluate AIRs of this crate, the generated ones the plans at two points `x`, on random traces; the
    /// result is compared at a random point with [`reference`](mod@crate::reference). Drivers' compilers make mistakes, and a device that
    /// makes one is caught here.
    ///
    /// # Errors
    /// [`Error::Device`] if the driver refuses a kernel, [`Error::DeviceLimit`] if the device has no room for one;
    /// [`Error::WrongAnswer`]; [`Error::DeviceLost`].
    pub fn warm_up(&self, plans: &[&Round0Plan], layout: Layout) -> Result<WarmUp> {
        self.gpu.usable()?;
        let start = Instant::now();
        let mut keys = Vec::new();
        for plan in plans {
            let allows_vec4 = |rows: u32| layout == Layout::ColMajor && (1 << plan.l_skip()) >= rows;
            if !plan.affine.matrices.is_empty() {
                let kernel = if allows_vec4(COLUMN_VEC4_ROWS) { &kernels::COLUMN_SUMS } else { &kernels::COLUMN_SUMS_SCALAR };
                keys.push(Key::fixed(kernel, 1));
            }
            for planned in &plan.programs {
                let slots = u32::from(!planned.program.columns.is_empty());
                keys.push(match &planned.generated {
                    Some(generated) => {
                        let (program, vec4_loads) = (Some(generated.source.clone()), slots > 0 && allows_vec4(COSET_VEC4_ROWS));
                        Key { kernel: &kernels::COSET_PASS, slots, program, constants: vec![(VEC4_LOADS, vec4_loads.into())] }
                    }
                    None => Key::fixed(&kernels::COSET_INTERPRET, slots),
                });
            }
        }
        if !keys.is_empty() {
            keys.push(Key::fixed(&kernels::DUAL_REDUCE, 0));
        }
        let mut known = HashSet::new();
        keys.retain(|key| known.insert(key.clone()));
        let kernels = keys.iter().map(|key| self.gpu.kernel(key)).collect::<Result<Vec<_>>>()?;
        let compile = start.elapsed();
        let known_answers = known_answers::ensure(&self.gpu, plans, &keys, &kernels)?;
        Ok(WarmUp { kernels: keys.len(), known_answers, compile, answer: start.elapsed() - compile })
    }

    /// The numerator and denominator polynomial of round 0 for every instance.
    ///
    /// With `Schedule::Batched`: one command encoder, one submission, one wait, whatever the number of instances, unless they would keep the
    /// device for longer than [`GpuOptions::submission_budget`](crate::GpuOptions); nothing is allocated
    /// on the device once the scratch has grown to the work. Instances without interactions, or whose interactions read no trace,
    /// need no device work. [`submit`](Self::submit) does the same in two steps.
    ///
    /// # Shapes
    /// See [`Instance`] for the inputs and [`Round0Polys`] for the result.
    ///
    /// # Errors
    /// [`Error::Length`], [`Error::TooFew`], [`Error::Height`] and [`Error::OtherDevice`] for instances that do not fit their plan,
    /// before the device is touched; [`Error::DeviceLimit`] for work beyond the device's limits; [`Error::OutOfMemory`],
    /// [`Error::Device`], [`Error::DeviceLost`] for what the device reports; [`Error::Deadline`] if it takes longer than the caller gives it; [`Error::WrongAnswer`] if a kernel, at its first use, does not give its known
    /// answer.
    pub fn evaluate(&self, instances: &[Instance<'_>]) -> Result<Round0Output> {
        self.submit(instances)?.wait()
    }

    /// A call whose results are still to come: the device works while the caller does something else, until [`InFlight::wait`].
    ///
    /// The engine can be used meanwhile: other calls take other buffers. A call that is dropped instead is finished by the device and
    /// forgotten; its upload and readback buffers are then made anew. Under `Schedule::PerCoset` only the last submission is left in flight.
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
    /// let round0 = Round0::new(&gpu);
    /// let in_flight = round0.submit(&instances)?;
    /// let meanwhile: u64 = (0..1000).sum(); // other work of the prover
    /// let output = in_flight.wait()?;
    /// # assert_eq!((meanwhile, output.polys[0].numerator[0]), (499500, EF::TWO));
    /// # Ok::<(), logup_wgpu::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`evaluate`](Self::evaluate), but for what the device reports of the last submission.
    pub fn submit<'a>(&'a self, instances: &'a [Instance<'a>]) -> Result<InFlight<'a>> {
        self.gpu.usable()?;
        let start = Instant::now();
        let span = match self.asked {
            None => tracing::debug_span!("logup_round0", airs = instances.len(), schedule = ?self.options.schedule),
            Some(_) => tracing::debug_span!("known_answers", airs = instances.len()),
        };
        let entered = span.enter();
        let prepared = prepare(instances, &self.gpu)?;
        let calls = calls(&prepared, self.options.schedule);
        let stats = Round0Stats {
            airs: instances.len(),
            adapter: self.gpu.adapter(),
            all_answered: self.gpu.known_answers(),
            ..Round0Stats::default()
        };
        drop(entered);
        let mut in_flight = InFlight {
            engine: self,
            executor: Some(lock(&self.idle).pop().unwrap_or_else(|| Executor::new(&self.gpu))),
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

    /// What [`evaluate`](Self::evaluate) would submit, as data: nothing is run. Another executor can run it, and
    /// [`RecordedCall::polys`] makes the polynomials of its results.
    ///
    /// # Errors
    /// As `evaluate`, but for what only the device reports.
    pub fn record<'a>(&'a self, instances: &'a [Instance<'a>]) -> Result<RecordedCall<'a>> {
        let prepared = prepare(instances, &self.gpu)?;
        let (mut recordings, mut parts) = (Vec::new(), Vec::new());
        for call in calls(&prepared, self.options.schedule) {
            let Recorded { recording, result_bases } =
                record::record(&prepared, &call, &self.gpu.limits(), self.gpu.budget(), self.next_nonce())?;
            recordings.push(recording);
            parts.push((call.work, result_bases));
        }
        Ok(RecordedCall { engine: self, prepared, recordings, parts })
    }

    /// Differs from one recording to the next and is never a word that the results hold beforehand.
    fn next_nonce(&self) -> u32 {
        1 + self.num_runs.fetch_add(1, Ordering::Relaxed) % (field::P - 1)
    }

    /// Keeps buffers for a later call.
    fn give_back(&self, executor: Executor) {
        let mut idle = lock(&self.idle);
        if idle.len() < MAX_IDLE {
            idle.push(executor);
        }
    }

    /// The polynomials of a call's instances: of the parts of its work, where each part's result starts, and the result words.
    fn polys(&self, prepared: &[Prepared<'_>], done: &[(&[Work], &[usize], &[u32])]) -> Result<Vec<Round0Polys>> {
        let mut blocks: Vec<Vec<(Block, &[u32])>> = vec![Vec::new(); prepared.len()];
        for (work, bases, words) in done {
            for (work, base) in work.iter().zip(*bases) {
                let num_words = (2 * EXT_WORDS) << prepared[work.instance].plan.l_skip();
                blocks[work.instance].push((work.block, &words[base * EXT_WORDS..][..num_words]));
            }
        }
        let interpolations: HashMap<(usize, usize), Arc<Interpolation>> = (prepared.iter())
            .map(|prepared| (prepared.plan.l_skip(), prepared.plan.num_cosets()))
            .map(|sizes| (sizes, self.interpolation(sizes.0, sizes.1)))
            .collect();
        let interpolation = |prepared: &Prepared<'_>| &*interpolations[&(prepared.plan.l_skip(), prepared.plan.num_cosets())];
        (prepared.par_iter().zip(&blocks)).map(|(prepared, blocks)| polys::interpolate(prepared, blocks, interpolation(prepared))).collect()
    }

    fn interpolation(&self, l_skip: usize, num_cosets: usize) -> Arc<Interpolation> {
        let known = lock(&self.interpolations).get(&(l_skip, num_cosets)).cloned();
        known.unwrap_or_else(|| {
            let new = Arc::new(Interpolation::new(l_skip, num_cosets));
            Arc::clone(lock(&self.interpolations).entry((l_skip, num_cosets)).or_insert(new))
        })
    }

    /// One event per stage; the wait counts for the reduction, which is what the others were batched towards.
    fn trace_stages(&self, recording: &Recording) {
        for &kernel in kernels::ALL {
            let kernels = recording.num_dispatches(kernel);
            if kernels == 0 {
                continue;
            }
            let is_reduction = kernel.stage == stage::REDUCTION;
            tracing::debug!(
                backend = %self.gpu.info().backend,
                stage = kernel.name,
                kernels,
                reduction_kernels = if is_reduction { kernels } else { 0 },
                cosets = recording.num_cosets(kernel),
                sync_count = usize::from(is_reduction),
                "metal_dispatch_stage",
            );
        }
    }
}

/// A call as data. See [`Round0::record`].
#[derive(Debug)]
pub struct RecordedCall<'a> {
    /// One per wait, in order. What [`Resource::Eq`](crate::recording::Resource::Eq) holds stays from one to the next.
    pub recordings: Vec<Recording>,
    engine: &'a Round0,
    prepared: Vec<Prepared<'a>>,
    /// Each recording's work, and where each work's result starts in EF elements.
    parts: Vec<(Vec<Work>, Vec<usize>)>,
}

impl RecordedCall<'_> {
    /// The instances' polynomials from the words of [`Resource::Results`](crate::recording::Resource::Results) after each recording ran.
    ///
    /// # Errors
    /// [`Error::Length`] for results of other sizes; [`Error::DeviceLost`] where a submission's last dispatch did not run, or a result is
    /// no field element.
    pub fn polys(&self, results: Vec<Vec<u32>>) -> Result<Vec<Round0Polys>> {
        let length = |what, requested, limit| Error::Length { air: "(the whole call)".into(), what, requested, limit };
        if results.len() != self.recordings.len() {
            return Err(length("the results", results.len(), self.recordings.len()));
        }
        let mut words = Vec::with_capacity(results.len());
        for (result, recording) in results.into_iter().zip(&self.recordings) {
            let num_words = recording.result_bytes as usize / 4;
            if result.len() != num_words {
                return Err(length("a recording's results", result.len(), num_words));
            }
            words.push(Recording::checked_results(result, recording.ends.len(), recording.nonce)?);
        }
        let done: Vec<_> = self.parts.iter().zip(&words).map(|((work, bases), words)| (&work[..], &bases[..], &words[..])).collect();
        self.engine.polys(&self.prepared, &done)
    }
}

/// A call that was submitted. See [`Round0::submit`].
#[derive(Debug)]
#[must_use = "the results come from `wait`"]
pub struct InFlight<'a> {
    engine: &'a Round0,
    /// The call's buffers, until nothing of it runs any more.
    executor: Option<Executor>,
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
    /// [`Error::Device`], [`Error::DeviceLost`], [`Error::Deadline`].
    pub fn wait(mut self) -> Result<Round0Output> {
        let resumed = Instant::now();
        let wait_before = self.wait;
        self.finish_running()?;
        if let Some(executor) = self.executor.take() {
            self.engine.give_back(executor);
        }
        let span = self.span.clone();
        let _entered = span.enter();
        let done: Vec<_> = self.done.iter().map(|(work, bases, words)| (&work[..], &bases[..], &words[..])).collect();
        let polys = self.engine.polys(&self.prepared, &done)?;
        let mut stats = std::mem::take(&mut self.stats);
        stats.wall = self.start.elapsed();
        stats.cpu = self.cpu + resumed.elapsed().saturating_sub(self.wait - wait_before);
        tracing::debug!(%stats, "round 0 done");
        Ok(Round0Output { polys, stats })
    }

    /// Records and submits.
    fn run(&mut self, call: Call) -> Result<()> {
        let _entered = self.span.enter();
        let engine = self.engine;
        let executor = self.executor.as_mut().expect("taken only after the last run");
        if call.fresh_scratch {
            executor.release_scratch();
        }
        let nonce = engine.next_nonce();
        let Recorded { mut recording, result_bases } =
            record::record(&self.prepared, &call, &engine.gpu.limits(), engine.gpu.budget(), nonce)?;
        if let Some(asked) = &engine.asked {
            asked.widen(&mut recording)?;
        }
        let kernels = Executor::kernels(&engine.gpu, &recording)?;
        let start = Instant::now();
        let known_answers = match &engine.asked {
            Some(asked) => asked.fixed_first(&engine.gpu, &recording, &kernels).map(|()| 0)?,
            None => known_answers::ensure_for(&engine.gpu, &self.prepared, &recording, &kernels)?,
        };
        if known_answers > 0 {
            self.stats.known_answers += known_answers;
            self.stats.answer += start.elapsed();
        }
        let submission = executor.submit(&recording, &kernels, engine.options.stage_times)?;
        self.stats.count(&recording);
        self.stats.allocations += submission.allocations;
        self.stats.upload_bytes += submission.upload_bytes;
        if engine.asked.is_none() {
            engine.trace_stages(&recording);
        }
        self.running = Some((call.work, result_bases, submission));
        Ok(())
    }

    /// Waits for the submission that is running, if one is.
    fn finish_running(&mut self) -> Result<()> {
        let Some((work, bases, submission)) = self.running.take() else { return Ok(()) };
        let report = self.executor.as_mut().expect("taken only after the last run").wait(submission)?;
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
        if let Some(mut executor) = self.executor.take() {
            if self.running.is_some() {
                executor.abandon();
            }
            self.engine.give_back(executor);
        }
    }
}

/// What the engine's mutexes guard is valid at all times: a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn prepare<'a>(instances: &'a [Instance<'a>], gpu: &Gpu) -> Result<Vec<Prepared<'a>>> {
    instances.par_iter().map(|instance| Prepared::new(instance, gpu)).collect()
}

impl Round0Stats {
    fn count(&mut self, recording: &Recording) {
        self.submissions += recording.ends.len();
        self.waits += 1;
        self.column_kernels += recording.num_in_stage(stage::COLUMN_SUMS);
        self.coset_kernels += recording.num_in_stage(stage::COSET_PASSES);
        self.reduction_kernels += recording.num_in_stage(stage::REDUCTION);
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
