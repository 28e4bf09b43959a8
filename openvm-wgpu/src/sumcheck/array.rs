//! Arrays of the extension field on the device.

use std::{ops::Range, sync::Arc};

use logup_wgpu::{
    EF, Error, F, Result, Subject,
    compute::{Binding, Buffer, EXT_WORDS, Resource, copy_words, ext_from_words, ext_words},
};
use p3_field::{BasedVectorSpace, PrimeCharacteristicRing};

use crate::{
    commit::Columns,
    compute::Compute,
    recorder::{MAX_BUFFERS, Names, Recorder, Results},
};

/// Elements in one buffer or, where they are more than a binding holds, in several of a power of two each.
#[derive(Clone, Debug)]
pub(crate) struct ExtArray {
    pub len: usize,
    pub chunks: Vec<Chunk>,
}

/// Elements in one buffer, coefficient by coefficient: `[EXT_WORDS][stride]` words. Kernels read them by fours; those behind the last are zero.
#[derive(Clone, Debug)]
pub(crate) struct Chunk {
    /// What recordings call it.
    name: Resource,
    buffer: Arc<Buffer>,
    /// Which of the array's.
    pub elements: Range<usize>,
}

impl ExtArray {
    /// An array that nothing has written.
    ///
    /// # Errors
    /// [`Error::DeviceLimit`] for more than so many buffers hold; as `BufferPool::take`.
    pub fn new(compute: &Compute, names: &Names, len: usize) -> Result<Self> {
        let limits = compute.gpu.limits();
        let limit = limits.binding_bytes.min(limits.buffer_bytes) as usize / (4 * EXT_WORDS);
        let per_chunk = if len <= limit { len } else { 1 << limit.ilog2() };
        let begins = (0..len).step_by(per_chunk);
        if begins.len() > MAX_BUFFERS {
            let (subject, what) = (Subject::Call, "elements of an array of the extension field");
            return Err(Error::DeviceLimit {
                subject,
                kernel: names[0],
                what,
                requested: len as u64,
                limit: (MAX_BUFFERS * per_chunk) as u64,
            });
        }
        let chunks = begins.zip(names).map(|(begin, &name)| {
            let elements = begin..len.min(begin + per_chunk);
            Ok(Chunk { name: Resource(name), buffer: compute.pool.take(name, bytes(elements.len()))?, elements })
        });
        Ok(Self { len, chunks: chunks.collect::<Result<_>>()? })
    }

    /// An array that kernels read anywhere, in one buffer.
    ///
    /// # Errors
    /// [`Error::DeviceLimit`] for more than a binding holds; as [`new`](Self::new).
    pub fn whole(compute: &Compute, names: &Names, len: usize) -> Result<Self> {
        let array = Self::new(compute, names, len)?;
        array.one()?;
        Ok(array)
    }

    /// Its only chunk.
    ///
    /// # Errors
    /// [`Error::DeviceLimit`] where there are several.
    pub fn one(&self) -> Result<&Chunk> {
        match &self.chunks[..] {
            [chunk] => Ok(chunk),
            chunks => {
                let (subject, what) = (Subject::Call, "bytes of a binding");
                let [requested, limit] = [self.len, chunks[0].elements.len()].map(bytes);
                Err(Error::DeviceLimit { subject, kernel: chunks[0].name.0, what, requested, limit })
            }
        }
    }

    /// Zeros behind the last element, for whoever writes those before it.
    ///
    /// # Errors
    /// As [`Gpu::clear`](logup_wgpu::Gpu::clear).
    pub fn clear_end(self, compute: &Compute) -> Result<Self> {
        if let Some(last) = self.chunks.last().filter(|last| last.stride() > last.elements.len()) {
            compute.gpu.clear(&last.buffer, 0..bytes(last.elements.len()))?;
        }
        Ok(self)
    }

    /// Its coefficients as columns, chunk by chunk; the length is a power of two.
    pub fn columns(&self) -> Columns {
        let buffers = self.chunks.iter().enumerate().map(|(i, chunk)| (Arc::clone(&chunk.buffer), EXT_WORDS * i..EXT_WORDS * (i + 1)));
        Columns { log_rows: self.chunks[0].stride().ilog2(), width: EXT_WORDS * self.chunks.len(), buffers: buffers.collect() }
    }

    /// Copies it to the results, which get room for it.
    ///
    /// # Errors
    /// As [`Recorder::copy`].
    pub fn record_copy(&self, recorder: &mut Recorder, results: &mut Results) -> Result<Copied> {
        let places: Vec<u64> = self.chunks.iter().map(|chunk| results.take(bytes(chunk.elements.len()))).collect();
        recorder.grow_results(results.bytes());
        for (chunk, &place) in self.chunks.iter().zip(&places) {
            let from = chunk.bind(recorder);
            recorder.copy(from, 0, place / 4, (EXT_WORDS * chunk.stride()) as u32)?;
        }
        let chunks = self.chunks.iter().zip(places).map(|(chunk, place)| (place as usize / 4, chunk.elements.len()));
        Ok(Copied(chunks.collect()))
    }
}

impl Chunk {
    /// Words of a coefficient.
    pub fn stride(&self) -> usize {
        self.elements.len().next_multiple_of(4)
    }

    /// Its binding, in a recording that has it from now on.
    pub fn bind(&self, recorder: &mut Recorder) -> Binding {
        recorder.keep(self.name, &self.buffer);
        Binding { resource: self.name, bytes: 0..bytes(self.elements.len()) }
    }
}

/// Where an array's chunks are among results: first word, elements.
pub(crate) struct Copied(Vec<(usize, usize)>);

impl Copied {
    /// The elements; nothing if one is none.
    pub fn elements(&self, words: &[u32]) -> Option<Vec<EF>> {
        let mut all = vec![];
        for &(first, len) in &self.0 {
            let stride = len.next_multiple_of(4);
            let coefficients = base_elements(&words[first..][..EXT_WORDS * stride])?;
            all.extend((0..len).map(|i| EF::from_basis_coefficients_fn(|l| coefficients[l * stride + i])));
        }
        Some(all)
    }
}

/// Bytes of so many elements.
pub(crate) fn bytes(len: usize) -> u64 {
    (4 * EXT_WORDS * len.next_multiple_of(4)) as u64
}

/// The elements that follow each other in these words; nothing if one is none.
pub(crate) fn elements(words: &[u32]) -> Option<Vec<EF>> {
    words.chunks_exact(EXT_WORDS).map(ext_from_words).collect()
}

/// The base field's elements of these words; nothing if one is none.
pub(crate) fn base_elements(words: &[u32]) -> Option<Vec<F>> {
    let mut elements = F::zero_vec(words.len());
    copy_words(words, &mut elements).then_some(elements)
}

/// The words of elements, one behind the other.
pub(crate) fn words(elements: impl IntoIterator<Item = EF>) -> Vec<u32> {
    elements.into_iter().flat_map(ext_words).collect()
}
