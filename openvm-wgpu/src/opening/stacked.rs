//! The stacked reduction: from the openings of trace columns, plain and rotated, to those of stacked columns.
//!
//! `sum_c sum_x q_c(Z, x) W_c(Z, x)` over the stacked columns `c`, where `W` has, in the place of each trace column `i`,
//! `lambda^2i eq + lambda^(2i+1) rot` for the point that the constraint stage left. Round 0, in `Z`, follows from sums of each column over the cube; the
//! other rounds are an inner product of what is left of `q` and of `W`. (`openvm-stark-backend` 2.0.1, `prover::stacked_reduction`.)

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use logup_wgpu::{
    EF, F, Result,
    compute::{Buffer, Resource},
};
use openvm_stark_backend::{
    FiatShamirTranscript,
    poly_common::{UnivariatePoly, eval_eq_uni, eval_eq_uni_at_one, eval_in_uni},
    proof::StackingProof,
};
use p3_field::{PrimeCharacteristicRing, TwoAdicField};
use rayon::prelude::*;
use tracing::debug;

use super::{
    Opening,
    column_sums::{KeptSums, SUM_BYTES, Slice, Sums, TraceColumns},
};
use crate::{
    SC,
    kernels::{FOLD_COLUMNS, FoldColumnsJob, STACK_WEIGHTS, StackWeightsJob, TABLE_VARIABLES, TASKS_PER_WORKGROUP, WEIGH_SUMS, WeighJob},
    poly::lagrange,
    recorder::{Recorder, Results},
    sumcheck::{
        array::{self, ExtArray, elements, words},
        inner_product::{Form, InnerProduct},
        session::Session,
        table::{TABLE_BYTES, Table},
    },
};

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
    kept: &KeptSums,
    (l_skip, n_stack): (usize, usize),
    openings: &[Opening],
    r: &[EF],
    host_len: usize,
) -> Result<(StackingProof<SC>, Vec<EF>)> {
    let lambda: EF = transcript.sample_ext();
    let columns = TraceColumns::new(l_skip, openings);
    let sums = kept.take(&columns, r);
    let mut powers = lambda.powers();
    let weights = columns.slices.iter().map(|slice| {
        let [weight, rotated] = std::array::from_fn(|_| powers.next().expect("no end"));
        [weight, if slice.is_rotated { rotated } else { EF::ZERO }]
    });
    let stage = Stage { n_stack, weights: weights.collect(), columns };
    let (univariate_round_coeffs, eq) = stage.round0(session, r, sums)?;
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

/// Bytes of the device's memory that it takes beside the traces, for so many elements of stacked columns at a point of the skip domain's variable.
pub(super) fn bytes(len: usize) -> u64 {
    2 * (array::bytes(len) + array::bytes(len >> 1)) + SUM_BYTES as u64
}

struct Stage<'a> {
    n_stack: usize,
    columns: TraceColumns<'a>,
    /// Of each column, its power of lambda; the next one where it is opened rotated, else zero.
    weights: Vec<[EF; 2]>,
}

/// What a recording goes on with: the arrays that it makes, and the traces that it reads.
type Recorded = (InnerProduct, Recorder, Vec<Arc<Buffer>>);

impl Stage<'_> {
    /// Round 0's coefficients; and `eq` on each cube that slices have. `sums` are those of all columns that are not shorter than the skip domain, if they are
    /// there.
    fn round0(&self, session: &mut Session<'_>, r: &[EF], sums: Option<Vec<Arc<Buffer>>>) -> Result<(Vec<EF>, ExtArray)> {
        let (columns, l_skip, num_z) = (&self.columns, self.columns.l_skip, 1usize << self.columns.l_skip);
        // By n, all from 0 on as one.
        let groups: BTreeSet<isize> = columns.slices.iter().map(|slice| slice.n.min(0)).collect();
        let mut results = Results::default();
        let group_bytes = 3 * 16 * num_z as u64;
        let places: Vec<u64> = groups.iter().map(|_| results.take(group_bytes)).collect();
        let mut recorder = session.recorder(results.bytes());

        let eq = columns.record_eq(session.compute, &mut recorder, r)?;
        for (&n, &place) in groups.iter().zip(&places) {
            let wants = |slice: &Slice| slice.n.min(0) == n;
            let dispatches = columns.dispatches(wants, &session.compute.gpu.limits(), recorder.max_scratch() as usize)?;
            self.record_sums(&mut recorder, &eq, &dispatches, sums.as_deref().filter(|_| n == 0), place)?;
        }
        let sums = session.run(recorder, columns.trace_buffers(), |results| {
            let of_group = |&place: &u64| elements(&results[place as usize / 4..][..group_bytes as usize / 4]);
            places.iter().map(of_group).collect::<Option<Vec<Vec<EF>>>>()
        })?;

        let mut coefficients = vec![EF::ZERO; 2 * num_z - 1];
        for (&n, sums) in groups.iter().zip(sums) {
            let factors = SkipFactors::new(l_skip, n, r[0]);
            let points = EF::from(F::two_adic_generator(l_skip)).powers().take(num_z);
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

    /// The weighted sums of dispatches, of which `kept` are there already, as results.
    fn record_sums(
        &self,
        recorder: &mut Recorder,
        eq: &ExtArray,
        dispatches: &[Sums],
        kept: Option<&[Arc<Buffer>]>,
        place: u64,
    ) -> Result<()> {
        let l_skip = self.columns.l_skip;
        let num_z = 1usize << l_skip;
        let workgroups = |dispatch: &Sums| (dispatch.tasks.len() as u32).div_ceil(TASKS_PER_WORKGROUP);
        let num_partials: u32 = dispatches.iter().map(workgroups).sum();
        let width = 3 * num_z as u32;
        let partials = recorder.partials(num_partials, width);
        let mut first_partial = 0;
        for (i, dispatch) in dispatches.iter().enumerate() {
            let sums = match kept {
                Some(buffers) => dispatch.bind(recorder, i, &buffers[i], l_skip),
                None => {
                    let sums = recorder.scratch(Resource("sums"), dispatch.bytes(l_skip));
                    dispatch.record(recorder, eq, l_skip, sums.clone())?;
                    sums
                }
            };
            let num_tasks = dispatch.tasks.len() as u32;
            let bindings = vec![
                recorder.job(&WeighJob { num_tasks, log_skip: l_skip as u32, first_partial }),
                recorder.table(&words(dispatch.tasks.iter().flat_map(|task| self.weights[task.slice]))),
                sums,
                partials.clone(),
            ];
            recorder.dispatch(&WEIGH_SUMS, bindings, vec![], workgroups(dispatch).into(), (180 * u64::from(num_tasks)) << l_skip)?;
            first_partial += workgroups(dispatch);
        }
        recorder.sum_rows(partials, num_partials, width, place)
    }

    /// Stacked columns and weights at `u_0`.
    fn folded_at(&self, session: &Session<'_>, r_0: EF, u_0: EF, eq: &ExtArray) -> Result<Recorded> {
        let (compute, limits) = (session.compute, session.compute.gpu.limits());
        let (l_skip, openings) = (self.columns.l_skip, self.columns.openings);
        let width: usize = openings.iter().map(|opening| opening.stack.plan.width()).sum();
        let product = InnerProduct::new(compute, Form::Values, width << self.n_stack)?;
        let mut recorder = session.recorder(0);
        let lagrange = recorder.table(&words(lagrange(l_skip, u_0)));
        let mut firsts = vec![];
        let mut first = 0;
        for (opening, begin) in openings.iter().zip(self.columns.begins()) {
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
                        log_skip: l_skip as u32,
                        log_cube: self.n_stack as u32,
                        begin: (shared.start - own.start) as u32,
                        len: shared.len() as u32,
                        first: (shared.start - chunk.elements.start) as u32,
                        stride: chunk.stride() as u32,
                    });
                    let bindings = vec![job, table.clone(), lagrange.clone(), chunk.bind(&mut recorder)];
                    let points = shared.len() as u64;
                    let workgroups = points.div_ceil(FOLD_COLUMNS.workgroup_size.into());
                    recorder.dispatch(&FOLD_COLUMNS, bindings, bound.windows_from(begin), workgroups, (12 * points) << l_skip)?;
                }
            }
            first += columns.width;
        }
        self.record_weights(&mut recorder, &product.b, r_0, u_0, eq, &firsts)?;
        Ok((product, recorder, self.columns.trace_buffers()))
    }

    /// The weights at `u_0`; `firsts` are the commitments' first columns among all.
    fn record_weights(&self, recorder: &mut Recorder, weights: &ExtArray, r_0: EF, u_0: EF, eq: &ExtArray, firsts: &[usize]) -> Result<()> {
        let TraceColumns { l_skip, slices, .. } = &self.columns;
        let mut factors: BTreeMap<isize, [EF; 3]> = BTreeMap::new();
        for slice in slices {
            factors.entry(slice.n.min(0)).or_insert_with(|| SkipFactors::new(*l_skip, slice.n, r_0).at(u_0));
        }
        let start = |slice: &Slice| (((firsts[slice.commitment] + slice.column) << self.n_stack) + (slice.row >> l_skip)) as u32;
        let of_slice = |(slice, &[weight, rotated_weight]): (&Slice, &[EF; 2])| {
            let [plain, rotated, carry] = factors[&slice.n.min(0)];
            [weight * plain + rotated_weight * (rotated - carry), rotated_weight * carry]
        };
        let num_slices = slices.len() as u32;
        let eq = eq.one()?;
        let tables = [
            recorder.table(&slices.iter().map(start).collect::<Vec<_>>()),
            recorder.table(&words(slices.iter().zip(&self.weights).flat_map(of_slice))),
            recorder.table(&slices.iter().map(|slice| 1 << slice.log_points()).collect::<Vec<_>>()),
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
