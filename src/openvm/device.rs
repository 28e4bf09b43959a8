//! The prover's device: OpenVM's CPU device, with LogUp round 0 on a [`Gpu`].

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use openvm_cpu_backend::{CpuBackend, CpuDevice};
use openvm_stark_backend::{
    FiatShamirTranscript,
    keygen::types::MultiStarkProvingKey,
    proof::{BatchConstraintProof, GkrProof, StackingProof, WhirProof},
    prover::{
        ColMajorMatrix, DeviceDataTransporter, DeviceMultiStarkProvingKey, MultiRapProver, OpeningProver, ProverBackend, ProverDevice,
        ProvingContext, TraceCommitter, stacked_pcs::StackedPcsData,
    },
};
use p3_matrix::dense::RowMajorMatrix;
use tracing::{info_span, warn};

use super::{Digest, SC, WgpuProverError, key_plan::KeyPlan, lock, logup::LogupRound0Stats, rap};
use crate::{
    Gpu, Layout, Round0, Round0Options,
    field::{EF, F},
};

type Backend = CpuBackend<SC>;
type PcsData = <Backend as ProverBackend>::PcsData;

/// A prover device for OpenVM's row-major CPU backend: LogUp round 0 of all AIRs is one call on a [`Gpu`], the rest of the constraint
/// stage runs here on the CPU, commitments and openings are the stock CPU device's.
///
/// Clones share the GPU, the plans and the statistics. Proofs on clones wait for each other only in LogUp round 0.
#[derive(Clone)]
pub struct WgpuDevice {
    cpu: CpuDevice<SC>,
    shared: Arc<Shared>,
}

struct Shared {
    engine: Mutex<Round0>,
    /// By the hash of the verifying key, which has all that a plan depends on.
    plans: Mutex<HashMap<Digest, Arc<KeyPlan>>>,
    last_stats: Mutex<Option<LogupRound0Stats>>,
}

impl WgpuDevice {
    /// A device for this configuration on this GPU.
    pub fn new(config: SC, gpu: &Gpu) -> Self {
        Self::with_options(config, gpu, Round0Options::default())
    }

    /// A device with chosen options for round 0.
    pub fn with_options(config: SC, gpu: &Gpu, options: Round0Options) -> Self {
        let engine = Mutex::new(Round0::with_options(gpu, options));
        let shared = Shared { engine, plans: Mutex::default(), last_stats: Mutex::default() };
        Self { cpu: CpuDevice::new(config), shared: Arc::new(shared) }
    }

    /// The protocol's configuration.
    pub fn config(&self) -> &SC {
        self.cpu.config()
    }

    /// What LogUp round 0 of the latest proof did; `None` before the first.
    pub fn last_round0_stats(&self) -> Option<LogupRound0Stats> {
        lock(&self.shared.last_stats).clone()
    }

    /// Plans a proving key's AIRs and compiles their kernels, so that the first proof does not. Done once per key, whoever asks first:
    /// [`DeviceDataTransporter::transport_pk_to_device`] calls this, and a proof does for a key that came another way.
    ///
    /// # Errors
    /// [`WgpuProverError::Air`] for an AIR that has no plan, [`WgpuProverError::Round0`] if the driver refuses a kernel.
    pub fn prepare(&self, key: &DeviceMultiStarkProvingKey<CpuBackend<SC>>) -> Result<(), WgpuProverError> {
        self.plan(key).map(|_| ())
    }

    fn plan(&self, key: &DeviceMultiStarkProvingKey<Backend>) -> Result<Arc<KeyPlan>, WgpuProverError> {
        let mut plans = lock(&self.shared.plans);
        if let Some(plan) = plans.get(&key.vk_pre_hash) {
            return Ok(Arc::clone(plan));
        }
        let _span = info_span!("plan_logup_round0").entered();
        let plan = Arc::new(KeyPlan::new(key)?);
        let round0_plans = plan.round0_plans();
        let names = || round0_plans.iter().map(|plan| plan.air().name().to_owned()).collect();
        lock(&self.shared.engine)
            .warm_up(&round0_plans, Layout::ColMajor)
            .map_err(|source| WgpuProverError::Round0 { airs: names(), source })?;
        plans.insert(key.vk_pre_hash, Arc::clone(&plan));
        Ok(plan)
    }
}

impl<TS: FiatShamirTranscript<SC>> ProverDevice<Backend, TS> for WgpuDevice {
    type Error = WgpuProverError;
    type DeviceCtx = ();

    fn device_ctx(&self) -> &() {
        &()
    }
}

impl TraceCommitter<Backend> for WgpuDevice {
    type Error = WgpuProverError;

    fn commit(&self, traces: &[&RowMajorMatrix<F>]) -> Result<(Digest, PcsData), WgpuProverError> {
        Ok(self.cpu.commit(traces)?)
    }
}

impl<TS: FiatShamirTranscript<SC>> MultiRapProver<Backend, TS> for WgpuDevice {
    type PartialProof = (GkrProof<SC>, BatchConstraintProof<SC>);
    type Artifacts = Vec<EF>;
    type Error = WgpuProverError;

    fn prove_rap_constraints(
        &self,
        transcript: &mut TS,
        mpk: &DeviceMultiStarkProvingKey<Backend>,
        ctx: &ProvingContext<Backend>,
        _common_main_pcs_data: &PcsData,
    ) -> Result<(Self::PartialProof, Vec<EF>), WgpuProverError> {
        let _span = info_span!("prover.rap_constraints", phase = "prover").entered();
        let plan = self.plan(mpk)?;
        let (proof, stats) = rap::prove(transcript, &plan, mpk, ctx, &self.shared.engine)?;
        *lock(&self.shared.last_stats) = Some(stats);
        Ok(proof)
    }
}

impl<TS: FiatShamirTranscript<SC>> OpeningProver<Backend, TS> for WgpuDevice {
    type OpeningProof = (StackingProof<SC>, WhirProof<SC>);
    type OpeningPoints = Vec<EF>;
    type Error = WgpuProverError;

    fn prove_openings(
        &self,
        transcript: &mut TS,
        mpk: &DeviceMultiStarkProvingKey<Backend>,
        ctx: ProvingContext<Backend>,
        common_main_pcs_data: PcsData,
        points: Vec<EF>,
    ) -> Result<Self::OpeningProof, WgpuProverError> {
        Ok(self.cpu.prove_openings(transcript, mpk, ctx, common_main_pcs_data, points)?)
    }
}

impl DeviceDataTransporter<SC, Backend> for WgpuDevice {
    /// The stock CPU device's key; its AIRs are planned on the way. A plan that fails is left to the first proof, which reports it.
    fn transport_pk_to_device(&self, mpk: &MultiStarkProvingKey<SC>) -> DeviceMultiStarkProvingKey<Backend> {
        let key = self.cpu.transport_pk_to_device(mpk);
        if let Err(error) = self.prepare(&key) {
            warn!(%error, "proving key not planned");
        }
        key
    }

    fn transport_matrix_to_device(&self, matrix: &ColMajorMatrix<F>) -> RowMajorMatrix<F> {
        self.cpu.transport_matrix_to_device(matrix)
    }

    fn transport_pcs_data_to_device(&self, pcs_data: &StackedPcsData<F, Digest>) -> PcsData {
        self.cpu.transport_pcs_data_to_device(pcs_data)
    }

    fn transport_matrix_from_device_to_host(&self, matrix: &RowMajorMatrix<F>) -> ColMajorMatrix<F> {
        self.cpu.transport_matrix_from_device_to_host(matrix)
    }
}
