//! Memory through which rows come to the device: a few pieces of a fixed size, kept, filled by all threads and mapped again while others are on
//! their way.

use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use super::{Gpu, readback::Mapping};
use crate::error::{Error, Result};

/// Bytes of a piece. 106 MiB through six pieces of 8 MiB and through one of their size were measured at 4.4 and 3.8 ms on an H100 machine.
pub(super) const STAGING_BYTES: u64 = 32 << 20;
/// Pieces that a device keeps.
const MAX_KEPT: usize = 3;
/// Bytes that one thread copies at a time.
const COPY_BYTES: usize = 1 << 20;

/// A piece.
#[derive(Debug)]
pub(super) struct Staging {
    /// What the host writes.
    host: wgpu::Buffer,
    /// What kernels read, where that is other memory.
    device: Option<wgpu::Buffer>,
    /// The submission that reads it last, and the map that was asked for behind it.
    in_use: Option<(wgpu::SubmissionIndex, Mapping)>,
}

/// The pieces that nobody uses.
#[derive(Debug, Default)]
pub(super) struct StagingPool(Mutex<Vec<Staging>>);

impl Staging {
    fn new(gpu: &Gpu) -> Result<Self> {
        let one_memory = gpu.writes_in_place();
        let (size, label) = (STAGING_BYTES.min(gpu.limits().buffer_bytes), Some("rows"));
        let storage = if one_memory { wgpu::BufferUsages::STORAGE } else { wgpu::BufferUsages::COPY_SRC };
        gpu.checked("a staging buffer", || {
            let usage = wgpu::BufferUsages::MAP_WRITE | storage;
            let host = gpu.device().create_buffer(&wgpu::BufferDescriptor { label, size, usage, mapped_at_creation: true });
            let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
            let descriptor = wgpu::BufferDescriptor { label, size, usage, mapped_at_creation: false };
            let device = (!one_memory).then(|| gpu.device().create_buffer(&descriptor));
            Self { host, device, in_use: None }
        })
    }

    /// A mapped piece: one that is free, a new one as long as there are few, or the one that was given away first, once it is free.
    pub fn take(gpu: &Gpu) -> Result<Self> {
        gpu.poll(wgpu::PollType::Poll)?;
        let mut kept = gpu.staging().lock();
        if let Some(free) = kept.iter_mut().position(Self::is_mapped) {
            return Ok(kept.remove(free));
        }
        let oldest = if kept.len() < MAX_KEPT { None } else { kept.pop() };
        drop(kept); // nobody waits for it while this does
        match oldest {
            Some(staging) => staging.mapped(gpu),
            None => Self::new(gpu),
        }
    }

    fn is_mapped(&mut self) -> bool {
        self.in_use.as_mut().is_none_or(|(_, mapping)| mapping.has_arrived())
    }

    /// Waits until it is mapped.
    fn mapped(mut self, gpu: &Gpu) -> Result<Self> {
        if let Some((submission, mut mapping)) = self.in_use.take()
            && !mapping.has_arrived()
        {
            super::readback::wait(gpu, submission)?;
            if !mapping.succeeded() {
                return Err(super::readback::lost(gpu, "staging memory could not be mapped".into()));
            }
        }
        Ok(self)
    }

    /// Copies to these offsets, multiples of eight, by all threads, and unmaps.
    ///
    /// # Errors
    /// [`Error::Device`], [`Error::DeviceLost`].
    pub fn fill(&self, gpu: &Gpu, content: &[(u64, &[u8])]) -> Result<()> {
        fill(gpu, &self.host, content)?;
        gpu.checked("staging memory", || self.host.unmap())
    }

    /// Records the copy to where kernels read, if there is one to make.
    pub fn copy(&self, encoder: &mut wgpu::CommandEncoder, bytes: u64) {
        if let Some(device) = &self.device {
            encoder.copy_buffer_to_buffer(&self.host, 0, device, 0, bytes);
        }
    }

    /// What kernels read.
    pub fn rows(&self) -> &wgpu::Buffer {
        self.device.as_ref().unwrap_or(&self.host)
    }

    /// Gives it back; it is mapped again once the submission is done.
    pub fn give_back(mut self, gpu: &Gpu, submission: wgpu::SubmissionIndex) {
        self.in_use = Some((submission, Mapping::request(&self.host, wgpu::MapMode::Write)));
        let mut kept = gpu.staging().lock();
        if kept.len() < MAX_KEPT {
            kept.insert(0, self);
        }
    }
}

impl StagingPool {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Staging>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Copies to these byte offsets, multiples of eight, of a mapped buffer, by all threads.
pub(super) fn fill(gpu: &Gpu, buffer: &wgpu::Buffer, content: &[(u64, &[u8])]) -> Result<()> {
    let pieces = content
        .iter()
        .flat_map(|&(at, bytes)| bytes.chunks(COPY_BYTES).enumerate().map(move |(i, bytes)| (at + (i * COPY_BYTES) as u64, bytes)));
    let pieces: Vec<(u64, &[u8])> = pieces.collect();
    pieces.into_par_iter().try_for_each(|(at, bytes)| {
        let mut mapped = (buffer.slice(at..at + bytes.len() as u64).get_mapped_range_mut())
            .map_err(|error| gpu.lost_or(Error::Device { what: "mapped memory".into(), source: error.into() }))?;
        mapped.copy_from_slice(bytes);
        Ok(())
    })
}
