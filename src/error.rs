//! What can go wrong, one variant per cause that a caller can act on.

use std::fmt;

use crate::air::Part;

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What an error is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Subject {
    /// An AIR, by its name.
    Air(String),
    /// A matrix of an AIR.
    Part {
        /// The AIR's name.
        air: String,
        /// Which matrix.
        part: Part,
    },
    /// The matrix at this place of an upload.
    Matrix(usize),
    /// All matrices of an upload.
    Upload,
    /// A device buffer of the caller's.
    Buffer,
    /// A kernel that is no part of a call.
    Kernel(&'static str),
    /// The whole call.
    Call,
    /// Every AIR that there could be.
    EveryAir,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Air(name) => write!(f, "AIR {name:?}"),
            Self::Part { air, part: Part::Preprocessed } => write!(f, "AIR {air:?}, preprocessed trace"),
            Self::Part { air, part: Part::Main(i) } => write!(f, "AIR {air:?}, main trace part {i}"),
            Self::Matrix(i) => write!(f, "matrix {i} of the upload"),
            Self::Upload => f.write_str("the upload"),
            Self::Buffer => f.write_str("the caller's buffer"),
            Self::Kernel(name) => write!(f, "kernel {name}"),
            Self::Call => f.write_str("the call"),
            Self::EveryAir => f.write_str("every AIR"),
        }
    }
}

impl From<&str> for Subject {
    /// An AIR.
    fn from(air: &str) -> Self {
        Self::Air(air.to_owned())
    }
}

impl From<String> for Subject {
    /// An AIR.
    fn from(air: String) -> Self {
        Self::Air(air)
    }
}

/// What a backend said.
pub type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a call failed. After any error but a lost or wrong device the engine stays usable: the next good call gives the right answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No adapter of the wanted backends answered.
    #[error(
        "no GPU adapter for {backends}: {reason}. On a Mac, Metal is built in; on Linux, install a Vulkan driver \
         (`mesa-vulkan-drivers` brings the software device lavapipe)"
    )]
    NoAdapter {
        /// The backends that were tried.
        backends: String,
        /// What wgpu said.
        reason: String,
    },
    /// The adapter did not give a device.
    #[error("adapter {adapter:?} refused a device: {source}")]
    NoDevice {
        /// The adapter's name.
        adapter: String,
        /// What wgpu said.
        source: Source,
    },
    /// The device lacks something that the chosen options need.
    #[error("adapter {adapter:?} has no {feature}")]
    MissingFeature {
        /// The adapter's name.
        adapter: String,
        /// The missing wgpu feature.
        feature: &'static str,
    },
    /// The device was lost, or a command buffer was killed (a watchdog does this to long submissions): the results were not written.
    /// After a loss, everything that needs the device says so; open another with [`Gpu::new`](crate::Gpu::new).
    #[error("the device gave no complete result: {reason}")]
    DeviceLost {
        /// What was seen.
        reason: String,
    },
    /// The device has not finished within [`GpuOptions::deadline`](crate::GpuOptions). It goes on with the work; the call's results are
    /// forgotten, and calls after it wait for what is before them.
    #[error("the device has not finished after {waited:?}")]
    Deadline {
        /// How long the host waited.
        waited: std::time::Duration,
    },
    /// The device has no memory left for a resource. Traces and engines that are dropped give theirs back.
    #[error("the device has no memory for {what}: {source}")]
    OutOfMemory {
        /// What was asked of it: a buffer, a submission, a kernel by its name.
        what: String,
        /// What wgpu said.
        source: Source,
    },
    /// The device refused a resource or a command.
    #[error("the device refused {what}: {source}")]
    Device {
        /// What was asked of it: a buffer, a submission, a kernel by its name.
        what: String,
        /// What wgpu said.
        source: Source,
    },
    /// The work needs more than the device allows.
    #[error("{subject}: {kernel} needs {requested} {what}, the device allows {limit}")]
    DeviceLimit {
        /// Whose work it is.
        subject: Subject,
        /// The kernel that would need it, or what else.
        kernel: &'static str,
        /// The unit of `requested` and `limit`.
        what: &'static str,
        /// How much is needed.
        requested: u64,
        /// How much there is.
        limit: u64,
    },
    /// An environment variable of this crate's or wgpu's has a value that means nothing.
    #[error("environment variable {variable}={value:?} is not understood: it takes {expected}")]
    Environment {
        /// The variable.
        variable: &'static str,
        /// Its value.
        value: String,
        /// What it takes.
        expected: &'static str,
    },
    /// A kernel's known answer came out wrong: the device, or its driver's compiler, computes wrongly. The device is not used any more.
    #[error("{kernel} computes wrongly on {adapter}: {reason}. Nothing is computed on this device any more")]
    WrongAnswer {
        /// The kernel.
        kernel: &'static str,
        /// The adapter with its backend and driver.
        adapter: String,
        /// Which answer was wrong.
        reason: String,
    },
    /// `l_skip` is above [`MAX_L_SKIP`](crate::MAX_L_SKIP).
    #[error("{subject}: l_skip = {got} is outside 0..={limit}")]
    SkipDomain {
        /// The AIR that the plan is for, or every AIR of an engine.
        subject: Subject,
        /// The given `l_skip`.
        got: usize,
        /// The largest supported one.
        limit: usize,
    },
    /// An input has the wrong number of elements.
    #[error("{subject}: {what}: got {got}, expected {expected}")]
    Length {
        /// What the input belongs to.
        subject: Subject,
        /// What is counted.
        what: &'static str,
        /// The given number.
        got: usize,
        /// The right one.
        expected: usize,
    },
    /// An input is shorter than needed. More elements than needed are allowed.
    #[error("{subject}: {what}: got {got}, at least {needed} are needed")]
    TooFew {
        /// What the input belongs to.
        subject: Subject,
        /// What is counted.
        what: &'static str,
        /// The given number.
        got: usize,
        /// The least that would do.
        needed: usize,
    },
    /// A trace's height is zero, no power of two, or above `2^31`.
    #[error("{subject}: a trace height must be a power of two up to 2^31, got {got}")]
    Height {
        /// The AIR or the matrix.
        subject: Subject,
        /// The given height.
        got: usize,
    },
    /// A column, part or public-value index of an expression is out of range.
    #[error("{subject}: {what} {got} is out of range, there are {len}")]
    Index {
        /// The AIR.
        subject: Subject,
        /// What is indexed.
        what: &'static str,
        /// The given index.
        got: usize,
        /// How many there are.
        len: usize,
    },
    /// An expression uses a node of another builder. Each builder has a number, which repeats after 2^32 of them; a foreign node whose number is the
    /// builder's own is refused only where its place is not that of an earlier node.
    #[error("{subject}: node {node} belongs to another builder")]
    Node {
        /// The AIR.
        subject: Subject,
        /// The given node's place in its own builder.
        node: usize,
    },
    /// An expression's degree, or the stated degree of the constraints, is above [`MAX_DEGREE`](crate::MAX_DEGREE).
    #[error("{subject}: degree {got} is above {limit}")]
    Degree {
        /// The AIR.
        subject: Subject,
        /// The degree; `usize::MAX` also stands for larger ones.
        got: usize,
        /// The largest supported one.
        limit: usize,
    },
    /// Something that has no meaning here: an expression of OpenVM's, a buffer without the right usage.
    #[error("{subject}: {what}")]
    Unsupported {
        /// What it belongs to.
        subject: Subject,
        /// What it is.
        what: String,
    },
    /// A word is no field element in Montgomery form: it is not below P = 2013265921.
    #[error("{subject}: word {index} is {got:#010x}, a field element is below {limit:#010x}")]
    NotAFieldElement {
        /// The matrix.
        subject: Subject,
        /// Where the word is.
        index: usize,
        /// The word.
        got: u32,
        /// P.
        limit: u32,
    },
    /// A trace does not satisfy its AIR's constraints. See [`ConstraintCheck::satisfied`](crate::ConstraintCheck::satisfied).
    #[error(
        "{subject}: constraint {constraint} is not zero on row {row}; it fails on {num_rows} row{}, and {num_constraints} constraint{} in all",
        if *num_rows == 1 { "" } else { "s" },
        if *num_constraints == 1 { " fails" } else { "s fail" }
    )]
    Unsatisfied {
        /// The AIR of the first constraint that fails.
        subject: Subject,
        /// Its place in [`Air::constraints`](crate::Air::constraints).
        constraint: usize,
        /// The first row on which it is not zero.
        row: usize,
        /// On how many rows it is not zero.
        num_rows: u64,
        /// How many constraints fail, of all AIRs of the call.
        num_constraints: usize,
    },
    /// A trace lives on another device than the engine.
    #[error("{subject} was made for another `Gpu`")]
    OtherDevice {
        /// The AIR's matrix.
        subject: Subject,
    },
}
