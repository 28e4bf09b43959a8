//! The field kernels on their own, for law tests and benches.

use super::{Gpu, pipelines::Key, readback};
use crate::{
    error::{Error, Result},
    field::{self, EF},
    kernels::{self, FieldOpsParams},
    plan::steps,
};

/// An operation of `wgsl/shared/`. `F` operands are component 0 of an `EF` element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum FieldOp {
    /// `f_add`
    Add = 0,
    /// `f_sub`
    Sub = 1,
    /// `f_mul`
    Mul = 2,
    /// `f_dot4` of the coefficients
    Dot4 = 3,
    /// `ext_add`
    ExtAdd = 4,
    /// `ext_scale` by component 0
    ExtScale = 5,
    /// `ext_mul`
    ExtMul = 6,
    /// `3 a (b_0 + b_1 + b_2 + b_3)` through the running sum of `column_sums_scalar`
    ExtAcc = 7,
    /// Twice `Dot4`, as the `f_dot8_centred` of `column_sums`
    Dot8Centred = 8,
    /// Twice `Dot4`, as the `f_dot8` of `coset_pass`: with differences from 0 and sums with 0, as far from 0 as signed words go
    Dot8 = 9,
}

/// Runs field operations elementwise on the device.
#[derive(Debug)]
pub struct FieldOps {
    gpu: Gpu,
}

impl FieldOps {
    /// For one device.
    pub fn new(gpu: &Gpu) -> Self {
        Self { gpu: gpu.clone() }
    }

    /// `out[i] = op(.. op(op(a[i], b[i]), b[i]) .., b[i])`, `rounds` times.
    ///
    /// # Errors
    /// [`Error::Length`] if `a` and `b` differ in length; [`Error::DeviceLimit`] for more elements than a binding or a grid holds, or more
    /// rounds than a thread's loops may make; [`Error::Device`], [`Error::DeviceLost`].
    pub fn apply(&self, op: FieldOp, rounds: u32, a: &[EF], b: &[EF]) -> Result<Vec<EF>> {
        if a.len() != b.len() {
            return Err(Error::Length { air: "field_ops".into(), what: "b", requested: b.len(), limit: a.len() });
        }
        if a.is_empty() {
            return Ok(vec![]);
        }
        let limits = self.gpu.limits();
        let bytes = 16 * a.len() as u64;
        let num_workgroups = (a.len() as u64).div_ceil(256);
        for (what, requested, limit) in [
            ("bytes of operands", bytes, limits.binding_bytes.min(limits.buffer_bytes)),
            ("workgroups", num_workgroups, limits.workgroups_per_dimension.into()),
        ] {
            if requested > limit {
                return Err(Error::DeviceLimit { air: "field_ops".into(), kernel: "field_ops", what, requested, limit });
            }
        }
        steps::check("field_ops", "field_ops", u64::from(rounds) * steps::FIELD_OPS_ROUND)?;
        self.run(op, rounds, a, b, num_workgroups as u32)
    }

    /// [`apply`](Self::apply) without its checks.
    pub(crate) fn run(&self, op: FieldOp, rounds: u32, a: &[EF], b: &[EF], num_workgroups: u32) -> Result<Vec<EF>> {
        let device = self.gpu.device();
        let kernel = self.gpu.kernel(&Key::fixed(&kernels::FIELD_OPS, 0))?;
        let pipeline = &kernel.pipeline;
        let bytes = 16 * a.len() as u64;
        let buffer = |label, size, usage| {
            device.create_buffer(&wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false })
        };
        self.gpu.checked("field_ops", || {
            let storage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
            let params = buffer("params", 8, wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST);
            let (left, right) = (buffer("a", bytes, storage), buffer("b", bytes, storage));
            let out = buffer("out", bytes, wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC);
            let buffer_out = buffer("readback", bytes, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST);
            let queue = self.gpu.queue();
            queue.write_buffer(&params, 0, bytemuck::bytes_of(&FieldOpsParams { op: op as u32, rounds }));
            for (to, elements) in [(&left, a), (&right, b)] {
                let words: Vec<u32> = elements.iter().flat_map(|&element| field::ext_words(element)).collect();
                queue.write_buffer(to, 0, bytemuck::cast_slice(&words));
            }
            let entries = [&params, &left, &right, &out]
                .into_iter()
                .enumerate()
                .map(|(i, buffer)| wgpu::BindGroupEntry { binding: i as u32, resource: buffer.as_entire_binding() })
                .collect::<Vec<_>>();
            let bind_group = device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some("field_ops"),
                layout: &pipeline.get_bind_group_layout(0),
                entries: &entries,
            });
            let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("field_ops") });
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            pass.set_pipeline(pipeline);
            pass.set_bind_group(0, &bind_group, &[]);
            pass.dispatch_workgroups(num_workgroups, 1, 1);
            drop(pass);
            encoder.copy_buffer_to_buffer(&out, 0, &buffer_out, 0, bytes);
            let submission = queue.submit([encoder.finish()]);
            let mapping = readback::Mapping::request(&buffer_out, wgpu::MapMode::Read);
            readback::wait(&self.gpu, submission)?;
            let content = readback::read(&self.gpu, &buffer_out, mapping, bytes)?;
            let words: &[u32] = bytemuck::cast_slice(&content);
            words
                .chunks_exact(field::EXT_WORDS)
                .map(|words| field::ext_from_words(words).ok_or_else(|| readback::lost(&self.gpu, "a result is no field element".into())))
                .collect()
        })?
    }
}
