//! Device buffers that come back by themselves.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use super::{Buffer, Gpu, Memory};
use crate::error::{Error, Result, Subject};

/// Storage buffers that are lent for as long as somebody holds them, and lent again afterwards.
///
/// Whoever is lent a buffer may find anything in it.
#[derive(Debug)]
pub struct BufferPool {
    gpu: Gpu,
    memory: Memory,
    /// All that there are; those that nobody else holds are free.
    buffers: Mutex<Vec<Arc<Buffer>>>,
    /// All together have at most so many bytes.
    budget: Option<u64>,
    allocations: AtomicU64,
    peak: AtomicU64,
}

/// The least buffer, in bytes.
const MIN_BYTES: u64 = 4096;

impl BufferPool {
    /// A pool without buffers, of which all together will have at most `budget` bytes.
    pub fn new(gpu: &Gpu, budget: Option<u64>) -> Self {
        Self::of(gpu, budget, Memory::Device)
    }

    /// A pool whose buffers have no memory: it says what one that makes them would have to have.
    pub fn counting(gpu: &Gpu, budget: Option<u64>) -> Self {
        Self::of(gpu, budget, Memory::Counted)
    }

    fn of(gpu: &Gpu, budget: Option<u64>, memory: Memory) -> Self {
        Self { gpu: gpu.clone(), memory, buffers: Mutex::default(), budget, allocations: AtomicU64::new(0), peak: AtomicU64::new(0) }
    }

    /// A buffer of at least so many bytes: a free one that is not twice as large, else a new one, for which free ones are given up where the budget
    /// asks for it.
    ///
    /// # Errors
    /// [`Error::DeviceLimit`] for more bytes than a buffer has, or than the budget leaves; [`Error::OutOfMemory`], [`Error::Device`], [`Error::DeviceLost`].
    pub fn take(&self, label: &'static str, bytes: u64) -> Result<Arc<Buffer>> {
        let limit = self.gpu.limits().buffer_bytes;
        if bytes > limit {
            let (kernel, what) = (label, "bytes of one buffer");
            return Err(Error::DeviceLimit { subject: Subject::Call, kernel, what, requested: bytes, limit });
        }
        let size = self.size_of(bytes);
        let mut buffers = self.lock();
        let fits = |buffer: &Arc<Buffer>| Arc::strong_count(buffer) == 1 && (size..2 * size).contains(&buffer.size());
        if let Some(free) = buffers.iter().filter(|buffer| fits(buffer)).min_by_key(|buffer| buffer.size()) {
            return Ok(Arc::clone(free));
        }
        if let Some(budget) = self.budget {
            trim(&mut buffers, budget.saturating_sub(size));
            let requested = total(&buffers) + size;
            if requested > budget {
                let (kernel, what) = (label, "bytes of device memory");
                return Err(Error::DeviceLimit { subject: Subject::Call, kernel, what, requested, limit: budget });
            }
        }
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        let descriptor = wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false };
        let buffer = Arc::new(Buffer::new(&self.gpu, self.memory, &descriptor)?);
        buffers.push(Arc::clone(&buffer));
        self.allocations.fetch_add(1, Ordering::Relaxed);
        self.peak.fetch_max(total(&buffers), Ordering::Relaxed);
        Ok(buffer)
    }

    /// Bytes that a new buffer of at least so many would have.
    pub fn size_of(&self, bytes: u64) -> u64 {
        rounded(bytes).min(self.gpu.limits().buffer_bytes.max(MIN_BYTES))
    }

    /// Bytes of the buffers that are lent.
    pub fn lent_bytes(&self) -> u64 {
        self.lock().iter().filter(|buffer| Arc::strong_count(buffer) > 1).map(|buffer| buffer.size()).sum()
    }

    /// Bytes of all buffers, lent or free.
    pub fn bytes(&self) -> u64 {
        total(&self.lock())
    }

    /// The most bytes that there were at a time.
    pub fn peak_bytes(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }

    /// Buffers created so far.
    pub fn allocations(&self) -> u64 {
        self.allocations.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Buffer>>> {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gpu {
    /// Fills bytes of a buffer with zeros, a multiple of four of them from a multiple of four on; work that is submitted afterwards sees them. Does nothing
    /// to a buffer that is only counted.
    ///
    /// # Errors
    /// [`Error::Device`], [`Error::DeviceLost`].
    pub fn clear(&self, buffer: &Buffer, bytes: std::ops::Range<u64>) -> Result<()> {
        if buffer.is_counted() {
            return Ok(());
        }
        self.checked("zeros", || {
            let mut encoder = self.device().create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("zeros") });
            encoder.clear_buffer(buffer.memory(), bytes.start, Some(bytes.end - bytes.start));
            self.queue().submit([encoder.finish()]);
        })
    }
}

/// What a buffer of so many bytes takes: up to the next of eight sizes between a power of two and the next, so that calls that differ little share
/// buffers.
pub(crate) fn rounded(bytes: u64) -> u64 {
    let bytes = bytes.max(MIN_BYTES);
    bytes.next_multiple_of(1 << (bytes.ilog2() - 3))
}

/// Gives free buffers up until all together have at most so many bytes, or none is free.
fn trim(buffers: &mut Vec<Arc<Buffer>>, bytes: u64) {
    while total(buffers) > bytes {
        let Some(free) = buffers.iter().position(|buffer| Arc::strong_count(buffer) == 1) else { return };
        buffers.remove(free);
    }
}

fn total(buffers: &[Arc<Buffer>]) -> u64 {
    buffers.iter().map(|buffer| buffer.size()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_rounded_by_an_eighth_at_most() {
        assert_eq!(rounded(1), 4096);
        assert_eq!(rounded(4097), 4096 + 512);
        for bytes in [5000, 109_051_904, (1 << 30) - 4, (1 << 30) + 4] {
            let size = rounded(bytes);
            assert!(size >= bytes && size.is_multiple_of(4) && size - bytes <= bytes / 8, "{bytes} -> {size}");
        }
    }
}
