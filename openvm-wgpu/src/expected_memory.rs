//! The memory that a proof will take, before any of it: the prover itself, over buffers that are only counted.

use logup_wgpu::F;
use openvm_cpu_backend::CpuBackend;
use openvm_stark_backend::{
    FiatShamirTranscript,
    prover::{AirProvingContext, CommittedTraceData, Coordinator, DeviceMultiStarkProvingKey, MatrixDimensions, Prover, ProvingContext},
};
use p3_field::PrimeCharacteristicRing;
use p3_matrix::dense::RowMajorMatrix;
use tracing::subscriber::{NoSubscriber, with_default};

use crate::{Digest, SC, WgpuDevice, WgpuProverError};

type Backend = CpuBackend<SC>;

impl WgpuDevice {
    /// Bytes of device memory that a proof of such traces will have taken at its end: what [`peak_device_bytes`](Self::peak_device_bytes) says after it, of a
    /// device that has made no other and whose commitments to cached traces are there or not as they are here; but for some 20 KB where proofs of work are searched on the device. Only shapes matter, so that a context of [zeros](PrimeCharacteristicRing::zero_vec) tells it for traces that are not there
    /// yet. The GPU does nothing, and nothing is traced; the host goes through a proof's steps, but for its hashes.
    ///
    /// # Errors
    /// As of a proof, for what is refused before any work or for want of memory: [`Error::DeviceLimit`](logup_wgpu::Error) in
    /// [`WgpuProverError`] where the memory budget does not suffice.
    pub fn expected_peak_device_bytes(
        &self,
        key: &DeviceMultiStarkProvingKey<Backend>,
        context: &ProvingContext<Backend>,
    ) -> Result<u64, WgpuProverError> {
        self.check_heights(key, context)?;
        let context = of_same_shapes(context);
        with_default(NoSubscriber::new(), || {
            let counting = self.counting(key, &context)?;
            Coordinator::new(Backend::new(), counting.clone(), AnyChallenges(F::ONE)).prove(key, context)?;
            Ok(counting.peak_device_bytes())
        })
    }
}

/// Traces of zeros, which the system has no memory for until somebody writes them.
fn of_same_shapes(context: &ProvingContext<Backend>) -> ProvingContext<Backend> {
    let zeros = |matrix: &RowMajorMatrix<F>| RowMajorMatrix::new(F::zero_vec(matrix.values.len()), matrix.width());
    let committed = |CommittedTraceData { commitment, trace, data }: &CommittedTraceData<Backend>| CommittedTraceData {
        commitment: *commitment,
        trace: zeros(trace),
        data: data.clone(),
    };
    let per_trace = context.per_trace.iter().map(|(air, own)| {
        let cached_mains = own.cached_mains.iter().map(committed).collect();
        (*air, AirProvingContext { cached_mains, common_main: zeros(&own.common_main), public_values: own.public_values.clone() })
    });
    ProvingContext { per_trace: per_trace.collect() }
}

/// A transcript that hashes nothing: its challenges are some numbers, none of them twice.
#[derive(Clone, Debug)]
struct AnyChallenges(F);

impl FiatShamirTranscript<SC> for AnyChallenges {
    fn observe(&mut self, _: F) {}

    fn sample(&mut self) -> F {
        // A generator of the field's units: no power is zero, nor of small order for a long time.
        self.0 *= F::from_u8(31);
        self.0
    }

    fn observe_commit(&mut self, _: Digest) {}

    fn grind(&mut self, _: usize) -> F {
        F::ZERO
    }
}
