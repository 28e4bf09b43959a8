//! Commitments to random traces, opened at a random point by both devices.

use std::{fmt::Debug, sync::Arc};

use logup_wgpu::{EF, F, Gpu};
use openvm_cpu_backend::{CpuBackend, CpuDevice};
use openvm_stark_backend::{
    AirRef, StarkEngine, SystemParams, TranscriptHistory, WhirRoundConfig,
    proof::{StackingProof, WhirProof},
    prover::{
        AirProvingContext, CommittedTraceData, DeviceDataTransporter, DeviceMultiStarkProvingKey, OpeningProver, ProverBackend,
        ProvingContext, TraceCommitter,
    },
    test_utils::{FibFixture, TestFixture, test_system_params_small},
};
use openvm_stark_sdk::config::baby_bear_poseidon2::{
    BabyBearPoseidon2Config, BabyBearPoseidon2CpuEngine, CpuTranscript, DuplexSpongeRecorder,
};
use openvm_wgpu::{EngineTranscript, OpeningStats, WgpuDevice, WgpuOptions, WgpuProverError, WgpuTranscript};
use p3_baby_bear::default_babybear_poseidon2_16;
use p3_field::{BasedVectorSpace, PrimeCharacteristicRing};
use p3_matrix::dense::RowMajorMatrix;
use rand::{Rng, rngs::StdRng};

use crate::support::{random_ef, random_f};

pub type SC = BabyBearPoseidon2Config;
type Backend = CpuBackend<SC>;
type PcsData = <Backend as ProverBackend>::PcsData;
pub type Opened = (StackingProof<SC>, WhirProof<SC>);

/// A trace: log2 of its height, its columns, whether rotated columns are opened, and the columns of preprocessed and cached traces beside it.
#[derive(Clone, Debug)]
pub struct Shape {
    pub log_height: usize,
    pub width: usize,
    pub rotated: bool,
    pub preprocessed: Option<usize>,
    pub cached: Vec<usize>,
}

impl Shape {
    pub fn plain(log_height: usize, width: usize, rotated: bool) -> Self {
        Self { log_height, width, rotated, preprocessed: None, cached: vec![] }
    }
}

/// Parameters of a WHIR of so many rounds, each with so many queries.
pub fn params(l_skip: usize, n_stack: usize, log_blowup: usize, k: usize, queries: &[usize]) -> SystemParams {
    let mut params = test_system_params_small(l_skip, n_stack, k);
    params.log_blowup = log_blowup;
    params.whir.rounds = queries.iter().map(|&num_queries| WhirRoundConfig { num_queries }).collect();
    params
}

/// What is opened, and where.
pub struct Case {
    pub params: SystemParams,
    /// From the tallest down.
    pub shapes: Vec<Shape>,
    traces: Vec<Traces>,
    r: Vec<EF>,
}

struct Traces {
    main: RowMajorMatrix<F>,
    preprocessed: Option<RowMajorMatrix<F>>,
    cached: Vec<RowMajorMatrix<F>>,
}

impl Case {
    pub fn new(rng: &mut StdRng, params: SystemParams, mut shapes: Vec<Shape>) -> Self {
        shapes.sort_by_key(|shape| std::cmp::Reverse(shape.log_height));
        let mut matrix = |width: usize, log_height: usize| RowMajorMatrix::new(random_f(rng, width << log_height), width);
        let traces = shapes.iter().map(|shape| Traces {
            main: matrix(shape.width, shape.log_height),
            preprocessed: shape.preprocessed.map(|width| matrix(width, shape.log_height)),
            cached: shape.cached.iter().map(|&width| matrix(width, shape.log_height)).collect(),
        });
        let traces = traces.collect();
        let r = random_ef(rng, 1 + shapes[0].log_height.saturating_sub(params.l_skip));
        Self { params, shapes, traces, r }
    }

    /// Random heights up to the stack's, widths, rotations, and now and then commitments beside the main one.
    pub fn random(rng: &mut StdRng, params: SystemParams, max_traces: usize) -> Self {
        let log_stacked = params.log_stacked_height();
        let shapes = (0..rng.random_range(1..=max_traces)).map(|_| Shape {
            log_height: rng.random_range(0..=log_stacked),
            width: rng.random_range(1..12),
            rotated: rng.random(),
            preprocessed: rng.random_bool(0.2).then(|| rng.random_range(1..5)),
            cached: (0..rng.random_range(0..3usize).saturating_sub(1)).map(|_| rng.random_range(1..5)).collect(),
        });
        let shapes = shapes.collect();
        Self::new(rng, params, shapes)
    }

    /// A key whose AIRs say which columns are opened rotated, and the traces, committed to by a device.
    fn committed<D>(&self, device: &D) -> Result<(DeviceMultiStarkProvingKey<Backend>, ProvingContext<Backend>, PcsData), D::Error>
    where
        D: TraceCommitter<Backend>,
    {
        let stock = BabyBearPoseidon2CpuEngine::<CpuTranscript>::new(test_system_params_small(2, 8, 3));
        // Openings ask of an AIR only whether it reads the next row.
        let air = TestFixture::<SC>::airs(&FibFixture::new(0, 1, 4)).remove(0);
        let airs: Vec<AirRef<SC>> = self.shapes.iter().map(|_| Arc::clone(&air)).collect();
        let mut key = stock.device().transport_pk_to_device(&stock.keygen(&airs).0);
        key.params = self.params.clone();
        let commit = |trace: &RowMajorMatrix<F>| {
            let (commitment, data) = device.commit(&[trace])?;
            Ok(CommittedTraceData { commitment, trace: trace.clone(), data: Arc::new(data) })
        };
        let mut per_trace = vec![];
        for (i, (traces, shape)) in self.traces.iter().zip(&self.shapes).enumerate() {
            key.per_air[i].vk.params.need_rot = shape.rotated;
            key.per_air[i].preprocessed_data = traces.preprocessed.as_ref().map(commit).transpose()?;
            let cached = traces.cached.iter().map(commit).collect::<Result<_, D::Error>>()?;
            per_trace.push((i, AirProvingContext::new(cached, traces.main.clone(), vec![])));
        }
        let mains: Vec<&RowMajorMatrix<F>> = self.traces.iter().map(|traces| &traces.main).collect();
        let (_, data) = device.commit(&mains)?;
        Ok((key, ProvingContext::new(per_trace), data))
    }

    /// The stock CPU device's openings, with the proofs of work of `transcripts`.
    pub fn expected(&self, transcripts: &WgpuDevice) -> Opened {
        let stock = CpuDevice::new(SC::default_from_params(self.params.clone()));
        let (key, context, data) = self.committed(&stock).unwrap();
        let mut transcript = WgpuTranscript::start(transcripts);
        stock.prove_openings(&mut transcript, &key, context, data, self.r.clone()).unwrap()
    }

    /// A device of ours for it.
    pub fn device(&self, gpu: &Gpu, options: WgpuOptions) -> WgpuDevice {
        WgpuDevice::with_options(SC::default_from_params(self.params.clone()), gpu, options).unwrap()
    }

    /// Our openings.
    pub fn opened(&self, device: &WgpuDevice) -> Result<(Opened, OpeningStats), WgpuProverError> {
        let (key, context, data) = self.committed(device)?;
        let mut transcript = WgpuTranscript::start(device);
        let opened = device.prove_openings(&mut transcript, &key, context, data, self.r.clone())?;
        Ok((opened, device.last_opening_stats().expect("opened")))
    }

    /// Compares openings, value by value, so that the first that differs is named.
    pub fn assert_same(&self, (stacking, whir): &Opened, (expected_stacking, expected_whir): &Opened, how: &str) {
        let how = format!("{how}; {:?}, {:?}", self.params, self.shapes);
        assert!(stacking.univariate_round_coeffs == expected_stacking.univariate_round_coeffs, "stacked reduction, round 0: {how}");
        let rounds = |polys: &[[EF; 2]], expected: &[[EF; 2]], what: &str| {
            let differs = polys.iter().zip(expected).position(|(ours, theirs)| ours != theirs);
            assert_eq!((polys.len(), differs), (expected.len(), None), "{what}, round that differs: {how}");
        };
        rounds(&stacking.sumcheck_round_polys, &expected_stacking.sumcheck_round_polys, "stacked reduction");
        assert!(stacking.stacking_openings == expected_stacking.stacking_openings, "openings of stacked columns: {how}");
        rounds(&whir.whir_sumcheck_polys, &expected_whir.whir_sumcheck_polys, "WHIR");
        assert!(whir.codeword_commits == expected_whir.codeword_commits, "roots: {how}");
        assert!(whir.ood_values == expected_whir.ood_values, "values out of domain: {how}");
        assert!(whir.final_poly == expected_whir.final_poly, "final polynomial: {how}");
        assert!(whir.initial_round_opened_rows == expected_whir.initial_round_opened_rows, "rows of the commitments: {how}");
        assert!(whir.initial_round_merkle_proofs == expected_whir.initial_round_merkle_proofs, "paths of the commitments: {how}");
        assert!(whir.codeword_opened_values == expected_whir.codeword_opened_values, "rows of folded codes: {how}");
        assert!(whir.codeword_merkle_proofs == expected_whir.codeword_merkle_proofs, "paths of folded codes: {how}");
        assert!((stacking, whir) == (expected_stacking, expected_whir), "proofs of work: {how}");
    }
}

impl Case {
    /// Traces and point that no generator of random numbers decides.
    pub fn known(params: SystemParams, shapes: Vec<Shape>) -> Self {
        let mut state = EF::from_basis_coefficients_fn(|i| F::from_usize(i + 2));
        let mut next = || {
            state = state.square() + EF::ONE;
            state
        };
        let mut case = Self::new(&mut crate::support::rng(0), params, shapes);
        let cells = case.traces.iter_mut().flat_map(|traces| {
            let beside = traces.preprocessed.iter_mut().chain(&mut traces.cached);
            std::iter::once(&mut traces.main).chain(beside).flat_map(|matrix| &mut matrix.values)
        });
        cells.for_each(|cell| *cell = next().as_basis_coefficients_slice()[0]);
        case.r.iter_mut().for_each(|challenge| *challenge = next());
        case
    }

    /// All that the transcript of an opening saw and gave, in order; its proofs of work have no bits.
    pub fn log<D>(&self, device: &D) -> Vec<F>
    where
        D: TraceCommitter<Backend, Error: Debug> + OpeningProver<Backend, DuplexSpongeRecorder, OpeningPoints = Vec<EF>, Error: Debug>,
    {
        let (key, context, data) = self.committed(device).unwrap();
        let mut transcript = DuplexSpongeRecorder::from(default_babybear_poseidon2_16());
        device.prove_openings(&mut transcript, &key, context, data, self.r.clone()).unwrap();
        transcript.into_log().values().to_vec()
    }
}
