//! LogUp's half of round 0, on the device.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use p3_matrix::dense::RowMajorMatrix;
use tracing::info_span;

use super::{WgpuProverError, key_plan::LogupPlan, lock, rows::Rows};
use crate::{
    Eq, Instance, Matrix, Round0, Round0Stats, Trace,
    error::Error,
    field::{EF, F},
};

/// What LogUp round 0 of a proof did: one call for all AIRs.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LogupRound0Stats {
    /// The call.
    pub call: Round0Stats,
    /// Traces uploaded for it, in bytes.
    pub trace_upload_bytes: u64,
    /// Time of that upload.
    pub upload: Duration,
    /// Time of all of LogUp round 0: weights, upload and call.
    pub wall: Duration,
}

/// One AIR's part of LogUp round 0.
pub(super) struct LogupInput<'a> {
    pub name: &'a str,
    pub plan: &'a LogupPlan,
    pub rows: &'a Rows<'a>,
    pub public_values: &'a [F],
    /// `xi` of the cube that `x` runs over.
    pub xi: &'a [EF],
    pub eq_3bs: &'a [EF],
    pub has_preprocessed: bool,
}

impl<'a> LogupInput<'a> {
    /// Its matrices, without a common main that has no columns.
    fn parts(&self) -> &[&'a RowMajorMatrix<F>] {
        match self.rows.parts.split_last() {
            Some((common, others)) if common.width == 0 => others,
            _ => &self.rows.parts,
        }
    }
}

/// `s'_0` of LogUp as coefficients, constant term first: numerator, not yet divided by a lifted trace's repetitions, and denominator.
pub(super) type LogupPolys = [Vec<EF>; 2];

/// The polynomials of all inputs, in their order: one upload of all traces, one call.
pub(super) fn round0(
    engine: &Mutex<Round0>,
    inputs: &[LogupInput<'_>],
    beta_pows: &[EF],
) -> Result<(Vec<LogupPolys>, LogupRound0Stats), WgpuProverError> {
    let mut engine = lock(engine);
    let start = Instant::now();
    let _span = info_span!("prover.rap_constraints.round0.logup", phase = "prover").entered();
    let failed = |source: Error| WgpuProverError::Round0 { airs: inputs.iter().map(|input| input.name.to_owned()).collect(), source };

    let matrices: Vec<Matrix<'_>> = inputs.iter().flat_map(|input| input.parts()).map(|&part| part.into()).collect();
    let traces = Trace::upload(engine.gpu(), &matrices).map_err(failed)?;
    let upload = start.elapsed();

    let mut rest: Vec<&Trace> = traces.iter().collect();
    let per_input: Vec<Vec<&Trace>> = inputs.iter().map(|input| rest.drain(..input.parts().len()).collect()).collect();
    let instances: Vec<Instance<'_>> = inputs
        .iter()
        .zip(&per_input)
        .map(|(input, traces)| {
            let (preprocessed, main) = traces.split_at(usize::from(input.has_preprocessed));
            Instance {
                plan: &input.plan.round0,
                preprocessed: preprocessed.first().copied(),
                main,
                public_values: input.public_values,
                eq: Eq::Challenges(input.xi),
                beta_pows,
                eq_3bs: input.eq_3bs,
            }
        })
        .collect();
    let output = engine.evaluate(&instances).map_err(failed)?;
    let polys = output.polys.into_iter().map(|polys| [polys.numerator, polys.denominator]).collect();
    let stats = LogupRound0Stats {
        trace_upload_bytes: matrices.iter().map(|matrix| size_of_val(matrix.values) as u64).sum(),
        upload,
        wall: start.elapsed(),
        call: output.stats,
    };
    Ok((polys, stats))
}
