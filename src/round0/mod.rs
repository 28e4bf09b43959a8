//! The one public operation: check, record, submit, wait, interpolate.

mod check;
mod in_flight;
mod instance;
mod interpolation;
mod kept;
mod known_answers;
mod per_coset;
mod polys;
mod prepared;
mod record;
#[cfg(test)]
mod steps_edge;
mod warm_up;

use std::{
    ops::Range,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use rayon::prelude::*;

pub use self::{
    check::{ConstraintCheck, FailingConstraint, RecordedCheck},
    in_flight::{InFlight, RecordedCall},
    instance::{Challenges, Instance},
    polys::{Frac, Round0Polys, numerator_scale},
    warm_up::{WarmUp, WarmUpProgress},
};
use self::{
    interpolation::{Interpolation, Interpolations, polys_of},
    kept::{CallKey, CallSet},
    known_answers::Asked,
    prepared::PreparedCall,
    record::{Results, Step, Work},
};
#[cfg(doc)]
use crate::error::Error;
use crate::{
    error::Result,
    field::{self, EXT_WORDS},
    gpu::{Executor, Gpu, Memory},
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
    /// Those of each instance.
    pub polys: Vec<Round0Polys>,
    /// Counts and times.
    pub stats: Round0Stats,
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
    memory: Memory,
    /// Buffers that no call is using, with the calls that they know.
    idle: Mutex<Vec<CallSet>>,
    num_runs: AtomicU32,
    /// By `l_skip` and cosets.
    interpolations: Mutex<Interpolations>,
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
        Self::of(gpu, options, Memory::Device)
    }

    /// An engine that computes nothing: after a call it says what [`bytes`](Self::bytes) of buffers one that does would have. Its polynomials are zero, and it
    /// finds no constraint that fails. Traces may be in buffers that are [only counted](crate::compute::Buffer::is_counted).
    pub fn counting(gpu: &Gpu, options: Round0Options) -> Self {
        Self::of(gpu, options, Memory::Counted)
    }

    fn of(gpu: &Gpu, options: Round0Options, memory: Memory) -> Self {
        Self {
            gpu: gpu.clone(),
            options,
            memory,
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

    /// Bytes of the buffers that no call is using and that are kept for calls to come: scratch, upload and readback.
    pub fn bytes(&self) -> u64 {
        lock(&self.idle).iter().map(|set| set.executor.bytes()).sum()
    }

    /// Turns stage times on or off.
    pub fn set_stage_times(&mut self, stage_times: bool) {
        self.options.stage_times = stage_times;
    }

    /// The polynomials of round 0 for every instance: LogUp's numerator and denominator, and the constraints'.
    ///
    /// With `Schedule::Batched`: one command encoder, one submission, one wait, whatever the number of instances, unless they would keep the
    /// device for longer than [`GpuOptions::submission_budget`](crate::GpuOptions); nothing is allocated
    /// on the device once the scratch has grown to the work. Instances whose interactions and constraints read no trace
    /// need no device work. [`submit`](Self::submit) does the same in two steps.
    ///
    /// # Shapes
    /// See [`Challenges`] and [`Instance`] for the inputs and [`Round0Polys`] for the result.
    ///
    /// # Errors
    /// [`Error::Length`], [`Error::TooFew`] and [`Error::OtherDevice`] for instances that do not fit their plan, before the device is touched;
    /// [`Error::DeviceLimit`] for work beyond the device's limits; [`Error::OutOfMemory`], [`Error::Device`], [`Error::DeviceLost`] for what
    /// the device reports; [`Error::Deadline`] if it takes longer than the caller gives it; [`Error::WrongAnswer`] if a kernel, at its first
    /// use, does not give its known answer; [`Error::Environment`] where `LOGUP_WGPU_DUMP` names no folder.
    pub fn evaluate(&self, challenges: &Challenges<'_>, instances: &[Instance<'_>]) -> Result<Round0Output> {
        self.submit(challenges, instances)?.wait()
    }

    /// A call whose results are still to come: the device works while the caller does something else, until [`InFlight::wait`].
    ///
    /// The engine can be used meanwhile: other calls take other buffers. A call that is dropped instead is finished by the device and
    /// forgotten; its upload and readback buffers are then made anew. Under `Schedule::PerCoset` only the last submission is left in flight.
    ///
    /// ```
    /// # use logup_wgpu::{AirBuilder, Challenges, EF, F, Gpu, GpuOptions, Instance, Matrix, Round0, Round0Plan, Strategy, Trace};
    /// # use p3_field::PrimeCharacteristicRing;
    /// # let mut air = AirBuilder::new("lookup");
    /// # let main = air.main_part(1);
    /// # let value = air.column(main, 0);
    /// # air.interaction(1, [value], value);
    /// # let plan = Round0Plan::new(air.build()?, 2, Strategy::Split)?;
    /// # let gpu = Gpu::new(GpuOptions::default())?;
    /// # let trace = Trace::new(&gpu, Matrix::col_major(&[F::TWO; 4], 1))?;
    /// # let challenges = Challenges { xi: &[], beta: EF::TWO, lambda: EF::TWO };
    /// # let instances = [Instance::new(&plan).main([&trace]).weights(&[EF::ONE])];
    /// let round0 = Round0::new(&gpu);
    /// let in_flight = round0.submit(&challenges, &instances)?;
    /// let meanwhile: u64 = (0..1000).sum(); // other work of the prover
    /// let output = in_flight.wait()?;
    /// # assert_eq!((meanwhile, output.polys[0].numerator[0]), (499500, EF::TWO));
    /// # Ok::<(), logup_wgpu::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`evaluate`](Self::evaluate), but for what the device reports of the last submission.
    pub fn submit<'a>(&'a self, challenges: &Challenges<'a>, instances: &'a [Instance<'a>]) -> Result<InFlight<'a>> {
        self.gpu.usable()?;
        InFlight::submit(self, challenges, instances)
    }

    /// What [`evaluate`](Self::evaluate) would submit, as data: nothing is run. Another executor can run it, and
    /// [`RecordedCall::polys`] makes the polynomials of its results.
    ///
    /// # Errors
    /// As `evaluate`, but for what only the device reports.
    pub fn record<'a>(&'a self, challenges: &Challenges<'a>, instances: &'a [Instance<'a>]) -> Result<RecordedCall<'a>> {
        RecordedCall::new(self, challenges, instances)
    }

    /// Does something with what is waited for in a call, step by step.
    fn each_step(&self, call: &PreparedCall<'_>, mut work: impl FnMut(Step) -> Result<()>) -> Result<()> {
        match self.options.schedule {
            Schedule::Batched => Step::batched(call).map_or(Ok(()), work),
            Schedule::PerCoset => per_coset::cosets(call).into_iter().try_for_each(|coset| work(coset.step(call))),
        }
    }

    /// Differs from one recording to the next and is never a word that the results hold beforehand.
    fn next_nonce(&self) -> u32 {
        1 + self.num_runs.fetch_add(1, Ordering::Relaxed) % (field::P - 1)
    }

    /// Whether what it records is kept for calls to come.
    fn keeps(&self) -> bool {
        self.options.schedule == Schedule::Batched && self.asked.is_none()
    }

    /// Buffers for a call, of those that know it if there are any.
    fn call_set(&self, key: Option<&CallKey>) -> CallSet {
        let mut idle = lock(&self.idle);
        match idle.iter().rposition(|set| key.is_some_and(|key| set.knows(key))) {
            Some(at) => idle.remove(at),
            None => idle.pop().unwrap_or_else(|| CallSet::new(Executor::of(&self.gpu, self.memory))),
        }
    }

    /// Keeps buffers for a later call.
    fn give_back(&self, set: CallSet) {
        let mut idle = lock(&self.idle);
        if idle.len() < MAX_IDLE {
            idle.push(set);
        }
    }

    /// The polynomials of a call's instances, of the result words of its steps.
    fn polys<'a>(&self, call: &PreparedCall<'_>, done: impl IntoIterator<Item = (&'a Results, &'a [u32])>) -> Result<Vec<Round0Polys>> {
        let instances = &call.instances;
        let mut blocks: Vec<Vec<(Work, &[u32])>> = vec![Vec::new(); instances.len()];
        for (results, words) in done {
            for (&work, base) in results.work.iter().zip(&results.bases) {
                let num_words = (2 * EXT_WORDS) << instances[work.instance].plan.l_skip();
                blocks[work.instance].push((work, &words[base * EXT_WORDS..][..num_words]));
            }
        }
        // Looked up here, so that the instances' threads need no lock.
        let mut interpolations = Interpolations::new();
        for prepared in instances {
            for cosets in prepared.plan.pairs.iter().flat_map(|pair| pair.side_cosets(call.sums)) {
                let key = (prepared.plan.l_skip(), cosets);
                interpolations.entry(key.clone()).or_insert_with(|| self.interpolation(key));
            }
        }
        let each = instances.par_iter().zip(&blocks);
        each.map(|(prepared, blocks)| polys_of(prepared, call.sums, blocks, &interpolations)).collect()
    }

    fn interpolation(&self, key: (usize, Range<usize>)) -> Arc<Interpolation> {
        let known = lock(&self.interpolations).get(&key).cloned();
        known.unwrap_or_else(|| {
            let new = Arc::new(Interpolation::new(key.0, key.1.clone()));
            Arc::clone(lock(&self.interpolations).entry(key).or_insert(new))
        })
    }
}

/// What the engine's mutexes guard is valid at all times: a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
