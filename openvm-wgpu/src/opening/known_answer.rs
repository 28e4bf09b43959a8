//! Openings that are known: asked of a device's kernels before any other.

use std::array;

use logup_wgpu::{EF, F, Result};
use openvm_stark_backend::{
    StarkProtocolConfig, SystemParams, WhirRoundConfig,
    prover::{
        ColMajorMatrix, CpuColMajorBackend, ReferenceDevice,
        stacked_pcs::{StackedPcsData, stacked_commit},
        stacked_reduction::{StackedReductionCpu, prove_stacked_opening_reduction},
        whir::prove_whir_opening,
    },
};
use openvm_stark_sdk::config::baby_bear_poseidon2::{BabyBearPoseidon2Config, DuplexSponge};
use p3_baby_bear::default_babybear_poseidon2_16;
use p3_field::{BasedVectorSpace, PrimeCharacteristicRing};
use p3_matrix::dense::RowMajorMatrix;
use tracing::subscriber::NoSubscriber;

use super::{Failure, KeptSums, Opener, Opening, OpeningProof, column_sums};
use crate::{
    Digest, SC,
    commit::Committer,
    compute::{Compute, Use},
    kernels::{COLUMN_VALUES, IP_TABLE, OPENING_SUMS},
    poly::lagrange,
    sumcheck::session::Session,
};

const L_SKIP: usize = 3;
const N_STACK: usize = 8;
/// Windows of four variables and of one.
const K: usize = 5;
/// Of each commitment the traces: columns, log2 of the rows, whether they are opened rotated.
const TRACES: [&[(usize, usize, bool)]; 2] = [&[(5, 11, true), (2, 9, false), (3, 1, true)], &[(1, 4, true)]];

/// Has the kernels open known traces, if they are to be asked. The answer is the stock reference device's.
///
/// # Errors
/// [`Error::WrongAnswer`](logup_wgpu::Error::WrongAnswer), as of all that the device is asked from then on; what the device reports.
pub(crate) fn ask(compute: &Compute, committer: &Committer, params: &SystemParams) -> Result<()> {
    // No proof's spans and events.
    tracing::subscriber::with_default(NoSubscriber::default(), || {
        let mut params = SystemParams { l_skip: L_SKIP, n_stack: N_STACK, log_blowup: 1, ..params.clone() };
        params.whir.k = K;
        params.whir.rounds = vec![WhirRoundConfig { num_queries: 6 }, WhirRoundConfig { num_queries: 3 }];
        (params.whir.mu_pow_bits, params.whir.folding_pow_bits, params.whir.query_phase_pow_bits) = (0, 0, 0);
        let mut state = EF::from_basis_coefficients_fn(|i| F::from_usize(i + 3));
        let mut next = || {
            state = state.square() + EF::ONE;
            state
        };
        let traces = TRACES.map(|traces| {
            let trace = |&(width, log_height, _): &(usize, usize, bool)| {
                let cells = (0..width << log_height).map(|_| next().as_basis_coefficients_slice()[0]);
                RowMajorMatrix::new(cells.collect(), width)
            };
            traces.iter().map(trace).collect::<Vec<RowMajorMatrix<F>>>()
        });
        let needs_rotation = TRACES.map(|traces| traces.iter().map(|&(_, _, rotated)| rotated).collect::<Vec<bool>>());
        let r: [EF; 1 + N_STACK] = array::from_fn(|_| next());
        let Some((roots, (stacking, whir))) = expected(&params, &traces, &needs_rotation, &r) else {
            return Ok(()); // a configuration that there are no openings with
        };

        let mut openings = vec![];
        for ((traces, needs_rotation), root) in traces.iter().zip(needs_rotation).zip(roots) {
            let stack = match committer.upload(&params, &traces.iter().collect::<Vec<_>>()) {
                // Less room than a megabyte: not asked.
                Err(logup_wgpu::Error::DeviceLimit { .. }) => return Ok(()),
                stack => stack?.0,
            };
            openings.push(Opening { root, stack, needs_rotation });
        }
        let kept_sums = &KeptSums::default();
        let mut session = Session::new(compute, Use::Openings, None, false);
        let values = match column_sums::column_values(&mut session, kept_sums, L_SKIP, &openings, &r) {
            Err(logup_wgpu::Error::DeviceLimit { .. }) => return Ok(()),
            values => values?,
        };
        session.end();
        if values != traces.iter().flatten().flat_map(|trace| column_values(trace, &r)).collect::<Vec<_>>() {
            return Err(compute.gpu.distrust(COLUMN_VALUES.name, "the known answer of columns of this crate".to_owned()));
        }
        let opener = Opener { compute, committer, params: &params, kept_sums, max_host_len: Some(0), observer: None, stage_times: false };
        let answer = match opener.prove_opened(&mut DuplexSponge::from(default_babybear_poseidon2_16()), openings, &r) {
            Err(Failure::Device(logup_wgpu::Error::DeviceLimit { .. }) | Failure::Stock(_)) => return Ok(()),
            Err(Failure::Device(error)) => return Err(error),
            Ok((answer, _)) => answer,
        };
        let reason = || "the known answer of openings of this crate".to_owned();
        if answer.0 != stacking {
            return Err(compute.gpu.distrust(OPENING_SUMS.name, reason()));
        }
        if answer.1 != whir {
            return Err(compute.gpu.distrust(IP_TABLE.name, reason()));
        }
        Ok(())
    })
}

/// Each column at a point, plain and rotated; nothing for a trace that is shorter than the skip domain.
fn column_values(trace: &RowMajorMatrix<F>, r: &[EF]) -> Vec<Option<[EF; 2]>> {
    let (height, num_z) = (trace.values.len() / trace.width, 1 << L_SKIP);
    if height < num_z {
        return vec![None; trace.width];
    }
    let bit = |x: usize, i: usize| if x >> i & 1 == 1 { r[1 + i] } else { EF::ONE - r[1 + i] };
    let eq: Vec<EF> = (0..height / num_z).map(|x| (0..(height / num_z).ilog2() as usize).map(|i| bit(x, i)).product()).collect();
    let lagrange = lagrange(L_SKIP, r[0]);
    let value = |column: usize, shift: usize| {
        let cell = |row: usize| trace.values[(row + shift) % height * trace.width + column];
        (0..height).map(|row| eq[row / num_z] * lagrange[row % num_z] * cell(row)).sum::<EF>()
    };
    (0..trace.width).map(|column| Some([value(column, 0), value(column, 1)])).collect()
}

/// The roots and the openings, by the reference device.
fn expected(
    params: &SystemParams,
    traces: &[Vec<RowMajorMatrix<F>>],
    needs_rotation: &[Vec<bool>],
    r: &[EF],
) -> Option<(Vec<Digest>, OpeningProof)> {
    let config = BabyBearPoseidon2Config::default_from_params(params.clone());
    let committed = traces.iter().map(|traces| {
        let traces: Vec<ColMajorMatrix<F>> = traces.iter().map(ColMajorMatrix::from_row_major).collect();
        let traces: Vec<&ColMajorMatrix<F>> = traces.iter().collect();
        stacked_commit(config.hasher(), params.l_skip, params.n_stack, params.log_blowup, params.whir.k, &traces).ok()
    });
    let (roots, data): (Vec<Digest>, Vec<StackedPcsData<F, Digest>>) = committed.collect::<Option<Vec<_>>>()?.into_iter().unzip();
    let device = ReferenceDevice::<SC>::new(config.clone());
    let mut transcript = DuplexSponge::from(default_babybear_poseidon2_16());
    let (stacking, u) = prove_stacked_opening_reduction::<SC, CpuColMajorBackend<SC>, _, _, StackedReductionCpu<'_, SC>>(
        &device,
        &mut transcript,
        params.n_stack,
        data.iter().collect(),
        needs_rotation.to_vec(),
        r,
    );
    let committed: Vec<_> = data.iter().map(|data| (&data.matrix, &data.tree)).collect();
    let u = super::cube_point(params.l_skip, &u);
    let whir =
        prove_whir_opening::<SC, _>(&mut transcript, config.hasher(), params.l_skip, params.log_blowup, &params.whir, &committed, &u);
    Some((roots, (stacking, whir.ok()?)))
}
