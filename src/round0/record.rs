//! Turns checked instances into a recording: which tiles, which tables, which dispatches.
//!
//! Dispatches in order: the column sums, the coset passes and the reduction. AIRs share a dispatch as long as
//! their traces fit into its windows.

use std::{collections::HashMap, ops::Range, sync::Arc};

use bytemuck::Pod;
use p3_field::{Field, PrimeCharacteristicRing};

use super::{
    instance::{Eq, Prepared, ProgramInputs, eq_evals},
    polys::lagrange,
};
use crate::{
    air::Column,
    error::{Error, Result},
    field::{self, EF, EXT_WORDS, F},
    gpu::{Layout, Piece, Trace},
    kernel::{FieldForm, Kernel, Variant},
    kernels::{self, ColumnJob, CosetJob, ReduceJob, ReduceRun, RunKind, Tile},
    plan::{
        DeviceLimits, PlannedProgram,
        affine::{AffineColumn, AffineMatrix},
        budget::{Budget, Submissions},
        launch::{ColumnGeometry, LOG_EQ_LOW, Slots, WORKGROUP_SIZE, WindowRun, reduce_log_z},
        program::Program,
        steps,
    },
    recording::{Binding, Dispatch, ProgramText, Recording, Resource, TraceWindow},
};

/// One polynomial pair on one coset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Block {
    /// The affine part on `D`.
    Affine,
    /// The program on coset `g^c D`.
    Coset(usize),
}

/// One block of one instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Work {
    pub instance: usize,
    pub block: Block,
}

/// Where `eq` comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EqMode {
    /// Two small tables, whose products the kernels take.
    Split,
    /// All evaluations, expanded by the host.
    Evals,
    /// All evaluations, still there from the submission before.
    Resident,
}

/// Which parts each reduction dispatch writes: bit 0 the numerator, bit 1 the denominator.
pub(super) const DUAL: [u32; 1] = [0b11];
pub(super) const SEPARATE: [u32; 2] = [0b01, 0b10];

/// One wait's work to record.
#[derive(Debug)]
pub(super) struct Call {
    pub work: Vec<Work>,
    pub eq: EqMode,
    pub reductions: &'static [u32],
    pub fresh_scratch: bool,
}

/// A recording, and where each block's result starts (in EF elements).
pub(super) struct Recorded {
    pub recording: Recording,
    pub result_bases: Vec<usize>,
}

/// The blocks of an instance.
pub(super) fn blocks(prepared: &Prepared<'_>) -> Vec<Block> {
    let affine = (!prepared.plan.affine.matrices.is_empty()).then_some(Block::Affine);
    affine.into_iter().chain((0..prepared.plan.num_cosets()).map(Block::Coset)).collect()
}

/// The work of each AIR and coset on its own, and whether it is the AIR's first. The affine part goes with the first coset: both are
/// the identity coset's.
pub(super) fn by_coset(work: &[Work]) -> Vec<(Vec<Work>, bool)> {
    let mut groups: Vec<(Vec<Work>, bool)> = Vec::new();
    for &item in work {
        match groups.last_mut() {
            Some((group, _)) if group[0].instance == item.instance && item.block == Block::Coset(0) => group.push(item),
            last => {
                let first = last.is_none_or(|(group, _)| group[0].instance != item.instance);
                groups.push((vec![item], first));
            }
        }
    }
    groups
}

/// The cosets that a call's reductions fold: up to the last that it evaluates a program on.
fn cosets(call: &Call) -> Range<u32> {
    let end = |work: &Work| if let Block::Coset(coset) = work.block { coset as u32 + 1 } else { 1 };
    0..call.work.iter().map(end).max().unwrap_or(1)
}

/// Records what one wait is for: one submission, or as many as the work takes by the budget.
pub(super) fn record(
    prepared: &[Prepared<'_>],
    call: &Call,
    limits: &DeviceLimits,
    budget: Option<Budget>,
    nonce: u32,
) -> Result<Recorded> {
    let mut recorder = Recorder {
        prepared,
        limits,
        submissions: Submissions::new(budget),
        words: Vec::with_capacity(words_bound(prepared)),
        inputs: Vec::new(),
        sections: Vec::new(),
        launches: Vec::new(),
        traces: Vec::new(),
        eq: Vec::new(),
        eq_elements: 0,
        partial_elements: 0,
        temp_words: 0,
        trace_bytes: 0,
        runs: vec![Vec::new(); call.work.len()],
    };
    let eqs = recorder.eqs(call);
    recorder.column_sums(call, &eqs)?;
    recorder.coset_passes(call, &eqs)?;
    let (result_bases, result_elements) = recorder.reduce(call, nonce)?;
    recorder.finish(call, nonce, result_bases, result_elements)
}

/// About as many words as the word table will have, so that it does not grow by copies.
fn words_bound(prepared: &[Prepared<'_>]) -> usize {
    let of_matrices = |p: &Prepared<'_>| p.matrices.iter().map(|m| 2 * (m.current.len() + m.next.len())).sum::<usize>();
    let of_programs =
        |p: &Prepared<'_>| p.programs.iter().map(|program| program.values.len() + program.weights.len() + 1024).sum::<usize>();
    prepared.iter().map(|p| of_matrices(p) + of_programs(p)).sum()
}

/// A dispatch whose tables are placed, but whose word table and scratch are not.
struct Launch {
    kernel: &'static Kernel,
    program: Option<ProgramText>,
    constants: Vec<(&'static str, u32)>,
    /// Table sections, in binding order.
    tables: Vec<usize>,
    slots: Slots,
    grid: [u32; 2],
    cosets: Range<u32>,
}

impl Launch {
    /// A launch of `dual_reduce`.
    fn reduction(tables: Vec<usize>, grid: [u32; 2], cosets: Range<u32>) -> Self {
        Self { kernel: &kernels::DUAL_REDUCE, program: None, constants: vec![], tables, slots: Slots::default(), grid, cosets }
    }
}

struct Recorder<'a> {
    prepared: &'a [Prepared<'a>],
    limits: &'a DeviceLimits,
    submissions: Submissions,
    /// The table of single words and EF elements that all kernels share.
    words: Vec<u32>,
    /// Job, tile and run tables; at the end the words follow them.
    inputs: Vec<u32>,
    /// Each table's words in `inputs`.
    sections: Vec<Range<u64>>,
    launches: Vec<Launch>,
    traces: Vec<Arc<wgpu::Buffer>>,
    eq: Vec<u32>,
    eq_elements: u64,
    /// Partial sums of everything, in EF elements; temporaries follow them and are reused by each coset pass.
    partial_elements: u64,
    temp_words: u64,
    trace_bytes: u64,
    /// For each work item, what its reduction adds up.
    runs: Vec<Vec<ReduceRun>>,
}

/// A row of a dispatch's job table.
trait Job: Pod {
    /// The same in a dispatch whose tiles are the group's from `first_tile` on.
    fn cut_at(self, _first_tile: u32) -> Self {
        self
    }
}

impl Job for ColumnJob {}

impl Job for CosetJob {
    fn cut_at(self, first_tile: u32) -> Self {
        Self { first_tile: self.first_tile.wrapping_sub(first_tile), ..self }
    }
}

/// Jobs and tiles of a dispatch that is still being filled.
struct Group<J> {
    jobs: Vec<J>,
    /// What a tile of each job takes, in seconds.
    tile_seconds: Vec<f64>,
    tiles: Vec<Tile>,
    slots: Slots,
}

/// Coset jobs that share a kernel.
struct CosetGroup {
    /// The generated kernel's program; `None` for the interpreter.
    program: Option<ProgramText>,
    vec4_loads: bool,
    cosets: Range<u32>,
    /// Each job with its words of temporaries.
    group: Group<(CosetJob, u64)>,
}

impl<J> Default for Group<J> {
    fn default() -> Self {
        Self { jobs: Vec::new(), tile_seconds: Vec::new(), tiles: Vec::new(), slots: Slots::default() }
    }
}

impl Recorder<'_> {
    /// Places `eq` for every cube of the call, once for equal inputs: for each instance its tables.
    fn eqs(&mut self, call: &Call) -> Vec<EqTables> {
        let mut eqs = vec![EqTables::default(); self.prepared.len()];
        let mut known: HashMap<&[EF], u32> = HashMap::new();
        // Evaluations are long: the same ones are known by where they lie, and how many.
        let mut known_evals: HashMap<(*const EF, u32), EqTables> = HashMap::new();
        let mut last = None;
        for work in &call.work {
            if last.replace(work.instance) == Some(work.instance) {
                continue;
            }
            let prepared = &self.prepared[work.instance];
            eqs[work.instance] = match prepared.eq {
                Eq::Challenges(xi) if call.eq == EqMode::Split => {
                    let (low, high) = xi.split_at(xi.len().min(LOG_EQ_LOW as usize));
                    let [low_base, high_base] = [low, high].map(|xi| *known.entry(xi).or_insert_with(|| self.eq_table(&eq_evals(xi))));
                    EqTables { low: low_base, high: high_base, log_low: low.len() as u32 }
                }
                eq => {
                    let (Eq::Challenges(elements) | Eq::Evals(elements)) = eq;
                    *known_evals.entry((elements.as_ptr(), prepared.num_x)).or_insert_with(|| {
                        let high = *known.entry(&[]).or_insert_with(|| self.eq_table(&[EF::ONE]));
                        let low = if call.eq == EqMode::Resident {
                            self.eq_elements += u64::from(prepared.num_x);
                            self.eq_elements as u32 - prepared.num_x
                        } else {
                            self.eq_table(&eq.to_evals())
                        };
                        EqTables { low, high, log_low: prepared.num_x.ilog2() }
                    })
                }
            };
        }
        if call.eq == EqMode::Resident {
            self.eq.clear();
        }
        eqs
    }

    fn eq_table(&mut self, evals: &[EF]) -> u32 {
        evals.iter().for_each(|&eval| self.eq.extend_from_slice(&field::ext_words(eval)));
        self.eq_elements += evals.len() as u64;
        (self.eq_elements - evals.len() as u64) as u32
    }

    /// The affine parts: one job per matrix and one more for its rotated columns' last sums. Matrices that allow 16-byte loads have a
    /// kernel of their own.
    fn column_sums(&mut self, call: &Call, eqs: &[EqTables]) -> Result<()> {
        let prepared = self.prepared;
        let mut groups = [ColumnGroup::new(&kernels::COLUMN_SUMS), ColumnGroup::new(&kernels::COLUMN_SUMS_SCALAR)];
        for (work_idx, work) in call.work.iter().enumerate().filter(|(_, work)| work.block == Block::Affine) {
            let instance = &prepared[work.instance];
            for (matrix_idx, matrix) in instance.plan.affine.matrices.iter().enumerate() {
                let trace = instance.traces[matrix.part_idx];
                let group = &mut groups[usize::from(!allows_vec4(trace, instance, COLUMN_VEC4_ROWS, COLUMN_VEC4_ROWS))];
                for (columns, wrap) in [(0..matrix.columns.len(), false), (0..matrix.num_next, true)] {
                    for (columns, piece_idx) in runs_in_pieces(trace, &matrix.columns, columns) {
                        let x = 0..instance.num_x;
                        let sums = ColumnSums { instance, matrix_idx, piece_idx, columns, x, wrap, eq: eqs[work.instance] };
                        self.column_job(group, &sums, work_idx)?;
                    }
                }
            }
        }
        groups.into_iter().try_for_each(|group| self.launch(group.kernel, group.group, 0..1))
    }

    /// Adds a job to the group. If its windows do not fit, starts a new group; if they do not fit there either, halves the job.
    fn column_job(&mut self, to: &mut ColumnGroup, sums: &ColumnSums<'_>, work_idx: usize) -> Result<()> {
        let (kernel, group) = (to.kernel, &mut to.group);
        let trace = sums.trace();
        let buffer = self.trace_buffer(sums.piece());
        let words = sums.words_touched();
        let run = WindowRun::of_words(buffer, words.start, words.end, self.limits.log_window());
        let max_slots = self.limits.max_slots();
        let mut first_slot = group.slots.place(&[run], max_slots);
        if first_slot.is_none() && !group.jobs.is_empty() {
            self.launch(kernel, std::mem::take(group), 0..1)?;
            first_slot = group.slots.place(&[run], max_slots);
        }
        let Some(first_slot) = first_slot else {
            let [left, right] = sums.halves().ok_or_else(|| Error::DeviceLimit {
                air: sums.instance.plan.air().name().into(),
                kernel: kernel.name,
                what: "trace windows for one x",
                requested: run.last - run.first + 1,
                limit: u64::from(max_slots),
            })?;
            self.column_job(to, &left, work_idx)?;
            return self.column_job(to, &right, work_idx);
        };

        let num_columns = sums.columns.len() as u32;
        let num_x = sums.x.end - sums.x.start;
        let row_major = trace.layout() == Layout::RowMajor;
        // Of a wrap only the first z counts; a thread of column_sums computes four.
        let (num_z, geometry) = match (kernel == &kernels::COLUMN_SUMS, sums.wrap) {
            (true, false) => (sums.instance.num_z(), ColumnGeometry::vec4(sums.instance.num_z(), num_x, num_columns)),
            (true, true) => (4, ColumnGeometry::vec4(4, num_x, num_columns)),
            (false, false) => (sums.instance.num_z(), ColumnGeometry::scalar(row_major, sums.instance.num_z(), num_x, num_columns)),
            (false, true) => (1, ColumnGeometry::scalar(row_major, 1, num_x, num_columns)),
        };
        let (row_stride, col_stride) = trace.strides();
        let x_rows = sums.instance.num_z();
        let num_partials = u64::from(geometry.num_chunks) * u64::from(num_columns) * u64::from(num_z);
        let partial_base = self.partials(sums.instance.plan.air().name(), num_partials)?;
        let job = ColumnJob {
            trace_base: flat_word(trace.origin(sums.piece()), first_slot[0], run.first, self.limits),
            row_stride,
            col_stride,
            row_mask: sums.instance.height as u32 - 1,
            x_rows,
            row_offset: if sums.wrap { x_rows } else { 0 },
            first_x: sums.x.start,
            log_chunk: geometry.log_chunk,
            num_z,
            log_c: geometry.log_c,
            log_z: geometry.log_z,
            row_major: u32::from(row_major),
            num_columns,
            columns_base: self.words.len() as u32,
            eq_low: sums.eq.low,
            eq_high: sums.eq.high,
            log_low: sums.eq.log_low,
            partial_base,
        };
        self.words.extend(sums.columns().iter().map(|column| column.index as u32));
        let job_idx = group.jobs.len() as u32;
        group.jobs.push(job);
        let (num_cells, num_tiles) = (
            u64::from(num_columns) * u64::from(num_x) * u64::from(num_z),
            u64::from(geometry.num_groups) * u64::from(geometry.num_z_blocks) * u64::from(geometry.num_chunks),
        );
        group.tile_seconds.push(self.submissions.seconds(|budget| budget.sums(num_cells)) / num_tiles as f64);
        for col_group in 0..geometry.num_groups {
            for z_block in 0..geometry.num_z_blocks {
                // neighbouring tiles read neighbouring rows
                group.tiles.extend((0..geometry.num_chunks).map(|chunk| Tile { job: job_idx, chunk, col_group, z_block }));
            }
        }
        if !sums.wrap {
            self.trace_bytes += 4 * u64::from(num_columns) * u64::from(num_x) * u64::from(x_rows.min(1 + job.row_mask));
        }

        let run = |kind: RunKind, num_columns: u32, weights_base: u32| ReduceRun {
            kind: kind as u32,
            partial_base,
            num_chunks: geometry.num_chunks,
            num_columns,
            num_stored: job.num_columns,
            stored_z: num_z,
            weights_base,
            sides: 0,
        };
        let weights = &sums.instance.matrices[sums.matrix_idx];
        let words_of = |columns: Range<usize>| 2 * EXT_WORDS * columns.start..2 * EXT_WORDS * columns.end;
        if !sums.wrap {
            let current = self.ext_words(&weights.current[words_of(sums.columns.clone())]);
            self.runs[work_idx].push(run(RunKind::Columns, num_columns, current));
        }
        // Columns with a next-row cell come first.
        let next_columns = sums.columns.start..sums.columns.end.min(sums.matrix().num_next);
        if !next_columns.is_empty() {
            let num_next = next_columns.len() as u32;
            let next = self.ext_words(&weights.next[words_of(next_columns)]);
            self.runs[work_idx].push(run(if sums.wrap { RunKind::Wrap } else { RunKind::Next }, num_next, next));
        }
        Ok(())
    }

    /// The programs: one job per program and coset. A generated kernel runs all cosets of all AIRs that share it in one dispatch, the
    /// interpreter one coset of all AIRs.
    fn coset_passes(&mut self, call: &Call, eqs: &[EqTables]) -> Result<()> {
        let prepared = self.prepared;
        let mut lagrange_bases: HashMap<(usize, usize), u32> = HashMap::new();
        let mut groups: Vec<CosetGroup> = Vec::new();
        let cosets: Vec<(usize, usize, usize)> = call
            .work
            .iter()
            .enumerate()
            .filter_map(|(work_idx, work)| if let Block::Coset(coset) = work.block { Some((work.instance, work_idx, coset)) } else { None })
            .collect();
        for of_instance in cosets.chunk_by(|a, b| a.0 == b.0) {
            let instance_idx = of_instance[0].0;
            let instance = &prepared[instance_idx];
            let l_skip = instance.plan.l_skip();
            for (planned, inputs) in instance.plan.programs.iter().zip(&instance.programs) {
                let tables = self.program_tables(planned, inputs);
                let kernel = planned.generated.as_ref().map(|generated| &generated.source);
                let parts = || planned.program.columns.iter().map(|(part_idx, _)| instance.traces[*part_idx]);
                let reads = !planned.program.columns.is_empty();
                let vec4_loads =
                    reads && kernel.is_some() && parts().all(|trace| allows_vec4(trace, instance, COSET_VEC4_ROWS, instance.num_z()));
                let mut jobs = Vec::with_capacity(of_instance.len());
                for &(_, work_idx, coset) in of_instance {
                    let lagrange_base = match coset {
                        0 => 0,
                        _ => *lagrange_bases.entry((l_skip, coset)).or_insert_with(|| self.lagrange_tables(l_skip, coset)),
                    };
                    let found = groups.iter().position(|group| match (&group.program, kernel) {
                        (Some(one), Some(other)) => group.vec4_loads == vec4_loads && one == other,
                        (None, None) => group.cosets.start == coset as u32,
                        _ => false,
                    });
                    let at = found.unwrap_or_else(|| {
                        groups.push(CosetGroup { program: kernel.cloned(), vec4_loads, cosets: coset as u32..0, group: Group::default() });
                        groups.len() - 1
                    });
                    self.make_room_for_temps(&mut groups[at], planned.geometry(l_skip, instance.num_x).num_tiles() * planned.num_temps())?;
                    groups[at].cosets.end = groups[at].cosets.end.max(coset as u32 + 1);
                    let place = Coset { coset, lagrange_base, eq: eqs[instance_idx] };
                    jobs.push((at, self.coset_job(&mut groups[at], instance, planned, tables, place, work_idx)?));
                }
                // All cosets of the same rows next to each other: the second finds in the cache what the first read.
                let geometry = planned.geometry(l_skip, instance.num_x);
                for z_block in 0..geometry.num_z_blocks {
                    for chunk in 0..geometry.num_chunks {
                        for &(at, job) in &jobs {
                            groups[at].group.tiles.push(Tile { job, chunk, col_group: 0, z_block });
                        }
                    }
                }
            }
        }
        groups.into_iter().try_for_each(|group| self.launch_cosets(group))
    }

    /// `L`, and the halves of its sums and differences that `wgsl/coset_pass.wgsl` takes two points at a time with.
    fn lagrange_tables(&mut self, l_skip: usize, coset: usize) -> u32 {
        let base = self.words.len() as u32;
        let mut table = lagrange(l_skip, coset);
        self.words.extend(field::words(&table));
        table.resize(table.len().max(2), F::ZERO);
        let (half, two_inverse) = (table.len() / 2, F::TWO.inverse());
        let partner = |j: usize| table[(j + half) % table.len()];
        let plus: Vec<F> = (0..table.len()).map(|j| (table[j] + partner(j)) * two_inverse).collect();
        let minus: Vec<F> = (0..table.len()).map(|j| (table[j] - partner(j)) * two_inverse).collect();
        self.words.extend(field::words(&plus));
        self.words.extend(field::words(&minus));
        base
    }

    /// Adds one program's job for one coset to the group, whose tiles are still to come; its index there.
    fn coset_job(
        &mut self,
        to: &mut CosetGroup,
        instance: &Prepared<'_>,
        planned: &PlannedProgram,
        tables: ProgramTables,
        place: Coset,
        work_idx: usize,
    ) -> Result<u32> {
        let program = &planned.program;
        let l_skip = instance.plan.l_skip();
        let columns_base = self.program_columns(to, instance, program)?;
        let group = &mut to.group;
        let geometry = planned.geometry(l_skip, instance.num_x);
        let num_threads = geometry.num_tiles() * u64::from(WORKGROUP_SIZE);
        let num_partials = 2 * u64::from(geometry.num_chunks) * u64::from(instance.num_z());
        let partial_base = self.partials(instance.plan.air().name(), num_partials)?;
        let temps_base: u64 = group.jobs.iter().map(|(_, temps)| temps).sum();
        let temps = num_threads * planned.num_temps();
        self.temp_words = self.temp_words.max(temps_base + temps);
        self.check_scratch(|| instance.plan.air().name().to_owned(), 4 * self.temp_words)?;
        let job = CosetJob {
            program_base: tables.program_base,
            num_segments: program.segments.len() as u32,
            columns_base,
            values_base: tables.values_base,
            weights_base: tables.weights_base,
            lagrange_base: place.lagrange_base,
            identity: u32::from(place.coset == 0),
            l_skip: l_skip as u32,
            row_mask: instance.height as u32 - 1,
            num_x: instance.num_x,
            log_chunk: geometry.log_chunk,
            eq_low: place.eq.low,
            eq_high: place.eq.high,
            log_low: place.eq.log_low,
            partial_base: 4 * partial_base,
            temps_base: temps_base as u32, // from the temporaries' start, which `finish` adds
            num_threads: num_threads as u32,
            first_tile: group.tiles.len() as u32,
        };
        let job_idx = group.jobs.len() as u32;
        group.jobs.push((job, temps));
        let points = u64::from(instance.num_x) << l_skip;
        let seconds = self.submissions.seconds(|budget| budget.coset_pass(planned, l_skip, place.coset == 0, points));
        group.tile_seconds.push(seconds / geometry.num_tiles() as f64);
        self.runs[work_idx].push(ReduceRun {
            kind: RunKind::Pairs as u32,
            partial_base,
            num_chunks: geometry.num_chunks,
            num_columns: 2,
            num_stored: 2,
            stored_z: instance.num_z(),
            weights_base: 0,
            sides: planned.sides(),
        });
        self.trace_bytes += 4 * program.columns.len() as u64 * instance.height as u64;
        Ok(job_idx)
    }

    /// Closes the group into a dispatch where the temporaries of its jobs, with those of a job to come, would not fit a binding; the next
    /// dispatch uses them again.
    fn make_room_for_temps(&mut self, group: &mut CosetGroup, temps_per_thread_and_tile: u64) -> Result<()> {
        let temps: u64 = group.group.jobs.iter().map(|(_, temps)| temps).sum();
        let words = temps + temps_per_thread_and_tile * u64::from(WORKGROUP_SIZE);
        if group.group.jobs.is_empty() || 4 * words + 16 * self.partial_elements <= self.limits.binding_bytes {
            return Ok(());
        }
        let jobs = std::mem::take(&mut group.group);
        let full = CosetGroup { program: group.program.clone(), vec4_loads: group.vec4_loads, cosets: group.cosets.clone(), group: jobs };
        self.launch_cosets(full)
    }

    fn launch_cosets(&mut self, group: CosetGroup) -> Result<()> {
        let CosetGroup { program, vec4_loads, cosets, group: Group { jobs, tile_seconds, tiles, slots } } = group;
        let jobs = jobs.into_iter().map(|(job, _)| job).collect();
        let kernel = if program.is_some() { &kernels::COSET_PASS } else { &kernels::COSET_INTERPRET };
        let launched = self.launches.len();
        self.launch(kernel, Group { jobs, tile_seconds, tiles, slots }, cosets)?;
        for launch in &mut self.launches[launched..] {
            launch.program = program.clone();
            launch.constants = if program.is_some() { vec![(VEC4_LOADS, vec4_loads.into())] } else { vec![] };
        }
        Ok(())
    }

    /// The words of a program that do not depend on the coset.
    fn program_tables(&mut self, planned: &PlannedProgram, inputs: &ProgramInputs) -> ProgramTables {
        self.align_words();
        let program_base = self.words.len() as u32;
        if planned.generated.is_none() {
            let mut rest = &planned.program.instructions[..];
            for segment in &planned.program.segments {
                let instructions = rest.split_off(..segment.num_loads + segment.num_ops).expect("segments are all instructions");
                self.words.extend([segment.num_loads as u32, segment.num_ops as u32, 0, 0]);
                self.words.extend(instructions.iter().flatten());
            }
        }
        let values_base = self.words.len() as u32;
        self.words.extend_from_slice(&inputs.values);
        ProgramTables { program_base, values_base, weights_base: self.ext_words(&inputs.weights) }
    }

    /// Places the windows of a program's matrices, in a new dispatch if need be, and writes its column descriptors.
    fn program_columns(&mut self, to: &mut CosetGroup, instance: &Prepared<'_>, program: &Program) -> Result<u32> {
        let log_window = self.limits.log_window();
        // For each piece of each part that the program reads, its run of windows.
        let mut piece_runs: HashMap<(usize, usize), usize> = HashMap::new();
        let mut runs = Vec::new();
        for (part_idx, trace) in instance.traces.iter().enumerate() {
            for (piece_idx, piece) in trace.pieces().iter().enumerate() {
                let in_piece = |(part, column): &&(usize, Column)| *part == part_idx && piece.columns.contains(&column.index);
                let used = program.columns.iter().filter(in_piece).map(|(_, column)| column.index);
                let Some(words) = words_of_columns(trace, piece, used.clone().min(), used.max()) else { continue };
                piece_runs.insert((part_idx, piece_idx), runs.len());
                runs.push(WindowRun::of_words(self.trace_buffer(piece), words.start, words.end, log_window));
            }
        }
        let max_slots = self.limits.max_slots();
        let mut first_slots = to.group.slots.place(&runs, max_slots);
        if first_slots.is_none() && !to.group.jobs.is_empty() {
            let group = std::mem::take(&mut to.group);
            let full = CosetGroup { program: to.program.clone(), vec4_loads: to.vec4_loads, cosets: to.cosets.clone(), group };
            self.launch_cosets(full)?;
            first_slots = to.group.slots.place(&runs, max_slots);
        }
        let first_slots = first_slots.ok_or_else(|| Error::DeviceLimit {
            air: instance.plan.air().name().into(),
            kernel: kernels::COSET_PASS.name,
            what: "trace windows",
            requested: runs.iter().map(|run| run.last - run.first + 1).sum(),
            limit: u64::from(max_slots),
        })?;
        let columns_base = self.words.len() as u32;
        for (part_idx, column) in &program.columns {
            let trace = instance.traces[*part_idx];
            let piece_idx = trace.piece_of(column.index);
            let run_idx = piece_runs[&(*part_idx, piece_idx)];
            let (row_stride, col_stride) = trace.strides();
            let base = flat_word(trace.origin(trace.piece(piece_idx)), first_slots[run_idx], runs[run_idx].first, self.limits);
            let column_base = base.wrapping_add((column.index as u32).wrapping_mul(col_stride));
            self.words.extend([column_base, row_stride, u32::from(column.next)]);
        }
        Ok(columns_base)
    }

    /// The reduction of every block, as one dispatch or as one for each part.
    fn reduce(&mut self, call: &Call, nonce: u32) -> Result<(Vec<usize>, u64)> {
        let mut bases = Vec::with_capacity(call.work.len());
        let mut elements = 0u64;
        let mut jobs: Vec<ReduceJob> = Vec::with_capacity(call.work.len());
        let mut runs: Vec<ReduceRun> = Vec::new();
        let mut tiles: Vec<Tile> = Vec::new();
        for (work, work_runs) in call.work.iter().zip(&self.runs) {
            let num_z = self.prepared[work.instance].num_z();
            bases.push(elements as usize);
            let num_partials = work_runs.iter().map(|run| u64::from(run.num_chunks) * u64::from(run.num_columns)).sum();
            let log_z = reduce_log_z(num_z, num_partials);
            let run_steps = |run: &ReduceRun| steps::reduce_run(run.num_chunks, run.num_columns, WORKGROUP_SIZE >> log_z);
            let thread_steps = steps::reduce_thread(work_runs.iter().map(run_steps).sum());
            steps::check(self.prepared[work.instance].plan.air().name(), kernels::DUAL_REDUCE.name, thread_steps)?;
            let job = jobs.len() as u32;
            tiles.extend((0..num_z >> log_z).map(|z_block| Tile { job, z_block, ..Tile::default() }));
            jobs.push(ReduceJob {
                num_z,
                log_z,
                result_base: elements as u32,
                first_run: runs.len() as u32,
                num_runs: work_runs.len() as u32,
                sides: 0,
                nonce,
            });
            runs.extend(work_runs);
            elements += 2 * u64::from(num_z);
        }
        self.limits.check_kernel(Variant { kernel: &kernels::DUAL_REDUCE, form: FieldForm::U64, slots: 0 })?;
        let grid = self.grid(&kernels::DUAL_REDUCE, tiles.len())?;
        let (tile_table, run_table) = (self.section(&tiles), self.section(&runs));
        let seconds = self.submissions.seconds(|budget| budget.sums(EXT_WORDS as u64 * self.partial_elements));
        self.submissions.cut(self.launches.len(), std::iter::once(seconds));
        let cosets = cosets(call);
        for &sides in call.reductions {
            let jobs: Vec<ReduceJob> = jobs.iter().map(|job| ReduceJob { sides, ..*job }).collect();
            let tables = vec![tile_table, self.section(&jobs), run_table];
            self.launches.push(Launch::reduction(tables, grid, cosets.clone()));
        }
        Ok((bases, elements))
    }

    /// Ends every submission but the last with a reduction of nothing, which writes the nonce; the last has a reduction at its end. Where
    /// each submission's launches end.
    fn end_submissions(&mut self, cosets: Range<u32>, nonce: u32) -> Vec<usize> {
        let begins = self.submissions.take_begins();
        let mut ends = Vec::with_capacity(begins.len() + 1);
        if !begins.is_empty() {
            let job = ReduceJob { num_z: 1, nonce, ..ReduceJob::default() };
            let tables = vec![self.section(&[Tile::default()]), self.section(&[job]), self.section(&[ReduceRun::default()])];
            for (i, begin) in begins.into_iter().enumerate() {
                self.launches.insert(begin + i, Launch::reduction(tables.clone(), [1, 1], cosets.clone()));
                ends.push(begin + i + 1);
            }
        }
        ends.push(self.launches.len());
        ends
    }

    /// Lays out the input buffer and scratch, and resolves every binding.
    fn finish(mut self, call: &Call, nonce: u32, result_bases: Vec<usize>, result_elements: u64) -> Result<Recorded> {
        let ends = self.end_submissions(cosets(call), nonce);
        let temps_base = 4 * self.partial_elements;
        let scratch_bytes = 4 * (temps_base + self.temp_words);
        let eq_bytes = 16 * self.eq_elements;
        let result_bytes = 16 * (result_elements + ends.len() as u64);
        let align_words = (self.limits.binding_alignment / 4).max(4);
        self.align_words();
        self.words.resize(self.words.len().max(4), 0); // a binding is never empty
        let words_at = (self.inputs.len() as u64).next_multiple_of(align_words);
        let inputs_words = words_at + self.words.len() as u64;

        let largest = || {
            let prepared = call.work.iter().map(|work| &self.prepared[work.instance]);
            let largest = prepared.max_by_key(|prepared| prepared.plan.scratch_bytes(prepared.height).unwrap_or(0));
            largest.map_or_else(String::new, |prepared| prepared.plan.air().name().to_owned())
        };
        self.check_scratch(largest, scratch_bytes)?;
        for (kernel, what, requested) in [("eq", "bytes of eq", eq_bytes), ("inputs", "bytes of tables", 4 * inputs_words)] {
            let limit = self.limits.binding_bytes;
            if requested > limit {
                return Err(Error::DeviceLimit { air: largest(), kernel, what, requested, limit });
            }
        }

        for launch in &self.launches {
            if launch.kernel == &kernels::COSET_INTERPRET {
                let table = self.sections[launch.tables[1]].clone();
                let jobs: &mut [CosetJob] = bytemuck::cast_slice_mut(&mut self.inputs[table.start as usize..table.end as usize]);
                jobs.iter_mut().for_each(|job| job.temps_base += temps_base as u32);
            }
        }
        self.inputs.reserve_exact(inputs_words as usize - self.inputs.len());
        self.inputs.resize(words_at as usize, 0);
        self.inputs.extend_from_slice(&self.words);

        let bind = |resource, bytes: Range<u64>| Binding { resource, bytes };
        let all_words = bind(Resource::Inputs, 4 * words_at..4 * inputs_words);
        let eq = bind(Resource::Eq, 0..eq_bytes);
        let scratch = bind(Resource::Scratch, 0..scratch_bytes);
        let window_bytes = 4u64 << self.limits.log_window();
        let dispatches = self
            .launches
            .iter()
            .enumerate()
            .map(|(i, launch)| {
                let submission = ends.partition_point(|&end| end <= i);
                let tables = launch.tables.iter().map(|&section| {
                    let table = &self.sections[section];
                    bind(Resource::Inputs, 4 * table.start..4 * table.end)
                });
                let buffers = if launch.kernel == &kernels::DUAL_REDUCE {
                    // The last entry that it binds is the submission's, for the nonce.
                    let results = bind(Resource::Results, 0..16 * (result_elements + submission as u64 + 1));
                    vec![all_words.clone(), scratch.clone(), results]
                } else {
                    vec![all_words.clone(), eq.clone(), scratch.clone()]
                };
                let traces = launch.slots.bound().into_iter().map(|(buffer, window)| {
                    let begin = window * window_bytes;
                    TraceWindow { buffer, bytes: begin..(begin + window_bytes).min(self.traces[buffer].size() / 16 * 16) }
                });
                Dispatch {
                    kernel: launch.kernel,
                    program: launch.program.clone(),
                    constants: launch.constants.clone(),
                    bindings: tables.chain(buffers).collect(),
                    traces: traces.collect(),
                    grid: launch.grid,
                    cosets: launch.cosets.clone(),
                }
            })
            .collect();
        let (inputs, eq, trace_bytes) = (self.inputs, self.eq, self.trace_bytes);
        let (trace_buffers, log_window) = (self.traces, self.limits.log_window());
        let recording = Recording {
            trace_buffers,
            log_window,
            inputs,
            eq,
            eq_bytes,
            scratch_bytes,
            result_bytes,
            dispatches,
            ends,
            nonce,
            trace_bytes,
        };
        Ok(Recorded { recording, result_bases })
    }

    /// Closes a group into a dispatch, or into several where submissions end within it; an empty one is none.
    fn launch<J: Job>(&mut self, kernel: &'static Kernel, group: Group<J>, cosets: Range<u32>) -> Result<()> {
        if group.jobs.is_empty() {
            return Ok(());
        }
        // The forms bind the same.
        self.limits.check_kernel(Variant { kernel, form: FieldForm::U64, slots: group.slots.bound().len() as u32 })?;
        let seconds = group.tiles.iter().map(|tile| group.tile_seconds[tile.job as usize]);
        for tiles in self.submissions.cut(self.launches.len(), seconds) {
            let grid = self.grid(kernel, tiles.len())?;
            let jobs: Vec<J> = group.jobs.iter().map(|job| job.cut_at(tiles.start as u32)).collect();
            let tables = vec![self.section(&group.tiles[tiles]), self.section(&jobs)];
            let (slots, cosets) = (group.slots.clone(), cosets.clone());
            self.launches.push(Launch { kernel, program: None, constants: vec![], tables, slots, grid, cosets });
        }
        Ok(())
    }

    fn grid(&self, kernel: &'static Kernel, num_tiles: usize) -> Result<[u32; 2]> {
        let requested = num_tiles as u64;
        let (air, kernel, what) = ("(the whole call)".to_owned(), kernel.name, "workgroups");
        self.limits.grid(requested).map_err(|limit| Error::DeviceLimit { air, kernel, what, requested, limit })
    }

    /// Adds an aligned table to the input buffer.
    fn section<T: Pod>(&mut self, items: &[T]) -> usize {
        let words: &[u32] = bytemuck::cast_slice(items);
        let start = self.inputs.len().next_multiple_of((self.limits.binding_alignment as usize / 4).max(4));
        let end = start + words.len().max(4); // a binding is never empty
        self.inputs.resize(start, 0);
        self.inputs.extend_from_slice(words);
        self.inputs.resize(end, 0);
        self.sections.push(start as u64..end as u64);
        self.sections.len() - 1
    }

    /// EF elements start at multiples of four words.
    fn align_words(&mut self) {
        self.words.resize(self.words.len().next_multiple_of(4), 0);
    }

    fn ext_words(&mut self, elements: &[u32]) -> u32 {
        self.align_words();
        let base = self.words.len() as u32;
        self.words.extend_from_slice(elements);
        base
    }

    /// Makes room for partial sums of an AIR: their first EF element. Bindings are below 4 GiB, so the words have 32-bit indices.
    fn partials(&mut self, air: &str, elements: u64) -> Result<u32> {
        let base = self.partial_elements;
        self.partial_elements += elements;
        self.check_scratch(|| air.to_owned(), 16 * self.partial_elements)?;
        Ok(base as u32)
    }

    fn check_scratch(&self, air: impl FnOnce() -> String, requested: u64) -> Result<()> {
        let limit = self.limits.binding_bytes;
        if requested <= limit {
            return Ok(());
        }
        let what = "bytes of partial sums and temporaries";
        Err(Error::DeviceLimit { air: air(), kernel: "scratch", what, requested, limit })
    }

    fn trace_buffer(&mut self, piece: &Piece) -> usize {
        let known = self.traces.iter().position(|buffer| Arc::ptr_eq(buffer, &piece.buffer));
        known.unwrap_or_else(|| {
            self.traces.push(Arc::clone(&piece.buffer));
            self.traces.len() - 1
        })
    }
}

/// `eq` of a cube: `eq[x] = low[x mod 2^log_low] * high[x >> log_low]`, the tables' first elements in the `eq` buffer.
#[derive(Clone, Copy, Default)]
struct EqTables {
    low: u32,
    high: u32,
    log_low: u32,
}

/// The pipeline constant that says whether `coset_pass` reads all its traces by 16-byte loads.
pub(super) const VEC4_LOADS: &str = "VEC4_LOADS";

/// Rows at each `x` that `column_sums` and that `coset_pass` with 16-byte loads need.
pub(super) const COLUMN_VEC4_ROWS: u32 = 4;
pub(super) const COSET_VEC4_ROWS: u32 = 16;

/// Whether a trace can be read by 16-byte loads, for a kernel that needs so many rows at each `x` and in the whole trace.
fn allows_vec4(trace: &Trace, instance: &Prepared<'_>, min_rows: u32, min_height: u32) -> bool {
    let aligned = trace.layout() == Layout::ColMajor && trace.pieces().iter().all(|piece| piece.first_word.is_multiple_of(4));
    aligned && instance.num_z() >= min_rows && instance.height >= min_height as usize
}

/// Column jobs that share a kernel.
struct ColumnGroup {
    kernel: &'static Kernel,
    group: Group<ColumnJob>,
}

impl ColumnGroup {
    fn new(kernel: &'static Kernel) -> Self {
        Self { kernel, group: Group::default() }
    }
}

/// Which coset a program runs on, and the tables that this decides.
#[derive(Clone, Copy)]
struct Coset {
    coset: usize,
    lagrange_base: u32,
    eq: EqTables,
}

#[derive(Clone, Copy)]
struct ProgramTables {
    program_base: u32,
    values_base: u32,
    weights_base: u32,
}

/// The column sums of a part of a matrix: some columns, some `x`.
#[derive(Clone)]
struct ColumnSums<'a> {
    instance: &'a Prepared<'a>,
    /// Which of the plan's affine matrices.
    matrix_idx: usize,
    /// Which of the trace's pieces has the columns.
    piece_idx: usize,
    columns: Range<usize>,
    x: Range<u32>,
    /// The sums of the rows after each `x`'s last, for rotated columns.
    wrap: bool,
    eq: EqTables,
}

impl<'a> ColumnSums<'a> {
    fn trace(&self) -> &'a Trace {
        self.instance.traces[self.matrix().part_idx]
    }

    fn piece(&self) -> &'a Piece {
        self.trace().piece(self.piece_idx)
    }

    fn matrix(&self) -> &'a AffineMatrix {
        &self.instance.plan.affine.matrices[self.matrix_idx]
    }

    fn columns(&self) -> &'a [AffineColumn] {
        &self.matrix().columns[self.columns.clone()]
    }

    /// The words of the trace's buffer between the first and the last that are read.
    fn words_touched(&self) -> Range<u64> {
        let trace = self.trace();
        let height = self.instance.height as u64;
        let rows_per_x = u64::from(self.instance.num_z()).min(height);
        let mut rows = u64::from(self.x.start) * rows_per_x..u64::from(self.x.end) * rows_per_x;
        if self.wrap {
            rows = match self.x.len() {
                1 => (rows.end % height)..(rows.end % height + 1),
                _ if rows.end == height => 0..height,
                _ => rows.start + rows_per_x..rows.end + 1,
            };
        }
        let indices = || self.columns().iter().map(|column| column.index as u64);
        let (min, max) = (indices().min().unwrap_or(0), indices().max().unwrap_or(0));
        let words = match trace.layout() {
            Layout::ColMajor => min * height + rows.start..max * height + rows.end,
            Layout::RowMajor => rows.start * trace.width() as u64..rows.end * trace.width() as u64,
        };
        let origin = trace.origin(self.piece());
        origin.wrapping_add(words.start)..origin.wrapping_add(words.end)
    }

    /// The two halves of a job whose windows do not fit one dispatch. Column-major, other columns lie farther apart than other rows.
    fn halves(&self) -> Option<[Self; 2]> {
        let middle = |start, end| start + (end - start) / 2;
        if self.trace().layout() == Layout::ColMajor && self.columns.len() > 1 {
            let Range { start, end } = self.columns;
            let middle = middle(start, end);
            return Some([start..middle, middle..end].map(|columns| Self { columns, ..self.clone() }));
        }
        let Range { start, end } = self.x;
        let middle = middle(start as usize, end as usize) as u32;
        (end - start > 1).then(|| [start..middle, middle..end].map(|x| Self { x, ..self.clone() }))
    }
}

/// Runs of neighbours among the columns of an affine matrix, each within one of the trace's pieces: with the piece's index.
fn runs_in_pieces<'a>(
    trace: &'a Trace,
    columns: &'a [AffineColumn],
    range: Range<usize>,
) -> impl Iterator<Item = (Range<usize>, usize)> + 'a {
    let piece_of = |at: usize| trace.piece_of(columns[at].index);
    let mut begin = range.start;
    std::iter::from_fn(move || {
        let piece_idx = (begin < range.end).then(|| piece_of(begin))?;
        let end = (begin..range.end).find(|&at| piece_of(at) != piece_idx).unwrap_or(range.end);
        Some((std::mem::replace(&mut begin, end)..end, piece_idx))
    })
}

/// The words of a piece's buffer from column `min` to column `max`; for row-major traces, all of the trace's.
fn words_of_columns(trace: &Trace, piece: &Piece, min: Option<usize>, max: Option<usize>) -> Option<Range<u64>> {
    let (min, max) = (min? as u64, max? as u64);
    let (height, width) = (trace.height() as u64, trace.width() as u64);
    let words = match trace.layout() {
        Layout::ColMajor => min * height..(max + 1) * height,
        Layout::RowMajor => 0..width * height,
    };
    let origin = trace.origin(piece);
    Some(origin.wrapping_add(words.start)..origin.wrapping_add(words.end))
}

/// Where word `first_word` of a buffer is in the flat array of a dispatch's windows, when the buffer's window `first_window` is in slot
/// `first_slot`. Wraps: only sums with an offset that lands in a bound window are used.
fn flat_word(first_word: u64, first_slot: u32, first_window: u64, limits: &DeviceLimits) -> u32 {
    let log_window = limits.log_window();
    first_word.wrapping_add(u64::from(first_slot) << log_window).wrapping_sub(first_window << log_window) as u32
}
