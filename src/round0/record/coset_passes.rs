//! The programs: one job for each program and coset. A generated kernel runs all cosets of all AIRs that share it in one launch, the
//! interpreter one coset of all AIRs.

use std::collections::HashMap;

use p3_field::{Field, PrimeCharacteristicRing};

use super::{
    Block, EqOf, Recorder, Work,
    cells::Cells,
    group::{Group, Head},
};
use crate::{
    error::Result,
    field::{self, F},
    kernels::{CosetJob, ReduceRun, RunKind, Sides, Tile},
    plan::{PlannedPair, PlannedProgram, geometry::CosetGeometry, leaves::LeafKind},
    round0::{
        polys::lagrange,
        prepared::{InputWords, Prepared, WordsOf},
    },
};

/// The pipeline constant that says whether `coset_pass` reads all its traces by 16-byte loads.
pub(crate) const VEC4_LOADS: &str = "VEC4_LOADS";
/// Rows at each `x` that it then needs.
pub(crate) const COSET_VEC4_ROWS: u32 = 16;

/// A pair's block on a coset, and its place in the step's work.
#[derive(Clone, Copy)]
struct CosetWork {
    instance: usize,
    pair: usize,
    coset: usize,
    work_idx: usize,
}

/// Which coset a program runs on, and the tables that this decides.
#[derive(Clone, Copy)]
struct Coset {
    coset: usize,
    lagrange_base: u32,
    columns_base: u32,
    eq: EqOf,
    /// Where the partial sums go, as an EF index.
    partial_base: u32,
}

/// Where the words of a program are that do not depend on the coset.
#[derive(Clone, Copy)]
struct ProgramTables {
    program_base: u32,
    values_base: u32,
    weights_base: u32,
}

/// The launches that are being filled.
type Groups = Vec<Group<CosetJob>>;

impl Recorder<'_> {
    /// Records the programs of all coset blocks.
    pub fn coset_passes(&mut self, work: &[Work]) -> Result<()> {
        let instances = self.instances;
        let mut lagrange_bases: HashMap<(usize, usize, bool), u32> = HashMap::new();
        let mut groups = Groups::new();
        let of_block = |(work_idx, work): (usize, &Work)| match work.block {
            Block::Coset(coset) => Some(CosetWork { instance: work.instance, pair: work.pair, coset, work_idx }),
            Block::Affine => None,
        };
        let cosets: Vec<CosetWork> = work.iter().enumerate().filter_map(of_block).collect();
        for of_pair in cosets.chunk_by(|a, b| (a.instance, a.pair) == (b.instance, b.pair)) {
            let CosetWork { instance: instance_idx, pair, .. } = of_pair[0];
            let instance = &instances[instance_idx];
            let l_skip = instance.plan.l_skip();
            let planned_pair = &instance.plan.pairs[pair];
            let mut next_partials = self.partials_of_blocks(instance, planned_pair, of_pair)?;
            for (program, planned) in planned_pair.programs.iter().enumerate() {
                let cosets = planned_pair.program_cosets(planned, self.sums);
                let blocks: Vec<&CosetWork> = of_pair.iter().filter(|work| cosets.contains(&work.coset)).collect();
                if blocks.is_empty() {
                    continue;
                }
                let tables = self.program_tables(planned, of_pair[0], program);
                let geometry = planned.geometry(l_skip, instance.num_x);
                let head = head(planned, instance);
                let has_bits = planned.program.num_bits() > 0;
                let mut jobs = Vec::with_capacity(blocks.len());
                // A program's leaves are written once for all cosets in one group.
                let mut leaves: Option<(usize, u32)> = None;
                for block in blocks {
                    let CosetWork { coset, work_idx, .. } = *block;
                    let lagrange_base = match coset {
                        0 => 0,
                        _ => *lagrange_bases
                            .entry((l_skip, coset, has_bits))
                            .or_insert_with(|| self.lagrange_tables(l_skip, coset, has_bits)),
                    };
                    let at = group_of(&mut groups, &head, coset as u32);
                    let temp_words = geometry.num_tiles() * planned.temp_words_per_tile();
                    if !groups[at].jobs.is_empty() && !self.scratch.has_room_for(groups[at].temp_words + temp_words) {
                        // The next launch uses the temporaries again.
                        self.launches.begin_anew(&mut groups[at])?;
                        leaves = None;
                    }
                    let columns_base = match leaves {
                        Some((group, base)) if group == at => base,
                        _ => self.program_leaves(&mut groups[at], instance, planned)?,
                    };
                    leaves = Some((at, columns_base));
                    let partials = next_partials.get_mut(&work_idx).expect("of each block");
                    let place = Coset { coset, lagrange_base, columns_base, eq: self.eq[instance_idx], partial_base: *partials };
                    *partials += partials_of(&geometry, instance) as u32;
                    jobs.push((at, self.coset_job(&mut groups[at], instance, planned, tables, place, work_idx)?));
                }
                // All cosets of the same rows next to each other: the second finds in the cache what the first read.
                for z_block in 0..geometry.num_z_blocks {
                    for chunk in 0..geometry.num_chunks {
                        for &(at, job) in &jobs {
                            groups[at].tiles.push(Tile { job, chunk, col_group: 0, z_block });
                        }
                    }
                }
            }
        }
        groups.into_iter().try_for_each(|group| self.launches.close(group))
    }

    /// Where the partial sums of each of a pair's blocks begin. Those of a block's programs follow each other, so that the reduction has one run for
    /// all of them.
    fn partials_of_blocks(&mut self, instance: &Prepared<'_>, pair: &PlannedPair, blocks: &[CosetWork]) -> Result<HashMap<usize, u32>> {
        let base = |block: &CosetWork| {
            let programs = pair.programs.iter().filter(|planned| pair.program_cosets(planned, self.sums).contains(&block.coset));
            let of_program = |planned: &PlannedProgram| partials_of(&planned.geometry(instance.plan.l_skip(), instance.num_x), instance);
            let base = self.scratch.partials(instance.plan.air().name(), programs.map(of_program).sum())?;
            Ok((block.work_idx, base))
        };
        blocks.iter().map(base).collect()
    }

    /// Adds one program's job for one coset to the group, whose tiles are still to come; its index there.
    fn coset_job(
        &mut self,
        group: &mut Group<CosetJob>,
        instance: &Prepared<'_>,
        planned: &PlannedProgram,
        tables: ProgramTables,
        place: Coset,
        work_idx: usize,
    ) -> Result<u32> {
        let (program, l_skip, air) = (&planned.program, instance.plan.l_skip(), instance.plan.air().name());
        let geometry = planned.geometry(l_skip, instance.num_x);
        let temps_base = group.temp_words;
        group.temp_words += geometry.num_tiles() * planned.temp_words_per_tile();
        self.scratch.temporaries(air, group.temp_words)?;
        let job = CosetJob {
            program_base: tables.program_base,
            num_segments: program.segments.len() as u32,
            columns_base: place.columns_base,
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
            partial_base: 4 * place.partial_base,
            temps_base: temps_base as u32, // from the temporaries' start, which the layout adds
            num_temps: program.num_temps as u32,
            first_tile: group.tiles.len() as u32,
        };
        let points = u64::from(instance.num_x) << l_skip;
        let seconds = self.launches.submissions.seconds(|budget| budget.coset_pass(planned, l_skip, place.coset == 0, points));
        let job_idx = group.push(job, seconds / geometry.num_tiles() as f64);
        let (kind, sides) = (RunKind::Pairs as u32, planned.sides().bits());
        match self.runs[work_idx].last_mut().filter(|last| (last.kind, last.sides) == (kind, sides)) {
            Some(last) => last.num_chunks += geometry.num_chunks,
            None => self.runs[work_idx].push(ReduceRun {
                kind,
                partial_base: place.partial_base,
                num_chunks: geometry.num_chunks,
                num_columns: Sides::BOTH.count(),
                num_stored: Sides::BOTH.count(),
                stored_z: instance.num_z(),
                weights_base: 0,
                sides,
            }),
        }
        self.trace_bytes += 4 * program.cells().count() as u64 * instance.height as u64;
        Ok(job_idx)
    }

    /// `L`, and the halves of its sums and differences that `wgsl/coset_pass.wgsl` takes two points at a time with; `with_bits`, then what each
    /// byte of a column's bits gives.
    fn lagrange_tables(&mut self, l_skip: usize, coset: usize, with_bits: bool) -> u32 {
        self.words.align();
        let base = self.words.next();
        let mut table = lagrange(l_skip, coset);
        self.words.extend_from(field::words(&table));
        table.resize(table.len().max(2), F::ZERO);
        let (half, two_inverse) = (table.len() / 2, F::TWO.inverse());
        let partner = |j: usize| table[(j + half) % table.len()];
        let plus: Vec<F> = (0..table.len()).map(|j| (table[j] + partner(j)) * two_inverse).collect();
        let minus: Vec<F> = (0..table.len()).map(|j| (table[j] - partner(j)) * two_inverse).collect();
        self.words.extend_from(field::words(&plus));
        self.words.extend_from(field::words(&minus));
        if with_bits {
            self.words.extend_from(field::words(&byte_table(&table)));
        }
        base
    }

    /// The words of a program that do not depend on the coset.
    fn program_tables(&mut self, planned: &PlannedProgram, work: CosetWork, program: usize) -> ProgramTables {
        let program_base = match planned.generated {
            Some(_) => 0,
            None => self.words.program(&planned.program),
        };
        let mut input = |of| self.words.input(self.instances, InputWords { instance: work.instance, pair: work.pair, of });
        ProgramTables { program_base, values_base: input(WordsOf::Values { program }), weights_base: input(WordsOf::Weights { program }) }
    }

    /// Places the windows of a program's matrices and writes its leaves: where, and what, see the kernels' headers.
    fn program_leaves(&mut self, group: &mut Group<CosetJob>, instance: &Prepared<'_>, planned: &PlannedProgram) -> Result<u32> {
        let program = &planned.program;
        let cells = Cells::place(&mut self.launches, group, instance.plan.air().name(), &instance.traces, program)?;
        if planned.generated.is_none() {
            let columns_base = self.words.next();
            program.cells().for_each(|term| self.words.extend(cells.descriptor(term)));
            return Ok(columns_base);
        }
        self.words.align();
        let columns_base = self.words.next();
        let mut terms: Vec<u32> = vec![];
        let first_term = columns_base / 4 + program.leaves.len() as u32;
        for leaf in &program.leaves {
            let form = &*leaf.form;
            match leaf.kind {
                LeafKind::Cell | LeafKind::Bit | LeafKind::NextBit => {
                    self.words.extend(cells.descriptor(&form.terms[0]).into_iter().chain([0]))
                }
                LeafKind::Form => {
                    let at = first_term + terms.len() as u32 / 4;
                    self.words.extend([at, field::word(form.constant), 0, form.terms.len().div_ceil(4) as u32]);
                    let filler = std::iter::repeat_n((&form.terms[0], F::ZERO), form.terms.len().next_multiple_of(4) - form.terms.len());
                    let each = form.terms.iter().map(|term| (term, term.coefficient)).chain(filler);
                    terms.extend(each.flat_map(|(term, coefficient)| cells.descriptor(term).into_iter().chain([field::word(coefficient)])));
                }
            }
        }
        self.words.extend_from(&terms);
        Ok(columns_base)
    }
}

/// `[256][half][2]`: for each byte the sums of `lagrange[j - i]` over its bits `i`, at `j` and `j + half`.
fn byte_table(lagrange: &[F]) -> Vec<F> {
    let (size, half) = (lagrange.len(), lagrange.len() / 2);
    let mut table = F::zero_vec(256 * size);
    for byte in 1..256usize {
        let (lowest, others) = (byte.trailing_zeros() as usize, byte & (byte - 1));
        for j in 0..size {
            let at = 2 * (j % half) + j / half;
            table[byte * size + at] = table[others * size + at] + lagrange[(j + size - lowest) % size];
        }
    }
    table
}

/// EF elements of a program's partial sums on one coset.
fn partials_of(geometry: &CosetGeometry, instance: &Prepared<'_>) -> u64 {
    2 * u64::from(geometry.num_chunks) * u64::from(instance.num_z())
}

/// What a program's launches share, whatever their cosets.
fn head(planned: &PlannedProgram, instance: &Prepared<'_>) -> Head {
    let program = planned.generated.as_ref().map(|generated| generated.source.clone());
    let constants = if program.is_some() { vec![(VEC4_LOADS, u32::from(allows_vec4(planned, instance)))] } else { vec![] };
    Head { kernel: planned.kernel(), program, constants, cosets: 0..0 }
}

/// The group that a program's job for a coset belongs to, made if there is none: of its generated kernel all cosets share one, of the
/// interpreter each coset has one.
fn group_of(groups: &mut Groups, head: &Head, coset: u32) -> usize {
    let found = groups.iter().position(|group| match (&group.head.program, &head.program) {
        (Some(one), Some(other)) => group.head.constants == head.constants && one == other,
        (None, None) => group.head.cosets.start == coset,
        _ => false,
    });
    let at = found.unwrap_or_else(|| {
        groups.push(Group::new(Head { cosets: coset..coset + 1, ..head.clone() }));
        groups.len() - 1
    });
    let cosets = &mut groups[at].head.cosets;
    cosets.end = cosets.end.max(coset + 1);
    at
}

/// Whether all traces of a program can be read by 16-byte loads.
fn allows_vec4(planned: &PlannedProgram, instance: &Prepared<'_>) -> bool {
    let mut cells = planned.program.cells().peekable();
    instance.num_z() >= COSET_VEC4_ROWS && cells.peek().is_some() && cells.all(|term| instance.traces[term.part_idx].is_aligned())
}
