//! LogUp's half of round 0, on the device.

use std::time::{Duration, Instant};

use logup_wgpu::{Challenges, EF, Error, F, Instance, Matrix, Round0, Round0Polys, Round0Stats, Trace};
use tracing::info_span;

use crate::{WgpuProverError, key_plan::LogupPlan, rows::Rows};

/// What LogUp round 0 of a proof did: one call for all AIRs.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LogupRound0Stats {
    /// The call.
    pub call: Round0Stats,
    /// Columns uploaded for it, in bytes: those that interactions read.
    pub trace_upload_bytes: u64,
    /// Time of picking and uploading them.
    pub upload: Duration,
    /// Time of all of LogUp round 0: weights, upload and call.
    pub wall: Duration,
}

/// One AIR's part of LogUp round 0.
pub(crate) struct LogupInput<'a> {
    pub name: &'a str,
    pub plan: &'a LogupPlan,
    pub rows: &'a Rows<'a>,
    pub public_values: &'a [F],
    pub eq_3bs: &'a [EF],
}

/// `s'_0` of LogUp as coefficients, constant term first: numerator and denominator.
pub(crate) type LogupPolys = [Vec<EF>; 2];

/// The polynomials of all inputs, in their order: one upload of all traces, one call.
pub(crate) fn round0(
    engine: &Round0,
    inputs: &[LogupInput<'_>],
    challenges: &Challenges<'_>,
) -> Result<(Vec<Round0Polys>, LogupRound0Stats), WgpuProverError> {
    let start = Instant::now();
    let _span = info_span!("prover.rap_constraints.round0.logup", phase = "prover").entered();
    let failed = |source: Error| WgpuProverError::Round0 { airs: inputs.iter().map(|input| input.name.to_owned()).collect(), source };

    let parts = || inputs.iter().flat_map(|input| input.plan.device.parts.iter().map(move |part| (part, input.rows)));
    let cells: Vec<Vec<F>> = parts().map(|(part, rows)| part.cells(rows)).collect();
    let matrices: Vec<Matrix<'_>> = parts().zip(&cells).map(|((part, _), cells)| part.matrix(cells)).collect();
    let traces = Trace::upload(engine.gpu(), &matrices).map_err(failed)?;
    let trace_upload_bytes = cells.iter().map(|cells| size_of_val(&cells[..]) as u64).sum();
    drop(cells);
    let upload = start.elapsed();

    let mut rest = &traces[..];
    let instances = inputs.iter().map(|input| {
        let traces = rest.split_off(..input.plan.device.parts.len()).expect("a trace for each part");
        Instance::new(&input.plan.round0).traces(traces).public_values(input.public_values).weights(input.eq_3bs)
    });
    let instances: Vec<Instance<'_>> = instances.collect();
    let output = engine.evaluate(challenges, &instances).map_err(failed)?;
    let stats = LogupRound0Stats { trace_upload_bytes, upload, wall: start.elapsed(), call: output.stats };
    Ok((output.polys, stats))
}
