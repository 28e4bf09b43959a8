//! A prover engine for OpenVM whose LogUp round 0 runs on the device.
//!
//! [`WgpuEngine`] stands where `BabyBearPoseidon2CpuEngine` stands: same configuration, same traces, same transcript, and for the same
//! inputs the same proof, byte for byte. What runs where:
//!
//! | stage | who |
//! |---|---|
//! | trace commitment, openings | the stock CPU device |
//! | GKR | the stock `fractional_sumcheck`; its input layer here, on the CPU |
//! | round 0, LogUp | one [`Round0::evaluate`](crate::Round0::evaluate) for all AIRs |
//! | round 0, constraints | here, on the CPU: packed fields, a lane for each `x` |
//! | later rounds | here, on the CPU: packed extension fields, a lane for each `y` |
//!
//! `docs/openvm.md` in the repository tells how to use it and what it costs and saves.

mod device;
mod device_parts;
mod error;
mod gkr_input;
mod key_plan;
mod logup;
mod mle;
mod program;
mod rap;
mod rows;
mod skip_domain;
mod zerocheck;

use std::{
    marker::PhantomData,
    sync::{Mutex, MutexGuard, PoisonError},
};

use openvm_cpu_backend::CpuBackend;
use openvm_stark_backend::{FiatShamirTranscript, StarkEngine, StarkProtocolConfig, SystemParams, prover::Coordinator};
use openvm_stark_sdk::config::baby_bear_poseidon2::{BabyBearPoseidon2Config, CpuTranscript};
use p3_baby_bear::{Poseidon2BabyBear, default_babybear_poseidon2_16};
use p3_field::{ExtensionField, Field};

pub use self::{device::WgpuDevice, error::WgpuProverError, logup::LogupRound0Stats};
use crate::{Gpu, GpuOptions, Result};

type SC = BabyBearPoseidon2Config;
type Digest = <SC as StarkProtocolConfig>::Digest;
/// As many base field elements as the CPU computes with at once.
type P = <crate::F as Field>::Packing;
/// As many extension field elements.
type EP = <crate::EF as ExtensionField<crate::F>>::ExtensionPacking;

/// An engine for `BabyBearPoseidon2Config` with [`WgpuDevice`] as its device.
///
/// `TS` is the transcript, by default that of the stock CPU engine.
pub struct WgpuEngine<TS = CpuTranscript> {
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

/// What this module's mutexes guard is valid at all times: a panic elsewhere does not spoil it.
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
    TS: FiatShamirTranscript<SC> + From<Poseidon2BabyBear<16>>,
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

    fn device(&self) -> &WgpuDevice {
        &self.device
    }

    fn initial_transcript(&self) -> TS {
        TS::from(default_babybear_poseidon2_16())
    }

    fn prover_from_transcript(&self, transcript: TS) -> Coordinator<SC, CpuBackend<SC>, WgpuDevice, TS> {
        Coordinator::new(CpuBackend::new(), self.device.clone(), transcript)
    }
}
