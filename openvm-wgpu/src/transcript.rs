//! The engine's transcript: the stock sponge, with proofs of work by the device.

use openvm_stark_backend::{FiatShamirTranscript, StarkProtocolConfig};
use openvm_stark_sdk::config::baby_bear_poseidon2::DuplexSponge;
use p3_baby_bear::{Poseidon2BabyBear, default_babybear_poseidon2_16};
use p3_field::PrimeCharacteristicRing;
use tracing::info_span;

#[cfg(doc)]
use logup_wgpu::Error;
use logup_wgpu::{EF, F, Result, compute::Recording};

use crate::{
    SC, WgpuDevice,
    grind::{Grinder, Puzzle},
};

type Digest = <SC as StarkProtocolConfig>::Digest;

/// A transcript that a [`WgpuEngine`](crate::WgpuEngine) can start.
///
/// Every transcript that the stock engines start is one; [`WgpuTranscript`] is the one that knows the device.
pub trait EngineTranscript: FiatShamirTranscript<SC> {
    /// A transcript that nothing was observed by.
    fn start(device: &WgpuDevice) -> Self;
}

impl<T: FiatShamirTranscript<SC> + From<Poseidon2BabyBear<16>>> EngineTranscript for T {
    fn start(_: &WgpuDevice) -> Self {
        default_babybear_poseidon2_16().into()
    }
}

/// The stock transcript's challenges, and of each proof of work the least witness: a proof is the same bytes on every run and every machine. The device
/// searches where it is faster than the CPU.
#[derive(Clone, Debug)]
pub struct WgpuTranscript {
    sponge: DuplexSponge,
    grinder: Grinder,
}

impl WgpuTranscript {
    fn puzzle(&self, bits: usize) -> Puzzle {
        Puzzle { state: *self.sponge.state(), absorb: self.sponge.absorb_idx(), bits }
    }

    /// The device's first search of a proof of work as data, for whoever wants to read it or run it elsewhere: the first word of the results is the least
    /// witness, `u32::MAX` for none among those that it tries.
    ///
    /// # Errors
    /// [`Error::DeviceLimit`] where a launch is too large for the device.
    pub fn record_grind(&self, bits: usize) -> Result<Recording> {
        self.grinder.record(&self.puzzle(bits), 0)
    }
}

impl EngineTranscript for WgpuTranscript {
    fn start(device: &WgpuDevice) -> Self {
        Self { sponge: default_babybear_poseidon2_16().into(), grinder: device.grinder() }
    }
}

impl FiatShamirTranscript<SC> for WgpuTranscript {
    fn observe(&mut self, value: F) {
        self.sponge.absorb(value);
    }

    fn sample(&mut self) -> F {
        self.sponge.squeeze()
    }

    fn observe_commit(&mut self, digest: Digest) {
        digest.into_iter().for_each(|value| self.sponge.absorb(value));
    }

    fn observe_ext(&mut self, value: EF) {
        FiatShamirTranscript::<SC>::observe_ext(&mut self.sponge, value);
    }

    fn grind(&mut self, bits: usize) -> F {
        let _span = info_span!("grind_pow").entered();
        if bits == 0 {
            return F::ZERO;
        }
        let witness = self.grinder.least(&self.puzzle(bits));
        assert!(self.check_witness(bits, witness), "the least witness is one");
        witness
    }
}
