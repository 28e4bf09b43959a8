//! A call on its way: submitted and waited for, or recorded for other executors.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Round0, Round0Output, Round0Polys,
    instance::{Challenges, Instance},
    kept::{CallKey, CallSet, Recorded},
    known_answers,
    prepared::PreparedCall,
    record::{self, EQ, Results, SCRATCH, Step},
};
use crate::{
    error::{Error, Result, Subject},
    gpu::Submission,
    kernels::{self, stage},
    recording::Recording,
    stats::Round0Stats,
};

/// A call that was submitted. See [`Round0::submit`].
#[derive(Debug)]
#[must_use = "the results come from `wait`"]
pub struct InFlight<'a> {
    engine: &'a Round0,
    /// The call's buffers, until nothing of it runs any more.
    set: Option<CallSet>,
    call: Arc<PreparedCall<'a>>,
    /// Finished steps with their result words.
    done: Vec<(Arc<Results>, Vec<u32>)>,
    running: Option<(Arc<Results>, Submission)>,
    stats: Round0Stats,
    /// Host time spent waiting.
    wait: Duration,
    start: Instant,
    /// Host time of `submit` outside the wait.
    cpu: Duration,
    span: tracing::Span,
}

impl<'a> InFlight<'a> {
    /// Submits a call's steps, and waits for all but the last.
    pub(super) fn submit(engine: &'a Round0, challenges: &Challenges<'a>, instances: &'a [Instance<'a>]) -> Result<Self> {
        let start = Instant::now();
        let span = match engine.asked {
            None => tracing::debug_span!("logup_round0", airs = instances.len(), schedule = ?engine.options.schedule),
            Some(_) => tracing::debug_span!("known_answers", airs = instances.len()),
        };
        let entered = span.enter();
        let call = PreparedCall::new(challenges, instances, &engine.gpu, engine.asked.is_some())?;
        let stats = Round0Stats {
            airs: instances.len(),
            adapter: engine.gpu.adapter(),
            all_answered: engine.gpu.known_answers(),
            ..Round0Stats::default()
        };
        let key = CallKey::new(&call);
        drop(entered);
        let mut in_flight = InFlight {
            engine,
            set: Some(engine.call_set(Some(&key))),
            call: Arc::new(call),
            done: Vec::new(),
            running: None,
            stats,
            wait: Duration::ZERO,
            start,
            cpu: Duration::ZERO,
            span,
        };
        let call = Arc::clone(&in_flight.call);
        if engine.keeps() {
            in_flight.run_batched(key)?;
        } else {
            engine.each_step(&call, |step| {
                in_flight.finish_running()?;
                in_flight.run(step)
            })?;
        }
        in_flight.cpu = start.elapsed().saturating_sub(in_flight.wait);
        Ok(in_flight)
    }

    /// Waits for the device and interpolates.
    ///
    /// # Errors
    /// [`Error::Device`], [`Error::DeviceLost`], [`Error::Deadline`]; [`Error::WrongAnswer`] where the device was found to compute wrongly meanwhile.
    pub fn wait(mut self) -> Result<Round0Output> {
        let resumed = Instant::now();
        let wait_before = self.wait;
        self.finish_running()?;
        if let Some(set) = self.set.take() {
            self.engine.give_back(set);
        }
        let span = self.span.clone();
        let _entered = span.enter();
        let polys = self.engine.polys(&self.call, self.done.iter().map(|(results, words)| (&**results, &words[..])))?;
        let mut stats = std::mem::take(&mut self.stats);
        stats.wall = self.start.elapsed();
        stats.cpu = self.cpu + resumed.elapsed().saturating_sub(self.wait - wait_before);
        tracing::debug!(%stats, "round 0 done");
        Ok(Round0Output { polys, stats })
    }

    /// Submits the whole call, as recorded before or anew.
    fn run_batched(&mut self, key: CallKey) -> Result<()> {
        let (span, call) = (self.span.clone(), Arc::clone(&self.call));
        let _entered = span.enter();
        let mut recorded = match self.set().take(&key) {
            Some(recorded) => recorded.of_call(self.engine, &call),
            None => match Step::batched(&call) {
                Some(step) => self.record(&call, step)?,
                None => return Ok(()), // nothing to compute
            },
        };
        self.start(&mut recorded)?;
        self.set().keep(key, recorded);
        Ok(())
    }

    /// Records a step and submits it.
    fn run(&mut self, step: Step) -> Result<()> {
        let (span, call) = (self.span.clone(), Arc::clone(&self.call));
        let _entered = span.enter();
        if step.fresh_scratch {
            self.set().executor.release(SCRATCH);
        }
        let mut recorded = self.record(&call, step)?;
        self.start(&mut recorded)
    }

    fn record(&mut self, call: &PreparedCall<'_>, step: Step) -> Result<Recorded> {
        self.stats.recordings += 1;
        Recorded::new(self.engine, call, step)
    }

    fn set(&mut self) -> &mut CallSet {
        self.set.as_mut().expect("taken only after the last run")
    }

    /// Submits what was recorded, once its kernels gave known answers.
    fn start(&mut self, recorded: &mut Recorded) -> Result<()> {
        let engine = self.engine;
        let Recorded { recording, results, kernels, arguments, .. } = recorded;
        let start = Instant::now();
        let known_answers = match &engine.asked {
            Some(asked) => asked.fixed_first(&engine.gpu, recording, kernels).map(|()| 0)?,
            None => {
                let plans = self.call.instances.iter().map(|prepared| prepared.plan);
                known_answers::ensure_for(&engine.gpu, plans, recording, kernels)?
            }
        };
        if known_answers > 0 {
            self.stats.known_answers += known_answers;
            self.stats.answer += start.elapsed();
        }
        let submission = self.set().executor.submit(recording, kernels, arguments, engine.options.stage_times)?;
        self.stats.count(recording);
        self.stats.allocations += submission.allocations;
        self.stats.upload_bytes += submission.upload_bytes;
        self.stats.readback_bytes += submission.result_bytes;
        if engine.asked.is_none() {
            trace_kernels(engine, recording);
        }
        self.running = Some((Arc::clone(results), submission));
        Ok(())
    }

    /// Waits for the submission that is running, if one is.
    fn finish_running(&mut self) -> Result<()> {
        let Some((results, submission)) = self.running.take() else { return Ok(()) };
        let report = self.set().executor.wait(submission, <[u32]>::to_vec)?;
        self.wait += report.wait;
        if !report.passes.is_empty() {
            *self.stats.gpu.get_or_insert_default() += report.passes.iter().map(|pass| pass.gpu).sum::<Duration>();
        }
        if self.engine.options.stage_times {
            self.stats.stages.extend(report.passes);
        }
        self.done.push((results, report.results));
        Ok(())
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        if let Some(mut set) = self.set.take() {
            if self.running.is_some() {
                set.executor.abandon();
            }
            self.engine.give_back(set);
        }
    }
}

/// One event for each kernel that was recorded; the wait counts for the reduction, which is what the others were batched towards.
fn trace_kernels(engine: &Round0, recording: &Recording) {
    for &kernel in kernels::ALL {
        let kernels = recording.num_dispatches(kernel);
        if kernels == 0 {
            continue;
        }
        let is_reduction = kernel.stage == stage::REDUCTION;
        tracing::debug!(
            backend = %engine.gpu.info().backend,
            stage = kernel.name,
            kernels,
            reduction_kernels = if is_reduction { kernels } else { 0 },
            cosets = recording.num_cosets(kernel),
            sync_count = usize::from(is_reduction),
            "metal_dispatch_stage",
        );
    }
}

impl Round0Stats {
    fn count(&mut self, recording: &Recording) {
        self.submissions += recording.ends.len();
        self.waits += 1;
        self.column_kernels += recording.num_in_stage(stage::COLUMN_SUMS);
        self.coset_kernels += recording.num_in_stage(stage::COSET_PASSES);
        self.reduction_kernels += recording.num_in_stage(stage::REDUCTION);
        self.scratch_bytes = self.scratch_bytes.max(recording.bytes(SCRATCH) + recording.bytes(EQ));
        self.trace_bytes += recording.trace_bytes;
    }
}

/// A call as data. See [`Round0::record`].
#[derive(Debug)]
pub struct RecordedCall<'a> {
    /// One per wait, in order. Buffers keep their content from one to the next.
    pub recordings: Vec<Recording>,
    engine: &'a Round0,
    call: PreparedCall<'a>,
    /// Of each recording.
    results: Vec<Results>,
}

impl<'a> RecordedCall<'a> {
    pub(super) fn new(engine: &'a Round0, challenges: &Challenges<'a>, instances: &'a [Instance<'a>]) -> Result<Self> {
        let call = PreparedCall::new(challenges, instances, &engine.gpu, false)?;
        let (limits, budget) = (engine.gpu.limits(), engine.gpu.budget());
        let (mut recordings, mut results) = (vec![], vec![]);
        engine.each_step(&call, |step| {
            let (recording, of_step, _) = record::record(&call, step, &limits, budget, engine.next_nonce())?;
            recordings.push(recording);
            results.push(of_step);
            Ok(())
        })?;
        Ok(Self { recordings, engine, call, results })
    }

    /// The instances' polynomials from the words of each recording's [`results`](crate::compute::Recording) after it ran.
    ///
    /// # Errors
    /// [`Error::Length`] for results of other sizes; [`Error::DeviceLost`] where a submission's last dispatch did not run, or a result is
    /// no field element.
    pub fn polys(&self, results: Vec<Vec<u32>>) -> Result<Vec<Round0Polys>> {
        let length = |what, got, expected| Error::Length { subject: Subject::Call, what, got, expected };
        if results.len() != self.recordings.len() {
            return Err(length("results of recordings", results.len(), self.recordings.len()));
        }
        let mut words = Vec::with_capacity(results.len());
        for (result, recording) in results.into_iter().zip(&self.recordings) {
            let num_words = recording.result_words();
            if result.len() != num_words {
                return Err(length("words of a recording's results", result.len(), num_words));
            }
            Recording::check_nonces(&result, recording.ends.len(), recording.nonce)?;
            words.push(result);
        }
        self.engine.polys(&self.call, self.results.iter().zip(words.iter().map(Vec::as_slice)))
    }
}
