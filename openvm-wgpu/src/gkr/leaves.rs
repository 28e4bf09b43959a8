//! GKR's leaves: the fractions of all interactions on all rows, out of the traces where they lie on the device. Stored nowhere: whoever wants some has them
//! computed.

use std::sync::Arc;

use logup_wgpu::{
    Column, EF, Error, F, Result, Subject,
    compute::{Binding, Buffer, Resource, RowProgram, TraceWindow, word},
};
use openvm_stark_backend::prover::stacked_pcs::StackedLayout;
use p3_field::{Field, PrimeCharacteristicRing};
use rayon::prelude::*;

use crate::{
    compute::Compute,
    forms::{Form, Forms, Fraction},
    kernels::{FRACTIONS, ROW_PRODUCTS, RowProductsJob},
    key_plan::Logup,
    recorder::Recorder,
    row_sums::{Buffers, RowSums, RowTrace, Slice},
    windows::Windows,
};

/// An AIR with interactions, and its trace.
pub(crate) struct LeafTrace<'a> {
    pub rows: RowTrace<'a>,
    pub logup: &'a Logup,
    pub public_values: &'a [F],
}

/// All leaves of a proof.
pub(crate) struct Leaves<'a> {
    /// log2 of all leaves, padding among them.
    pub log_len: usize,
    /// Those that are no padding; padding comes behind them.
    pub num_real: usize,
    /// What padding has for q.
    pub alpha: EF,
    pub sums: RowSums,
    programs: Vec<ProductRows<'a>>,
    /// Of products, where there are any.
    products: Option<Arc<Buffer>>,
    temp_words: usize,
    pub trace_buffers: Vec<Arc<Buffer>>,
}

/// A program of products over the rows of a trace.
struct ProductRows<'a> {
    windows: Vec<TraceWindow>,
    program: &'a RowProgram,
    cells: Vec<[u32; 2]>,
    values: Vec<u32>,
    height: usize,
    first_word: u64,
}

const PRODUCTS: Resource = Resource("products");
/// Words of the temporaries of `row_products` where memory is no concern, and within a budget.
const TEMP_WORDS: usize = 1 << 23;
const TEMP_WORDS_IN_BUDGET: usize = 1 << 20;
/// log2 of the leaves that there can be: their indices, twice, are words.
const MAX_LOG_LEAVES: usize = 30;

impl<'a> Leaves<'a> {
    /// # Shapes
    /// `traces` in the order of the layout, `None` for those without interactions.
    ///
    /// # Errors
    /// [`Error::DeviceLimit`] for what no device or not this one has room for: leaves, terms of an interaction, the columns of one.
    pub fn new(
        compute: &Compute,
        traces: &[Option<LeafTrace<'a>>],
        layout: &StackedLayout,
        log_len: usize,
        alpha: EF,
        beta_pows: &[EF],
    ) -> Result<Self> {
        if log_len > MAX_LOG_LEAVES {
            let (subject, what) = (Subject::Call, "log2 of LogUp's fractions");
            let (requested, limit) = (log_len as u64, MAX_LOG_LEAVES as u64);
            return Err(Error::DeviceLimit { subject, kernel: FRACTIONS.name, what, requested, limit });
        }
        let lifted = |trace: usize| layout.get(trace, 0).map_or(1, |slice| slice.len(0));
        let forms = traces.par_iter().enumerate().map(|(t, trace)| {
            let Some(LeafTrace { rows, logup, public_values }) = trace else { return Ok(vec![]) };
            let scale = F::from_usize(lifted(t) / rows.height).inverse();
            let (fraction, values) = (Fraction { alpha, beta_pows, scale }, rows.air.degree_zero_values(public_values));
            let mut forms = Forms::new(rows.air, &logup.products, &values);
            rows.air.interactions().iter().map(|interaction| forms.fraction(interaction, &fraction)).collect()
        });
        let forms: Vec<Vec<Form>> = forms.collect::<Result<_>>()?;

        let mut buffers = Buffers::default();
        buffers.place_any(traces.iter().flatten().flat_map(|trace| trace.rows.traces));
        let (products, first_words) = place_products(compute, traces)?;
        let slices = layout.sorted_cols.iter().filter_map(|&(t, interaction, slice)| {
            Some(Slice {
                places: slice.row_idx..slice.row_idx + slice.len(0),
                trace: traces[t].as_ref()?.rows,
                form: &forms[t][interaction],
                products: products.as_ref().map(|buffer| (buffer, first_words[t])),
            })
        });
        let sums = RowSums::new(compute, &mut buffers, slices)?;

        let mut programs = vec![];
        for (trace, first_word) in traces.iter().zip(&first_words) {
            let Some(LeafTrace { rows, logup, public_values }) = trace else { continue };
            let values = rows.air.degree_zero_values(public_values);
            let mut first_word = *first_word;
            for program in &logup.programs {
                let mut windows = Windows::new(&compute.gpu.limits());
                let cell = |&column: &Column| Some([rows.column_word(&mut buffers, &mut windows, column)?, column.next.into()]);
                let cells = program.columns.iter().map(cell).collect::<Option<_>>();
                programs.push(ProductRows {
                    cells: cells.ok_or_else(|| rows.too_few_windows(ROW_PRODUCTS.name, compute))?,
                    windows: windows.bound(&buffers.0),
                    program,
                    values: program.values(&values).map(word).collect(),
                    height: rows.height,
                    first_word,
                });
                first_word += (program.num_roots * rows.height) as u64;
            }
        }
        let temp_words = if compute.memory_budget.is_some() { TEMP_WORDS_IN_BUDGET } else { TEMP_WORDS };
        Ok(Self { log_len, num_real: sums.end(), alpha, sums, programs, products, temp_words, trace_buffers: buffers.0 })
    }

    /// The products, for every leaf that a later recording wants too.
    ///
    /// # Errors
    /// As [`Recorder::dispatch`].
    pub fn record_products(&self, recorder: &mut Recorder) -> Result<()> {
        let Some(products) = &self.products else { return Ok(()) };
        recorder.keep(PRODUCTS, products);
        for rows in &self.programs {
            let &ProductRows { program, height, first_word, .. } = rows;
            let (num_temps, num_products) = (program.num_temps.max(1), program.num_roots);
            let instructions = recorder.table(program.instructions.as_flattened());
            let cells = recorder.table(rows.cells.as_flattened());
            let values = recorder.table(if rows.values.is_empty() { &[0] } else { &rows.values });
            // A binding begins at a multiple of 64 words.
            let begin = first_word / 64 * 64;
            let bytes = 4 * begin..(4 * (first_word + (num_products * height) as u64)).next_multiple_of(16);
            let per_dispatch = (self.temp_words.min(recorder.max_scratch() as usize / 4) / num_temps).max(1).min(height);
            for first_row in (0..height).step_by(per_dispatch) {
                let num_rows = per_dispatch.min(height - first_row) as u32;
                let job = recorder.job(&RowProductsJob {
                    num_segments: program.num_segments as u32,
                    first_row: first_row as u32,
                    num_rows,
                    row_mask: height as u32 - 1,
                    first_word: (first_word - begin) as u32,
                });
                let temps = recorder.scratch(Resource("temporaries"), (4 * num_temps * num_rows as usize).next_multiple_of(16) as u64);
                let products = Binding { resource: PRODUCTS, bytes: bytes.clone() };
                let bindings = vec![job, instructions.clone(), cells.clone(), values.clone(), temps, products];
                let workgroups = num_rows.div_ceil(ROW_PRODUCTS.workgroup_size);
                let products = 2 * program.instructions.len() as u64 * u64::from(num_rows);
                recorder.dispatch(&ROW_PRODUCTS, bindings, rows.windows.clone(), workgroups.into(), products)?;
            }
        }
        Ok(())
    }
}

/// Bytes of the device's memory that the products of these traces take.
pub(crate) fn product_bytes(traces: &[Option<LeafTrace<'_>>]) -> u64 {
    traces.iter().flatten().map(|trace| 4 * (trace.logup.products.len() * trace.rows.height) as u64).sum()
}

/// Room for all products, from the tallest trace down, so that each column begins at a multiple of its height; and where each trace's begin.
fn place_products(compute: &Compute, traces: &[Option<LeafTrace<'_>>]) -> Result<(Option<Arc<Buffer>>, Vec<u64>)> {
    let height = |t: usize| traces[t].as_ref().map_or(0, |trace| trace.rows.height);
    let mut order: Vec<usize> = (0..traces.len()).collect();
    order.sort_by_key(|&t| std::cmp::Reverse(height(t)));
    let (mut first_words, mut end) = (vec![0; traces.len()], 0);
    for t in order {
        first_words[t] = end;
        end += traces[t].as_ref().map_or(0, |trace| (trace.logup.products.len() * height(t)) as u64);
    }
    let buffer = (end > 0).then(|| compute.pool.take("products", (4 * end).next_multiple_of(16))).transpose()?;
    Ok((buffer, first_words))
}
