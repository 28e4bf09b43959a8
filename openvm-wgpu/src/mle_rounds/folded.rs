//! Traces at round 0's challenge and at those of the rounds behind it: the leaves that programs read, and each trace's affine part as one
//! column.
//!
//! Columns of a trace follow each other, and traces from the tallest down, those that a round has used up at the end. So one fold of neighbours binds the next
//! variable of all.

use std::{ops::Range, sync::Arc};

use logup_wgpu::{
    EF, Error, Result, Subject,
    compute::{Binding, Buffer, Resource, TraceWindow, word},
};
use p3_field::PrimeCharacteristicRing;

use super::BatchTrace;
use crate::{
    compute::Compute,
    forms::Form,
    kernels::{FOLD_CELLS, FOLD_FORMS, FOLD_PAIRS, FOLD_SUMS, FoldCellsJob, FoldFormsJob, FoldPairsJob, FoldSumsJob},
    key_plan::Batch,
    recorder::{MAX_BUFFERS, Names, Recorder, numbered},
    row_sums::{Buffers, RowSums, Slice, To},
    sumcheck::array::words,
    windows::Windows,
};

/// Elements of the extension field, one after the other, in a buffer.
#[derive(Clone, Debug)]
struct Elements {
    name: Resource,
    buffer: Arc<Buffer>,
    len: usize,
}

impl Elements {
    fn new(compute: &Compute, name: &'static str, len: usize) -> Result<Self> {
        let limits = compute.gpu.limits();
        let (requested, limit) = (16 * len.max(1) as u64, limits.binding_bytes.min(limits.buffer_bytes));
        if requested > limit {
            let (subject, what) = (Subject::Call, "bytes of folded columns");
            return Err(Error::DeviceLimit { subject, kernel: FOLD_CELLS.name, what, requested, limit });
        }
        Ok(Self { name: Resource(name), buffer: compute.pool.take(name, requested)?, len })
    }

    fn bind(&self, recorder: &mut Recorder) -> Binding {
        recorder.keep(self.name, &self.buffer);
        Binding { resource: self.name, bytes: 0..16 * self.len.max(1) as u64 }
    }

    /// The first elements in pairs, each pair at a challenge.
    fn record_fold(&self, compute: &Compute, recorder: &mut Recorder, name: &'static str, num_pairs: usize, r: &Binding) -> Result<Self> {
        let folded = Self::new(compute, name, num_pairs)?;
        if num_pairs > 0 {
            let job = recorder.job(&FoldPairsJob { num: num_pairs as u32 });
            let bindings = vec![job, r.clone(), self.bind(recorder), folded.bind(recorder)];
            let workgroups = (num_pairs as u32).div_ceil(FOLD_PAIRS.workgroup_size);
            recorder.dispatch(&FOLD_PAIRS, bindings, vec![], workgroups.into(), 30 * num_pairs as u64)?;
        }
        Ok(folded)
    }
}

const CELLS: [Names; 2] = [numbered!("cells"), numbered!("folded cells")];
const AFFINE: [&str; 2] = ["affine", "folded affine"];

/// The folded traces in a round.
pub(super) struct Folded {
    /// Traces whose cells share a buffer, and these.
    banks: Vec<(Range<usize>, Elements)>,
    affine: Elements,
    /// Variables of the cube that are bound.
    bound: usize,
}

/// Where round 0 leaves the traces, before anything is folded.
pub(super) struct Unfolded {
    sums: RowSums,
    groups: Vec<Group>,
    banks: Vec<Range<usize>>,
    /// Of each bank.
    forms: Vec<BankForms>,
    pub trace_buffers: Vec<Arc<Buffer>>,
}

/// Bytes of the device's memory that folded traces take: in a round, and in the one behind it.
pub(super) fn bytes(traces: &[BatchTrace<'_>]) -> u64 {
    let len: usize = traces.iter().map(|trace| (trace.num_leaves() + 1) << trace.n).sum();
    16 * (len + len / 2) as u64
}

/// Columns that follow each other, in one bank, and share their windows.
struct Group {
    windows: Vec<TraceWindow>,
    bank: usize,
    begin: usize,
    end: usize,
    columns: Vec<[u32; 4]>,
}

/// Forms of a bank's traces, as `fold_forms` reads them.
#[derive(Default)]
struct BankForms {
    num: u32,
    products: u64,
    forms: Vec<[u32; 8]>,
    terms: Vec<[u32; 2]>,
}

impl BankForms {
    /// Adds those of a trace whose columns begin at an element.
    fn add(&mut self, trace: &BatchTrace<'_>, first: usize) {
        let Batch { columns, forms, .. } = &trace.plan.batch;
        let place = |column: usize| (first + (column << trace.n)) as u32;
        for (i, form) in forms.iter().enumerate() {
            let first_term = self.terms.len() as u32;
            let term = |(column, coefficient)| [place(columns.binary_search(&column).expect("folded")), word(coefficient)];
            self.terms.extend(form.terms().map(term));
            let constant = word(form.constant());
            self.forms.push([self.num, place(columns.len() + i), first_term, self.terms.len() as u32, constant, 0, 0, 0]);
            self.num += 1 << trace.n;
            self.products += (4 * form.terms().len() as u64) << trace.n;
        }
    }

    /// # Errors
    /// As [`Recorder::dispatch`].
    fn record(&self, recorder: &mut Recorder, folded: Binding) -> Result<()> {
        if self.num == 0 {
            return Ok(());
        }
        let job = recorder.job(&FoldFormsJob { num: self.num, num_forms: self.forms.len() as u32 });
        let tables = [recorder.table(self.forms.as_flattened()), recorder.table(self.terms.as_flattened())];
        let bindings = [job].into_iter().chain(tables).chain([folded]).collect();
        recorder.dispatch(&FOLD_FORMS, bindings, vec![], self.num.div_ceil(FOLD_FORMS.workgroup_size).into(), self.products)
    }
}

impl Unfolded {
    /// `traces` have a variable at least, from the tallest down; `affine` are their expressions' affine parts.
    ///
    /// # Errors
    /// As [`RowSums::new`].
    pub fn new(compute: &Compute, traces: &[BatchTrace<'_>], affine: &[Form]) -> Result<Self> {
        let limits = compute.gpu.limits();
        let mut buffers = Buffers::default();
        buffers.place_any(traces.iter().flat_map(|trace| trace.rows.traces));
        let mut end = 0;
        let slices = traces.iter().zip(affine).map(|(trace, form)| {
            let begin = end;
            end += trace.rows.height;
            Slice { places: begin..end, trace: trace.rows, form, products: None }
        });
        let slices: Vec<Slice<'_>> = slices.collect();
        let sums = RowSums::new(compute, &mut buffers, slices)?;

        let most = (limits.binding_bytes.min(limits.buffer_bytes) / 16) as usize;
        let mut banks: Vec<Range<usize>> = vec![];
        let mut len = usize::MAX;
        for (t, trace) in traces.iter().enumerate() {
            let own = trace.num_leaves() << trace.n;
            if len.saturating_add(own) > most {
                banks.push(t..t);
                len = 0;
            }
            len += own;
            banks.last_mut().expect("one at least").end = t + 1;
        }

        if banks.len() > MAX_BUFFERS {
            let (subject, what) = (Subject::Call, "buffers of folded columns");
            let (requested, limit) = (banks.len() as u64, MAX_BUFFERS as u64);
            return Err(Error::DeviceLimit { subject, kernel: FOLD_CELLS.name, what, requested, limit });
        }
        let (mut groups, mut forms): (Vec<Group>, Vec<BankForms>) = (vec![], vec![]);
        for (bank, own) in banks.iter().enumerate() {
            let mut making: Option<(Group, Windows)> = None;
            let mut to = 0;
            let mut own_forms = BankForms::default();
            for trace in &traces[own.clone()] {
                own_forms.add(trace, to);
                let mask = trace.rows.height as u32 - 1;
                for &column in &trace.plan.batch.columns {
                    let known = making.as_mut().and_then(|(_, windows)| trace.rows.column_word(&mut buffers, windows, column));
                    let word = match known {
                        Some(word) => word,
                        None => {
                            let mut windows = Windows::new(&limits);
                            let word = trace.rows.column_word(&mut buffers, &mut windows, column);
                            let group = Group { windows: vec![], bank, begin: to, end: to, columns: vec![] };
                            if let Some((done, windows)) = making.replace((group, windows)) {
                                groups.push(Group { windows: windows.bound(&buffers.0), ..done });
                            }
                            word.ok_or_else(|| trace.rows.too_few_windows(FOLD_CELLS.name, compute))?
                        }
                    };
                    let (group, _) = making.as_mut().expect("made above");
                    group.columns.push([to as u32, word, column.next.into(), mask]);
                    to += 1 << trace.n;
                    group.end = to;
                }
                // The kernel counts elements: a gap ends the group.
                if !trace.plan.batch.forms.is_empty() {
                    groups.extend(making.take().map(|(done, windows)| Group { windows: windows.bound(&buffers.0), ..done }));
                    to += trace.plan.batch.forms.len() << trace.n;
                }
            }
            forms.push(own_forms);
            groups.extend(making.map(|(done, windows)| Group { windows: windows.bound(&buffers.0), ..done }));
        }
        Ok(Self { sums, groups, banks, forms, trace_buffers: buffers.0 })
    }

    /// Folds at round 0's challenge: `lagrange` are the Lagrange polynomials of the skip domain there.
    ///
    /// # Errors
    /// As [`Recorder::dispatch`].
    pub fn record_fold(&self, compute: &Compute, recorder: &mut Recorder, traces: &[BatchTrace<'_>], lagrange: &[EF]) -> Result<Folded> {
        let log_skip = lagrange.len().ilog2();
        let mut padded = lagrange.to_vec();
        padded.resize(lagrange.len().next_multiple_of(4), EF::ZERO);
        let table = recorder.table(&words(padded));
        let banks = self.banks.iter().zip(&CELLS[0]).map(|(own, &name)| {
            let len = traces[own.clone()].iter().map(|trace| trace.num_leaves() << trace.n).sum();
            Ok((own.clone(), Elements::new(compute, name, len)?))
        });
        let banks = banks.collect::<Result<Vec<_>>>()?;
        for group in &self.groups {
            let (num, num_columns) = ((group.end - group.begin) as u32, group.columns.len() as u32);
            let job = recorder.job(&FoldCellsJob { begin: group.begin as u32, num, num_columns, log_skip });
            let columns = recorder.table(group.columns.as_flattened());
            let bindings = vec![job, columns, table.clone(), banks[group.bank].1.bind(recorder)];
            let workgroups = num.div_ceil(FOLD_CELLS.workgroup_size);
            recorder.dispatch(&FOLD_CELLS, bindings, group.windows.clone(), workgroups.into(), (12 * u64::from(num)) << log_skip)?;
        }

        for (forms, (_, elements)) in self.forms.iter().zip(&banks) {
            let folded = elements.bind(recorder);
            forms.record(recorder, folded)?;
        }

        let num_sums = self.sums.end();
        let affine = Elements::new(compute, AFFINE[0], num_sums >> log_skip)?;
        let tables = self.sums.tables(recorder);
        let wanted = if compute.memory_budget.is_some() { SUMS_IN_BUDGET } else { SUMS_PER_DISPATCH };
        let per_dispatch = (recorder.max_scratch() as usize / 32).min(wanted) >> log_skip << log_skip;
        for begin in (0..num_sums).step_by(per_dispatch.max(1 << log_skip)) {
            let num = per_dispatch.max(1 << log_skip).min(num_sums - begin);
            let nodes = recorder.scratch(Resource("sums of rows"), 32 * num as u64);
            let to = To { nodes: nodes.clone(), first: 0, stride: num as u32 };
            self.sums.record(recorder, &tables, begin..begin + num, &to)?;
            let (stride, num) = (num as u32, (num >> log_skip) as u32);
            let job = recorder.job(&FoldSumsJob { log_skip, num, stride, to_first: (begin >> log_skip) as u32 });
            let bindings = vec![job, table.clone(), nodes, affine.bind(recorder)];
            let workgroups = num.div_ceil(FOLD_SUMS.workgroup_size);
            recorder.dispatch(&FOLD_SUMS, bindings, vec![], workgroups.into(), (20 * u64::from(num)) << log_skip)?;
        }
        Ok(Folded { banks, affine, bound: 0 })
    }
}

/// Sums of rows at a time where memory is no concern, and within a budget: 32 and 4 MiB.
const SUMS_PER_DISPATCH: usize = 1 << 20;
const SUMS_IN_BUDGET: usize = 1 << 17;

impl Folded {
    /// At the next challenge; only traces of more variables than are bound have any rows left.
    ///
    /// # Errors
    /// As [`Recorder::dispatch`].
    pub fn record_fold(&self, compute: &Compute, recorder: &mut Recorder, traces: &[BatchTrace<'_>], r: EF) -> Result<Self> {
        let (r, bound) = (recorder.table(&words([r])), self.bound + 1);
        let left = |trace: &BatchTrace<'_>| if trace.n > bound { 1usize << (trace.n - bound) } else { 0 };
        let banks = self.banks.iter().enumerate().map(|(i, (own, elements))| {
            let num = traces[own.clone()].iter().map(|trace| trace.num_leaves() * left(trace)).sum();
            Ok((own.clone(), elements.record_fold(compute, recorder, CELLS[bound % 2][i], num, &r)?))
        });
        let banks = banks.collect::<Result<_>>()?;
        let num = traces.iter().map(left).sum();
        let affine = self.affine.record_fold(compute, recorder, AFFINE[bound % 2], num, &r)?;
        Ok(Self { banks, affine, bound })
    }

    /// Variables that are bound.
    pub fn bound(&self) -> usize {
        self.bound
    }

    pub fn affine(&self, recorder: &mut Recorder) -> Binding {
        self.affine.bind(recorder)
    }

    /// The banks: traces, and their cells.
    pub fn banks<'a>(&'a self, recorder: &'a mut Recorder) -> impl Iterator<Item = (Range<usize>, Binding)> + 'a {
        self.banks.iter().map(move |(own, elements)| (own.clone(), elements.bind(recorder)))
    }
}
