//! The stacked reduction: from the openings of trace columns, plain and rotated, to those of stacked columns.
//!
//! `sum_c sum_x q_c(Z, x) W_c(Z, x)` over the stacked columns `c`, where `W` has, in the place of each trace column `i`,
//! `lambda^2i eq + lambda^(2i+1) rot` for the point that the constraint stage left. Round 0, in `Z`, follows from sums of each column over the cube; the
//! other rounds are an inner product of what is left of `q` and of `W`. (`openvm-stark-backend` 2.0.1, `prover::stacked_reduction`.)

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use logup_wgpu::{
    DeviceLimits, EF, F, Result,
    compute::{Binding, Resource, TraceWindow},
    wgpu,
};
use openvm_stark_backend::{
    FiatShamirTranscript,
    poly_common::{UnivariatePoly, eval_eq_uni, eval_eq_uni_at_one, eval_in_uni},
    proof::StackingProof,
};
use p3_field::{PrimeCharacteristicRing, TwoAdicField};
use rayon::prelude::*;
use tracing::debug;

use super::Opening;
use crate::{
    SC,
    compute::Compute,
    kernels::{
        COLUMN_VALUES, ColumnValuesJob, FOLD_COLUMNS, FoldColumnsJob, OPENING_SUMS, OpeningSumsJob, STACK_WEIGHTS, StackWeightsJob,
        TABLE_VARIABLES, TASKS_PER_WORKGROUP, WEIGH_SUMS, WeighJob,
    },
    poly::lagrange,
    recorder::{Names, Recorder, Results, numbered, results},
    sumcheck::{
        array::{self, ExtArray, elements, words},
        inner_product::{Form, InnerProduct},
        session::Session,
        table::{TABLE_BYTES, Table},
        tensor::Tensor,
    },
};

/// Cells that a workgroup of `opening_sums` adds up.
const CELLS_PER_TASK: usize = 1 << 14;
/// Bytes of its sums at a time.
const SUM_BYTES: usize = 32 << 20;

const EQ: Names = numbered!("eq");

/// A trace column in the stacked matrix.
#[derive(Clone, Copy, Debug)]
struct Slice {
    commitment: usize,
    /// Column of the commitment's stacked matrix, and its row there.
    column: usize,
    row: usize,
    /// log2 of its height, less `l_skip`.
    n: isize,
    /// Its power of lambda; the next one where it is opened rotated, else zero.
    weight: EF,
    rotated_weight: EF,
}

impl Slice {
    /// log2 of the points of its cube.
    fn log_points(&self) -> usize {
        self.n.max(0) as usize
    }
}

/// A piece of a slice, for a workgroup of `opening_sums`: what it reads, and what its sums are multiplied by.
#[derive(Clone, Copy, Debug)]
struct Task {
    slice: usize,
    words: [u32; 4],
    weights: [EF; 2],
}

/// What slices of one n (all that are not negative are one) are multiplied by in Z, at the point of the constraint stage.
struct SkipFactors {
    l_skip: usize,
    n: isize,
    r: EF,
    /// r times the generator of the slices' domain.
    rotated_r: EF,
    /// Of the step from one point of the cube to the next.
    carry: EF,
}

impl SkipFactors {
    fn new(l_skip: usize, n: isize, r_0: EF) -> Self {
        let n = n.min(0);
        let omega = F::two_adic_generator(l_skip);
        let [power, omega_power] = [r_0.exp_power_of_2(n.unsigned_abs()), EF::from(omega.exp_power_of_2(n.unsigned_abs()))];
        Self { l_skip, n, r: power, rotated_r: power * omega_power, carry: eval_eq_uni_at_one(l_skip, r_0 * omega) }
    }

    /// Of plain sums, of rotated sums, and of the differences of shifted ones.
    fn at(&self, z: EF) -> [EF; 3] {
        let own_skip = self.l_skip - self.n.unsigned_abs();
        let indicator = eval_in_uni(self.l_skip, self.n, z);
        [
            indicator * eval_eq_uni(own_skip, z, self.r),
            indicator * eval_eq_uni(own_skip, z, self.rotated_r),
            indicator * self.carry * eval_eq_uni_at_one(self.l_skip, z),
        ]
    }
}

/// The proof, and the point (`u_0`, then the cube's) at which the stacked columns are opened.
///
/// # Errors
/// What the device, or its limits, say.
pub(super) fn prove<TS: FiatShamirTranscript<SC>>(
    session: &mut Session<'_>,
    transcript: &mut TS,
    (l_skip, n_stack): (usize, usize),
    openings: &[Opening],
    r: &[EF],
    host_len: usize,
) -> Result<(StackingProof<SC>, Vec<EF>)> {
    let lambda: EF = transcript.sample_ext();
    let stage = Stage { l_skip, n_stack, openings, slices: slices(openings, l_skip, lambda) };
    let (univariate_round_coeffs, eq) = stage.round0(session, r)?;
    univariate_round_coeffs.iter().for_each(|&coefficient| transcript.observe_ext(coefficient));
    let u_0: EF = transcript.sample_ext();
    debug!(round = 0, u_round = %u_0);

    let mut u = vec![u_0];
    let mut sumcheck_round_polys = vec![];
    let mut round = |evals: [EF; 2], transcript: &mut TS| {
        evals.iter().for_each(|&eval| transcript.observe_ext(eval));
        sumcheck_round_polys.push(evals);
        let challenge: EF = transcript.sample_ext();
        debug!(round = sumcheck_round_polys.len(), u_round = %challenge);
        challenge
    };
    let mut left = n_stack;
    let mut product = None;
    let mut challenges = vec![];
    let values = loop {
        let mut results = Results::default();
        let (next, mut recorder, trace_buffers) = match &product {
            None => stage.folded_at(session, r[0], u_0, &eq)?,
            Some(product) => stage.folded(session, product, &challenges)?,
        };
        u.append(&mut challenges);
        // Few are left: the host does the rest.
        if left == 0 || next.len() <= host_len {
            let [copied_a, copied_b] = [next.a.record_copy(&mut recorder, &mut results)?, next.b.record_copy(&mut recorder, &mut results)?];
            let read = |words: &[u32]| Some([copied_a.elements(words)?, copied_b.elements(words)?]);
            let [mut a, mut b] = session.run(recorder, trace_buffers, read)?;
            for _ in 0..left {
                let challenge = round(host_round(&a, &b), transcript);
                u.push(challenge);
                [&mut a, &mut b]
                    .into_iter()
                    .for_each(|array| *array = array.chunks_exact(2).map(|pair| pair[0] + challenge * (pair[1] - pair[0])).collect());
            }
            break a;
        }
        let at = results.take(TABLE_BYTES);
        recorder.grow_results(results.bytes());
        next.record_table(&mut recorder, at)?;
        let mut table = session.run(recorder, trace_buffers, Table::of_words)?;
        for _ in 0..left.min(TABLE_VARIABLES) {
            let challenge = round(table.round(), transcript);
            table.bind(challenge);
            challenges.push(challenge);
        }
        left -= challenges.len();
        product = Some(next);
    };
    let mut values = values.into_iter();
    let widths = openings.iter().map(|opening| opening.stack.plan.width());
    let stacking_openings: Vec<Vec<EF>> = widths.map(|width| values.by_ref().take(width).collect()).collect();
    stacking_openings.iter().flatten().for_each(|&claim| transcript.observe_ext(claim));
    Ok((StackingProof { univariate_round_coeffs, sumcheck_round_polys, stacking_openings }, u))
}

/// A round's polynomial at 1 and 2.
fn host_round(a: &[EF], b: &[EF]) -> [EF; 2] {
    let pairs = a.chunks_exact(2).zip(b.chunks_exact(2));
    pairs.fold([EF::ZERO; 2], |[at_one, at_two], (a, b)| [at_one + a[1] * b[1], at_two + (a[1].double() - a[0]) * (b[1].double() - b[0])])
}

/// All trace columns in the order of their powers of lambda: by commitment, then as they are stacked.
fn slices(openings: &[Opening], l_skip: usize, lambda: EF) -> Vec<Slice> {
    let mut powers = lambda.powers();
    let mut all = vec![];
    for (commitment, opening) in openings.iter().enumerate() {
        for (trace, _, slice) in &opening.stack.plan.layout.sorted_cols {
            let [weight, rotated] = std::array::from_fn(|_| powers.next().expect("no end"));
            all.push(Slice {
                commitment,
                column: slice.col_idx,
                row: slice.row_idx,
                n: slice.log_height() as isize - l_skip as isize,
                weight,
                rotated_weight: if opening.needs_rotation[*trace] { rotated } else { EF::ZERO },
            });
        }
    }
    all
}

/// Bytes of the device's memory that it takes beside the traces, for so many elements of stacked columns at a point of the skip domain's variable.
pub(super) fn bytes(len: usize) -> u64 {
    2 * (array::bytes(len) + array::bytes(len >> 1)) + SUM_BYTES as u64
}

struct Stage<'a> {
    l_skip: usize,
    n_stack: usize,
    openings: &'a [Opening],
    slices: Vec<Slice>,
}

/// Every trace column at a point, plain and rotated, by commitment and in the order in which they are stacked; nothing for columns of traces that are shorter than
/// the skip domain.
///
/// # Errors
/// What the device, or its limits, say.
pub(super) fn column_values(
    session: &mut Session<'_>,
    (l_skip, n_stack): (usize, usize),
    openings: &[Opening],
    r: &[EF],
) -> Result<Vec<Option<[EF; 2]>>> {
    let stage = Stage { l_skip, n_stack, openings, slices: slices(openings, l_skip, EF::ONE) };
    let (limits, num_z) = (session.compute.gpu.limits(), 1usize << l_skip);
    let (trace_buffers, begins) = stage.trace_buffers();
    let mut recorder = session.recorder(0);
    let eq = stage.record_eq(session.compute, &mut recorder, r)?;
    let lagrange = recorder.table(&words(lagrange(l_skip, r[0])));
    let wanted: Vec<(usize, &Slice)> = stage.slices.iter().enumerate().filter(|(_, slice)| slice.n >= 0).collect();
    let dispatches = stage.tasks(&wanted, &limits, &begins, recorder.max_scratch() as usize)?;
    // Of each dispatch, the slices that it has pieces of.
    let mut owners: Vec<usize> = vec![];
    for (windows, tasks) in &dispatches {
        let sums = stage.record_task_sums(&mut recorder, &eq, windows, tasks)?;
        let mut of_slice: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
        tasks.iter().zip(0..).for_each(|(task, i)| of_slice.entry(task.slice).or_default().push(i));
        let (mut columns, mut pieces) = (vec![], vec![]);
        for own in of_slice.values() {
            columns.extend([pieces.len() as u32, own.len() as u32]);
            pieces.extend(own);
        }
        let num_columns = of_slice.len() as u32;
        let to_first = owners.len() as u64;
        recorder.grow_results(32 * (to_first + u64::from(num_columns)));
        let job = recorder.job(&ColumnValuesJob { num_columns, log_skip: l_skip as u32, to_first: 2 * to_first as u32 });
        let bindings = vec![
            job,
            recorder.table(&columns),
            recorder.table(&pieces),
            lagrange.clone(),
            sums,
            results(0..32 * (to_first + u64::from(num_columns))),
        ];
        recorder.dispatch(&COLUMN_VALUES, bindings, vec![], num_columns.into(), 40 * (tasks.len() * num_z) as u64)?;
        owners.extend(of_slice.keys());
    }
    let mut values = vec![None; stage.slices.len()];
    if owners.is_empty() {
        return Ok(values);
    }
    let read = |words: &[u32]| elements(&words[..8 * owners.len()]);
    for (&slice, own) in owners.iter().zip(session.run(recorder, trace_buffers, read)?.chunks_exact(2)) {
        let [plain, rotated] = values[slice].get_or_insert([EF::ZERO; 2]);
        *plain += own[0];
        *rotated += own[1];
    }
    Ok(values)
}

/// What a recording goes on with: the arrays that it makes, and the traces that it reads.
type Recorded = (InnerProduct, Recorder, Vec<Arc<wgpu::Buffer>>);

impl Stage<'_> {
    /// The trace buffers of all commitments, and where each one's begin.
    fn trace_buffers(&self) -> (Vec<Arc<wgpu::Buffer>>, Vec<usize>) {
        let mut buffers = vec![];
        let begins = self.openings.iter().map(|opening| {
            let begin = buffers.len();
            buffers.extend(opening.stack.columns.buffers());
            begin
        });
        let begins = begins.collect();
        (buffers, begins)
    }

    /// Round 0's coefficients; and `eq` on each cube that slices have.
    fn round0(&self, session: &mut Session<'_>, r: &[EF]) -> Result<(Vec<EF>, ExtArray)> {
        let num_z = 1usize << self.l_skip;
        // By n, all from 0 on as one.
        let mut groups: BTreeMap<isize, Vec<(usize, &Slice)>> = BTreeMap::new();
        self.slices.iter().enumerate().for_each(|(i, slice)| groups.entry(slice.n.min(0)).or_default().push((i, slice)));
        let mut results = Results::default();
        let group_bytes = 3 * 16 * num_z as u64;
        let places: Vec<u64> = groups.iter().map(|_| results.take(group_bytes)).collect();
        let mut recorder = session.recorder(results.bytes());
        let (trace_buffers, begins) = self.trace_buffers();

        let eq = self.record_eq(session.compute, &mut recorder, r)?;
        for (slices, &place) in groups.values().zip(&places) {
            let tasks = self.tasks(slices, &session.compute.gpu.limits(), &begins, recorder.max_scratch() as usize)?;
            self.record_sums(&mut recorder, &eq, &tasks, place)?;
        }
        let sums = session.run(recorder, trace_buffers, |results| {
            let of_group = |&place: &u64| elements(&results[place as usize / 4..][..group_bytes as usize / 4]);
            places.iter().map(of_group).collect::<Option<Vec<Vec<EF>>>>()
        })?;

        let mut coefficients = vec![EF::ZERO; 2 * num_z - 1];
        for (&n, sums) in groups.keys().zip(sums) {
            let factors = SkipFactors::new(self.l_skip, n, r[0]);
            let points = EF::from(F::two_adic_generator(self.l_skip)).powers().take(num_z);
            let at_points: Vec<[EF; 3]> = points.map(|z| factors.at(z)).collect();
            for (i, sums) in sums.chunks_exact(num_z).enumerate() {
                let factor: Vec<EF> = at_points.iter().map(|factors| factors[i]).collect();
                let [factor, sums] = [&factor[..], sums].map(|values| UnivariatePoly::<EF>::from_evals_idft(values).into_coeffs());
                coefficients.par_iter_mut().enumerate().with_min_len(16).for_each(|(degree, coefficient)| {
                    let terms = (degree.saturating_sub(num_z - 1)..=degree.min(num_z - 1)).map(|j| factor[j] * sums[degree - j]);
                    *coefficient += terms.sum::<EF>();
                });
            }
        }
        Ok((coefficients, eq))
    }

    /// `eq` on each cube that slices have: over `2^n` points from element `2^n` on.
    fn record_eq(&self, compute: &Compute, recorder: &mut Recorder, r: &[EF]) -> Result<ExtArray> {
        let cubes: BTreeSet<usize> = self.slices.iter().map(Slice::log_points).collect();
        let eq = ExtArray::whole(compute, &EQ, cubes.last().map_or(0, |&n| 2usize << n))?;
        for &n in &cubes {
            Tensor::eq(&r[1..=n]).record_at(recorder, eq.one()?, 1 << n)?;
        }
        Ok(eq)
    }

    /// The sums of a dispatch's tasks, for the moment.
    fn record_task_sums(&self, recorder: &mut Recorder, eq: &ExtArray, windows: &[TraceWindow], tasks: &[Task]) -> Result<Binding> {
        let (eq, num_tasks, log_skip) = (eq.one()?, tasks.len() as u32, self.l_skip as u32);
        let sums = recorder.scratch(Resource("sums"), (32 * tasks.len() as u64) << self.l_skip);
        let bindings = vec![
            recorder.job(&OpeningSumsJob { num_tasks, log_skip, eq_stride: eq.stride() as u32 }),
            recorder.table(&tasks.iter().flat_map(|task| task.words).collect::<Vec<_>>()),
            eq.bind(recorder),
            sums.clone(),
        ];
        let cells: u64 = tasks.iter().map(|task| u64::from(task.words[3]) << self.l_skip).sum();
        recorder.dispatch(&OPENING_SUMS, bindings, windows.to_vec(), num_tasks.into(), 24 * cells)?;
        Ok(sums)
    }

    /// The work of `opening_sums` on these slices, dispatch by dispatch: of columns that one binds, and as many tasks as scratch has room for the sums of.
    fn tasks(
        &self,
        slices: &[(usize, &Slice)],
        limits: &DeviceLimits,
        begins: &[usize],
        max_scratch: usize,
    ) -> Result<Vec<(Vec<TraceWindow>, Vec<Task>)>> {
        let per_dispatch = (SUM_BYTES.min(max_scratch) / (32 << self.l_skip)).max(1);
        let points_per_task = (CELLS_PER_TASK >> self.l_skip).max(1);
        let mut dispatches = vec![];
        for (commitment, opening) in self.openings.iter().enumerate() {
            for bound in opening.stack.columns.bound(limits, 1)? {
                let mut tasks: Vec<Task> = vec![];
                let here = |slice: &Slice| slice.commitment == commitment && bound.columns.contains(&slice.column);
                for &(i, slice) in slices.iter().filter(|(_, slice)| here(slice)) {
                    let first = bound.first_words[slice.column - bound.columns.start] + slice.row as u32;
                    let num_points = 1usize << slice.log_points();
                    for begin in (0..num_points).step_by(points_per_task) {
                        let points = points_per_task.min(num_points - begin);
                        let words = [first + (begin << self.l_skip) as u32, num_points as u32, begin as u32, points as u32];
                        tasks.push(Task { slice: i, words, weights: [slice.weight, slice.rotated_weight] });
                    }
                }
                // Those that take long come first.
                tasks.sort_by_key(|task| Reverse(task.words[3]));
                dispatches.extend(tasks.chunks(per_dispatch).map(|tasks| (bound.windows_from(begins[commitment]), tasks.to_vec())));
            }
        }
        Ok(dispatches)
    }

    /// The weighted sums of tasks, as results.
    fn record_sums(&self, recorder: &mut Recorder, eq: &ExtArray, dispatches: &[(Vec<TraceWindow>, Vec<Task>)], place: u64) -> Result<()> {
        let (num_z, log_skip) = (1usize << self.l_skip, self.l_skip as u32);
        let workgroups = |tasks: &[Task]| (tasks.len() as u32).div_ceil(TASKS_PER_WORKGROUP);
        let num_partials: u32 = dispatches.iter().map(|(_, tasks)| workgroups(tasks)).sum();
        let width = 3 * num_z as u32;
        let partials = recorder.partials(num_partials, width);
        let mut first_partial = 0;
        for (windows, tasks) in dispatches {
            let num_tasks = tasks.len() as u32;
            let sums = self.record_task_sums(recorder, eq, windows, tasks)?;
            let bindings = vec![
                recorder.job(&WeighJob { num_tasks, log_skip, first_partial }),
                recorder.table(&words(tasks.iter().flat_map(|task| task.weights))),
                sums,
                partials.clone(),
            ];
            recorder.dispatch(&WEIGH_SUMS, bindings, vec![], workgroups(tasks).into(), 180 * (tasks.len() * num_z) as u64)?;
            first_partial += workgroups(tasks);
        }
        recorder.sum_rows(partials, num_partials, width, place)
    }

    /// Stacked columns and weights at `u_0`.
    fn folded_at(&self, session: &Session<'_>, r_0: EF, u_0: EF, eq: &ExtArray) -> Result<Recorded> {
        let (compute, limits) = (session.compute, session.compute.gpu.limits());
        let width: usize = self.openings.iter().map(|opening| opening.stack.plan.width()).sum();
        let product = InnerProduct::new(compute, Form::Values, width << self.n_stack)?;
        let mut recorder = session.recorder(0);
        let (trace_buffers, begins) = self.trace_buffers();
        let lagrange = recorder.table(&words(lagrange(self.l_skip, u_0)));
        let mut firsts = vec![];
        let mut first = 0;
        for (commitment, opening) in self.openings.iter().enumerate() {
            let columns = &opening.stack.columns;
            firsts.push(first);
            for bound in columns.bound(&limits, 1)? {
                let table = recorder.table(&bound.table());
                let own = (first + bound.columns.start) << self.n_stack..(first + bound.columns.end) << self.n_stack;
                for chunk in &product.a.chunks {
                    let shared = own.start.max(chunk.elements.start)..own.end.min(chunk.elements.end);
                    if shared.is_empty() {
                        continue;
                    }
                    let job = recorder.job(&FoldColumnsJob {
                        log_skip: self.l_skip as u32,
                        log_cube: self.n_stack as u32,
                        begin: (shared.start - own.start) as u32,
                        len: shared.len() as u32,
                        first: (shared.start - chunk.elements.start) as u32,
                        stride: chunk.stride() as u32,
                    });
                    let bindings = vec![job, table.clone(), lagrange.clone(), chunk.bind(&mut recorder)];
                    let points = shared.len() as u64;
                    let workgroups = points.div_ceil(FOLD_COLUMNS.workgroup_size.into());
                    recorder.dispatch(
                        &FOLD_COLUMNS,
                        bindings,
                        bound.windows_from(begins[commitment]),
                        workgroups,
                        (12 * points) << self.l_skip,
                    )?;
                }
            }
            first += columns.width;
        }
        self.record_weights(&mut recorder, &product.b, r_0, u_0, eq, &firsts)?;
        Ok((product, recorder, trace_buffers))
    }

    /// The weights at `u_0`; `firsts` are the commitments' first columns among all.
    fn record_weights(&self, recorder: &mut Recorder, weights: &ExtArray, r_0: EF, u_0: EF, eq: &ExtArray, firsts: &[usize]) -> Result<()> {
        let mut factors: BTreeMap<isize, [EF; 3]> = BTreeMap::new();
        for slice in &self.slices {
            factors.entry(slice.n.min(0)).or_insert_with(|| SkipFactors::new(self.l_skip, slice.n, r_0).at(u_0));
        }
        let start = |slice: &Slice| (((firsts[slice.commitment] + slice.column) << self.n_stack) + (slice.row >> self.l_skip)) as u32;
        let of_slice = |slice: &Slice| {
            let [plain, rotated, carry] = factors[&slice.n.min(0)];
            [slice.weight * plain + slice.rotated_weight * (rotated - carry), slice.rotated_weight * carry]
        };
        let num_slices = self.slices.len() as u32;
        let eq = eq.one()?;
        let tables = [
            recorder.table(&self.slices.iter().map(start).collect::<Vec<_>>()),
            recorder.table(&words(self.slices.iter().flat_map(of_slice))),
            recorder.table(&self.slices.iter().map(|slice| 1 << slice.log_points()).collect::<Vec<_>>()),
            eq.bind(recorder),
        ];
        for chunk in &weights.chunks {
            let (begin, stride, eq_stride) = (chunk.elements.start as u32, chunk.stride() as u32, eq.stride() as u32);
            let job = recorder.job(&StackWeightsJob { num_slices, begin, stride, eq_stride });
            let bindings = [vec![job], tables.to_vec(), vec![chunk.bind(recorder)]].concat();
            let workgroups = stride.div_ceil(STACK_WEIGHTS.workgroup_size);
            recorder.dispatch(&STACK_WEIGHTS, bindings, vec![], workgroups.into(), 120 * u64::from(stride))?;
        }
        Ok(())
    }

    fn folded(&self, session: &Session<'_>, product: &InnerProduct, challenges: &[EF]) -> Result<Recorded> {
        let mut recorder = session.recorder(0);
        let folded = product.record_fold(session.compute, &mut recorder, challenges)?;
        Ok((folded, recorder, vec![]))
    }
}
