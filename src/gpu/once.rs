//! One kernel on buffers of its own, waited for: for kernels that are no part of a call.

use std::time::{Duration, Instant};

use super::{Gpu, pipelines::Key, readback};
use crate::{
    error::{Error, Result, Subject},
    kernel::Kernel,
};

/// What a buffer that a kernel reads holds.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// These words.
    Words(&'a [u32]),
    /// So many bytes of whatever is there.
    Any(u64),
}

/// What [`Gpu::run_once`] gave.
#[derive(Clone, Debug)]
pub struct Once {
    /// The output's words.
    pub words: Vec<u32>,
    /// The fastest of its runs: GPU time where the adapter has timestamps, else wall time.
    pub fastest: Duration,
}

impl Gpu {
    /// Runs a kernel without trace windows: `inputs` are its arguments but for the last, which is the output, of `out_bytes` (a multiple of four).
    /// It runs `times` times, at least once, on the same buffers. Kernels are not asked for known answers here.
    ///
    /// # Errors
    /// [`Error::Length`](crate::Error::Length) for another number of inputs than the kernel has arguments before its last;
    /// [`Error::DeviceLimit`](crate::Error::DeviceLimit) for a kernel that the device has no room for; [`Error::Device`](crate::Error::Device),
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory), [`Error::DeviceLost`](crate::Error::DeviceLost),
    /// [`Error::WrongAnswer`](crate::Error::WrongAnswer) for what the device reports or did; [`Error::Deadline`](crate::Error::Deadline).
    pub fn run_once(&self, kernel: &'static Kernel, inputs: &[Input<'_>], out_bytes: u64, workgroups: u32, times: u32) -> Result<Once> {
        let expected = kernel.arguments.len().saturating_sub(1);
        if inputs.len() != expected {
            return Err(Error::Length { subject: Subject::Kernel(kernel.name), what: "inputs", got: inputs.len(), expected });
        }
        let compiled = self.kernel(&Key::fixed(kernel, 0))?;
        let (device, queue, name) = (self.device(), self.queue(), kernel.name);
        self.checked(name, || {
            let buffer =
                |size, usage| device.create_buffer(&wgpu::BufferDescriptor { label: Some(name), size, usage, mapped_at_creation: false });
            let all_uses = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
            let inputs = inputs.iter().map(|input| match *input {
                Input::Any(bytes) => buffer(bytes, wgpu::BufferUsages::STORAGE),
                Input::Words(words) => {
                    let input = buffer(size_of_val(words) as u64, all_uses);
                    queue.write_buffer(&input, 0, bytemuck::cast_slice(words));
                    input
                }
            });
            let inputs: Vec<wgpu::Buffer> = inputs.collect();
            let out = buffer(out_bytes, wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC);
            let readback = buffer(out_bytes + 16, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST);
            let ticks = buffer(16, wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC);
            let entries: Vec<_> = (inputs.iter().chain([&out]).enumerate())
                .map(|(i, buffer)| wgpu::BindGroupEntry { binding: i as u32, resource: buffer.as_entire_binding() })
                .collect();
            let layout = &compiled.layouts[0];
            let bind_group = device.create_bind_group(&wgpu::BindGroupDescriptor { label: Some(name), layout, entries: &entries });
            let timestamps = self.timestamps(2);
            let mut once = Once { words: vec![], fastest: Duration::MAX };
            for _ in 0..times.max(1) {
                let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some(name) });
                let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                    label: Some(name),
                    timestamp_writes: timestamps.map(|(query_set, first)| wgpu::ComputePassTimestampWrites {
                        query_set,
                        beginning_of_pass_write_index: Some(first),
                        end_of_pass_write_index: Some(first + 1),
                    }),
                });
                pass.set_pipeline(&compiled.pipeline);
                pass.set_bind_group(0, &bind_group, &[]);
                pass.dispatch_workgroups(workgroups, 1, 1);
                drop(pass);
                encoder.copy_buffer_to_buffer(&out, 0, &readback, 16, out_bytes);
                if let Some((queries, first)) = timestamps {
                    encoder.resolve_query_set(queries, first..first + 2, &ticks, 0);
                    encoder.copy_buffer_to_buffer(&ticks, 0, &readback, 0, 16);
                }
                let start = Instant::now();
                let submission = queue.submit([encoder.finish()]);
                let mapping = readback::Mapping::request(&readback, wgpu::MapMode::Read);
                readback::wait(self, submission)?;
                let wall = start.elapsed();
                let content = readback::read(self, &readback, mapping, out_bytes + 16)?;
                let (ticks, words) = content.split_at(16);
                let ticks: Vec<u64> = bytemuck::pod_collect_to_vec(ticks);
                let period = f64::from(queue.get_timestamp_period());
                let gpu = Duration::from_nanos((ticks[1].saturating_sub(ticks[0]) as f64 * period) as u64);
                let time = if timestamps.is_some() && gpu > Duration::ZERO { gpu } else { wall };
                once = Once { words: bytemuck::pod_collect_to_vec(words), fastest: once.fastest.min(time) };
            }
            Ok(once)
        })?
    }
}
