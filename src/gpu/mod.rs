//! The device: adapter choice, pipelines, buffers, replay. Knows nothing of LogUp.

mod arena;
mod context;
mod executor;
mod field_ops;
mod pipelines;
mod plain_read;
mod readback;
mod trace;

pub(crate) use self::executor::{Executor, Submission};
pub use self::{
    context::{Gpu, GpuOptions},
    field_ops::{FieldOp, FieldOps},
    trace::{Layout, Matrix, Trace},
};
