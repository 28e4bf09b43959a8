//! A proof's traces on the device: the check of their constraints, and round 0 of all AIRs in one call.

use std::time::{Duration, Instant};

use logup_wgpu::{Challenges, ColumnsOf, ConstraintCheck, EF, Error, F, Instance, Round0, Round0Polys, Round0Stats, Trace};
use tracing::info_span;

use crate::{WgpuProverError, key_plan::DevicePlan, rows::Rows};

/// What round 0 of a proof did on the device: one call for all AIRs.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct DeviceRound0Stats {
    /// The call.
    pub call: Round0Stats,
    /// Bytes of the traces on the device: the columns that interactions and constraints read.
    pub trace_upload_bytes: u64,
    /// Time of bringing them there. The device picks and transposes them after it, before the call.
    pub upload: Duration,
    /// Time of checking the constraints, of a device that does; none of the times beside it has it in.
    pub check: Option<Duration>,
    /// Time of all of it: weights, upload and call.
    pub wall: Duration,
}

/// One AIR's trace.
pub(crate) struct DeviceInput<'a> {
    pub plan: &'a DevicePlan,
    pub rows: &'a Rows<'a>,
    pub public_values: &'a [F],
}

/// The traces of some AIRs, as their plans read them.
pub(crate) struct DeviceTraces<'a> {
    inputs: Vec<DeviceInput<'a>>,
    /// A trace for each part of each input.
    traces: Vec<Trace>,
    bytes: u64,
    upload: Duration,
    check: Option<Duration>,
}

impl<'a> DeviceTraces<'a> {
    /// The columns that the plans read: one upload for all.
    pub fn upload(engine: &Round0, inputs: Vec<DeviceInput<'a>>) -> Result<Self, WgpuProverError> {
        let start = Instant::now();
        let parts = inputs.iter().flat_map(|input| input.plan.columns.parts.iter().map(|part| part.columns_of(input.rows)));
        let matrices: Vec<ColumnsOf<'_>> = parts.collect();
        let traces = Trace::upload_columns(engine.gpu(), &matrices).map_err(|source| failed(&inputs, source))?;
        let bytes = traces.iter().map(|trace| 4 * trace.width() as u64 * trace.height() as u64).sum();
        Ok(Self { inputs, traces, bytes, upload: start.elapsed(), check: None })
    }

    fn instances(&self) -> Vec<Instance<'_>> {
        let mut rest = &self.traces[..];
        let instances = self.inputs.iter().map(|input| {
            let traces = rest.split_off(..input.plan.columns.parts.len()).expect("a trace for each part");
            Instance::new(&input.plan.plan).traces(traces).public_values(input.public_values)
        });
        instances.collect()
    }

    /// The constraints that fail.
    pub fn check(&mut self, engine: &Round0) -> Result<ConstraintCheck, WgpuProverError> {
        let _span = info_span!("check_constraints", phase = "prover").entered();
        let check = engine.check_constraints(&self.instances()).map_err(|source| failed(&self.inputs, source))?;
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
        let output = engine.evaluate(challenges, &instances).map_err(|source| failed(&self.inputs, source))?;
        let &Self { bytes: trace_upload_bytes, upload, check, .. } = self;
        let wall = upload + start.elapsed();
        Ok((output.polys, DeviceRound0Stats { call: output.stats, trace_upload_bytes, upload, check, wall }))
    }
}

fn failed(inputs: &[DeviceInput<'_>], source: Error) -> WgpuProverError {
    let airs = inputs.iter().map(|input| input.plan.plan.air().name().to_owned()).collect();
    WgpuProverError::Round0 { airs, source }
}
