//! The device: adapter choice, pipelines, buffers, replay of recordings. Of LogUp it knows nothing; the two kernels that run alone here are the
//! field's operations and a plain read.

mod adapters;
mod arena;
mod buffer;
mod columns;
mod context;
mod executor;
mod field_ops;
mod once;
mod options;
mod pipeline_cache;
mod pipelines;
mod placed;
mod plain_read;
mod pool;
mod profile;
mod readback;
mod staging;
mod timestamps;
mod trace;

#[doc(hidden)]
pub use self::pipelines::EditShader;
pub use self::{
    adapters::{AdapterChoice, AdapterEntry},
    buffer::Buffer,
    context::Gpu,
    executor::{Executor, RunReport, Submission},
    field_ops::{FieldOp, FieldOps},
    once::{Input, Once},
    options::GpuOptions,
    placed::PlacedColumns,
    pool::BufferPool,
    profile::Profile,
    trace::{BufferColumns, BufferMatrix, Trace},
};
pub(crate) use self::{
    buffer::Memory,
    executor::ArgumentGroups,
    pipelines::{Compiled, Key},
};
