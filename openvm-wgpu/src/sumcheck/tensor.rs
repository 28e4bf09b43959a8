//! Tensor products of pairs: `eq` at a point, powers of an element.

use logup_wgpu::{EF, Result, compute::Binding};
use p3_field::PrimeCharacteristicRing;

use super::array::{Chunk, ExtArray, words};
use crate::{
    kernels::{EVALUATE, EvaluateJob, TENSOR, TensorJob},
    recorder::Recorder,
};

/// `scale prod_i pairs[i][bit i of the index]`, as the products over the lower half of the bits and over the upper half.
#[derive(Clone, Debug)]
pub(crate) struct Tensor {
    low: Vec<EF>,
    high: Vec<EF>,
}

impl Tensor {
    fn new(pairs: &[[EF; 2]], scale: EF) -> Self {
        let (low, high) = pairs.split_at(pairs.len().div_ceil(2));
        Self { low: product(low, EF::ONE), high: product(high, scale) }
    }

    /// `eq(point, .)` on the cube.
    pub fn eq(point: &[EF]) -> Self {
        Self::new(&eq_pairs(point), EF::ONE)
    }

    /// `scale z^i` for `i < 2^log_len`.
    pub fn powers(z: EF, log_len: usize, scale: EF) -> Self {
        let mut power = z;
        let pairs = (0..log_len).map(|_| {
            let pair = [EF::ONE, power];
            power = power.square();
            pair
        });
        Self::new(&pairs.collect::<Vec<_>>(), scale)
    }

    /// Elements.
    pub fn len(&self) -> usize {
        self.low.len() * self.high.len()
    }

    pub fn log_low(&self) -> u32 {
        self.low.len().ilog2()
    }

    pub fn table(&self, recorder: &mut Recorder) -> Binding {
        recorder.table(&words(self.low.iter().chain(&self.high).copied()))
    }

    /// Writes it to a chunk, from this place in the chunk on: as many elements as it has from `begin` on, if the chunk has room for them.
    ///
    /// # Errors
    /// As [`Recorder::dispatch`].
    fn record_to(&self, recorder: &mut Recorder, table: &Binding, to: &Chunk, first: usize, begin: usize) -> Result<()> {
        let len = (self.len() - begin).min(to.elements.len() - first) as u32;
        let (first, begin, stride) = (first as u32, begin as u32, to.stride() as u32);
        let job = recorder.job(&TensorJob { first, begin, len, stride, log_low: self.log_low() });
        let bindings = vec![job, table.clone(), to.bind(recorder)];
        recorder.dispatch(&TENSOR, bindings, vec![], len.div_ceil(TENSOR.workgroup_size).into(), 60 * u64::from(len))
    }

    /// Writes it to an array of as many elements.
    ///
    /// # Errors
    /// As [`Recorder::dispatch`].
    pub fn record(&self, recorder: &mut Recorder, to: &ExtArray) -> Result<()> {
        let table = self.table(recorder);
        to.chunks.iter().try_for_each(|chunk| self.record_to(recorder, &table, chunk, 0, chunk.elements.start))
    }

    /// Writes it to a chunk, from an element on.
    ///
    /// # Errors
    /// As [`Recorder::dispatch`].
    pub fn record_at(&self, recorder: &mut Recorder, to: &Chunk, first: usize) -> Result<()> {
        let table = self.table(recorder);
        self.record_to(recorder, &table, to, first, 0)
    }

    /// Its inner product with a chunk of as many elements, as a result.
    ///
    /// # Errors
    /// As [`Recorder::dispatch`].
    pub fn record_inner_product(&self, recorder: &mut Recorder, with: &Chunk, to_byte: u64) -> Result<()> {
        let (len, stride) = (with.elements.len() as u32, with.stride() as u32);
        assert_eq!(with.elements.len(), self.len());
        let job = recorder.job(&EvaluateJob { len, stride, log_low: self.log_low() });
        let factors = self.table(recorder);
        let array = with.bind(recorder);
        let workgroups = len.div_ceil(EVALUATE.workgroup_size).min(MAX_PARTIALS);
        let partials = recorder.partials(workgroups, 1);
        recorder.dispatch(&EVALUATE, vec![job, factors, array, partials.clone()], vec![], workgroups.into(), 120 * u64::from(len))?;
        recorder.sum_rows(partials, workgroups, 1, to_byte)
    }
}

/// The pairs of which `eq(point, .)` is the product.
pub(crate) fn eq_pairs(point: &[EF]) -> Vec<[EF; 2]> {
    point.iter().map(|&x| [EF::ONE - x, x]).collect()
}

/// Workgroups that leave a sum each, at most.
pub(crate) const MAX_PARTIALS: u32 = 512;

/// `first prod_i pairs[i][bit i of the index]`.
pub(crate) fn product(pairs: &[[EF; 2]], first: EF) -> Vec<EF> {
    let mut all = vec![first];
    for &[at_zero, at_one] in pairs {
        let upper: Vec<EF> = all.iter().map(|&element| element * at_one).collect();
        all.iter_mut().for_each(|element| *element *= at_zero);
        all.extend(upper);
    }
    all
}
