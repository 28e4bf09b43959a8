//! The device: adapter choice, pipelines, buffers, replay. Knows nothing of LogUp.

mod adapters;
mod arena;
mod context;
mod executor;
mod field_ops;
mod options;
mod pipelines;
mod plain_read;
mod profile;
mod readback;
mod timestamps;
mod trace;

#[doc(hidden)]
pub use self::pipelines::EditShader;
pub use self::{
    adapters::{AdapterChoice, AdapterEntry},
    context::Gpu,
    field_ops::{FieldOp, FieldOps},
    options::GpuOptions,
    profile::Profile,
    trace::{BufferMatrix, Trace},
};
pub(crate) use self::{
    executor::{Executor, Submission},
    pipelines::{Compiled, Key},
};
