//! Device buffers that grow and are never given back before the engine is dropped.

use std::collections::HashMap;

use super::{Buffer, Gpu, Memory};
use crate::{
    error::{Error, Result, Subject},
    recording::Resource,
};

/// The engine's buffers: device-local ones, the upload and the readback.
#[derive(Debug)]
pub(crate) struct Arena {
    gpu: Gpu,
    memory: Memory,
    buffers: HashMap<Slot, Buffer>,
    /// Buffers created since `take_allocations`.
    allocations: usize,
    /// How often a device buffer was made or given up: bind groups are of one generation.
    generation: u64,
}

/// Which buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Slot {
    Device(Resource),
    /// Mapped by the host between calls.
    Upload,
    Readback,
    Timestamps,
}

/// Buffers grow to powers of two, at least this many bytes.
const MIN_BYTES: u64 = 4096;

impl Arena {
    pub fn new(gpu: &Gpu, memory: Memory) -> Self {
        Self { gpu: gpu.clone(), memory, buffers: HashMap::new(), allocations: 0, generation: 1 }
    }

    /// A buffer of at least `bytes`. What a smaller one held is gone after it grew.
    pub fn ensure(&mut self, slot: Slot, bytes: u64) -> Result<()> {
        if self.buffers.get(&slot).is_some_and(|buffer| buffer.size() >= bytes) {
            return Ok(());
        }
        let limit = self.gpu.limits().buffer_bytes;
        if bytes > limit {
            let what = "bytes of one buffer";
            return Err(Error::DeviceLimit { subject: Subject::Call, kernel: "scratch", what, requested: bytes, limit });
        }
        self.buffers.remove(&slot); // before its successor exists, so that both need not fit
        let size = bytes.next_power_of_two().clamp(MIN_BYTES, limit.max(MIN_BYTES));
        let usage = match slot {
            Slot::Device(_) => {
                wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC
            }
            Slot::Upload => wgpu::BufferUsages::MAP_WRITE | wgpu::BufferUsages::COPY_SRC,
            Slot::Readback => wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            Slot::Timestamps => wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
        };
        let descriptor = wgpu::BufferDescriptor { label: Some(label(slot)), size, usage, mapped_at_creation: slot == Slot::Upload };
        let buffer = Buffer::new(&self.gpu, self.memory, &descriptor)?;
        self.allocations += 1;
        self.generation += u64::from(matches!(slot, Slot::Device(_)));
        self.buffers.insert(slot, buffer);
        Ok(())
    }

    /// A buffer that was ensured.
    pub fn get(&self, slot: Slot) -> &Buffer {
        &self.buffers[&slot]
    }

    /// Forgets a buffer.
    pub fn release(&mut self, slot: Slot) {
        self.generation += u64::from(matches!(slot, Slot::Device(_)));
        self.buffers.remove(&slot);
    }

    /// Bytes of all buffers.
    pub fn bytes(&self) -> u64 {
        self.buffers.values().map(Buffer::size).sum()
    }

    /// The same as long as the device buffers are.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Buffers created since the last call of this.
    pub fn take_allocations(&mut self) -> usize {
        std::mem::take(&mut self.allocations)
    }
}

fn label(slot: Slot) -> &'static str {
    match slot {
        Slot::Device(Resource(name)) => name,
        Slot::Upload => "upload",
        Slot::Readback => "readback",
        Slot::Timestamps => "timestamps",
    }
}
