//! GKR on the device: the sum of LogUp's fractions, layer by layer.
//!
//! The leaves are the fractions of all interactions on all rows; a node of the tree above them is the sum of its two children. From the root down, a sumcheck
//! for each layer reduces a claim about it to one about the layer below. The transcript is the stock prover's, value by value
//! (`openvm_stark_backend::prover::fractional_sumcheck_gkr`).
//!
//! A layer's sumcheck is one of an inner product (`wgsl/gkr_factors.wgsl`), with several rounds for one wait as in the openings. Padding is stored nowhere:
//! its share of a sum is a product that the host knows.

mod host;
mod known_answer;
mod leaves;
mod tree;

use std::time::Duration;

use logup_wgpu::{EF, Error, Result, StageTime, compute::Resource};
use openvm_stark_backend::{
    FiatShamirTranscript,
    proof::GkrLayerClaims,
    prover::{LogupZerocheckError, fractional_sumcheck_gkr::FracSumcheckProof},
};
use p3_field::PrimeCharacteristicRing;
use tracing::{debug, info_span};

use self::{
    host::HostPoints,
    tree::{Points, Tree, bytes},
};
pub(crate) use self::{
    known_answer::{ask, known_air},
    leaves::{LeafTrace, Leaves, product_bytes},
};
use crate::{
    SC, WgpuProverError,
    commit::Committer,
    compute::{Compute, Use},
    kernels::{BLOCKS_PER_WORKGROUP, GKR_FACTORS, GkrFactorsJob, TABLE_LEN, TABLE_VARIABLES, stage},
    recorder::{Recorder, Results},
    sumcheck::{
        array::words,
        inner_product::record_values,
        session::{PartStats, RecordingObserver, Session, Totals},
        table::{TABLE_BYTES, Table},
        tensor::{MAX_PARTIALS, Tensor},
    },
};

/// What GKR did on the device.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct GkrStats {
    /// All of it, its proof of work apart.
    pub part: PartStats,
    /// GPU time of each kernel's dispatches, in order, where asked for ([`Round0Options::stage_times`](logup_wgpu::Round0Options)).
    pub stages: Vec<StageTime>,
    /// Fractions that are no padding.
    pub fractions: u64,
    /// Times that the proof of work before it waited for the device, of all threads meanwhile.
    pub proof_of_work_waits: usize,
    /// Layers of the tree that were kept; those below were computed again.
    pub layers_kept: usize,
    /// Device buffers created.
    pub allocations: u64,
    /// Time until the root was there: the fractions and the tree.
    pub tree: Duration,
}

impl GkrStats {
    /// Times that the host waited for the device, its proof of work among it.
    pub fn waits(&self) -> usize {
        self.part.waits + self.proof_of_work_waits
    }
}

/// Points of a layer up to which the host does the rounds that are left.
const HOST_LEN: usize = 1 << 9;

/// Proves the sum of fractions.
pub(crate) struct Gkr<'a> {
    pub compute: &'a Compute,
    pub committer: &'a Committer,
    /// See [`WgpuOptions::max_host_len`](crate::WgpuOptions).
    pub max_host_len: Option<usize>,
    /// See [`WgpuOptions::rounds_per_wait`](crate::WgpuOptions).
    pub rounds_per_wait: usize,
    pub observer: Option<&'a dyn RecordingObserver>,
    pub stage_times: bool,
}

/// The proof, and the point that it leaves.
pub(crate) type SumProof = (FracSumcheckProof<SC>, Vec<EF>);

impl Gkr<'_> {
    /// The proof for these leaves, of which there are some.
    ///
    /// # Errors
    /// [`LogupZerocheckError::NonZeroRootSum`], as the stock prover; [`WgpuProverError::Gkr`] for what the device, or its limits, say.
    pub fn prove<TS: FiatShamirTranscript<SC>>(
        &self,
        transcript: &mut TS,
        leaves: &Leaves<'_>,
    ) -> Result<(SumProof, GkrStats), WgpuProverError> {
        let failed = WgpuProverError::Gkr;
        let n = leaves.log_len;
        let mut session = Session::new(self.compute, Use::Gkr, self.observer, self.stage_times);
        let host_len = self.max_host_len.unwrap_or(HOST_LEN).max(1);
        // The lowest layer that the host goes through, and so those above it.
        let host_level = n.min(host_len.ilog2() as usize + 1);

        let mut tree = Tree::new(self.compute, leaves);
        let mut keep = self.layers_to_keep(&tree, host_level);
        let span = info_span!("prover.rap_constraints.logup_gkr.input_evals", phase = "prover").entered();
        let start = std::time::Instant::now();
        let fractions = loop {
            match self.make_tree(&mut session, &mut tree, host_level, keep) {
                // Buffers that are lent can be larger than what was asked for.
                Err(Error::DeviceLimit { .. }) if keep > host_level => {
                    tree.forget_layers();
                    keep -= 1;
                }
                made => break made.map_err(failed)?,
            }
        };
        let tree_time = start.elapsed();
        drop(span);

        let _span = info_span!("fractional_sumcheck").entered();
        // Of level l, the fractions.
        let mut on_host = vec![fractions];
        while on_host.len() <= host_level {
            on_host.insert(0, host::sums(&on_host[0]));
        }
        let [root_p, root_q] = on_host[0][0];
        if root_p != EF::ZERO {
            return Err(LogupZerocheckError::NonZeroRootSum.into());
        }
        transcript.observe_ext(root_q);
        let mut claims_per_layer = vec![];
        let mut sumcheck_polys = vec![];
        let mut xi: Vec<EF> = vec![];
        for num_variables in 0..n {
            let lambda = if num_variables == 0 { EF::ZERO } else { transcript.sample_ext() };
            let mut layer = LayerSumcheck { transcript, lambda, xi: &xi, r: vec![], scale: EF::ONE, polys: vec![] };
            let claims = if num_variables < host_level {
                let fractions = &on_host[num_variables + 1];
                layer.rest_on_host(host::points(fractions, num_variables, tree.pad(num_variables + 1)))
            } else {
                self.prove_layer(&mut session, &mut layer, &tree, num_variables, host_len).map_err(failed)?
            };
            let LayerSumcheck { r, polys, .. } = layer;
            claims.iter().for_each(|&claim| transcript.observe_ext(claim));
            let [p_xi_0, q_xi_0, p_xi_1, q_xi_1] = claims;
            claims_per_layer.push(GkrLayerClaims { p_xi_0, q_xi_0, p_xi_1, q_xi_1 });
            if num_variables > 0 {
                sumcheck_polys.push(polys);
            }
            let mu: EF = transcript.sample_ext();
            debug!(gkr_round = num_variables, %mu);
            xi = [vec![mu], r].concat();
        }
        let part = session.end_part(stage::GKR);
        let Totals { stages, allocations } = session.end();
        let layers_kept = n.min(keep + 1) - host_level.min(n.min(keep + 1));
        let fractions = leaves.num_real as u64;
        let stats = GkrStats { part, stages, fractions, proof_of_work_waits: 0, layers_kept, allocations, tree: tree_time };
        Ok(((FracSumcheckProof { fractional_sum: (root_p, root_q), claims_per_layer, sumcheck_polys }, xi), stats))
    }

    /// The lowest layer that is kept: the last above the leaves, or what the memory budget leaves room for.
    fn layers_to_keep(&self, tree: &Tree<'_>, host_level: usize) -> usize {
        let n = tree.leaves.log_len;
        let lowest = n.saturating_sub(1).max(host_level);
        // What is left of a layer after the first rounds, and after those behind them.
        let folded = |rounds: usize| self.compute.pool.size_of(bytes(tree.num_real(n).div_ceil(1 << rounds) + 2));
        let rounds = self.rounds_per_wait;
        // Those may be lent twice as large.
        let needed = |keep: usize| tree.layer_bytes(self.compute, host_level..n.min(keep + 1)) + 2 * (folded(rounds) + folded(2 * rounds));
        let Some(budget) = self.compute.memory_budget else { return lowest };
        // Layers are made again sooner than a tree, for which the whole codeword has to be there.
        self.committer.forget_codewords_beside(needed(lowest));
        self.committer.make_room_beside(needed(host_level));
        (host_level..=lowest).rev().find(|&keep| self.compute.pool.lent_bytes() + needed(keep) <= budget).unwrap_or(host_level)
    }

    /// Makes the layers from `keep` up to that of `host_level`: the fractions of the latter, with padding.
    fn make_tree(&self, session: &mut Session<'_>, tree: &mut Tree<'_>, host_level: usize, keep: usize) -> Result<Vec<[EF; 2]>> {
        let n = tree.leaves.log_len;
        let mut results = Results::default();
        let mut recorder = session.recorder(0);
        tree.leaves.record_products(&mut recorder)?;
        tree.record_layers(self.compute, &mut recorder, host_level..n.min(keep + 1))?;
        let copied = match tree.layer(host_level) {
            Some(layer) => layer.record_copy(&mut recorder, &mut results)?,
            // The leaves themselves: few.
            None => tree.record_leaf_copy(self.compute, &mut recorder, &mut results)?,
        };
        let mut fractions = session.run(recorder, tree.leaves.trace_buffers.clone(), |words| copied.fractions(words))?;
        fractions.resize(1 << host_level, [EF::ZERO, tree.pad(host_level)]);
        Ok(fractions)
    }

    /// A layer's sumcheck over so many variables, and the claims at the end.
    fn prove_layer<TS: FiatShamirTranscript<SC>>(
        &self,
        session: &mut Session<'_>,
        layer: &mut LayerSumcheck<'_, TS>,
        tree: &Tree<'_>,
        num_variables: usize,
        host_len: usize,
    ) -> Result<[EF; 4]> {
        let level = num_variables + 1;
        let pad = tree.pad(level);
        let mut points = Points::Level(tree, level);
        let mut left = num_variables;
        let mut challenges = vec![];
        for generation in 0.. {
            let mut recorder = session.recorder(0);
            let mut results = Results::default();
            if !challenges.is_empty() {
                let folded = points.record_fold(self.compute, &mut recorder, &challenges, pad, generation)?;
                left -= challenges.len();
                challenges.clear();
                // Few are left: the host does the rest.
                if left == 0 || 1 << left <= host_len {
                    let copied = folded.layer.record_copy(&mut recorder, &mut results)?;
                    let buffers = tree.leaves.trace_buffers.clone();
                    let fractions = session.run(recorder, buffers, |words| copied.fractions(words))?;
                    return Ok(layer.rest_on_host(host::points(&fractions, left, pad)));
                }
                points = Points::Folded(tree, folded);
            }
            let window = left.min(TABLE_VARIABLES);
            let xi = &layer.xi[num_variables - left..];
            let (num_blocks, places) = self.record_tables(&mut recorder, &mut results, &points, pad, layer.lambda, &xi[window..])?;
            let buffers = tree.leaves.trace_buffers.clone();
            let table = |words: &[u32]| places.iter().map(|&place| Table::of_words(&words[place as usize / 4..])).sum::<Option<Table>>();
            let mut table = session.run(recorder, buffers, table)?;
            table.add_in_cube(window, layer.lambda * pad.square() * eq_from(&xi[window..], num_blocks));
            for i in 0..window.min(self.rounds_per_wait) {
                let r = layer.round(table.round_weighted(&xi[i + 1..window]));
                table.bind(r);
                challenges.push(r);
            }
        }
        unreachable!("each time some variables are bound")
    }

    /// The table over the next four variables of the points that are no padding: their blocks of sixteen, and the results that add up to it, one for some ranges
    /// each.
    fn record_tables(
        &self,
        recorder: &mut Recorder,
        results: &mut Results,
        points: &Points<'_>,
        pad: EF,
        lambda: EF,
        xi_behind: &[EF],
    ) -> Result<(usize, Vec<u64>)> {
        let eq = Tensor::eq(xi_behind);
        let eq_table = eq.table(recorder);
        let constants = recorder.table(&words([pad, lambda]));
        let ranges = points.ranges();
        let num_of = |range: &std::ops::Range<usize>| range.len().div_ceil(2 << TABLE_VARIABLES) << TABLE_VARIABLES;
        let (mut places, mut tables) = (vec![], None);
        for ranges in ranges.chunks(RANGES_PER_TABLE) {
            let most = (recorder.max_scratch() / TABLE_BYTES) as u32 / ranges.len() as u32;
            let per_range = (MAX_PARTIALS / ranges.len() as u32).min(most.max(1));
            let workgroups = ranges
                .iter()
                .map(|range| (num_of(range) as u32 >> (TABLE_VARIABLES - 1)).div_ceil(BLOCKS_PER_WORKGROUP).min(per_range))
                .collect::<Vec<u32>>();
            let num_partials = workgroups.iter().sum();
            let partials = recorder.partials(num_partials, TABLE_LEN as u32);
            let mut first_partial = 0;
            for (range, workgroups) in ranges.iter().zip(workgroups) {
                let nodes = points.record_nodes(recorder, &mut tables, range.clone())?;
                let (num, first_point) = (num_of(range), range.start / 2);
                let job = recorder.job(&GkrFactorsJob {
                    first: nodes.first,
                    len: nodes.len,
                    stride: nodes.stride,
                    num: num as u32,
                    log_low: eq.log_low(),
                    first_block: (first_point >> TABLE_VARIABLES) as u32,
                });
                let [a, b] = [Resource("gkr a"), Resource("gkr b")].map(|name| recorder.scratch(name, 32 * num as u64));
                let bindings = vec![job, constants.clone(), eq_table.clone(), nodes.binding, a.clone(), b.clone()];
                let own = (num as u32).div_ceil(GKR_FACTORS.workgroup_size);
                recorder.dispatch(&GKR_FACTORS, bindings, vec![], own.into(), 100 * num as u64)?;
                record_values(recorder, [a, b], 2 * num, first_partial, partials.clone(), workgroups)?;
                first_partial += workgroups;
            }
            places.push(results.take(TABLE_BYTES));
            recorder.grow_results(results.bytes());
            recorder.sum_rows(partials, num_partials, TABLE_LEN as u32, places[places.len() - 1])?;
        }
        let num_blocks = ranges.last().map_or(0, |range| (range.start / 2 + num_of(range)) >> TABLE_VARIABLES);
        Ok((num_blocks, places))
    }
}

/// Ranges whose workgroups' sums are added up together, so that each may have a quarter of [`MAX_PARTIALS`] and all need no more room.
const RANGES_PER_TABLE: usize = 4;

/// `sum_{i >= first} eq(xi, i)`.
fn eq_from(xi: &[EF], first: usize) -> EF {
    let Some((&last, lower)) = xi.split_last() else { return if first == 0 { EF::ONE } else { EF::ZERO } };
    let half = 1 << lower.len();
    if first < half { (EF::ONE - last) * eq_from(lower, first) + last } else { last * eq_from(lower, first - half) }
}

/// One layer's rounds.
struct LayerSumcheck<'a, TS> {
    transcript: &'a mut TS,
    lambda: EF,
    /// The point of the layer's claim.
    xi: &'a [EF],
    r: Vec<EF>,
    /// eq of the variables that are bound.
    scale: EF,
    polys: Vec<[EF; 3]>,
}

impl<TS: FiatShamirTranscript<SC>> LayerSumcheck<'_, TS> {
    /// A round, by `t(0)`, `t(1)` and the leading coefficient of `s(X) / (scale eq(xi, X))`: the challenge.
    fn round(&mut self, [at_zero, at_one, lead]: [EF; 3]) -> EF {
        let xi = self.xi[self.r.len()];
        let eq = |x: EF| xi * x + (EF::ONE - xi) * (EF::ONE - x);
        let t = |x: EF| at_zero + x * (at_one - at_zero - lead + x * lead);
        let evals = [1, 2, 3].map(EF::from_u8).map(|x| self.scale * eq(x) * t(x));
        evals.iter().for_each(|&eval| self.transcript.observe_ext(eval));
        self.polys.push(evals);
        let r: EF = self.transcript.sample_ext();
        debug!(gkr_round = self.xi.len(), sumcheck_round = self.r.len(), r_round = %r);
        self.scale *= eq(r);
        self.r.push(r);
        r
    }

    /// The rounds that are left, and the claims at the end.
    fn rest_on_host(&mut self, points: Vec<[EF; 4]>) -> [EF; 4] {
        let mut points = HostPoints::new(points, &self.xi[self.r.len()..]);
        for _ in self.r.len()..self.xi.len() {
            let r = self.round(points.round(self.lambda));
            points.bind(r);
        }
        points.claims()
    }
}
