//! The sumcheck of an inner product: `sum_x a(x) b(x)` over the cube, for multilinear `a` and `b`. Several rounds for one wait: the device sums up the
//! products with four variables at 0, 1 and infinity, the host derives four round polynomials from these 81 sums, and one fold binds all four.

use logup_wgpu::{EF, Result, compute::Binding};
use p3_field::PrimeCharacteristicRing;

use super::{
    array::{Chunk, ExtArray, words},
    table::TABLE_BYTES,
    tensor::{MAX_PARTIALS, product},
};
use crate::{
    compute::Compute,
    kernels::{BLOCKS_PER_WORKGROUP, FoldJob, IP_FOLD, IP_TABLE, TABLE_LEN, TABLE_VARIABLES, TableJob},
    recorder::{Names, Recorder, numbered},
};

/// What the arrays hold in each variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Values at 0 and 1, of both.
    Values,
    /// Of `a` the coefficients of 1 and X; of `b` its moments, `b(0) + b(1)` and `b(1)`.
    Coefficients,
}

/// How `ip_table.wgsl` calls what an array holds.
const OF_VALUES: u32 = 0;
const OF_COEFFICIENTS: u32 = 1;
const OF_MOMENTS: u32 = 2;

/// The part of a table that two arrays of so many values leave, a multiple of four of them in one binding each.
///
/// # Errors
/// As [`Recorder::dispatch`].
pub(crate) fn record_values(
    recorder: &mut Recorder,
    arrays: [Binding; 2],
    len: usize,
    first_partial: u32,
    partials: Binding,
    workgroups: u32,
) -> Result<()> {
    record_part(recorder, arrays, len, [OF_VALUES; 2], first_partial, partials, workgroups)
}

fn record_part(
    recorder: &mut Recorder,
    [a, b]: [Binding; 2],
    len: usize,
    [form_a, form_b]: [u32; 2],
    first_partial: u32,
    partials: Binding,
    workgroups: u32,
) -> Result<()> {
    let job = recorder.job(&TableJob { num_quads: (len / 4) as u32, form_a, form_b, first_partial });
    recorder.dispatch(&IP_TABLE, vec![job, a, b, partials], vec![], workgroups.into(), 300 * len as u64)
}

/// Two arrays. Each fold makes others.
#[derive(Clone, Debug)]
pub(crate) struct InnerProduct {
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
        let forms = match self.form {
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
            let arrays = [a.bind(recorder), b.bind(recorder)];
            record_part(recorder, arrays, a.stride(), forms, first_partial, partials.clone(), workgroups)?;
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
            let mut weights = product(&challenges.iter().map(|&r| of(r)).collect::<Vec<_>>(), EF::ONE);
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
