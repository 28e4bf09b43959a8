//! Weighted sums over cells on the rows of traces, where these lie on the device.

use std::{iter, ops::Range, sync::Arc};

use logup_wgpu::{
    Column, EF, Error, Layout, Result, Subject, Trace,
    compute::{Binding, Buffer, TraceWindow, ext_words, word},
};

use crate::{
    compute::Compute,
    forms::{Factor, Form, Weight},
    kernels::{FIRST_ROW, FRACTIONS, FractionsJob, LAST_ROW, NEXT_CELL},
    recorder::Recorder,
    windows::Windows,
};

/// An AIR's trace.
#[derive(Clone, Copy)]
pub(crate) struct RowTrace<'a> {
    pub air: &'a logup_wgpu::Air,
    /// In the order of its parts.
    pub traces: &'a [Trace],
    pub height: usize,
}

/// Sums on the rows of a trace, which repeat if there are more sums than rows.
pub(crate) struct Slice<'a> {
    /// Their places among all sums.
    pub places: Range<usize>,
    pub trace: RowTrace<'a>,
    pub form: &'a Form,
    /// Where the trace's products lie, one column after the other.
    pub products: Option<(&'a Arc<Buffer>, u64)>,
}

/// Sums of slices that follow each other.
pub(crate) struct RowSums {
    groups: Vec<Group>,
}

/// Slices that follow each other and share their windows.
#[derive(Default)]
struct Group {
    windows: Vec<TraceWindow>,
    places: Range<usize>,
    slices: Vec<u32>,
    terms: Vec<u32>,
    num_slices: usize,
    /// Whether a slice's other terms come before.
    adds: bool,
    /// log2 of the threads that share a sum.
    log_lanes: u32,
}

/// Terms from which on several threads share a sum, and log2 of how many: one alone would take as long as all of a small proof's rounds. Eight sums of a
/// workgroup still read cells next to each other.
const MANY_TERMS: usize = 256;
const LOG_LANES: u32 = 5;

/// Terms of a sum at most, which one thread could add up by fours: a software device leaves loops that run for longer (`docs/design.md`, section 4).
const MAX_TERMS: usize = 4 << 15;
/// Words of four terms.
const TERM_WORDS: usize = 28;

/// What a recording reads of the sums' tables.
pub(crate) struct Tables(Vec<[Binding; 2]>);

/// Where sums go: `wgsl/fractions.wgsl`.
pub(crate) struct To {
    pub nodes: Binding,
    pub first: u32,
    pub stride: u32,
}

/// Trace buffers of recordings, each once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Buffers(pub Vec<Arc<Buffer>>);

impl Buffers {
    pub fn place(&mut self, buffer: &Arc<Buffer>) -> usize {
        self.0.iter().position(|known| Arc::ptr_eq(known, buffer)).unwrap_or_else(|| {
            self.0.push(Arc::clone(buffer));
            self.0.len() - 1
        })
    }

    /// Has one at least: kernels have a window, even if they read constants and selectors alone.
    pub fn place_any<'a>(&mut self, traces: impl IntoIterator<Item = &'a Trace>) {
        if let Some(trace) = traces.into_iter().find(|trace| trace.width() > 0) {
            self.place(trace.location(0).0);
        }
    }
}

impl RowTrace<'_> {
    /// At which word a column begins, in windows; nothing if they have no room for it, or it lies across two.
    pub fn column_word(&self, buffers: &mut Buffers, windows: &mut Windows, column: Column) -> Option<u32> {
        let trace = &self.traces[self.air.part_idx(column.part)];
        debug_assert_eq!(trace.layout(), Layout::ColMajor);
        let (buffer, word) = trace.location(column.index);
        self.word(buffers, windows, buffer, word)
    }

    fn word(&self, buffers: &mut Buffers, windows: &mut Windows, buffer: &Arc<Buffer>, word: u64) -> Option<u32> {
        windows.holds(word, self.height as u64).then(|| windows.word(buffers.place(buffer), word)).flatten()
    }

    /// That a dispatch has too few bindings for the columns of one expression.
    pub fn too_few_windows(&self, kernel: &'static str, compute: &Compute) -> Error {
        let limit = compute.gpu.limits().max_slots().into();
        let what = "bindings of one expression's columns";
        Error::DeviceLimit { subject: self.air.name().into(), kernel, what, requested: limit + 1, limit }
    }
}

impl RowSums {
    /// Sums of these slices, which follow each other.
    ///
    /// # Errors
    /// [`Error::DeviceLimit`] for more terms of a form than a thread adds up, and for a column that lies across two windows.
    pub fn new<'a>(compute: &Compute, buffers: &mut Buffers, slices: impl IntoIterator<Item = Slice<'a>>) -> Result<Self> {
        let limits = compute.gpu.limits();
        let mut done: Vec<(Group, Windows)> = vec![];
        let mut making: Option<(Group, Windows)> = None;
        for slice in slices {
            let terms = slice.form.terms.len();
            if terms > MAX_TERMS {
                let (what, requested, limit) = ("terms of an interaction", terms as u64, MAX_TERMS as u64);
                return Err(Error::DeviceLimit {
                    subject: Subject::from(slice.trace.air.name()),
                    kernel: FRACTIONS.name,
                    what,
                    requested,
                    limit,
                });
            }
            let mut words_in = |windows: &mut Windows, terms: &[(Factor, Weight)]| -> Vec<u32> {
                terms.iter().map_while(|&(factor, _)| slice.word(buffers, windows, factor)).collect()
            };
            let mut terms = &slice.form.terms[..];
            let log_lanes = if terms.len() < MANY_TERMS { 0 } else { LOG_LANES };
            if let Some((group, windows)) = making.as_mut().filter(|(group, _)| !group.adds && group.log_lanes == log_lanes) {
                let mut more = windows.clone();
                let words = words_in(&mut more, terms);
                if words.len() == terms.len() {
                    group.add(&slice, terms, &words);
                    *windows = more;
                    continue;
                }
            }
            // As many terms as have windows, then those that are left.
            for adds in iter::once(false).chain(iter::repeat(true)) {
                let mut windows = Windows::new(&limits);
                let words = words_in(&mut windows, terms);
                let (own, others) = terms.split_at(words.len());
                if own.is_empty() && !others.is_empty() {
                    return Err(slice.trace.too_few_windows(FRACTIONS.name, compute));
                }
                let start = slice.places.start;
                let mut group = Group { places: start..start, adds, log_lanes, ..Group::default() };
                group.add(&slice, own, &words);
                done.extend(making.replace((group, windows)));
                terms = others;
                if terms.is_empty() {
                    break;
                }
            }
        }
        done.extend(making);
        Ok(Self { groups: done.into_iter().map(|(group, windows)| Group { windows: windows.bound(&buffers.0), ..group }).collect() })
    }

    /// Behind the last sum.
    pub fn end(&self) -> usize {
        self.groups.last().map_or(0, |group| group.places.end)
    }

    /// The tables of a recording that wants sums.
    pub fn tables(&self, recorder: &mut Recorder) -> Tables {
        Tables(self.groups.iter().map(|group| [recorder.table(&group.slices), recorder.table(&group.terms)]).collect())
    }

    /// Computes some sums.
    ///
    /// # Errors
    /// As [`Recorder::dispatch`].
    pub fn record(&self, recorder: &mut Recorder, tables: &Tables, places: Range<usize>, to: &To) -> Result<()> {
        for (group, [slices, terms]) in self.groups.iter().zip(&tables.0) {
            let own = group.places.start.max(places.start)..group.places.end.min(places.end);
            if own.is_empty() {
                continue;
            }
            let num = own.len() as u32;
            let job = recorder.job(&FractionsJob {
                begin: own.start as u32,
                num,
                to_first: to.first + (own.start - places.start) as u32,
                stride: to.stride,
                num_slices: group.num_slices as u32,
                adds: group.adds.into(),
                log_lanes: group.log_lanes,
            });
            let bindings = vec![job, slices.clone(), terms.clone(), to.nodes.clone()];
            let per_sum = (20 * group.terms.len() / TERM_WORDS).div_ceil(group.num_slices) as u64 + 8;
            let workgroups = num.div_ceil(FRACTIONS.workgroup_size >> group.log_lanes);
            recorder.dispatch(&FRACTIONS, bindings, group.windows.clone(), workgroups.into(), per_sum * u64::from(num))?;
        }
        Ok(())
    }
}

impl Slice<'_> {
    /// At which word a factor's column begins; nothing if windows have no room for it.
    fn word(&self, buffers: &mut Buffers, windows: &mut Windows, factor: Factor) -> Option<u32> {
        let trace = &self.trace;
        match factor {
            Factor::Cell(column) => trace.column_word(buffers, windows, column),
            Factor::Product(i) => {
                let (buffer, first) = self.products.expect("products are computed before their sums");
                trace.word(buffers, windows, buffer, first + (i * trace.height) as u64)
            }
            Factor::FirstRow | Factor::LastRow => Some(0),
        }
    }
}

impl Group {
    /// Adds terms of a slice, whose columns begin at these words.
    fn add(&mut self, slice: &Slice<'_>, terms: &[(Factor, Weight)], words: &[u32]) {
        let first = self.terms.len() / TERM_WORDS;
        for (terms, words) in terms.chunks(4).zip(words.chunks(4)) {
            let of = |of_term: &dyn Fn(usize) -> u32| std::array::from_fn::<u32, 4, _>(|i| if i < terms.len() { of_term(i) } else { 0 });
            let kind = |factor: Factor| match factor {
                Factor::Cell(column) if column.next => NEXT_CELL,
                Factor::Cell(_) | Factor::Product(_) => 0,
                Factor::FirstRow => FIRST_ROW,
                Factor::LastRow => LAST_ROW,
            };
            self.terms.extend(of(&|i| words[i]));
            // What fills four up reads nothing.
            self.terms.extend(std::array::from_fn::<u32, 4, _>(|i| terms.get(i).map_or(FIRST_ROW, |(factor, _)| kind(*factor))));
            self.terms.extend(of(&|i| word(terms[i].1.p)));
            (0..4).for_each(|i| self.terms.extend(ext_words(terms.get(i).map_or(EF::default(), |(_, weight)| weight.q))));
        }
        let end = self.terms.len() / TERM_WORDS;
        self.slices.extend([slice.places.start as u32, slice.trace.height as u32 - 1, first as u32, end as u32]);
        self.slices.extend(ext_words(slice.form.constant.q));
        self.slices.extend([word(slice.form.constant.p), 0, 0, 0]);
        self.places.end = slice.places.end;
        self.num_slices += 1;
    }
}
