//! Calls that come again. A prover makes the same calls for each proof, with other challenges and other traces of the same shapes: what follows from
//! plans, heights and the places of traces is recorded once and kept with the buffers that it ran in.

use std::sync::Arc;

use super::{
    Round0,
    prepared::{Eq, Prepared, PreparedCall},
    record::{self, Changing, Results, Step},
};
use crate::{
    error::Result,
    gpu::{ArgumentGroups, Compiled, Executor},
    matrix::Placement,
    recording::Recording,
};

/// Recordings that are kept with a set of buffers: those used last.
const MAX_KEPT: usize = 2;
/// Bytes of the content of one that is kept.
const MAX_KEPT_BYTES: usize = 16 << 20;

/// What runs a call, and the calls that it ran.
#[derive(Debug)]
pub(super) struct CallSet {
    pub executor: Executor,
    /// The latest last.
    kept: Vec<(CallKey, Recorded)>,
}

impl CallSet {
    pub fn new(executor: Executor) -> Self {
        Self { executor, kept: vec![] }
    }

    /// Whether it ran such a call.
    pub fn knows(&self, key: &CallKey) -> bool {
        self.kept.iter().any(|(known, _)| known == key)
    }

    /// The recording of such a call, which goes from here.
    pub fn take(&mut self, key: &CallKey) -> Option<Recorded> {
        let at = self.kept.iter().position(|(known, _)| known == key)?;
        Some(self.kept.remove(at).1)
    }

    /// Keeps a recording for calls to come, if that is what it is good for.
    pub fn keep(&mut self, key: CallKey, mut recorded: Recorded) {
        let bytes: usize = recorded.recording.buffers.iter().map(|buffer| size_of_val(&buffer.content[..])).sum();
        if recorded.changing.can_change() && bytes <= MAX_KEPT_BYTES {
            recorded.recording.trace_buffers.clear(); // they are the caller's
            self.kept.drain(..(self.kept.len() + 1).saturating_sub(MAX_KEPT));
            self.kept.push((key, recorded));
        }
    }
}

/// All that a call's dispatches and tables follow from, but for what [`Changing`] names. Device and engine are the same.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CallKey {
    instances: Vec<InstanceKey>,
    /// Of the trace buffers: windows end where they do.
    buffer_bytes: Vec<u64>,
}

#[derive(Debug, PartialEq, Eq)]
struct InstanceKey {
    plan: u64,
    height: usize,
    eq_is_given: bool,
    traces: Vec<Placement<usize>>,
}

impl CallKey {
    pub fn new(call: &PreparedCall<'_>) -> Self {
        let instance = |prepared: &Prepared<'_>| InstanceKey {
            plan: prepared.plan.id(),
            height: prepared.height,
            eq_is_given: matches!(prepared.eq, Eq::Evals(_)),
            traces: prepared.traces.clone(),
        };
        Self {
            instances: call.instances.iter().map(instance).collect(),
            buffer_bytes: call.buffers.iter().map(|buffer| buffer.size()).collect(),
        }
    }
}

/// A recording that can run.
#[derive(Debug)]
pub(super) struct Recorded {
    pub recording: Recording,
    pub results: Arc<Results>,
    pub kernels: Vec<Arc<Compiled>>,
    pub arguments: ArgumentGroups,
    changing: Changing,
}

impl Recorded {
    /// Records a step and compiles its kernels.
    ///
    /// # Errors
    /// As [`Round0::submit`].
    pub fn new(engine: &Round0, call: &PreparedCall<'_>, step: Step) -> Result<Self> {
        let (mut recording, results, changing) =
            record::record(call, step, &engine.gpu.limits(), engine.gpu.budget(), engine.next_nonce())?;
        if let Some(asked) = &engine.asked {
            asked.widen(&mut recording)?;
        }
        let kernels = Executor::kernels(&engine.gpu, engine.memory, &recording)?;
        Ok(Self { recording, results: Arc::new(results), kernels, arguments: ArgumentGroups::default(), changing })
    }

    /// The recording of another call with the same key.
    pub fn of_call(mut self, engine: &Round0, call: &PreparedCall<'_>) -> Self {
        self.changing.write(&mut self.recording, &call.instances, call.xi, engine.next_nonce());
        self.recording.trace_buffers = call.buffers.clone();
        self
    }
}
