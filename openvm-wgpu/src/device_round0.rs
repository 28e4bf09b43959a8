//! Round 0 on the device: LogUp's polynomials and the constraints' of all AIRs, in one call.

use std::time::{Duration, Instant};

use logup_wgpu::{Challenges, EF, Error, F, Instance, Matrix, Round0, Round0Polys, Round0Stats, Trace};
use tracing::info_span;

use crate::{WgpuProverError, key_plan::DevicePlan, rows::Rows};

/// What round 0 of a proof did on the device: one call for all AIRs.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct DeviceRound0Stats {
    /// The call.
    pub call: Round0Stats,
    /// Columns uploaded for it, in bytes: those that interactions and constraints read.
    pub trace_upload_bytes: u64,
    /// Time of picking and uploading them.
    pub upload: Duration,
    /// Time of all of it: weights, upload and call.
    pub wall: Duration,
}

/// One AIR's part.
pub(crate) struct Round0Input<'a> {
    pub plan: &'a DevicePlan,
    pub rows: &'a Rows<'a>,
    pub public_values: &'a [F],
    pub eq_3bs: &'a [EF],
}

/// The polynomials of all inputs, in their order: one upload of all traces, one call.
pub(crate) fn round0(
    engine: &Round0,
    inputs: &[Round0Input<'_>],
    challenges: &Challenges<'_>,
) -> Result<(Vec<Round0Polys>, DeviceRound0Stats), WgpuProverError> {
    let start = Instant::now();
    let _span = info_span!("prover.rap_constraints.round0.device", phase = "prover").entered();
    let names = || inputs.iter().map(|input| input.plan.plan.air().name().to_owned());
    let failed = |source: Error| WgpuProverError::Round0 { airs: names().collect(), source };

    let parts = || inputs.iter().flat_map(|input| input.plan.columns.parts.iter().map(move |part| (part, input.rows)));
    let cells: Vec<Vec<F>> = parts().map(|(part, rows)| part.cells(rows)).collect();
    let matrices: Vec<Matrix<'_>> = parts().zip(&cells).map(|((part, _), cells)| part.matrix(cells)).collect();
    let traces = Trace::upload(engine.gpu(), &matrices).map_err(failed)?;
    let trace_upload_bytes = cells.iter().map(|cells| size_of_val(&cells[..]) as u64).sum();
    drop(cells);
    let upload = start.elapsed();

    let mut rest = &traces[..];
    let instances = inputs.iter().map(|input| {
        let traces = rest.split_off(..input.plan.columns.parts.len()).expect("a trace for each part");
        Instance::new(&input.plan.plan).traces(traces).public_values(input.public_values).weights(input.eq_3bs)
    });
    let instances: Vec<Instance<'_>> = instances.collect();
    let output = engine.evaluate(challenges, &instances).map_err(failed)?;
    let stats = DeviceRound0Stats { trace_upload_bytes, upload, wall: start.elapsed(), call: output.stats };
    Ok((output.polys, stats))
}
