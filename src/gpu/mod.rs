//! The device: adapter choice, pipelines, buffers, replay. Knows nothing of LogUp.

mod arena;
mod context;
mod executor;
mod field_ops;
mod pipelines;
mod plain_read;
mod profile;
mod readback;
mod timestamps;
mod trace;

#[doc(hidden)]
pub use self::pipelines::EditShader;
pub use self::{
    context::{Gpu, GpuOptions},
    field_ops::{FieldOp, FieldOps},
    profile::Profile,
    trace::{BufferMatrix, Trace},
};
pub(crate) use self::{
    executor::{Executor, Submission},
    pipelines::{Compiled, Key},
};
