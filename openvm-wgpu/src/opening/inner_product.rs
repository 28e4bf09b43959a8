//! The sumcheck of an inner product: `sum_x a(x) b(x)` over the cube, for multilinear `a` and `b`. Several rounds for one wait: the device sums up the
//! products with four variables at 0, 1 and infinity, the host derives four round polynomials from these 81 sums, and one fold binds all four.

use logup_wgpu::{EF, Result};
use p3_field::PrimeCharacteristicRing;

use super::{
    array::{Chunk, ExtArray, elements, words},
    tensor::MAX_PARTIALS,
};
use crate::{
    compute::Compute,
    kernels::{BLOCKS_PER_WORKGROUP, FoldJob, IP_FOLD, IP_TABLE, TABLE_LEN, TABLE_VARIABLES, TableJob},
    recorder::{Names, Recorder, numbered},
};

/// Bytes of a table among results.
pub(super) const TABLE_BYTES: u64 = 16 * TABLE_LEN as u64;

/// What the arrays hold in each variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Values at 0 and 1, of both.
    Values,
    /// Of `a` the coefficients of 1 and X; of `b` its moments, `b(0) + b(1)` and `b(1)`.
    Coefficients,
}

/// How `ip_table.wgsl` calls what an array holds.
const OF_VALUES: u32 = 0;
const OF_COEFFICIENTS: u32 = 1;
const OF_MOMENTS: u32 = 2;

/// Two arrays. Each fold makes others.
#[derive(Clone, Debug)]
pub(super) struct InnerProduct {
    pub a: ExtArray,
    pub b: ExtArray,
    form: Form,
    /// By which recordings tell arrays from those that they are folded to.
    folds: usize,
}

const NAMES_A: [Names; 2] = [numbered!("a"), numbered!("folded a")];
const NAMES_B: [Names; 2] = [numbered!("b"), numbered!("folded b")];

impl InnerProduct {
    /// Of arrays of `len` elements that nothing has written yet.
    ///
    /// # Errors
    /// As [`ExtArray::new`].
    pub fn new(compute: &Compute, form: Form, len: usize) -> Result<Self> {
        let Self { a, b, .. } = Self::of_generation(compute, form, len, 0)?;
        Ok(Self { a: a.clear_end(compute)?, b: b.clear_end(compute)?, form, folds: 0 })
    }

    fn of_generation(compute: &Compute, form: Form, len: usize, folds: usize) -> Result<Self> {
        let [a, b] = [&NAMES_A, &NAMES_B].map(|names| ExtArray::new(compute, &names[folds % 2], len));
        Ok(Self { a: a?, b: b?, form, folds })
    }

    pub fn len(&self) -> usize {
        self.a.len
    }

    /// The table over four variables, as a result.
    ///
    /// # Errors
    /// As [`Recorder::dispatch`].
    pub fn record_table(&self, recorder: &mut Recorder, to_byte: u64) -> Result<()> {
        let [form_a, form_b] = match self.form {
            Form::Values => [OF_VALUES; 2],
            Form::Coefficients => [OF_COEFFICIENTS, OF_MOMENTS],
        };
        let per_chunk = |chunk: &Chunk| (chunk.elements.len().div_ceil(1 << TABLE_VARIABLES) as u32).div_ceil(BLOCKS_PER_WORKGROUP);
        let most = (recorder.max_scratch() / TABLE_BYTES) as u32 / self.a.chunks.len() as u32;
        let workgroups: Vec<u32> = self.a.chunks.iter().map(|chunk| per_chunk(chunk).min(MAX_PARTIALS).min(most).max(1)).collect();
        let num_partials = workgroups.iter().sum();
        let partials = recorder.partials(num_partials, TABLE_LEN as u32);
        let mut first_partial = 0;
        for ((a, b), workgroups) in self.a.chunks.iter().zip(&self.b.chunks).zip(workgroups) {
            let job = recorder.job(&TableJob { num_quads: (a.stride() / 4) as u32, form_a, form_b, first_partial });
            let bindings = vec![job, a.bind(recorder), b.bind(recorder), partials.clone()];
            recorder.dispatch(&IP_TABLE, bindings, vec![], workgroups.into(), 300 * a.elements.len() as u64)?;
            first_partial += workgroups;
        }
        recorder.sum_rows(partials, num_partials, TABLE_LEN as u32, to_byte)
    }

    /// Both arrays with their lowest variables bound to these challenges, as many as a table has at most.
    ///
    /// # Errors
    /// As [`ExtArray::new`] and [`Recorder::dispatch`].
    pub fn record_fold(&self, compute: &Compute, recorder: &mut Recorder, challenges: &[EF]) -> Result<Self> {
        assert!((1..=TABLE_VARIABLES).contains(&challenges.len()));
        let folded = Self::of_generation(compute, self.form, self.len() >> challenges.len(), self.folds + 1)?;
        let of_values = |r: EF| [EF::ONE - r, r];
        let [of_a, of_b]: [&dyn Fn(EF) -> [EF; 2]; 2] = match self.form {
            Form::Values => [&of_values, &of_values],
            Form::Coefficients => [&|r| [EF::ONE, r], &|r| [EF::ONE - r, r.double() - EF::ONE]],
        };
        for (from, to, of) in [(&self.a, &folded.a, of_a), (&self.b, &folded.b, of_b)] {
            let mut weights = vec![EF::ONE];
            for pair in challenges.iter().map(|&r| of(r)) {
                weights = pair.iter().flat_map(|&by| weights.iter().map(move |&weight| weight * by).collect::<Vec<_>>()).collect();
            }
            weights.resize(1 << TABLE_VARIABLES, EF::ZERO);
            let weights = recorder.table(&words(weights));
            for from_chunk in &from.chunks {
                let (begin, len) = (from_chunk.elements.start >> challenges.len(), from_chunk.elements.len() >> challenges.len());
                let to_chunk = to.chunks.iter().find(|chunk| chunk.elements.contains(&begin)).expect("as many as are folded");
                // The last one's share of a chunk reaches to the end of its stride.
                let is_last = begin + len == to_chunk.elements.end;
                let first = begin - to_chunk.elements.start;
                let num = if is_last { to_chunk.stride() - first } else { len };
                let job = recorder.job(&FoldJob {
                    log_window: challenges.len() as u32,
                    num_quads: (from_chunk.stride() / 4) as u32,
                    first: first as u32,
                    len: len as u32,
                    num: num as u32,
                    stride: to_chunk.stride() as u32,
                });
                let bindings = vec![job, weights.clone(), from_chunk.bind(recorder), to_chunk.bind(recorder)];
                let workgroups = (num as u32).div_ceil(IP_FOLD.workgroup_size);
                recorder.dispatch(&IP_FOLD, bindings, vec![], workgroups.into(), 60 * from_chunk.elements.len() as u64)?;
            }
        }
        Ok(folded)
    }
}

/// Sums of products over the cube, with some variables at 0, 1 and infinity, the next one fastest.
#[derive(Clone, Debug)]
pub(super) struct Table(Vec<EF>);

impl Table {
    /// Out of results; nothing if a word is no element.
    pub fn of_words(words: &[u32]) -> Option<Self> {
        elements(&words[..TABLE_BYTES as usize / 4]).map(Self)
    }

    /// The next round's polynomial at 1 and 2.
    pub fn round(&self) -> [EF; 2] {
        // Of the variables behind it, the sum over 0 and 1.
        let in_cube = |mut i: usize| {
            while i > 0 {
                if i % 3 == 2 {
                    return false;
                }
                i /= 3;
            }
            true
        };
        let sums = self.0.chunks_exact(3).enumerate().filter(|(i, _)| in_cube(*i)).fold([EF::ZERO; 3], |mut sums, (_, entries)| {
            sums.iter_mut().zip(entries).for_each(|(sum, &entry)| *sum += entry);
            sums
        });
        [sums[1], at(sums, EF::TWO)]
    }

    /// Binds the next variable.
    pub fn bind(&mut self, challenge: EF) {
        self.0 = self.0.chunks_exact(3).map(|entries| at([entries[0], entries[1], entries[2]], challenge)).collect();
    }
}

/// A quadratic polynomial by its values at 0 and 1 and its leading coefficient.
fn at([at_zero, at_one, lead]: [EF; 3], x: EF) -> EF {
    at_zero + x * (at_one - at_zero - lead + x * lead)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rounds of a table are those of the products themselves.
    #[test]
    fn tables_give_the_rounds() {
        let mut state = EF::TWO;
        let mut next = || {
            state = state.square() + EF::from_u32(7);
            state
        };
        let [mut a, mut b]: [Vec<EF>; 2] = std::array::from_fn(|_| (0..16).map(|_| next()).collect());
        // Bits of an entry's index in base 3, from the lowest: where each variable is.
        let value = |values: &[EF], mut key: usize| {
            let mut values = values.to_vec();
            while values.len() > 1 {
                let at_key = |pair: &[EF]| [pair[0], pair[1], pair[1] - pair[0]][key % 3];
                values = values.chunks_exact(2).map(at_key).collect();
                key /= 3;
            }
            values[0]
        };
        let mut table = Table((0..TABLE_LEN).map(|key| value(&a, key) * value(&b, key)).collect());
        for _ in 0..TABLE_VARIABLES {
            let round = [EF::ONE, EF::TWO].map(|x| {
                let of = |pair: &[EF]| pair[0] + x * (pair[1] - pair[0]);
                a.chunks_exact(2).zip(b.chunks_exact(2)).map(|(a, b)| of(a) * of(b)).sum::<EF>()
            });
            assert_eq!(table.round(), round);
            let r = next();
            table.bind(r);
            [&mut a, &mut b].into_iter().for_each(|of| *of = of.chunks_exact(2).map(|pair| pair[0] + r * (pair[1] - pair[0])).collect());
        }
    }
}
