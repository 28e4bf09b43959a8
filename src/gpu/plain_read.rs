//! How fast the device reads memory: the floor of every kernel here.

use std::time::{Duration, Instant};

use super::{Gpu, pipelines::Key, readback};
use crate::{
    error::{Error, Result},
    kernels::{self, READ_PER_WORKGROUP},
};

/// Bytes that a workgroup reads.
const BYTES_PER_WORKGROUP: u64 = 16 * READ_PER_WORKGROUP as u64;

impl Gpu {
    /// Measured bytes per second of a kernel that only reads, the best of several runs over up to 1 GiB: GPU time where the adapter
    /// has timestamps, else wall time.
    ///
    /// # Errors
    /// [`Error::DeviceLimit`] on a device without room for a reading of 256 KiB; [`Error::Device`], [`Error::DeviceLost`].
    pub fn plain_read_rate(&self) -> Result<f64> {
        let limit = self.limits().binding_bytes.min(self.limits().buffer_bytes);
        let software = self.info().device_type == wgpu::DeviceType::Cpu;
        let wanted: u64 = if software { 64 << 20 } else { 1 << 30 };
        let num_workgroups = (wanted.min(limit) / BYTES_PER_WORKGROUP).min(self.limits().workgroups_per_dimension.into());
        if num_workgroups == 0 {
            let (air, kernel, what) = ("plain_read".into(), "plain_read", "bytes of one binding");
            return Err(Error::DeviceLimit { air, kernel, what, requested: BYTES_PER_WORKGROUP, limit });
        }
        let bytes = num_workgroups * BYTES_PER_WORKGROUP;
        let kernel = self.kernel(&Key::fixed(&kernels::PLAIN_READ, 0))?;
        let pipeline = &kernel.pipeline;
        let device = self.device();
        self.checked("plain_read", || {
            let buffer = |label, size, usage| {
                device.create_buffer(&wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false })
            };
            let input = buffer("plain_read", bytes, wgpu::BufferUsages::STORAGE);
            let out = buffer("plain_read out", 16 * num_workgroups, wgpu::BufferUsages::STORAGE);
            let times = buffer("times", 16, wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC);
            let times_out = buffer("times out", 16, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST);
            let timestamps = self.timestamps(2);
            let entries = [&input, &out]
                .into_iter()
                .enumerate()
                .map(|(i, buffer)| wgpu::BindGroupEntry { binding: i as u32, resource: buffer.as_entire_binding() })
                .collect::<Vec<_>>();
            let layout = &pipeline.get_bind_group_layout(0);
            let bind_group = device.create_bind_group(&wgpu::BindGroupDescriptor { label: None, layout, entries: &entries });
            let mut best = Duration::MAX;
            for _ in 0..6 {
                let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
                let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                    label: Some("plain_read"),
                    timestamp_writes: timestamps.map(|(query_set, first)| wgpu::ComputePassTimestampWrites {
                        query_set,
                        beginning_of_pass_write_index: Some(first),
                        end_of_pass_write_index: Some(first + 1),
                    }),
                });
                pass.set_pipeline(pipeline);
                pass.set_bind_group(0, &bind_group, &[]);
                pass.dispatch_workgroups(num_workgroups as u32, 1, 1);
                drop(pass);
                if let Some((queries, first)) = timestamps {
                    encoder.resolve_query_set(queries, first..first + 2, &times, 0);
                    encoder.copy_buffer_to_buffer(&times, 0, &times_out, 0, 16);
                }
                let start = Instant::now();
                let submission = self.queue().submit([encoder.finish()]);
                let mapping = readback::Mapping::request(&times_out, wgpu::MapMode::Read);
                readback::wait(self, submission)?;
                let wall = start.elapsed();
                let ticks: Vec<u64> = bytemuck::pod_collect_to_vec(&readback::read(self, &times_out, mapping, 16)?);
                let period = f64::from(self.queue().get_timestamp_period());
                let gpu = Duration::from_nanos((ticks[1].saturating_sub(ticks[0]) as f64 * period) as u64);
                best = best.min(if timestamps.is_some() && gpu > Duration::ZERO { gpu } else { wall });
            }
            Ok(bytes as f64 / best.as_secs_f64())
        })?
    }
}
