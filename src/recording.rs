//! What the host waits for once, as data: what to upload, which dispatches to run in which order and submission, what they bind.
//!
//! [`Round0::evaluate`](crate::Round0::evaluate) builds a recording, the executor replays it into one command encoder, and the stats
//! are counted from it. [`Round0::record`](crate::Round0::record) gives it to whoever wants to read it or run it elsewhere: inputs, trace
//! buffers and the kernels' text are all there is to a call.

use std::{ops::Range, sync::Arc};

use crate::{
    error::{Error, Result, Subject},
    field::EXT_WORDS,
    gpu::Buffer,
    kernel::{FieldForm, Kernel, ProgramText, Variant},
};

/// A device buffer by its name: of the recording's [`kept`](Recording::kept) ones, else of the executor, where it keeps its content from one
/// recording to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Resource(pub &'static str);

/// A buffer that outlives executors, under the name by which a recording's dispatches bind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptBuffer {
    /// What dispatches call it.
    pub resource: Resource,
    /// A buffer with `STORAGE` usage.
    pub buffer: Arc<Buffer>,
}

/// What a recording has in one buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BufferUse {
    /// Which buffer.
    pub resource: Resource,
    /// How long it must be.
    pub bytes: u64,
    /// What is uploaded to its start before the first dispatch.
    pub content: Vec<u32>,
}

/// A range of a [`Resource`] in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// Which buffer.
    pub resource: Resource,
    /// Which bytes of it.
    pub bytes: Range<u64>,
}

/// A range of a trace buffer in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceWindow {
    /// Which of the call's trace buffers.
    pub buffer: usize,
    /// Which bytes of it.
    pub bytes: Range<u64>,
}

/// One kernel launch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dispatch {
    /// Which kernel.
    pub kernel: &'static Kernel,
    /// The generated part, of a kernel that is made around one.
    pub program: Option<ProgramText>,
    /// Pipeline constants of the kernel, beside the size of a trace window.
    pub constants: Vec<(&'static str, u32)>,
    /// Group 0, in binding order.
    pub bindings: Vec<Binding>,
    /// Group 1: as many trace windows as the kernel's variant has slots.
    pub traces: Vec<TraceWindow>,
    /// Workgroups in x and y.
    pub grid: [u32; 2],
    /// Cosets whose values it computes or folds, as a range.
    pub cosets: Range<u32>,
}

impl Dispatch {
    /// Which shader it runs.
    pub fn variant(&self, form: FieldForm) -> Variant {
        Variant { kernel: self.kernel, form, slots: self.traces.len() as u32 }
    }

    /// The shader's complete WGSL text. [`Variant::constants`] are its pipeline constants.
    pub fn source(&self, form: FieldForm) -> String {
        let variant = self.variant(form);
        self.program.as_ref().map_or_else(|| variant.source(), |program| variant.source_with(program))
    }
}

/// What the host waits for once: one submission, or a few.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// The call's trace buffers, which its windows name; of a call with several recordings, each has all.
    pub trace_buffers: Vec<Arc<Buffer>>,
    /// log2 of the words of a trace window.
    pub log_window: u32,
    /// The buffers that its dispatches bind.
    pub buffers: Vec<BufferUse>,
    /// Further ones that they bind, which the recording's maker keeps.
    pub kept: Vec<KeptBuffer>,
    /// Which of them is read back: results, and behind them 16 bytes of each submission for its nonce.
    pub results: Resource,
    /// The launches in order.
    pub dispatches: Vec<Dispatch>,
    /// Where the launches of each submission end: one, unless it would take longer than
    /// [`GpuOptions::submission_budget`](crate::GpuOptions).
    pub ends: Vec<usize>,
    /// What the last dispatch of each submission writes behind the results, into the first word of 16 bytes of the submission's own.
    pub nonce: u32,
    /// Trace cells that the kernels need, in bytes; a cell read by several kernels counts for each.
    pub trace_bytes: u64,
}

impl Recording {
    /// Whether each of so many submissions has written its nonce behind the results: a killed command buffer can report success.
    ///
    /// # Errors
    /// [`Error::DeviceLost`] that says which did not.
    pub(crate) fn check_nonces(words: &[u32], num_submissions: usize, nonce: u32) -> Result<()> {
        let nonces = &words[words.len() - EXT_WORDS * num_submissions..];
        match nonces.chunks_exact(EXT_WORDS).position(|entry| entry[0] != nonce) {
            None => Ok(()),
            Some(i) => {
                let reason = format!("the last kernel of submission {} of {num_submissions} did not run", i + 1);
                Err(Error::DeviceLost { reason })
            }
        }
    }

    /// Bytes of a buffer; 0 of one that it does not have.
    pub fn bytes(&self, resource: Resource) -> u64 {
        let own = || self.buffers.iter().find(|buffer| buffer.resource == resource).map_or(0, |buffer| buffer.bytes);
        self.kept_buffer(resource).map_or_else(own, |buffer| buffer.size())
    }

    /// A kept buffer.
    pub(crate) fn kept_buffer(&self, resource: Resource) -> Option<&Buffer> {
        self.kept.iter().find(|kept| kept.resource == resource).map(|kept| &*kept.buffer)
    }

    /// Whether it can run: the results have room for a nonce of each submission, there is something to upload, and what is bound is there.
    ///
    /// # Errors
    /// [`Error::Unsupported`].
    pub(crate) fn check(&self) -> Result<()> {
        let nonces = 4 * EXT_WORDS as u64 * self.ends.len() as u64;
        let is_there = |binding: &Binding| self.bytes(binding.resource) >= binding.bytes.end;
        let windows = || self.dispatches.iter().flat_map(|dispatch| &dispatch.traces);
        let problem = if self.ends.is_empty() || self.bytes(self.results) < nonces {
            "a recording whose results have no room for the nonces"
        } else if self.buffers.iter().all(|buffer| buffer.content.is_empty()) {
            "a recording that uploads nothing"
        } else if self.buffers.iter().any(|buffer| size_of_val(&buffer.content[..]) as u64 > buffer.bytes) {
            "a recording with a content longer than its buffer"
        } else if !self.dispatches.iter().flat_map(|dispatch| &dispatch.bindings).all(is_there) {
            "a recording that binds what its buffers do not have"
        } else if windows().any(|window| window.buffer >= self.trace_buffers.len()) {
            "a recording whose windows name no trace buffer"
        } else {
            return Ok(());
        };
        Err(Error::Unsupported { subject: Subject::Call, what: problem.into() })
    }

    /// Words of the results, the nonces' entries included.
    pub fn result_words(&self) -> usize {
        self.bytes(self.results) as usize / 4
    }

    /// The launches of each submission.
    pub fn submissions(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        begins.zip(&self.ends).map(|(begin, &end)| begin..end)
    }

    /// How many different cosets the launches of a kernel compute or fold.
    pub fn num_cosets(&self, kernel: &'static Kernel) -> u32 {
        let of_kernel = || self.dispatches.iter().filter(|dispatch| dispatch.kernel == kernel);
        let begin = of_kernel().map(|dispatch| dispatch.cosets.start).min().unwrap_or(0);
        of_kernel().map(|dispatch| dispatch.cosets.end).max().unwrap_or(0) - begin
    }

    /// How many launches there are of kernels of a stage.
    pub fn num_in_stage(&self, stage: &str) -> usize {
        self.dispatches.iter().filter(|dispatch| dispatch.kernel.stage == stage).count()
    }

    /// How many launches there are of a kernel.
    pub fn num_dispatches(&self, kernel: &'static Kernel) -> usize {
        self.dispatches.iter().filter(|dispatch| dispatch.kernel == kernel).count()
    }
}
