//! The prover's device: behind the types of OpenVM's CPU device, every stage of a proof on a [`Gpu`].

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

#[cfg(doc)]
use logup_wgpu::FailingConstraint;
use logup_wgpu::{ConstraintCheck, EF, Error, F, Gpu, Layout, MAX_L_SKIP, Round0, Subject, WarmUp};
use openvm_cpu_backend::{CpuBackend, CpuDevice};
use openvm_stark_backend::{
    FiatShamirTranscript, StarkProtocolConfig, SystemParams,
    keygen::types::MultiStarkProvingKey,
    proof::{BatchConstraintProof, GkrProof},
    prover::{
        ColMajorMatrix, DeviceDataTransporter, DeviceMultiStarkProvingKey, MultiRapProver, OpeningProver, ProverDevice, ProvingContext,
        TraceCommitter, stacked_pcs::StackedPcsData,
    },
};
use p3_matrix::dense::RowMajorMatrix;
use tracing::{debug, info_span, warn};

use crate::{
    Digest, PcsData, SC, WgpuProverError,
    commit::{CommitStats, Committer, RecordedCommitment, checked_height},
    compute::Compute,
    device_round0::DeviceRound0Stats,
    gkr::{self, Gkr, GkrStats},
    grind::Grinder,
    kernels::TABLE_VARIABLES,
    key_plan::KeyPlan,
    lock,
    mle_rounds::{self, MleRounds, MleRoundsStats},
    on_device::OnDevice,
    opening::{self, KeptSums, OpenedTraces, Opener, OpeningProof, OpeningStats},
    options::WgpuOptions,
    rap,
    sumcheck::session::{PartStats, RecordingObserver},
};

type Backend = CpuBackend<SC>;

/// A prover device for OpenVM's row-major CPU backend: it commits to traces, proves their constraints and interactions, and opens the commitments on a [`Gpu`].
/// The CPU has the transcript, and small layers and last rounds.
///
/// Clones share the GPU, the plans, the device buffers and the statistics. Any number of threads can prove at the same time, from whatever
/// pool: no lock is held while a proof computes or waits. Each has its stacked traces on the device until its openings begin.
#[derive(Clone)]
pub struct WgpuDevice {
    cpu: CpuDevice<SC>,
    shared: Arc<Shared>,
    checks_constraints: bool,
    observer: Option<Arc<dyn RecordingObserver>>,
}

struct Shared {
    options: WgpuOptions,
    engine: Round0,
    /// The latest keys' plans, those used last first.
    plans: Mutex<Vec<Arc<Planned>>>,
    last_stats: Mutex<Option<DeviceRound0Stats>>,
    compute: Arc<Compute>,
    committer: Committer,
    grinder: Grinder,
    last_commit: Mutex<Option<CommitStats>>,
    last_gkr: Mutex<Option<GkrStats>>,
    /// The rounds after round 0, and the openings of trace columns behind them.
    last_rounds: Mutex<Option<(MleRoundsStats, PartStats)>>,
    last_openings: Mutex<Option<OpeningStats>>,
    kept_sums: KeptSums,
    /// Whether the kernels gave their known answers.
    answered: AtomicBool,
}

/// A key's plan, and what making it ready did.
struct Planned {
    key_plan: KeyPlan,
    warm_up: WarmUp,
}

/// Keys whose plans a device keeps.
const MAX_KEYS: usize = 8;

impl WgpuDevice {
    /// A device for this configuration on this GPU.
    ///
    /// # Errors
    /// [`Error::SkipDomain`] for a configuration whose `l_skip` is above [`MAX_L_SKIP`]; [`Error::DeviceLost`] and [`Error::WrongAnswer`] for
    /// a GPU that cannot be used any more.
    pub fn new(config: SC, gpu: &Gpu) -> logup_wgpu::Result<Self> {
        Self::with_options(config, gpu, WgpuOptions::default())
    }

    /// A device with chosen options.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_options(config: SC, gpu: &Gpu, options: WgpuOptions) -> logup_wgpu::Result<Self> {
        let l_skip = config.params().l_skip;
        if l_skip > MAX_L_SKIP {
            return Err(Error::SkipDomain { subject: Subject::EveryAir, got: l_skip, limit: MAX_L_SKIP });
        }
        gpu.usable()?;
        let (engine, compute) = (Round0::with_options(gpu, options.round0), Compute::new(gpu, options.memory_budget));
        let shared = Shared::new(options, engine, compute);
        Ok(Self { cpu: CpuDevice::new(config), shared: Arc::new(shared), checks_constraints: false, observer: None })
    }

    /// A device like this one that computes nothing and counts its buffers, with the key's plan and with the cached traces' commitments that are here.
    ///
    /// # Errors
    /// As of [`KeyPlan::new`] and of commitments.
    pub(crate) fn counting(
        &self,
        key: &DeviceMultiStarkProvingKey<Backend>,
        context: &ProvingContext<Backend>,
    ) -> Result<Self, WgpuProverError> {
        let key_plan = match self.known_plan(key) {
            Some(planned) => planned.key_plan.for_another_device(),
            None => KeyPlan::new(key)?,
        };
        let (gpu, options) = (self.gpu(), self.shared.options);
        let (engine, compute) = (Round0::counting(gpu, options.round0), Compute::counting(gpu, options.memory_budget));
        let shared = Shared::new(options, engine, compute);
        let planned = shared.planned(key_plan, WarmUp::default())?;
        lock(&shared.plans).push(Arc::new(planned));
        for (air, own) in &context.per_trace {
            for committed in key.per_air[*air].preprocessed_data.iter().chain(&own.cached_mains) {
                let as_here = shared.committer.commit_as(&self.shared.committer, self.config(), committed.commitment, &committed.trace);
                as_here.map_err(WgpuProverError::Commit)?;
            }
        }
        Ok(Self { cpu: self.cpu.clone(), shared: Arc::new(shared), checks_constraints: self.checks_constraints, observer: None })
    }

    /// The device with or without a check of every constraint on every row, before each proof of the constraints: a trace that does not satisfy
    /// them then ends in [`Error::Unsatisfied`], where without the check its proof fails to verify. Off by default. The check reads
    /// the traces where their commitment left them, as round 0 does.
    pub fn checking_constraints(self, checks_constraints: bool) -> Self {
        Self { checks_constraints, ..self }
    }

    /// The device with somebody who is told of its recordings of GKR, of the rounds after round 0 and of the openings.
    pub fn observed_by(self, observer: Arc<dyn RecordingObserver>) -> Self {
        Self { observer: Some(observer), ..self }
    }

    /// The constraints that the traces of a proof do not satisfy: [`Round0::check_constraints`]. [`FailingConstraint::instance`] is a place in
    /// `context.per_trace`.
    ///
    /// # Errors
    /// [`WgpuProverError::Air`] for a key that has no plan and for traces that do not fit it; [`WgpuProverError::Commit`] for traces that cannot be stacked on
    /// the device; [`WgpuProverError::Round0`] for what it reports otherwise. Constraints that fail are no error here; see [`ConstraintCheck::satisfied`].
    pub fn check_constraints(
        &self,
        key: &DeviceMultiStarkProvingKey<Backend>,
        context: &ProvingContext<Backend>,
    ) -> Result<ConstraintCheck, WgpuProverError> {
        rap::check(&self.plan(key)?.key_plan, key, context, &self.on_device(&key.params))
    }

    fn on_device<'a>(&'a self, params: &'a SystemParams) -> OnDevice<'a> {
        let shared = &*self.shared;
        let gkr = Gkr {
            compute: &shared.compute,
            committer: &shared.committer,
            max_host_len: shared.options.max_host_len,
            rounds_per_wait: shared.options.rounds_per_wait.unwrap_or(TABLE_VARIABLES).clamp(1, TABLE_VARIABLES),
            observer: self.observer.as_deref(),
            stage_times: shared.options.round0.stage_times,
        };
        let mle_rounds = MleRounds {
            compute: &shared.compute,
            committer: &shared.committer,
            observer: self.observer.as_deref(),
            stage_times: shared.options.round0.stage_times,
        };
        OnDevice { engine: &shared.engine, committer: &shared.committer, gkr, mle_rounds, opener: self.opener(params) }
    }

    fn opener<'a>(&'a self, params: &'a SystemParams) -> Opener<'a> {
        let shared = &*self.shared;
        Opener {
            compute: &shared.compute,
            committer: &shared.committer,
            params,
            kept_sums: &shared.kept_sums,
            max_host_len: shared.options.max_host_len,
            observer: self.observer.as_deref(),
            stage_times: shared.options.round0.stage_times,
        }
    }

    /// Whether each trace of a context can be committed to, by the name of its AIR, which a commitment is not told.
    pub(crate) fn check_heights(
        &self,
        key: &DeviceMultiStarkProvingKey<Backend>,
        context: &ProvingContext<Backend>,
    ) -> Result<(), WgpuProverError> {
        for (air, trace) in &context.per_trace {
            let name = || key.per_air.get(*air).map_or_else(|| format!("number {air}"), |key| key.air_name.clone());
            checked_height(self.config().params(), &trace.common_main, || Subject::Air(name()))?;
        }
        Ok(())
    }

    /// The protocol's configuration.
    pub fn config(&self) -> &SC {
        self.cpu.config()
    }

    /// The GPU.
    pub fn gpu(&self) -> &Gpu {
        self.shared.engine.gpu()
    }

    /// What searches proofs of work.
    pub(crate) fn grinder(&self) -> Grinder {
        self.shared.grinder.clone()
    }

    /// What round 0 of the latest proof did; `None` before the first.
    pub fn last_round0_stats(&self) -> Option<DeviceRound0Stats> {
        lock(&self.shared.last_stats).clone()
    }

    /// A commitment to traces as data, for whoever wants to read it or run it elsewhere. The traces are brought to the device; the kernels do not run.
    ///
    /// # Errors
    /// [`WgpuProverError::Commit`], as of a commitment.
    pub fn record_commitment(&self, traces: &[&RowMajorMatrix<F>]) -> Result<RecordedCommitment, WgpuProverError> {
        self.shared.committer.record_commitment(self.config(), traces).map_err(WgpuProverError::Commit)
    }

    /// The most bytes of device memory that proofs had at a time so far: stacked traces, codewords, trees, arrays, and the scratch of all stages, with what of it
    /// is kept. Memory through which rows come to the device, up to 200 MB, is the GPU's and beside it.
    pub fn peak_device_bytes(&self) -> u64 {
        self.shared.compute.peak_bytes() + self.shared.engine.bytes()
    }

    /// What the latest commitment did; `None` before the first.
    pub fn last_commit_stats(&self) -> Option<CommitStats> {
        lock(&self.shared.last_commit).clone()
    }

    /// What GKR of the latest proof did; `None` before the first, and of a proof without interactions.
    pub fn last_gkr_stats(&self) -> Option<GkrStats> {
        lock(&self.shared.last_gkr).clone()
    }

    /// What the rounds after round 0 of the latest proof did; `None` before the first.
    pub fn last_mle_rounds_stats(&self) -> Option<MleRoundsStats> {
        lock(&self.shared.last_rounds).as_ref().map(|(rounds, _)| rounds.clone())
    }

    /// What opening the latest proof's trace columns at the point of the constraint stage did; `None` before the first.
    pub fn last_column_openings_stats(&self) -> Option<PartStats> {
        lock(&self.shared.last_rounds).as_ref().map(|(_, columns)| columns.clone())
    }

    /// What the openings of the latest proof did; `None` before the first.
    pub fn last_opening_stats(&self) -> Option<OpeningStats> {
        lock(&self.shared.last_openings).clone()
    }

    /// Plans a proving key's AIRs, compiles their kernels and has them give known answers ([`Round0::warm_up`]), so that the first proof does
    /// not. Done once per key, or by each of the threads that ask for a new key at the same time:
    /// [`DeviceDataTransporter::transport_pk_to_device`] calls this, and a proof does for a key that came another way. The result is what was
    /// done when the key was planned.
    ///
    /// # Errors
    /// [`WgpuProverError::Air`] for an AIR that has no plan; `Round0`, `Commit`, `Gkr`, `MleRounds` and `Openings` of [`WgpuProverError`] if the driver refuses
    /// a kernel, if one computes wrongly, or where a memory budget has no room for the key's instructions.
    pub fn prepare(&self, key: &DeviceMultiStarkProvingKey<CpuBackend<SC>>) -> Result<WarmUp, WgpuProverError> {
        self.plan(key).map(|planned| planned.warm_up)
    }

    /// The key's plan. Threads that ask for a new key at the same time each make it, rather than wait: planning is rayon's work, and a
    /// thread that holds a lock over such work can be handed a task that wants the lock.
    fn plan(&self, key: &DeviceMultiStarkProvingKey<Backend>) -> Result<Arc<Planned>, WgpuProverError> {
        let planned = match self.known_plan(key) {
            Some(planned) => planned,
            None => Arc::new(self.new_plan(key)?),
        };
        let mut plans = lock(&self.shared.plans);
        plans.retain(|other| !other.key_plan.is_of(key));
        plans.insert(0, Arc::clone(&planned));
        plans.truncate(MAX_KEYS);
        Ok(planned)
    }

    fn known_plan(&self, key: &DeviceMultiStarkProvingKey<Backend>) -> Option<Arc<Planned>> {
        let known = lock(&self.shared.plans).clone();
        known.into_iter().find(|planned| planned.key_plan.is_of(key))
    }

    /// Has the kernels give known answers, if they have not: in buffers of their own, so that none of it stays.
    fn ask(&self) -> Result<(), WgpuProverError> {
        let shared = &self.shared;
        if shared.answered.load(Ordering::Acquire) || !shared.compute.asks() {
            return self.gpu().usable().map_err(WgpuProverError::Commit);
        }
        let compute = Arc::new(Compute::new(self.gpu(), shared.options.memory_budget));
        let committer = Committer::new(&compute, true);
        committer.ask(self.config()).map_err(WgpuProverError::Commit)?;
        gkr::ask(&compute, &committer).map_err(WgpuProverError::Gkr)?;
        mle_rounds::ask(&compute, &committer).map_err(WgpuProverError::MleRounds)?;
        opening::ask(&compute, &committer, self.config().params()).map_err(WgpuProverError::Openings)?;
        shared.answered.store(true, Ordering::Release);
        Ok(())
    }

    fn new_plan(&self, key: &DeviceMultiStarkProvingKey<Backend>) -> Result<Planned, WgpuProverError> {
        let _span = info_span!("plan_round0").entered();
        let key_plan = KeyPlan::new(key)?;
        let round0_plans = key_plan.round0_plans();
        let names = || round0_plans.iter().map(|plan| plan.air().name().to_owned()).collect();
        let warm_up = (self.shared.engine.warm_up(&round0_plans, Layout::ColMajor))
            .map_err(|source| WgpuProverError::Round0 { airs: names(), source })?;
        self.ask()?;
        debug!(?warm_up);
        self.shared.planned(key_plan, warm_up)
    }
}

impl Shared {
    fn new(options: WgpuOptions, engine: Round0, compute: Compute) -> Self {
        let compute = Arc::new(compute);
        Self {
            engine,
            plans: Mutex::default(),
            last_stats: Mutex::default(),
            committer: Committer::new(&compute, options.host_copies),
            grinder: Grinder::new(&compute, options.min_device_pow_bits),
            compute,
            options,
            last_commit: Mutex::default(),
            last_gkr: Mutex::default(),
            last_rounds: Mutex::default(),
            last_openings: Mutex::default(),
            kept_sums: KeptSums::default(),
            answered: AtomicBool::new(false),
        }
    }

    /// A key's plan, whose instructions have their buffer from now on: no proof finds one gone that the proof before had.
    fn planned(&self, key_plan: KeyPlan, warm_up: WarmUp) -> Result<Planned, WgpuProverError> {
        self.committer.make_room_beside(key_plan.batch_instructions.bytes());
        key_plan.batch_instructions.buffer(&self.compute).map_err(WgpuProverError::MleRounds)?;
        Ok(Planned { key_plan, warm_up })
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
        self.ask()?;
        let (root, data, stats) = self.shared.committer.commit(self.config(), traces).map_err(WgpuProverError::Commit)?;
        *lock(&self.shared.last_commit) = Some(stats);
        Ok((root, data))
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
        common_main: &PcsData,
    ) -> Result<(Self::PartialProof, Vec<EF>), WgpuProverError> {
        let _span = info_span!("prover.rap_constraints", phase = "prover").entered();
        let plan = self.plan(mpk)?;
        let root = common_main.commit()?;
        let grind_waits = self.shared.grinder.waits();
        let committed = committed_traces(mpk, ctx, root);
        let on = self.on_device(&mpk.params);
        let (proof, stats, mut rap_stats) = rap::prove(transcript, &plan.key_plan, mpk, ctx, committed, &on, self.checks_constraints)?;
        rap_stats.gkr.iter_mut().for_each(|stats| stats.proof_of_work_waits = self.shared.grinder.waits() - grind_waits);
        *lock(&self.shared.last_stats) = Some(stats);
        *lock(&self.shared.last_gkr) = rap_stats.gkr;
        *lock(&self.shared.last_rounds) = Some((rap_stats.mle_rounds, rap_stats.column_openings));
        Ok(proof)
    }
}

impl<TS: FiatShamirTranscript<SC>> OpeningProver<Backend, TS> for WgpuDevice {
    type OpeningProof = OpeningProof;
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
        let _span = info_span!("prover.openings", phase = "prover").entered();
        let root = common_main_pcs_data.commit()?;
        let traces = committed_traces(mpk, &ctx, root);
        let shared = &self.shared;
        let opener = self.opener(&mpk.params);
        let grind_waits = shared.grinder.waits();
        let opened = opener.prove(transcript, traces, &points);
        shared.committer.release(&root, &common_main_pcs_data.layout);
        // Giving the traces' memory back takes the system longer than some stages: not this thread's work.
        rayon::spawn(move || drop((ctx, common_main_pcs_data)));
        let (proof, mut stats) = opened?;
        stats.proof_of_work_waits = shared.grinder.waits() - grind_waits;
        *lock(&shared.last_openings) = Some(stats);
        Ok(proof)
    }
}

/// A proof's commitments: the common main one, then each trace's others.
fn committed_traces<'a>(
    mpk: &'a DeviceMultiStarkProvingKey<Backend>,
    ctx: &'a ProvingContext<Backend>,
    root: Digest,
) -> Vec<OpenedTraces<'a>> {
    let needs_rotation = |air: usize| mpk.per_air[air].vk.params.need_rot;
    let mains = ctx.per_trace.iter().map(|(air, own)| (&own.common_main, needs_rotation(*air)));
    let mut traces: Vec<OpenedTraces<'_>> = vec![(root, mains.collect())];
    for (air, own) in &ctx.per_trace {
        let committed = mpk.per_air[*air].preprocessed_data.iter().chain(&own.cached_mains);
        traces.extend(committed.map(|committed| (committed.commitment, vec![(&committed.trace, needs_rotation(*air))])));
    }
    traces
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
