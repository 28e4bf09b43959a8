//! Random keys and traces, and the constraint stage of both devices on them.

use std::{fmt::Debug, sync::Arc};

use logup_wgpu::{EF, F, Gpu};
use openvm_cpu_backend::{CpuBackend, CpuDevice};
use openvm_stark_backend::{
    AirRef, StarkEngine, SystemParams, TranscriptHistory,
    codec::Encode,
    keygen::types::MultiStarkProvingKey,
    proof::{BatchConstraintProof, GkrProof, Proof},
    prover::{AirProvingContext, CommittedTraceData, DeviceDataTransporter, MultiRapProver, ProvingContext, TraceCommitter},
    test_utils::test_system_params_small,
};
use openvm_stark_sdk::config::baby_bear_poseidon2::{
    BabyBearPoseidon2Config, BabyBearPoseidon2CpuEngine, CpuTranscript, DuplexSpongeRecorder,
};
use openvm_wgpu::{WgpuDevice, WgpuEngine, WgpuOptions};
use p3_baby_bear::default_babybear_poseidon2_16;
use p3_field::{BasedVectorSpace, PrimeCharacteristicRing};
use p3_matrix::dense::RowMajorMatrix;
use rand::rngs::StdRng;

use super::air::{Expr, Spec, SpecAir};
use crate::support::{random_f, rng};

pub type SC = BabyBearPoseidon2Config;
type Backend = CpuBackend<SC>;
/// Public values, cached traces, the common trace.
type Traces = (Vec<F>, Vec<RowMajorMatrix<F>>, RowMajorMatrix<F>);
pub type Proved = ((GkrProof<SC>, BatchConstraintProof<SC>), Vec<EF>);

/// Keys and traces.
pub struct Case {
    pub params: SystemParams,
    pub specs: Vec<Spec>,
    pub key: MultiStarkProvingKey<SC>,
    /// Of each AIR.
    traces: Vec<Traces>,
    /// AIRs that take part, from the tallest down.
    present: Vec<usize>,
}

impl Case {
    /// All AIRs take part but these.
    pub fn new(rng: &mut StdRng, params: SystemParams, specs: Vec<Spec>, absent: &[usize]) -> Self {
        Self::of_cells(&mut |num| random_f(rng, num), params, specs, absent)
    }

    /// Traces that no generator of random numbers decides.
    pub fn known(params: SystemParams, specs: Vec<Spec>) -> Self {
        let mut state = EF::from_basis_coefficients_fn(|i| F::from_usize(i + 2));
        let mut next = || {
            state = state.square() + EF::ONE;
            state.as_basis_coefficients_slice()[0]
        };
        Self::of_cells(&mut |num| (0..num).map(|_| next()).collect(), params, specs, &[])
    }

    fn of_cells(cells: &mut dyn FnMut(usize) -> Vec<F>, mut params: SystemParams, specs: Vec<Spec>, absent: &[usize]) -> Self {
        params.logup.pow_bits = 0; // the luck of a search is no matter here
        params.max_constraint_degree = specs.iter().map(Spec::max_degree).max().unwrap_or(1).max(params.max_constraint_degree);
        let stock = BabyBearPoseidon2CpuEngine::<CpuTranscript>::new(params.clone());
        let airs: Vec<AirRef<SC>> = specs.iter().map(|spec| Arc::new(SpecAir(spec.clone())) as AirRef<SC>).collect();
        let (key, _) = stock.keygen(&airs);
        let traces = specs.iter().map(|spec| spec.traces(cells)).collect();
        let mut present: Vec<usize> = (0..specs.len()).filter(|air| !absent.contains(air)).collect();
        present.sort_by_key(|&air| (std::cmp::Reverse(specs[air].log_height), air));
        Self { params, specs, key, traces, present }
    }

    /// What the stage proves on a device, and all that its transcript saw and gave, in order.
    ///
    /// # Errors
    /// What the device says.
    pub fn prove<D>(&self, device: &D) -> Result<(Proved, Vec<F>), <D as MultiRapProver<Backend, DuplexSpongeRecorder>>::Error>
    where
        D: DeviceDataTransporter<SC, Backend>
            + TraceCommitter<Backend, Error: Debug>
            + MultiRapProver<Backend, DuplexSpongeRecorder, PartialProof = (GkrProof<SC>, BatchConstraintProof<SC>), Artifacts = Vec<EF>>,
    {
        let key = device.transport_pk_to_device(&self.key);
        let context = self.context(device);
        let mains: Vec<&RowMajorMatrix<F>> = context.per_trace.iter().map(|(_, trace)| &trace.common_main).collect();
        let (_, data) = device.commit(&mains).unwrap();
        let mut transcript = DuplexSpongeRecorder::from(default_babybear_poseidon2_16());
        let proved = device.prove_rap_constraints(&mut transcript, &key, &context, &data)?;
        Ok((proved, transcript.into_log().values().to_vec()))
    }

    /// What a device is to prove, its cached traces committed to by it.
    pub fn context<D: TraceCommitter<Backend, Error: Debug>>(&self, device: &D) -> ProvingContext<Backend> {
        let context = |&air: &usize| {
            let (public_values, cached, common) = &self.traces[air];
            let cached = cached.iter().map(|trace| {
                let (commitment, data) = device.commit(&[trace]).unwrap();
                CommittedTraceData { commitment, trace: trace.clone(), data: Arc::new(data) }
            });
            (air, AirProvingContext::new(cached.collect(), common.clone(), public_values.clone()))
        };
        ProvingContext::new(self.present.iter().map(context).collect())
    }

    /// The whole proof of an engine of ours.
    pub fn whole_proof(&self, engine: &WgpuEngine<CpuTranscript>) -> Proof<SC> {
        let key = engine.device().transport_pk_to_device(&self.key);
        engine.prove(&key, self.context(engine.device())).unwrap()
    }

    /// The whole proof of both engines as bytes, each with the least proofs of work; the stock verifier has accepted ours.
    pub fn whole_proofs(&self, gpu: &Gpu, options: WgpuOptions) -> [Vec<u8>; 2] {
        // On one thread the stock engine finds the same proofs of work each time.
        let prove = || {
            let stock = BabyBearPoseidon2CpuEngine::<CpuTranscript>::new(self.params.clone());
            let ours = WgpuEngine::<CpuTranscript>::with_device(self.device(gpu, options));
            let key = stock.device().transport_pk_to_device(&self.key);
            let expected = stock.prove(&key, self.context(stock.device())).unwrap();
            let proof = self.whole_proof(&ours);
            stock.verify(&self.key.get_vk(), &proof).unwrap();
            [proof, expected].map(|proof| proof.encode_to_vec().unwrap())
        };
        rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap().install(prove)
    }

    /// Whether a device has room for the commitment to the common traces.
    pub fn is_committed(&self, device: &WgpuDevice) -> bool {
        let mains: Vec<&RowMajorMatrix<F>> = self.present.iter().map(|&air| &self.traces[air].2).collect();
        device.commit(&mains).is_ok()
    }

    /// The stock CPU device's.
    pub fn expected(&self) -> (Proved, Vec<F>) {
        self.prove(&CpuDevice::new(SC::default_from_params(self.params.clone()))).unwrap()
    }

    /// A device of ours for it.
    pub fn device(&self, gpu: &Gpu, options: WgpuOptions) -> WgpuDevice {
        WgpuDevice::with_options(SC::default_from_params(self.params.clone()), gpu, options).unwrap()
    }

    /// Compares value by value, so that the first that differs is named.
    pub fn assert_same(&self, (ours, log): &(Proved, Vec<F>), (theirs, expected_log): &(Proved, Vec<F>), how: &str) {
        let how = format!("{how}; l_skip {}, {:#?}", self.params.l_skip, self.specs);
        let ((gkr, batch), ((gkr_expected, batch_expected), r_expected)) = (&ours.0, theirs);
        assert_eq!(gkr.q0_claim, gkr_expected.q0_claim, "root of the fractions: {how}");
        for (layer, (polys, expected)) in gkr.sumcheck_polys.iter().zip(&gkr_expected.sumcheck_polys).enumerate() {
            let differs = polys.iter().zip(expected).position(|(ours, theirs)| ours != theirs);
            assert_eq!((polys.len(), differs), (expected.len(), None), "GKR, layer {}, round that differs: {how}", layer + 1);
            assert_eq!(gkr.claims_per_layer[layer], gkr_expected.claims_per_layer[layer], "GKR, claims of layer {layer}: {how}");
        }
        assert!(gkr == gkr_expected, "GKR: {how}");
        assert_eq!(batch.numerator_term_per_air, batch_expected.numerator_term_per_air, "numerators: {how}");
        assert_eq!(batch.denominator_term_per_air, batch_expected.denominator_term_per_air, "denominators: {how}");
        assert!(batch.univariate_round_coeffs == batch_expected.univariate_round_coeffs, "round 0: {how}");
        let rounds = batch.sumcheck_round_polys.iter().zip(&batch_expected.sumcheck_round_polys);
        let differs = rounds.enumerate().position(|(_, (ours, theirs))| ours != theirs).map(|i| i + 1);
        assert_eq!((batch.sumcheck_round_polys.len(), differs), (batch_expected.sumcheck_round_polys.len(), None), "rounds: {how}");
        assert!(batch.column_openings == batch_expected.column_openings, "openings of columns: {how}");
        assert!(ours.1 == *r_expected, "point: {how}");
        assert!(log == expected_log, "transcript: {how}");
    }
}

/// An AIR with interactions of all kinds, products among them, and constraints.
pub fn all_kinds(log_height: usize) -> Spec {
    let cell = |column: usize, next: bool| Expr::Cell(0, column, next);
    let product = Expr::Mul(cell(0, false).into(), Expr::Add(cell(1, true).into(), Expr::First.into()).into());
    let pairs = vec![
        (1, vec![cell(0, false), product.clone(), Expr::Last], cell(2, false)),
        (2, vec![cell(1, true), Expr::Public(0)], product),
        (3, vec![Expr::Transition], cell(1, false)),
    ];
    let square = Expr::Mul(cell(0, false).into(), cell(1, false).into());
    Spec {
        log_height,
        preprocessed: None,
        cached: vec![],
        random_columns: 3,
        derived: vec![Expr::Mul(square.clone().into(), Expr::Public(0).into()), Expr::Mul(square.clone().into(), cell(2, false).into())],
        running: Some(square),
        pairs,
        num_public_values: 1,
    }
}

/// A few thousand fractions; one of the traces is shorter than the skip domain, one has constraints over hundreds of columns and a product of an affine expression
/// over many: every kernel of the stage runs, and every way through it.
pub fn small() -> Case {
    let cell = |column: usize| Expr::Cell(0, column, false);
    let sum = |num: usize| (1..num).map(cell).fold(cell(0), |sum, cell| Expr::Add(sum.into(), cell.into()));
    let wide =
        Spec { random_columns: 260, derived: vec![sum(260), Expr::Mul(sum(20).into(), cell(30).into())], running: None, ..all_kinds(4) };
    Case::new(&mut rng(131), test_system_params_small(3, 6, 2), vec![all_kinds(8), wide, all_kinds(1)], &[])
}
