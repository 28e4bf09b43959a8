//! Why a proof was not made.

use logup_wgpu::Error;
use openvm_cpu_backend::CpuProverError;
use openvm_stark_backend::prover::{LogupZerocheckError, error::StackedPcsError};

/// The prover's error. There is no fallback: a proof of which the device did not compute its part is not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WgpuProverError {
    /// What the stock CPU device says of parameters without a proof, too.
    #[error(transparent)]
    Cpu(#[from] CpuProverError),
    /// The constraint stage failed where the stock prover fails too: LogUp's sum is not zero, say.
    #[error("constraints: {0}")]
    Constraints(#[from] LogupZerocheckError),
    /// The device did not commit to the traces; the source names one by its place from the tallest down, where it is one's fault. An engine's proof names
    /// its AIR instead, as [`Air`](Self::Air).
    #[error("trace commitment: {0}")]
    Commit(#[source] Error),
    /// An AIR or its trace does not fit; the source names it.
    #[error(transparent)]
    Air(#[from] Error),
    /// The device did not prove the sum of LogUp's fractions.
    #[error("GKR: {0}")]
    Gkr(#[source] Error),
    /// The device did not prove the rounds after round 0, or did not open the trace columns.
    #[error("rounds after round 0: {0}")]
    MleRounds(#[source] Error),
    /// A challenge is 1, and the protocol divides by what it is less than 1. It happens once in 2^124 proofs.
    #[error("a challenge is 1")]
    Challenge,
    /// The device did not open the commitments.
    #[error("openings: {0}")]
    Openings(#[source] Error),
    /// The device did not compute round 0.
    #[error("round 0 of {}: {source}", airs.join(", "))]
    Round0 {
        /// The AIRs of the call, in its order.
        airs: Vec<String>,
        /// What the device, or its limits, said.
        source: Error,
    },
}

impl From<StackedPcsError> for WgpuProverError {
    fn from(error: StackedPcsError) -> Self {
        Self::Constraints(error.into())
    }
}
