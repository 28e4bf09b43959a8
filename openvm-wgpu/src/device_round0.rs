//! A proof's traces on the device: the check of their constraints, and round 0 of all AIRs in one call.

use std::time::{Duration, Instant};

use logup_wgpu::{Challenges, ConstraintCheck, EF, Error, F, Instance, Round0, Round0Output, Round0Plan, Round0Polys, Round0Stats, Trace};
use tracing::info_span;

use crate::WgpuProverError;

/// What round 0 of a proof did on the device: one call for all AIRs.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct DeviceRound0Stats {
    /// The call.
    pub call: Round0Stats,
    /// Bytes of the traces that were brought to the device for it: none of those that their commitment left there.
    pub trace_upload_bytes: u64,
    /// Time of bringing them there.
    pub upload: Duration,
    /// Time of checking the constraints, of a device that does; none of the times beside it has it in.
    pub check: Option<Duration>,
    /// Time of all of it: weights, upload and call.
    pub wall: Duration,
}

/// One AIR's traces.
pub(crate) struct DeviceInput<'a> {
    pub plan: &'a Round0Plan,
    /// In the order of its parts.
    pub traces: Vec<Trace>,
    pub public_values: &'a [F],
}

/// The traces of some AIRs on the device.
pub(crate) struct DeviceTraces<'a> {
    pub inputs: Vec<DeviceInput<'a>>,
    /// What was brought there for them, and how long that took.
    pub upload_bytes: u64,
    pub upload: Duration,
    pub check: Option<Duration>,
}

impl DeviceTraces<'_> {
    fn instances(&self) -> Vec<Instance<'_>> {
        let inputs = self.inputs.iter();
        inputs.map(|input| Instance::new(input.plan).traces(&input.traces).public_values(input.public_values)).collect()
    }

    /// The constraints that fail.
    pub fn check(&mut self, engine: &Round0) -> Result<ConstraintCheck, WgpuProverError> {
        let _span = info_span!("check_constraints", phase = "prover").entered();
        let check = engine.check_constraints(&self.instances()).map_err(|source| self.failed(source))?;
        self.check = Some(check.wall);
        Ok(check)
    }

    /// The polynomials of all inputs, in their order: one call. `eq_3bs` are the weights of each input's interactions.
    pub fn round0(
        &self,
        engine: &Round0,
        eq_3bs: &[&[EF]],
        challenges: &Challenges<'_>,
    ) -> Result<(Vec<Round0Polys>, DeviceRound0Stats), WgpuProverError> {
        let start = Instant::now();
        let _span = info_span!("prover.rap_constraints.round0.device", phase = "prover").entered();
        let instances = self.instances().into_iter().zip(eq_3bs).map(|(instance, eq_3bs)| instance.weights(eq_3bs));
        let instances: Vec<Instance<'_>> = instances.collect();
        let Round0Output { polys, stats: call } = engine.evaluate(challenges, &instances).map_err(|source| self.failed(source))?;
        let &Self { upload_bytes: trace_upload_bytes, upload, check, .. } = self;
        let wall = upload + start.elapsed();
        Ok((polys, DeviceRound0Stats { call, trace_upload_bytes, upload, check, wall }))
    }

    fn failed(&self, source: Error) -> WgpuProverError {
        let airs = self.inputs.iter().map(|input| input.plan.air().name().to_owned()).collect();
        WgpuProverError::Round0 { airs, source }
    }
}
