//! Rounds that are known: asked of a device's kernels before any other.

use logup_wgpu::{Air, EF, F, Matrix, Node, NodeId, Result, Trace};
use openvm_stark_backend::FiatShamirTranscript;
use openvm_stark_sdk::config::baby_bear_poseidon2::DuplexSponge;
use p3_baby_bear::default_babybear_poseidon2_16;
use p3_field::{BasedVectorSpace, PrimeCharacteristicRing};
use tracing::subscriber::NoSubscriber;

use super::{BatchTrace, Claims, MleRounds, form};
use crate::{
    SC, WgpuProverError,
    commit::Committer,
    compute::Compute,
    gkr::known_air,
    kernels::MLE_ROUND,
    key_plan::{AirPlan, BatchInstructions},
    poly::lagrange,
    row_sums::RowTrace,
};

const L_SKIP: usize = 2;
/// log2 of the traces' heights: the second one is used up before the first, the third by round 0.
const LOG_HEIGHTS: [usize; 3] = [10, 4, 2];

/// Has the kernels prove known rounds, if they are to be asked. The answer is that of the expressions themselves, row by row on the host.
///
/// # Errors
/// [`Error::WrongAnswer`](logup_wgpu::Error::WrongAnswer), as of all that the device is asked from then on; what the device reports.
pub(crate) fn ask(compute: &Compute, committer: &Committer) -> Result<()> {
    tracing::subscriber::with_default(NoSubscriber::default(), || {
        let mut plan = AirPlan::of_air(known_air(), L_SKIP)?;
        let instructions = BatchInstructions::new(std::slice::from_mut(&mut plan));
        let (air, public_values) = (&plan.air, [F::from_u32(91)]);
        let width = air.main_widths()[0];
        let mut state = EF::from_basis_coefficients_fn(|i| F::from_usize(i + 7));
        let mut next = || {
            state = state.square() + EF::ONE;
            state
        };
        let cells: Vec<Vec<F>> = LOG_HEIGHTS
            .iter()
            .map(|log_height| (0..width << log_height).map(|_| next().as_basis_coefficients_slice()[0]).collect())
            .collect();
        let traces = cells.iter().map(|cells| Ok(vec![Trace::new(&compute.gpu, Matrix::col_major(cells, width))?]));
        let traces: Vec<Vec<Trace>> = traces.collect::<Result<_>>()?;
        let batch: Vec<BatchTrace<'_>> = LOG_HEIGHTS
            .iter()
            .zip(&traces)
            .map(|(&log_height, traces)| BatchTrace {
                plan: &plan,
                rows: RowTrace { air, traces, height: 1 << log_height },
                public_values: &public_values,
                n: log_height - L_SKIP,
            })
            .collect();
        let r_0 = next();
        let xi: Vec<EF> = (0..LOG_HEIGHTS[0]).map(|_| next()).collect();
        let sent = air.interactions().iter().flat_map(|interaction| interaction.message.iter().chain([&interaction.count]));
        let weights: Vec<(EF, Vec<(NodeId, EF)>)> =
            batch.iter().map(|_| (next(), sent.clone().map(|&node| (node, next())).collect())).collect();

        let host: Vec<HostTrace<'_>> = cells
            .iter()
            .zip(&weights)
            .map(|(cells, (constant, weights))| HostTrace {
                air,
                public_values: &public_values,
                constant: *constant,
                weights,
                rows: folded_rows(air, cells, width, &lagrange(L_SKIP, r_0)),
            })
            .collect();
        let shares: Vec<EF> = host.iter().map(|trace| trace.sum(&xi[L_SKIP..])).collect();
        let degree = plan.batch.degree;
        let claim = shares.iter().copied().sum();
        let expected = rounds(host, &xi[L_SKIP..], degree, &mut transcript());

        let forms = batch.iter().zip(&weights).map(|(trace, (constant, nodes))| form(trace, *constant, nodes.iter().copied()));
        let forms = forms.collect::<Result<Vec<_>>>()?;
        let claims = Claims { r_0, xi: &xi, l_skip: L_SKIP, constraint_degree: degree, claim, shares };
        match (MleRounds { compute, committer, observer: None, stage_times: false }).prove(
            &mut transcript(),
            &instructions,
            &batch,
            forms,
            claims,
        ) {
            Ok((rounds, _)) if rounds.polys == expected => Ok(()),
            Err(WgpuProverError::MleRounds(logup_wgpu::Error::DeviceLimit { .. })) => Ok(()), // less room than a megabyte: not asked
            Err(WgpuProverError::MleRounds(error)) => Err(error),
            _ => Err(compute.gpu.distrust(MLE_ROUND.name, "the known answer of rounds of this crate".to_owned())),
        }
    })
}

fn transcript() -> DuplexSponge {
    default_babybear_poseidon2_16().into()
}

/// A trace on the host: of each row, each node that reads a cell.
struct HostTrace<'a> {
    air: &'a Air,
    public_values: &'a [F],
    constant: EF,
    weights: &'a [(NodeId, EF)],
    rows: Vec<Vec<EF>>,
}

/// The rows at round 0's challenge.
fn folded_rows(air: &Air, cells: &[F], width: usize, lagrange: &[EF]) -> Vec<Vec<EF>> {
    let height = cells.len() / width;
    let cell = |node: &Node, row: usize| match *node {
        Node::Column(column) => cells[column.index * height + (row + usize::from(column.next)) % height],
        Node::IsFirstRow => F::from_bool(row == 0),
        Node::IsLastRow => F::from_bool(row + 1 == height),
        Node::IsTransition => F::from_bool(row + 1 < height),
        _ => F::ZERO,
    };
    let at = |x: usize, node: &Node| lagrange.iter().enumerate().map(|(z, &weight)| weight * cell(node, x * lagrange.len() + z)).sum();
    (0..height / lagrange.len()).map(|x| air.nodes().iter().map(|node| at(x, node)).collect()).collect()
}

impl HostTrace<'_> {
    /// The weighted sum on a row.
    fn value(&self, row: &[EF]) -> EF {
        let mut values: Vec<EF> = vec![];
        for (node, &cell) in self.air.nodes().iter().zip(row) {
            let at = |node: NodeId| values[node.index()];
            values.push(match *node {
                Node::PublicValue(i) => self.public_values[i].into(),
                Node::Constant(value) => value.into(),
                Node::Add(a, b) => at(a) + at(b),
                Node::Sub(a, b) => at(a) - at(b),
                Node::Mul(a, b) => at(a) * at(b),
                Node::Neg(a) => -at(a),
                _ => cell,
            });
        }
        self.constant + self.weights.iter().map(|&(node, weight)| weight * values[node.index()]).sum::<EF>()
    }

    /// Over all rows.
    fn sum(&self, xi: &[EF]) -> EF {
        self.rows.iter().zip(eq(xi, self.rows.len())).map(|(row, eq)| eq * self.value(row)).sum()
    }

    /// With the next variable at a point.
    fn at(&self, x: EF) -> Self {
        let between = |pair: &[Vec<EF>]| pair[0].iter().zip(&pair[1]).map(|(&low, &high)| low + x * (high - low)).collect();
        Self { rows: self.rows.chunks_exact(2).map(between).collect(), ..*self }
    }
}

/// eq over so many points of the cube.
fn eq(xi: &[EF], num: usize) -> Vec<EF> {
    let bit = |y: usize, i: usize| if y >> i & 1 == 1 { xi[i] } else { EF::ONE - xi[i] };
    (0..num).map(|y| (0..num.ilog2() as usize).map(|i| bit(y, i)).product()).collect()
}

/// What each round sends.
fn rounds(mut traces: Vec<HostTrace<'_>>, xi: &[EF], degree: usize, transcript: &mut DuplexSponge) -> Vec<Vec<EF>> {
    let mut scale = EF::ONE;
    let mut used_up = EF::ZERO;
    let rounds = xi.iter().enumerate().map(|(i, &own)| {
        let (left, done): (Vec<_>, Vec<_>) = std::mem::take(&mut traces).into_iter().partition(|trace| trace.rows.len() > 1);
        used_up += done.iter().map(|trace| scale * trace.value(&trace.rows[0])).sum::<EF>();
        let eq = |x: EF| own * x + (EF::ONE - own) * (EF::ONE - x);
        let send = |x: usize| {
            let x = EF::from_usize(x);
            scale * eq(x) * left.iter().map(|trace| trace.at(x).sum(&xi[i + 1..])).sum::<EF>() + used_up * x
        };
        let sent: Vec<EF> = (1..=degree + 1).map(send).collect();
        sent.iter().for_each(|&value| FiatShamirTranscript::<SC>::observe_ext(transcript, value));
        let r: EF = FiatShamirTranscript::<SC>::sample_ext(transcript);
        traces = left.iter().map(|trace| trace.at(r)).collect();
        scale *= eq(r);
        used_up *= r;
        sent
    });
    rounds.collect()
}
