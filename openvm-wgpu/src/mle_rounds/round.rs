//! One round's recording: every piece of every trace's expressions, at every point that its polynomial needs.

use std::{ops::Range, sync::Arc};

use logup_wgpu::{
    EF, Error, Result, Subject,
    compute::{Binding, Buffer, EXT_WORDS, Resource, RowProgram, word},
};
use p3_field::PrimeCharacteristicRing;

use super::{BatchTrace, folded::Folded};
use crate::{
    compute::Compute,
    kernels::{LOG_EQ, MLE_ROUND, MleRoundJob, PAIRS_PER_TASK, SUM_SEGMENTS, SumSegmentsJob},
    key_plan::{Batch, BatchInstructions},
    recorder::{Recorder, results},
    sumcheck::array::words,
};

/// Bytes of the temporaries of a dispatch where memory is no concern, and within a budget.
const TEMP_BYTES: u64 = 32 << 20;
const TEMP_BYTES_IN_BUDGET: u64 = 4 << 20;
/// What an entry without an affine part has for it.
const NONE: u32 = u32::MAX;
/// Words of an entry.
const ENTRY_WORDS: usize = 12;

/// What is the same in all rounds: the key's instructions, the traces' values and weights. What is not on the device the first round brings there, where it
/// stays.
pub(super) struct Programs<'a> {
    key: &'a BatchInstructions,
    instructions: Arc<Buffer>,
    /// Values, then weights.
    tables: (Arc<Buffer>, Vec<u32>),
    /// Of each trace, its pieces.
    pieces: Vec<Vec<Piece>>,
    /// Of temporaries at a time.
    temp_bytes: u64,
}

const INSTRUCTIONS: Resource = Resource("instructions");
const TABLES: Resource = Resource("values and weights");

#[derive(Clone, Copy, Debug)]
struct Piece {
    first_instruction: u32,
    num_instructions: u32,
    num_segments: u32,
    /// A word of the tables.
    first_value: u32,
    /// An element of the tables.
    first_weight: u32,
    num_temps: u64,
}

/// Bytes of the device's memory that values and weights take.
pub(super) fn table_bytes(traces: &[BatchTrace<'_>]) -> u64 {
    let words = |trace: &BatchTrace<'_>| {
        let Batch { products, pieces, .. } = &trace.plan.batch;
        products.len() * EXT_WORDS + pieces.iter().map(RowProgram::num_values).sum::<usize>()
    };
    4 * (EXT_WORDS + traces.iter().map(words).sum::<usize>()) as u64
}

impl<'a> Programs<'a> {
    /// `weights` are those of each trace's products; `key` has the instructions of all traces' AIRs.
    ///
    /// # Errors
    /// As `BufferPool::take`.
    pub fn new(compute: &Compute, key: &'a BatchInstructions, traces: &[BatchTrace<'_>], weights: &[Vec<EF>]) -> Result<Self> {
        let (mut tables, mut values_at): (Vec<u32>, Vec<u32>) = (vec![], vec![]);
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
            let mut first_instruction = trace.plan.batch.first_instruction;
            let mut first_weight = (tables.len() / EXT_WORDS) as u32;
            tables.extend(words(weights.iter().copied()));
            let pieces = trace.plan.batch.pieces.iter().map(|piece| {
                let own = Piece {
                    first_instruction,
                    num_instructions: piece.instructions.len() as u32,
                    num_segments: piece.num_segments as u32,
                    first_value: values_at.next().expect("one for each piece"),
                    first_weight,
                    num_temps: piece.num_temps.max(1) as u64,
                };
                first_instruction += own.num_instructions;
                first_weight += piece.num_roots as u32;
                own
            });
            let pieces: Vec<Piece> = pieces.collect();
            // What is affine counts without a product, too.
            let none = Piece { first_instruction, num_instructions: 0, num_segments: 0, first_value: 0, first_weight: 0, num_temps: 1 };
            if pieces.is_empty() { vec![none] } else { pieces }
        });
        let pieces = pieces.collect();
        tables.resize(tables.len().max(EXT_WORDS), 0);
        let table_buffer = compute.pool.take(TABLES.0, 4 * tables.len() as u64)?;
        let temp_bytes = if compute.memory_budget.is_some() { TEMP_BYTES_IN_BUDGET } else { TEMP_BYTES };
        Ok(Self { key, instructions: key.buffer(compute)?, tables: (table_buffer, tables), pieces, temp_bytes })
    }

    /// Has the instructions be there for later proofs, once a recording that brought them has run.
    pub fn stay(&self) {
        self.key.stay();
    }

    /// The instructions' and the tables' bindings. The first round brings them there.
    fn bind(&self, recorder: &mut Recorder, is_first: bool) -> Result<[Binding; 2]> {
        let mut bind = |name: Resource, buffer: &Arc<Buffer>, words: &[u32], is_missing: bool| {
            recorder.keep(name, buffer);
            let binding = Binding { resource: name, bytes: 0..4 * words.len() as u64 };
            if is_missing {
                let from = recorder.table(words);
                recorder.copy_to(from, 0, binding.clone(), words.len() as u32)?;
            }
            Ok(binding)
        };
        let (buffer, words) = &self.tables;
        Ok([
            bind(INSTRUCTIONS, &self.instructions, &self.key.words, is_first && !self.key.are_there())?,
            bind(TABLES, buffer, words, is_first)?,
        ])
    }

    /// Has a round's polynomials, `sum_y eq(y) f(X, y)` of each trace that has variables left, at `X = 1, ..` as results from the first on: as many as the
    /// trace's degree. `xi` are the challenges of the variables behind the round's, `selectors` what is left of those of the first and of the last row.
    ///
    /// # Errors
    /// As [`Recorder::dispatch`].
    pub fn record(
        &self,
        recorder: &mut Recorder,
        traces: &[BatchTrace<'_>],
        folded: &Folded,
        xi: &[EF],
        selectors: [EF; 2],
    ) -> Result<usize> {
        let bound = folded.bound();
        let num_active = traces.iter().take_while(|trace| trace.n > bound).count();
        let (low, high) = xi.split_at(xi.len().min(LOG_EQ as usize));
        // Of traces with variables left each piece at each point, as many tasks as its pairs of rows take.
        let tasks = |(trace, pieces): (&BatchTrace<'_>, &Vec<Piece>)| {
            let of_piece = (1u64 << (trace.n - bound - 1)).div_ceil(PAIRS_PER_TASK.into());
            of_piece * (pieces.len() * trace.plan.batch.degree) as u64
        };
        let requested = 16 * traces[..num_active].iter().zip(&self.pieces).map(tasks).sum::<u64>();
        if requested > recorder.max_scratch() {
            let (subject, what, limit) = (Subject::Call, "bytes of partial sums of a round", recorder.max_scratch());
            return Err(Error::DeviceLimit { subject, kernel: MLE_ROUND.name, what, requested, limit });
        }
        let [low, high] = [eq_levels(low, selectors[0]), eq_levels(high, selectors[1])];
        let eq_high = low.len() as u32;
        let eq = recorder.table(&words(low.into_iter().chain(high)));
        let [instructions, tables] = self.bind(recorder, bound == 0)?;
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
                            num_temps: piece.num_temps,
                            num_instructions: piece.num_instructions,
                        });
                        entries.extend([num_tasks, piece.first_instruction, piece.num_segments, first_cell]);
                        entries.extend([piece.first_value, piece.first_weight, affine, word(logup_wgpu::F::from_usize(x))]);
                        entries.extend([num_y, log_y as u32, 0, 0]);
                        num_tasks += tasks;
                    }
                }
                first_cell += (trace.num_leaves() as u32) << (log_y + 1);
                first_affine += 2 * num_y;
            }
        }
        debug_assert_eq!(entries.len(), ENTRY_WORDS * spans.len());
        let entries = recorder.table(&entries);
        let partials = recorder.scratch(Resource("partials of a round"), 16 * u64::from(num_tasks));
        let budget = self.temp_bytes.min(recorder.max_scratch());
        let temp_bytes = |num_temps: u64| 16 * u64::from(PAIRS_PER_TASK) * num_temps;
        let mut first = 0;
        let mut begin = 0;
        while begin < num_tasks {
            while spans[first].tasks.end <= begin {
                first += 1;
            }
            // As many entries as have room for their temporaries, of the last perhaps some tasks.
            let (mut last, mut end, mut num_temps, mut products) = (first, begin, 0, 0);
            for span in spans[first..].iter().take_while(|span| span.bank == spans[first].bank) {
                let most = num_temps.max(span.num_temps);
                let room = (budget / temp_bytes(most)) as u32;
                let until = span.tasks.end.min(begin + room.max(1));
                if until <= end || (until < span.tasks.end && end > begin) {
                    break;
                }
                products += u64::from(until - end) * u64::from(PAIRS_PER_TASK) * u64::from(20 * span.num_instructions + 60);
                (end, num_temps) = (until, most);
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
            let temps = recorder.scratch(Resource("temporaries of a round"), temp_bytes(num_temps) * u64::from(end - begin));
            let cells = banks[spans[first].bank].1.clone();
            let places = [cells, affine.clone(), temps, partials.clone()];
            let bindings = [job, entries.clone(), instructions.clone(), tables.clone(), eq.clone()].into_iter().chain(places).collect();
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
    num_temps: u64,
    num_instructions: u32,
}

/// `eq` over the first `m` of these challenges, for all `m`, from element `2^m` on. Element 0, which none of them has, is a selector's.
fn eq_levels(xi: &[EF], selector: EF) -> Vec<EF> {
    let mut level = vec![EF::ONE];
    let mut all = vec![selector, EF::ONE];
    for &xi in xi {
        let upper: Vec<EF> = level.iter().map(|&eq| eq * xi).collect();
        level.iter_mut().zip(&upper).for_each(|(eq, upper)| *eq -= *upper);
        level.extend(upper);
        all.extend(&level);
    }
    all
}
