//! GKR's leaves: the fractions of all interactions on all rows, out of the traces where they lie on the device. Stored nowhere: whoever wants some has them
//! computed.

use std::{ops::Range, sync::Arc};

use logup_wgpu::{
    EF, Error, F, Layout, Result, Subject, Trace,
    compute::{Binding, Resource, TraceWindow, ext_words, word},
    wgpu,
};
use openvm_stark_backend::prover::stacked_pcs::StackedLayout;
use p3_field::{Field, PrimeCharacteristicRing};
use rayon::prelude::*;

use super::forms::{Factor, Form, Forms, Weight};
use crate::{
    compute::Compute,
    kernels::{FRACTIONS, FractionsJob, ROW_PRODUCTS, RowProductsJob, TERM_FIRST_ROW, TERM_LAST_ROW},
    key_plan::Logup,
    recorder::Recorder,
    rows::Cell,
    windows::Windows,
};

/// An AIR with interactions, and its trace.
pub(crate) struct LeafTrace<'a> {
    pub air: &'a logup_wgpu::Air,
    pub logup: &'a Logup,
    /// In the order of its parts.
    pub traces: &'a [Trace],
    pub public_values: &'a [F],
    pub height: usize,
}

/// All leaves of a proof.
pub(crate) struct Leaves {
    /// log2 of all leaves, padding among them.
    pub log_len: usize,
    /// Those that are no padding; padding comes behind them.
    pub num_real: usize,
    /// What padding has for q.
    pub alpha: EF,
    groups: Vec<Group>,
    programs: Vec<ProductRows>,
    /// Of products, where there are any.
    products: Option<Arc<wgpu::Buffer>>,
    pub trace_buffers: Vec<Arc<wgpu::Buffer>>,
}

/// Slices that follow each other and share their windows.
struct Group {
    windows: Vec<TraceWindow>,
    leaves: Range<usize>,
    slices: Vec<u32>,
    terms: Vec<u32>,
    num_slices: usize,
}

/// A program of products over the rows of a trace.
struct ProductRows {
    windows: Vec<TraceWindow>,
    steps: Vec<[u32; 4]>,
    num_slots: usize,
    num_products: usize,
    height: usize,
    first_word: u64,
}

/// A slice of leaves, before it has a place in windows.
struct Slice<'a> {
    leaves: Range<usize>,
    trace: usize,
    form: &'a Form,
}

const PRODUCTS: Resource = Resource("products");
/// Words of the temporaries of `row_products`.
const SLOT_WORDS: usize = 1 << 23;
/// Terms that one thread adds up at most, by fours: a software device leaves loops that run for longer (`docs/design.md`, section 4).
const MAX_TERMS: usize = 4 << 15;

/// What a recording reads of the leaves' tables.
pub(super) struct Tables(Vec<[Binding; 2]>);

/// Where leaves go.
pub(super) struct To {
    pub nodes: Binding,
    pub first: u32,
    pub stride: u32,
}

impl Leaves {
    /// # Shapes
    /// `traces` in the order of the layout, `None` for those without interactions.
    ///
    /// # Errors
    /// [`Error::DeviceLimit`] for what no device or not this one has room for: leaves, terms of an interaction, the columns of one.
    pub fn new(
        compute: &Compute,
        traces: &[Option<LeafTrace<'_>>],
        layout: &StackedLayout,
        log_len: usize,
        alpha: EF,
        beta_pows: &[EF],
    ) -> Result<Self> {
        let limits = compute.gpu.limits();
        if log_len > MAX_LOG_LEAVES {
            let (subject, what) = (Subject::Call, "log2 of LogUp's fractions");
            let (requested, limit) = (log_len as u64, MAX_LOG_LEAVES as u64);
            return Err(Error::DeviceLimit { subject, kernel: FRACTIONS.name, what, requested, limit });
        }
        let lifted = |trace: usize| layout.get(trace, 0).map_or(1, |slice| slice.len(0));
        let forms = traces.par_iter().enumerate().map(|(t, trace)| {
            let Some(trace) = trace else { return Ok(vec![]) };
            let forms = Forms {
                air: trace.air,
                products: &trace.logup.products,
                values: &trace.air.degree_zero_values(trace.public_values),
                alpha,
                beta_pows,
                scale: F::from_usize(lifted(t) / trace.height).inverse(),
            };
            forms.all()
        });
        let forms: Vec<Vec<Form>> = forms.collect::<Result<_>>()?;

        // The kernel has a window, even if interactions are of constants and selectors alone.
        let mut buffers = Buffers::default();
        let mut all = traces.iter().flatten().flat_map(|trace| trace.traces);
        all.find(|trace| trace.width() > 0).map(|trace| buffers.place(trace.location(0).0));
        let (products, first_words) = place_products(compute, traces)?;
        let products_at = products.as_ref().map(|buffer| buffers.place(buffer));
        let place = |buffers: &mut Buffers, t: usize, factor: Factor| -> Option<(usize, u64)> {
            let trace: &LeafTrace<'_> = traces[t].as_ref()?;
            match factor {
                Factor::Cell(column) => {
                    let part = part_of(trace, column.part);
                    debug_assert_eq!(trace.traces[part].layout(), Layout::ColMajor);
                    let (buffer, word) = trace.traces[part].location(column.index);
                    Some((buffers.place(buffer), word))
                }
                Factor::Product(i) => Some((products_at?, first_words[t] + (i * trace.height) as u64)),
                Factor::FirstRow | Factor::LastRow => None,
            }
        };

        let slices = layout.sorted_cols.iter().map(|&(trace, interaction, slice)| Slice {
            leaves: slice.row_idx..slice.row_idx + slice.len(0),
            trace,
            form: &forms[trace][interaction],
        });
        let mut groups: Vec<Group> = vec![];
        let mut making: Option<(Group, Windows)> = None;
        for slice in slices {
            let (t, height) = (slice.trace, traces[slice.trace].as_ref().map_or(1, |trace| trace.height));
            let subject = || Subject::from(traces[t].as_ref().map_or("", |trace| trace.air.name()));
            let terms = slice.form.terms.len();
            if terms > MAX_TERMS {
                let (what, requested, limit) = ("terms of an interaction", terms as u64, MAX_TERMS as u64);
                return Err(Error::DeviceLimit { subject: subject(), kernel: FRACTIONS.name, what, requested, limit });
            }
            let mut words_in = |windows: &mut Windows| {
                let word_of = |&(factor, _): &(Factor, Weight)| match place(&mut buffers, t, factor) {
                    Some((buffer, word)) => windows.holds(word, height as u64).then(|| windows.word(buffer, word)).flatten(),
                    None => Some(0),
                };
                slice.form.terms.iter().map(word_of).collect::<Option<Vec<u32>>>()
            };
            if let Some((group, windows)) = &mut making {
                let mut more = windows.clone();
                if let Some(words) = words_in(&mut more) {
                    group.add(&slice, height, &words);
                    *windows = more;
                    continue;
                }
            }
            let mut windows = Windows::new(&limits);
            let Some(words) = words_in(&mut windows) else {
                let (what, limit) = ("bindings of one interaction's columns", limits.max_slots().into());
                return Err(Error::DeviceLimit { subject: subject(), kernel: FRACTIONS.name, what, requested: limit + 1, limit });
            };
            let start = slice.leaves.start;
            let mut group = Group { windows: vec![], leaves: start..start, slices: vec![], terms: vec![], num_slices: 0 };
            group.add(&slice, height, &words);
            if let Some((done, windows)) = making.replace((group, windows)) {
                groups.push(done.bound(&windows, &buffers));
            }
        }
        groups.extend(making.map(|(group, windows)| group.bound(&windows, &buffers)));
        let num_real = groups.last().map_or(0, |group| group.leaves.end);

        let mut programs = vec![];
        for (t, trace) in traces.iter().enumerate() {
            let Some(trace) = trace else { continue };
            let values = trace.air.degree_zero_values(trace.public_values);
            let mut first_word = first_words[t];
            for program in &trace.logup.programs {
                let mut windows = Windows::new(&limits);
                let steps = program.device_steps(&values, |cell| {
                    let Cell::Column { part, next, column } = cell else { return None };
                    let (buffer, word) = trace.traces[part].location(column);
                    let buffer = buffers.place(buffer);
                    let word = windows.holds(word, trace.height as u64).then(|| windows.word(buffer, word)).flatten()?;
                    Some((word, next))
                });
                let steps = steps.ok_or_else(|| {
                    let (what, limit) = ("bindings of one interaction's columns", limits.max_slots().into());
                    Error::DeviceLimit { subject: trace.air.name().into(), kernel: ROW_PRODUCTS.name, what, requested: limit + 1, limit }
                })?;
                let num_products = program.roots.len();
                let windows = windows.bound(&buffers.0);
                programs.push(ProductRows { windows, steps, num_slots: program.num_slots, num_products, height: trace.height, first_word });
                first_word += (num_products * trace.height) as u64;
            }
        }
        Ok(Self { log_len, num_real, alpha, groups, programs, products, trace_buffers: buffers.0 })
    }

    /// The products, for every leaf that a later recording wants too.
    ///
    /// # Errors
    /// As [`Recorder::dispatch`].
    pub(super) fn record_products(&self, recorder: &mut Recorder) -> Result<()> {
        let Some(products) = &self.products else { return Ok(()) };
        recorder.keep(PRODUCTS, products);
        for program in &self.programs {
            let &ProductRows { num_slots, num_products, height, first_word, .. } = program;
            let steps = recorder.table(program.steps.as_flattened());
            // A binding begins at a multiple of 64 words.
            let begin = first_word / 64 * 64;
            let bytes = 4 * begin..(4 * (first_word + (num_products * height) as u64)).next_multiple_of(16);
            let per_dispatch = (SLOT_WORDS.min(recorder.max_scratch() as usize / 4) / num_slots.max(1)).max(1).min(height);
            for first_row in (0..height).step_by(per_dispatch) {
                let num_rows = per_dispatch.min(height - first_row) as u32;
                let job = recorder.job(&RowProductsJob {
                    num_steps: program.steps.len() as u32,
                    first_row: first_row as u32,
                    num_rows,
                    row_mask: height as u32 - 1,
                    first_word: (first_word - begin) as u32,
                });
                let slots = recorder.scratch(Resource("slots"), (4 * num_slots * num_rows as usize).next_multiple_of(16) as u64);
                let bindings = vec![job, steps.clone(), slots, Binding { resource: PRODUCTS, bytes: bytes.clone() }];
                let workgroups = num_rows.div_ceil(ROW_PRODUCTS.workgroup_size);
                let products = 2 * program.steps.len() as u64 * u64::from(num_rows);
                recorder.dispatch(&ROW_PRODUCTS, bindings, program.windows.clone(), workgroups.into(), products)?;
            }
        }
        Ok(())
    }

    /// The tables of a recording that wants leaves.
    pub(super) fn tables(&self, recorder: &mut Recorder) -> Tables {
        Tables(self.groups.iter().map(|group| [recorder.table(&group.slices), recorder.table(&group.terms)]).collect())
    }

    /// Computes some leaves, none of them padding.
    ///
    /// # Errors
    /// As [`Recorder::dispatch`].
    pub(super) fn record(&self, recorder: &mut Recorder, tables: &Tables, leaves: Range<usize>, to: &To) -> Result<()> {
        for (group, [slices, terms]) in self.groups.iter().zip(&tables.0) {
            let own = group.leaves.start.max(leaves.start)..group.leaves.end.min(leaves.end);
            if own.is_empty() {
                continue;
            }
            let num = own.len() as u32;
            let job = recorder.job(&FractionsJob {
                begin: own.start as u32,
                num,
                to_first: to.first + (own.start - leaves.start) as u32,
                stride: to.stride,
                num_slices: group.num_slices as u32,
            });
            let bindings = vec![job, slices.clone(), terms.clone(), to.nodes.clone()];
            let per_leaf = (20 * group.terms.len() / 28).div_ceil(group.num_slices) as u64 + 8;
            let workgroups = num.div_ceil(FRACTIONS.workgroup_size);
            recorder.dispatch(&FRACTIONS, bindings, group.windows.clone(), workgroups.into(), per_leaf * u64::from(num))?;
        }
        Ok(())
    }
}

/// log2 of the leaves that there can be: their indices, twice, are words.
const MAX_LOG_LEAVES: usize = 30;

/// Which of an AIR's traces a part is.
fn part_of(trace: &LeafTrace<'_>, part: logup_wgpu::Part) -> usize {
    match part {
        logup_wgpu::Part::Preprocessed => 0,
        logup_wgpu::Part::Main(i) => i + usize::from(trace.air.preprocessed_width().is_some()),
    }
}

/// Room for all products, from the tallest trace down, so that each column begins at a multiple of its height; and where each trace's begin.
fn place_products(compute: &Compute, traces: &[Option<LeafTrace<'_>>]) -> Result<(Option<Arc<wgpu::Buffer>>, Vec<u64>)> {
    let words = |t: &usize| traces[*t].as_ref().map_or(0, |trace| (trace.logup.products.len() * trace.height) as u64);
    let mut order: Vec<usize> = (0..traces.len()).collect();
    order.sort_by_key(|&t| std::cmp::Reverse(traces[t].as_ref().map_or(0, |trace| trace.height)));
    let (mut first_words, mut end) = (vec![0; traces.len()], 0);
    for t in order {
        first_words[t] = end;
        end += words(&t);
    }
    let buffer = (end > 0).then(|| compute.pool.take("products", (4 * end).next_multiple_of(16))).transpose()?;
    Ok((buffer, first_words))
}

/// Trace buffers, each once.
#[derive(Default)]
struct Buffers(Vec<Arc<wgpu::Buffer>>);

impl Buffers {
    fn place(&mut self, buffer: &Arc<wgpu::Buffer>) -> usize {
        self.0.iter().position(|known| Arc::ptr_eq(known, buffer)).unwrap_or_else(|| {
            self.0.push(Arc::clone(buffer));
            self.0.len() - 1
        })
    }
}

impl Group {
    /// Adds a slice whose terms' columns begin at these words.
    fn add(&mut self, slice: &Slice<'_>, height: usize, words: &[u32]) {
        let first = self.terms.len() / TERM_WORDS;
        for (terms, words) in slice.form.terms.chunks(4).zip(words.chunks(4)) {
            let of = |of_term: &dyn Fn(usize) -> u32| std::array::from_fn::<u32, 4, _>(|i| if i < terms.len() { of_term(i) } else { 0 });
            let kind = |factor: Factor| match factor {
                Factor::Cell(column) => u32::from(column.next),
                Factor::Product(_) => 0,
                Factor::FirstRow => TERM_FIRST_ROW,
                Factor::LastRow => TERM_LAST_ROW,
            };
            self.terms.extend(of(&|i| words[i]));
            // What fills four up reads nothing.
            self.terms.extend(std::array::from_fn::<u32, 4, _>(|i| terms.get(i).map_or(TERM_FIRST_ROW, |(factor, _)| kind(*factor))));
            self.terms.extend(of(&|i| word(terms[i].1.p)));
            (0..4).for_each(|i| self.terms.extend(ext_words(terms.get(i).map_or(EF::ZERO, |(_, weight)| weight.q))));
        }
        let end = self.terms.len() / TERM_WORDS;
        self.slices.extend([slice.leaves.start as u32, height as u32 - 1, first as u32, end as u32]);
        self.slices.extend(ext_words(slice.form.constant.q));
        self.slices.extend([word(slice.form.constant.p), 0, 0, 0]);
        self.leaves.end = slice.leaves.end;
        self.num_slices += 1;
    }

    fn bound(self, windows: &Windows, buffers: &Buffers) -> Self {
        Self { windows: windows.bound(&buffers.0), ..self }
    }
}

/// Words of four terms.
const TERM_WORDS: usize = 28;
