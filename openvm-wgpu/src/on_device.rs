//! A proof's traces where the device has them: as their commitments left them there, or brought there for what asks for them.

use std::{cmp::Reverse, time::Instant};

use logup_wgpu::{Error, F, Round0, Trace};
use openvm_cpu_backend::CpuBackend;
use openvm_stark_backend::prover::{CommittedTraceData, DeviceMultiStarkProvingKey, ProvingContext};
use p3_matrix::dense::RowMajorMatrix;

use crate::{
    Digest, SC, WgpuProverError,
    commit::Committer,
    device_round0::{DeviceInput, DeviceTraces},
    gkr::Gkr,
    mle_rounds::MleRounds,
    opening::Opener,
    rap::Stage,
};

/// What the constraint stage uses of a device.
pub(crate) struct OnDevice<'a> {
    pub engine: &'a Round0,
    pub committer: &'a Committer,
    pub gkr: Gkr<'a>,
    pub mle_rounds: MleRounds<'a>,
    pub opener: Opener<'a>,
}

impl<'a> Stage<'a> {
    /// The traces of AIRs that have interactions or constraints. Without `common_main`, the root of the common main traces' commitment, those are brought
    /// there and not kept.
    pub fn on_device(
        &self,
        on: &OnDevice<'_>,
        key: &DeviceMultiStarkProvingKey<CpuBackend<SC>>,
        context: &ProvingContext<CpuBackend<SC>>,
        common_main: Option<&Digest>,
    ) -> Result<DeviceTraces<'a>, WgpuProverError> {
        let start = Instant::now();
        let mut upload_bytes = 0;
        // Commitments are to traces from the tallest down.
        let mut order: Vec<usize> = (0..self.traces.len()).collect();
        order.sort_by_key(|&t| Reverse(self.traces[t].rows.height));
        let mains: Vec<&RowMajorMatrix<F>> = order.iter().map(|&t| &context.per_trace[t].1.common_main).collect();
        let (main, bytes) = match common_main {
            Some(root) => on.committer.stack(&key.params, root, &mains),
            None => on.committer.upload(&key.params, &mains),
        }
        .map_err(WgpuProverError::Commit)?;
        upload_bytes += bytes;

        let mut inputs = vec![];
        for (t, trace) in self.traces.iter().enumerate() {
            let Some(plan) = &trace.plan.round0 else { continue };
            let (air, own) = &context.per_trace[t];
            let air_error = |source: Error| WgpuProverError::Round0 { airs: vec![plan.air().name().to_owned()], source };
            let mut traces: Vec<Trace> = vec![];
            let committed = key.per_air[*air].preprocessed_data.iter().chain(&own.cached_mains);
            for CommittedTraceData { commitment, trace, .. } in committed {
                let (stack, bytes) = on.committer.stack(&key.params, commitment, &[trace]).map_err(air_error)?;
                traces.push(stack.trace(on.engine.gpu(), 0).map_err(air_error)?);
                upload_bytes += bytes;
            }
            let place = order.iter().position(|&other| other == t).expect("each trace once");
            traces.push(main.trace(on.engine.gpu(), place).map_err(air_error)?);
            inputs.push(DeviceInput { plan, traces, public_values: trace.public_values });
        }
        Ok(DeviceTraces { inputs, upload_bytes, upload: start.elapsed(), check: None })
    }
}
