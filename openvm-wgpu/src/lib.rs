//! A prover engine for OpenVM 2.0 that commits to traces, proves their constraints and interactions, opens the commitments and searches proofs of work on the
//! GPU, through [`logup_wgpu`] and kernels of its own. Its proofs are the stock CPU engine's, byte for byte, with the least witness of each proof of work.
//!
//! [`WgpuEngine`] takes the place of `BabyBearPoseidon2CpuEngine`: it has the same configuration, takes the same traces and keeps the same
//! transcript. Where each stage runs:
//!
//! | stage | where |
//! |---|---|
//! | trace commitment | the GPU: stack, Reed-Solomon code and Merkle tree in one submission; the traces stay there |
//! | proofs of work | the GPU, where it is faster than the CPU |
//! | GKR | the GPU, four rounds for a wait; small layers and last rounds on the CPU |
//! | round 0 | the GPU: one [`Round0::evaluate`](logup_wgpu::Round0::evaluate) for LogUp and the constraints of all AIRs, on the committed traces |
//! | later rounds, column openings | the GPU; traces shorter than the skip domain on the CPU |
//! | openings: stacked reduction and WHIR | the GPU; only what the transcript sees, opened rows and paths come back |
//! | the transcript | the CPU |
//!
//! # Example
//! ```no_run
//! use openvm_stark_backend::{StarkEngine, SystemParams, keygen::types::MultiStarkProvingKey, prover::{DeviceDataTransporter, ProvingContext}};
//! use openvm_stark_sdk::config::baby_bear_poseidon2::BabyBearPoseidon2Config;
//! use openvm_wgpu::WgpuEngine;
//!
//! fn prove(
//!     params: SystemParams,
//!     pk: &MultiStarkProvingKey<BabyBearPoseidon2Config>,
//!     context: ProvingContext<openvm_cpu_backend::CpuBackend<BabyBearPoseidon2Config>>,
//! ) -> Result<(), Box<dyn std::error::Error>> {
//!     let engine: WgpuEngine = WgpuEngine::try_new(params)?;          // on the process's default GPU; or with_gpu(params, &gpu)
//!     let device_pk = engine.device().transport_pk_to_device(pk);     // once per key: plans, kernels, and their known answers
//!     let proof = engine.prove(&device_pk, context)?;
//!     engine.verify(&pk.get_vk(), &proof)?;
//!     println!("{}", engine.device().last_round0_stats().expect("a proof was made").call);
//!     Ok(())
//! }
//! ```
//!
//! # Features
//! - `vm`: [`vm::OnWgpu`], which builds OpenVM's virtual machines on this engine.
//!
//! [`air`] and [`matrix`] translate OpenVM's interactions and matrices for whoever uses [`logup_wgpu`] directly. `docs/openvm.md` in the
//! repository tells what the engine costs and saves.

#![deny(unsafe_code)] // docs/safety.md in the repository lists the exception
#![warn(missing_docs)]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod air;
mod commit;
mod compute;
mod device;
mod device_round0;
mod error;
mod expected_memory;
mod forms;
mod gkr;
mod grind;
pub mod kernels;
mod key_plan;
mod mle_rounds;
mod on_device;
mod opening;
mod options;
mod poly;
mod poseidon2;
mod rap;
mod recorder;
mod row_sums;
mod rows;
mod short_traces;
mod sumcheck;
mod transcript;
#[cfg(feature = "vm")]
pub mod vm;
mod windows;

use std::{
    marker::PhantomData,
    sync::{Mutex, MutexGuard, PoisonError},
};

pub use logup_wgpu;
use logup_wgpu::{F, Gpu, GpuOptions, Matrix, Result};
use openvm_cpu_backend::CpuBackend;
use openvm_stark_backend::{
    StarkEngine, StarkProtocolConfig, SystemParams,
    memory_metering::ProvingMemoryConfig,
    proof::Proof,
    prover::{ColMajorMatrix, Coordinator, DeviceMultiStarkProvingKey, MatrixDimensions, Prover, ProverBackend, ProvingContext},
};
use openvm_stark_sdk::config::baby_bear_poseidon2::BabyBearPoseidon2Config;

pub use self::{
    commit::{CommitStats, RecordedCommitment},
    device::WgpuDevice,
    device_round0::DeviceRound0Stats,
    error::WgpuProverError,
    gkr::GkrStats,
    mle_rounds::MleRoundsStats,
    opening::OpeningStats,
    options::WgpuOptions,
    sumcheck::session::{PartStats, RecordingObserver},
    transcript::{EngineTranscript, WgpuTranscript},
};

type SC = BabyBearPoseidon2Config;
type Digest = <SC as StarkProtocolConfig>::Digest;
type PcsData = <CpuBackend<SC> as ProverBackend>::PcsData;

/// An OpenVM matrix for [`Trace::upload`](logup_wgpu::Trace::upload), without a copy.
pub fn matrix(matrix: &ColMajorMatrix<F>) -> Matrix<'_> {
    Matrix::col_major(&matrix.values, matrix.width())
}

/// An engine for `BabyBearPoseidon2Config` with [`WgpuDevice`] as its device.
///
/// `TS` is the transcript, by default [`WgpuTranscript`], whose proofs of work the device searches. Its challenges are those of the stock engines'.
pub struct WgpuEngine<TS = WgpuTranscript> {
    device: WgpuDevice,
    transcript: PhantomData<fn() -> TS>,
}

impl<TS> WgpuEngine<TS> {
    /// An engine on this GPU.
    ///
    /// # Errors
    /// As [`WgpuDevice::new`].
    pub fn with_gpu(params: SystemParams, gpu: &Gpu) -> Result<Self> {
        Ok(Self::with_device(WgpuDevice::new(BabyBearPoseidon2Config::default_from_params(params), gpu)?))
    }

    /// An engine on this device.
    pub fn with_device(device: WgpuDevice) -> Self {
        Self { device, transcript: PhantomData }
    }

    /// An engine on the process's default GPU, which the first engine opens and all share. After it was lost, the next engine opens another.
    ///
    /// # Errors
    /// As [`Gpu::new`] and [`WgpuDevice::new`].
    pub fn try_new(params: SystemParams) -> Result<Self> {
        Self::with_gpu(params, &default_gpu()?)
    }
}

/// What this crate's mutexes guard is valid at all times: a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The process's default GPU: the one that was opened last, unless it is lost.
fn default_gpu() -> Result<Gpu> {
    static GPU: Mutex<Option<Gpu>> = Mutex::new(None);
    let mut gpu = lock(&GPU);
    match &*gpu {
        Some(gpu) if gpu.lost().is_none() => Ok(gpu.clone()),
        _ => Ok(gpu.insert(Gpu::new(GpuOptions::default())?).clone()),
    }
}

impl<TS> StarkEngine for WgpuEngine<TS>
where
    TS: EngineTranscript,
{
    type SC = SC;
    type PB = CpuBackend<SC>;
    type PD = WgpuDevice;
    type TS = TS;

    /// [`WgpuEngine::try_new`], for where the trait asks for an engine and takes no error.
    ///
    /// # Panics
    /// Where `try_new` has an error, without a GPU adapter above all: this engine has no other way to prove.
    fn new(params: SystemParams) -> Self {
        Self::try_new(params).unwrap_or_else(|error| panic!("{error}"))
    }

    fn config(&self) -> &SC {
        self.device.config()
    }

    /// What a proof keeps, for those who cut executions into segments: the traces' rows on the host, the stacked matrix and the codeword on the device. There
    /// is no scratch for constraints besides.
    fn proving_memory_config(&self) -> ProvingMemoryConfig {
        let (cache_stacked_matrix, cache_rs_code_matrix, zerocheck_save_memory) = (true, true, true);
        ProvingMemoryConfig::from_protocol_config(self.config(), cache_stacked_matrix, cache_rs_code_matrix, zerocheck_save_memory)
    }

    fn device(&self) -> &WgpuDevice {
        &self.device
    }

    fn initial_transcript(&self) -> TS {
        TS::start(&self.device)
    }

    /// A proof. Traces that cannot be committed to are refused before any work, by the names of their AIRs.
    fn prove(
        &self,
        pk: &DeviceMultiStarkProvingKey<CpuBackend<SC>>,
        ctx: ProvingContext<CpuBackend<SC>>,
    ) -> std::result::Result<Proof<SC>, WgpuProverError> {
        self.device.check_heights(pk, &ctx)?;
        self.prover().prove(pk, ctx)
    }

    fn prover_from_transcript(&self, transcript: TS) -> Coordinator<SC, CpuBackend<SC>, WgpuDevice, TS> {
        Coordinator::new(CpuBackend::new(), self.device.clone(), transcript)
    }
}

/// The README's example is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// So are those of `docs/openvm.md`.
#[cfg(all(doctest, feature = "vm"))]
#[doc = include_str!("../../docs/openvm.md")]
struct OpenVmDocs;
