//! One submission as data: what to upload, which dispatches to run in which order, what they bind.
//!
//! [`Round0::evaluate`](crate::Round0::evaluate) builds a recording, the executor replays it into one command encoder, and the stats
//! are counted from it.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    ops::{Deref, Range},
    sync::Arc,
};

use crate::shaders::Kernel;

/// The text of a generated program, hashed once: equal texts share a kernel, and looking one up costs no walk over it.
#[derive(Clone, Debug, Eq)]
pub struct ProgramText {
    text: Arc<str>,
    hash: u64,
}

impl ProgramText {
    pub(crate) fn new(text: String) -> Self {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        Self { hash: hasher.finish(), text: text.into() }
    }
}

impl Deref for ProgramText {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

impl PartialEq for ProgramText {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && (Arc::ptr_eq(&self.text, &other.text) || self.text == other.text)
    }
}

impl Hash for ProgramText {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// A device buffer of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resource {
    /// Everything small that the host knows: tables, weights, programs. Uploaded once per submission.
    Inputs,
    /// `eq` of every cube of the call, as split tables.
    Eq,
    /// Partial sums and temporaries.
    Scratch,
    /// The result polynomials' evaluations.
    Results,
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
    pub kernel: Kernel,
    /// The generated part of a [`Kernel::CosetPass`].
    pub program: Option<ProgramText>,
    /// Whether a [`Kernel::CosetPass`] reads all its traces by 16-byte loads.
    pub quads: bool,
    /// Group 0, in binding order.
    pub bindings: Vec<Binding>,
    /// Group 1: as many trace windows as the kernel's variant has slots.
    pub traces: Vec<TraceWindow>,
    /// Workgroups in x and y.
    pub grid: [u32; 2],
    /// Cosets whose values it computes or folds, as a range.
    pub cosets: Range<u32>,
}

/// One submission.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recording {
    /// The content of [`Resource::Inputs`].
    pub inputs: Vec<u32>,
    /// The content of [`Resource::Eq`]; empty where it is still there from the submission before.
    pub eq: Vec<u32>,
    /// Bytes of [`Resource::Eq`].
    pub eq_bytes: u64,
    /// Bytes of [`Resource::Scratch`].
    pub scratch_bytes: u64,
    /// Bytes of [`Resource::Results`], the nonce's entry included.
    pub result_bytes: u64,
    /// The launches in order.
    pub dispatches: Vec<Dispatch>,
    /// What the last dispatch writes behind the results.
    pub nonce: u32,
    /// Trace cells that the kernels need, in bytes; a cell read by several kernels counts for each.
    pub trace_bytes: u64,
}

impl Recording {
    /// How many different cosets the launches of a kernel compute or fold.
    pub fn num_cosets(&self, kernel: Kernel) -> u32 {
        let of_kernel = || self.dispatches.iter().filter(|dispatch| dispatch.kernel == kernel);
        let begin = of_kernel().map(|dispatch| dispatch.cosets.start).min().unwrap_or(0);
        of_kernel().map(|dispatch| dispatch.cosets.end).max().unwrap_or(0) - begin
    }

    /// How many launches there are of a kernel.
    pub fn num_dispatches(&self, kernel: Kernel) -> usize {
        self.dispatches.iter().filter(|dispatch| dispatch.kernel == kernel).count()
    }
}
