//! A buffer on the device, or the size of one that is only counted.

use super::Gpu;
use crate::error::Result;

/// Device memory; or, out of a pool that only counts ([`BufferPool::counting`](super::BufferPool::counting)), its size alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Buffer {
    memory: Option<wgpu::Buffer>,
    size: u64,
}

/// Whether buffers are made, or counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Memory {
    Device,
    Counted,
}

impl Buffer {
    /// # Errors
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory), [`Error::Device`](crate::Error::Device), [`Error::DeviceLost`](crate::Error::DeviceLost).
    pub(super) fn new(gpu: &Gpu, memory: Memory, descriptor: &wgpu::BufferDescriptor<'_>) -> Result<Self> {
        let memory = match memory {
            Memory::Device => Some(gpu.checked(descriptor.label.unwrap_or("a buffer"), || gpu.device().create_buffer(descriptor))?),
            Memory::Counted => None,
        };
        Ok(Self { memory, size: descriptor.size })
    }

    /// Its bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether there is no memory behind it: nothing writes or reads it.
    pub fn is_counted(&self) -> bool {
        self.memory.is_none()
    }

    /// The device's memory.
    ///
    /// # Panics
    /// If it is [only counted](Self::is_counted).
    pub fn memory(&self) -> &wgpu::Buffer {
        self.memory.as_ref().expect("a buffer that is not only counted")
    }
}

impl From<wgpu::Buffer> for Buffer {
    fn from(memory: wgpu::Buffer) -> Self {
        Self { size: memory.size(), memory: Some(memory) }
    }
}
