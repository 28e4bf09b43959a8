//! Waiting for a submission and reading what it wrote.

use std::{
    sync::mpsc,
    time::{Duration, Instant},
};

use super::Gpu;
use crate::error::{Error, Result};

/// How long a map's callback may take after its submission was seen to be done.
const CALLBACK_TIMEOUT: Duration = Duration::from_secs(30);

/// A buffer map that was asked for.
#[derive(Debug)]
pub(crate) struct Mapping {
    receiver: mpsc::Receiver<bool>,
    /// What was received.
    received: Option<bool>,
}

impl Mapping {
    pub fn request(buffer: &wgpu::Buffer, mode: wgpu::MapMode) -> Self {
        let (sender, receiver) = mpsc::channel();
        buffer.map_async(mode, .., move |result| {
            let _ = sender.send(result.is_ok()); // nobody listens any more if the call failed meanwhile
        });
        Self { receiver, received: None }
    }

    /// Whether the callback has run, with whatever result.
    pub fn has_arrived(&mut self) -> bool {
        self.received = self.received.or_else(|| self.receiver.try_recv().ok());
        self.received.is_some()
    }

    /// Whether the buffer was mapped. To be asked after [`wait`]: another thread that polls the same device may be the one that runs
    /// the callback, so it can still be on its way for a moment.
    pub fn succeeded(self) -> bool {
        self.received.map_or_else(|| self.receiver.recv_timeout(CALLBACK_TIMEOUT), Ok) == Ok(true)
    }
}

/// Polls until a mapping has arrived, for as long as the device's options say: a thread that sleeps hears of a short submission late. A software
/// device has better work for the core.
///
/// # Errors
/// [`Error::DeviceLost`].
pub(crate) fn poll_for(gpu: &Gpu, mapping: &mut Mapping) -> Result<()> {
    let start = Instant::now();
    while !gpu.is_software() && !mapping.has_arrived() && start.elapsed() < gpu.options().polling {
        gpu.poll(wgpu::PollType::Poll)?;
        std::hint::spin_loop();
    }
    Ok(())
}

/// Blocks until a submission is done.
///
/// # Errors
/// [`Error::DeviceLost`]; [`Error::Deadline`] if it takes longer than the caller gives it.
pub(crate) fn wait(gpu: &Gpu, submission: wgpu::SubmissionIndex) -> Result<()> {
    gpu.poll(wgpu::PollType::Wait { submission_index: Some(submission), timeout: gpu.options().deadline })
}

/// The first bytes of a buffer whose read mapping was asked for; unmaps it.
pub(crate) fn read(gpu: &Gpu, buffer: &wgpu::Buffer, mapping: Mapping, bytes: u64) -> Result<Vec<u8>> {
    read_with(gpu, buffer, mapping, bytes, <[u8]>::to_vec)
}

/// What `read` makes of the first bytes of a buffer whose read mapping was asked for; unmaps it.
pub(crate) fn read_with<T>(gpu: &Gpu, buffer: &wgpu::Buffer, mapping: Mapping, bytes: u64, read: impl FnOnce(&[u8]) -> T) -> Result<T> {
    if !mapping.succeeded() {
        return Err(lost(gpu, "the results could not be mapped".into()));
    }
    // A device that is lost meanwhile takes its buffers along: then unmapping is an error of wgpu's.
    gpu.checked("the readback", || {
        let mapped = buffer.slice(0..bytes).get_mapped_range().map_err(|error| lost(gpu, error.to_string()))?;
        let content = read(&mapped);
        drop(mapped);
        buffer.unmap();
        Ok(content)
    })?
}

/// What a buffer with `COPY_SRC` usage holds, in words.
pub(crate) fn copy_of(gpu: &Gpu, buffer: &wgpu::Buffer) -> Result<Vec<u32>> {
    let (device, size) = (gpu.device(), buffer.size());
    let (copy, submission) = gpu.checked("a copy", || {
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let copy = device.create_buffer(&wgpu::BufferDescriptor { label: Some("copy"), size, usage, mapped_at_creation: false });
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.copy_buffer_to_buffer(buffer, 0, &copy, 0, size);
        let submission = gpu.queue().submit([encoder.finish()]);
        (copy, submission)
    })?;
    let mapping = Mapping::request(&copy, wgpu::MapMode::Read);
    wait(gpu, submission)?;
    Ok(bytemuck::pod_collect_to_vec(&read(gpu, &copy, mapping, size)?))
}

/// A lost device, with its own reason where it gave one.
pub(crate) fn lost(gpu: &Gpu, otherwise: String) -> Error {
    Error::DeviceLost { reason: gpu.lost().map_or(otherwise, str::to_owned) }
}
