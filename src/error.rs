//! What can go wrong, one variant per cause that a caller can act on.

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

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
    #[error("adapter {adapter:?} refused a device: {reason}")]
    NoDevice {
        /// The adapter's name.
        adapter: String,
        /// What wgpu said.
        reason: String,
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
    #[error("the device has no memory for {what}: {reason}")]
    OutOfMemory {
        /// What was asked of it.
        what: &'static str,
        /// What wgpu said.
        reason: String,
    },
    /// The device refused a resource or a command.
    #[error("the device refused {what}: {reason}")]
    Device {
        /// What was asked of it.
        what: &'static str,
        /// What wgpu said.
        reason: String,
    },
    /// The work needs more than the device allows.
    #[error("AIR {air:?}: {kernel} needs {requested} {what}, the device allows {limit}")]
    DeviceLimit {
        /// The AIR whose work it is, or the matrix for an upload.
        air: String,
        /// The kernel that would need it.
        kernel: &'static str,
        /// The unit of `requested` and `limit`.
        what: &'static str,
        /// How much is needed.
        requested: u64,
        /// How much there is.
        limit: u64,
    },
    /// An environment variable that chooses the device has a value that means nothing.
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
    #[error("{air:?}: l_skip = {requested} is outside 0..={limit}")]
    SkipDomain {
        /// The AIR that the plan is for, or the engine.
        air: String,
        /// The given `l_skip`.
        requested: usize,
        /// The largest supported one.
        limit: usize,
    },
    /// An input has the wrong number of elements.
    #[error("AIR {air:?}: {what} has {requested} elements, expected {limit}")]
    Length {
        /// The AIR, or the matrix for an upload.
        air: String,
        /// Which input.
        what: &'static str,
        /// The given length.
        requested: usize,
        /// The expected length.
        limit: usize,
    },
    /// An input is shorter than needed. More elements than needed are allowed.
    #[error("AIR {air:?}: {what} has {requested} elements, at least {limit} are needed")]
    TooFew {
        /// The AIR.
        air: String,
        /// Which input.
        what: &'static str,
        /// The given length.
        requested: usize,
        /// The least length.
        limit: usize,
    },
    /// A trace's height is zero, no power of two, or above `2^31`.
    #[error("{air:?}: a trace height must be a power of two up to 2^31, got {requested}")]
    Height {
        /// The AIR or the matrix.
        air: String,
        /// The given height.
        requested: usize,
    },
    /// A column, part or public-value index of an expression is out of range.
    #[error("AIR {air:?}: {what} index {requested} is out of range, there are {limit}")]
    Index {
        /// The AIR.
        air: String,
        /// What is indexed.
        what: &'static str,
        /// The given index.
        requested: usize,
        /// How many there are.
        limit: usize,
    },
    /// A node id is another builder's.
    #[error("AIR {air:?}: node {node} belongs to another builder")]
    Node {
        /// The AIR.
        air: String,
        /// The given node's place in its own builder.
        node: usize,
    },
    /// An expression's degree, or the stated degree of the constraints, is above [`MAX_DEGREE`](crate::MAX_DEGREE).
    #[error("AIR {air:?}: degree {requested} is above {limit}")]
    Degree {
        /// The AIR.
        air: String,
        /// The degree; `usize::MAX` also stands for larger ones.
        requested: usize,
        /// The largest supported one.
        limit: usize,
    },
    /// An OpenVM expression uses something that round 0 has no meaning for.
    #[error("AIR {air:?}: {what}")]
    Unsupported {
        /// The AIR.
        air: String,
        /// What it is.
        what: String,
    },
    /// A word is no field element in Montgomery form: it is not below P = 2013265921.
    #[error("{air:?}: word {index} is {requested:#010x}, a field element is below {limit:#010x}")]
    NotAFieldElement {
        /// The matrix.
        air: String,
        /// Where the word is.
        index: usize,
        /// The word.
        requested: u32,
        /// P.
        limit: u32,
    },
    /// A trace lives on another device than the engine.
    #[error("AIR {air:?}: {what} was made for another `Gpu`")]
    OtherDevice {
        /// The AIR.
        air: String,
        /// Which trace.
        what: &'static str,
    },
}
