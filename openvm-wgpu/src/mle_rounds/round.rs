//! One round's recording: every piece of every trace's expressions, at every point that its polynomial needs.

use std::{ops::Range, sync::Arc};

use logup_wgpu::{
    EF, Result,
    compute::{Binding, EXT_WORDS, Resource, word},
    wgpu,
};
use p3_field::PrimeCharacteristicRing;

use super::{BatchTrace, folded::Folded};
use crate::{
    compute::Compute,
    kernels::{LOG_EQ, MLE_ROUND, MleRoundJob, PAIRS_PER_TASK, SUM_SEGMENTS, SumSegmentsJob},
    recorder::{Recorder, results},
    sumcheck::array::words,
};

/// Bytes of the temporaries of a dispatch where memory is no concern, and within a budget.
const SLOT_BYTES: u64 = 32 << 20;
const SLOT_BYTES_IN_BUDGET: u64 = 4 << 20;
/// What an entry without an affine part has for it.
const NONE: u32 = u32::MAX;
/// Words of an entry.
const ENTRY_WORDS: usize = 12;

/// What is the same in all rounds: the traces' steps, values and weights. The first round brings it to the device, where it stays.
pub(super) struct Programs {
    steps: Kept,
    /// Values, then weights.
    tables: Kept,
    /// Of each trace, its pieces.
    pieces: Vec<Vec<Piece>>,
    /// Of temporaries at a time.
    slot_bytes: u64,
}

/// Words that stay on the device.
struct Kept {
    name: Resource,
    buffer: Arc<wgpu::Buffer>,
    words: Vec<u32>,
}

impl Kept {
    fn new(compute: &Compute, name: &'static str, mut words: Vec<u32>) -> Result<Self> {
        words.resize(words.len().next_multiple_of(4).max(4), 0);
        Ok(Self { name: Resource(name), buffer: compute.pool.take(name, 4 * words.len() as u64)?, words })
    }

    fn bind(&self, recorder: &mut Recorder) -> Binding {
        recorder.keep(self.name, &self.buffer);
        Binding { resource: self.name, bytes: 0..4 * self.words.len() as u64 }
    }

    /// Has the words be there.
    fn record_upload(&self, recorder: &mut Recorder) -> Result<()> {
        let (from, to) = (recorder.table(&self.words), self.bind(recorder));
        recorder.copy_to(from, 0, to, self.words.len() as u32)
    }
}

#[derive(Clone, Copy, Debug)]
struct Piece {
    first_step: u32,
    num_steps: u32,
    /// A word of the tables.
    first_value: u32,
    /// An element of the tables.
    first_weight: u32,
    num_slots: u64,
}

impl Programs {
    /// `weights` are those of each trace's products.
    ///
    /// # Errors
    /// As `BufferPool::take`.
    pub fn new(compute: &Compute, traces: &[BatchTrace<'_>], weights: &[Vec<EF>]) -> Result<Self> {
        let (mut steps, mut tables, mut values_at): (Vec<[u32; 4]>, Vec<u32>, Vec<u32>) = (vec![], vec![], vec![]);
        for trace in traces {
            let values = trace.rows.air.degree_zero_values(trace.public_values);
            for piece in &trace.plan.batch.pieces {
                values_at.push(tables.len() as u32);
                tables.extend(piece.values(&values).map(word));
            }
        }
        tables.resize(tables.len().next_multiple_of(EXT_WORDS), 0);
        let mut values_at = values_at.into_iter();
        let pieces = traces.iter().zip(weights).map(|(trace, weights)| {
            let mut weights = &weights[..];
            let pieces = trace.plan.batch.pieces.iter().map(|piece| {
                let own;
                (own, weights) = weights.split_at(piece.num_roots);
                let (first_step, first_weight) = (steps.len() as u32, (tables.len() / EXT_WORDS) as u32);
                steps.extend(&piece.steps);
                tables.extend(words(own.iter().copied()));
                let first_value = values_at.next().expect("one for each piece");
                Piece { first_step, num_steps: piece.steps.len() as u32, first_value, first_weight, num_slots: piece.num_slots as u64 }
            });
            let pieces: Vec<Piece> = pieces.collect();
            // What is affine counts without a product, too.
            let none = Piece { first_step: 0, num_steps: 0, first_value: 0, first_weight: 0, num_slots: 1 };
            if pieces.is_empty() { vec![none] } else { pieces }
        });
        let pieces = pieces.collect();
        let steps = Kept::new(compute, "steps", steps.as_flattened().to_vec())?;
        let slot_bytes = if compute.memory_budget.is_some() { SLOT_BYTES_IN_BUDGET } else { SLOT_BYTES };
        Ok(Self { steps, tables: Kept::new(compute, "values and weights", tables)?, pieces, slot_bytes })
    }

    /// Has a round's polynomials, `sum_y eq(y) f(X, y)` of each trace that has variables left, at `X = 1, ..` as results from the first on: as many as the
    /// trace's degree. `xi` are the challenges of the variables behind the round's.
    ///
    /// # Errors
    /// As [`Recorder::dispatch`].
    pub fn record(&self, recorder: &mut Recorder, traces: &[BatchTrace<'_>], folded: &Folded, xi: &[EF]) -> Result<usize> {
        let bound = folded.bound();
        let num_active = traces.iter().take_while(|trace| trace.n > bound).count();
        let (low, high) = xi.split_at(xi.len().min(LOG_EQ as usize));
        let low = eq_levels(low);
        let eq_high = low.len() as u32;
        let eq = recorder.table(&words(low.into_iter().chain(eq_levels(high))));
        if bound == 0 {
            self.steps.record_upload(recorder)?;
            self.tables.record_upload(recorder)?;
        }
        let [steps, tables] = [&self.steps, &self.tables].map(|kept| kept.bind(recorder));
        let affine = folded.affine(recorder);
        let banks: Vec<(Range<usize>, Binding)> = folded.banks(recorder).collect();

        let (mut entries, mut segments, mut spans): (Vec<u32>, Vec<[u32; 2]>, Vec<Span>) = (vec![], vec![], vec![]);
        let (mut num_tasks, mut first_affine) = (0u32, 0);
        for (bank, (own, _)) in banks.iter().enumerate() {
            let mut first_cell = 0;
            let active = own.start.min(num_active)..own.end.min(num_active);
            for (trace, pieces) in traces[active.clone()].iter().zip(&self.pieces[active]) {
                let log_y = trace.n - bound - 1;
                let num_y = 1u32 << log_y;
                let tasks = num_y.div_ceil(PAIRS_PER_TASK);
                for x in 1..=trace.plan.batch.degree {
                    segments.push([num_tasks, tasks * pieces.len() as u32]);
                    for (i, piece) in pieces.iter().enumerate() {
                        let affine = if i == 0 { first_affine } else { NONE };
                        spans.push(Span {
                            bank,
                            tasks: num_tasks..num_tasks + tasks,
                            num_slots: piece.num_slots,
                            num_steps: piece.num_steps,
                        });
                        entries.extend([num_tasks, piece.first_step, piece.num_steps, first_cell]);
                        entries.extend([piece.first_value, piece.first_weight, affine, word(logup_wgpu::F::from_usize(x))]);
                        entries.extend([num_y, log_y as u32, 0, 0]);
                        num_tasks += tasks;
                    }
                }
                first_cell += (trace.num_cells() as u32) << (log_y + 1);
                first_affine += 2 * num_y;
            }
        }
        debug_assert_eq!(entries.len(), ENTRY_WORDS * spans.len());
        let entries = recorder.table(&entries);
        let partials = recorder.scratch(Resource("partials of a round"), 16 * u64::from(num_tasks));
        let budget = self.slot_bytes.min(recorder.max_scratch());
        let slot_bytes = |num_slots: u64| 16 * u64::from(PAIRS_PER_TASK) * num_slots;
        let mut first = 0;
        let mut begin = 0;
        while begin < num_tasks {
            while spans[first].tasks.end <= begin {
                first += 1;
            }
            // As many entries as have room for their temporaries, of the last perhaps some tasks.
            let (mut last, mut end, mut num_slots, mut products) = (first, begin, 0, 0);
            for span in spans[first..].iter().take_while(|span| span.bank == spans[first].bank) {
                let most = num_slots.max(span.num_slots);
                let room = (budget / slot_bytes(most)) as u32;
                let until = span.tasks.end.min(begin + room.max(1));
                if until <= end || (until < span.tasks.end && end > begin) {
                    break;
                }
                products += u64::from(until - end) * u64::from(PAIRS_PER_TASK) * u64::from(20 * span.num_steps + 60);
                (end, num_slots) = (until, most);
                last += 1;
                if until < span.tasks.end {
                    break;
                }
            }
            let job = recorder.job(&MleRoundJob {
                first_task: begin,
                num_tasks: end - begin,
                first_entry: first as u32,
                end_entry: last as u32,
                eq_high,
            });
            let slots = recorder.scratch(Resource("slots of a round"), slot_bytes(num_slots) * u64::from(end - begin));
            let cells = banks[spans[first].bank].1.clone();
            let bindings =
                vec![job, entries.clone(), steps.clone(), tables.clone(), eq.clone(), cells, affine.clone(), slots, partials.clone()];
            recorder.dispatch(&MLE_ROUND, bindings, vec![], (end - begin).into(), products)?;
            begin = end;
        }
        let num_segments = segments.len() as u32;
        let job = recorder.job(&SumSegmentsJob { num_segments });
        let table = recorder.table(segments.as_flattened());
        recorder.grow_results(16 * u64::from(num_segments));
        let bindings = vec![job, table, partials, results(0..16 * u64::from(num_segments))];
        recorder.dispatch(&SUM_SEGMENTS, bindings, vec![], num_segments.into(), 0)?;
        Ok(segments.len())
    }
}

/// Tasks of one entry.
struct Span {
    bank: usize,
    tasks: Range<u32>,
    num_slots: u64,
    num_steps: u32,
}

/// `eq` over the first `m` of these challenges, for all `m`, from element `2^m` on.
fn eq_levels(xi: &[EF]) -> Vec<EF> {
    let mut level = vec![EF::ONE];
    let mut all = vec![EF::ZERO, EF::ONE];
    for &xi in xi {
        let upper: Vec<EF> = level.iter().map(|&eq| eq * xi).collect();
        level.iter_mut().zip(&upper).for_each(|(eq, upper)| *eq -= *upper);
        level.extend(upper);
        all.extend(&level);
    }
    all
}
