//! What a call did, counted from what was recorded and submitted.

use std::{fmt, time::Duration};

use crate::kernel::Kernel;

/// GPU time of one stage. Serialised as `[kernel, milliseconds]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StageTime {
    /// The stage's kernel.
    pub kernel: &'static Kernel,
    /// Time between the stage's first and last pass boundary.
    pub gpu: Duration,
}

#[cfg(feature = "serde")]
impl serde::Serialize for StageTime {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.kernel.name, self.gpu.as_secs_f64() * 1e3).serialize(serializer)
    }
}

#[cfg(feature = "serde")]
mod milliseconds {
    use std::time::Duration;

    use serde::{Serialize, Serializer};

    pub fn one<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        (time.as_secs_f64() * 1e3).serialize(serializer)
    }

    pub fn optional<S: Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        time.map(|time| time.as_secs_f64() * 1e3).serialize(serializer)
    }
}

/// Counts and times of one [`Round0::evaluate`](crate::Round0::evaluate). With feature `serde` it can be serialised: times are in milliseconds, and
/// their keys end in `_ms`.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Round0Stats {
    /// AIRs in the call.
    pub airs: usize,
    /// Command buffers submitted: one a wait, more where work was cut to keep within [`GpuOptions::submission_budget`](crate::GpuOptions).
    pub submissions: usize,
    /// Times that the host waited for the device.
    pub waits: usize,
    /// `column_sums` and `column_sums_scalar` dispatches.
    pub column_kernels: usize,
    /// `coset_pass` and `coset_interpret` dispatches.
    pub coset_kernels: usize,
    /// `dual_reduce` dispatches; the end of each submission but the last of a wait is one, which reduces nothing.
    pub reduction_kernels: usize,
    /// Recordings made: 0 where the call is as one before, of the same plans and of traces with the same shapes and places, whose recording was kept.
    pub recordings: usize,
    /// Device buffers created: 0 at steady state.
    pub allocations: usize,
    /// Bytes of device scratch in use at the same time: partial sums, temporaries and `eq`.
    pub scratch_bytes: u64,
    /// Trace cells that the kernels needed, in bytes; a cell that several kernels need counts for each.
    pub trace_bytes: u64,
    /// Bytes uploaded: tables, weights and given `eq` evaluations. Traces are uploaded before the call.
    pub upload_bytes: u64,
    /// Bytes that came back: the polynomials' values, and the submissions' marks.
    pub readback_bytes: u64,
    /// Kernels that were used for the first time and gave their known answer before. [`Round0::warm_up`](crate::Round0::warm_up) does it
    /// ahead. Their submissions and buffers are not counted in the other numbers.
    pub known_answers: usize,
    /// Time of the known answers, a part of `cpu`.
    #[cfg_attr(feature = "serde", serde(rename = "answer_ms", serialize_with = "milliseconds::one"))]
    pub answer: Duration,
    /// Whether every kernel of the call has given its known answer, now or before; not where
    /// [`GpuOptions::known_answers`](crate::GpuOptions) is off.
    pub all_answered: bool,
    /// Host time of the call outside the wait.
    #[cfg_attr(feature = "serde", serde(rename = "cpu_ms", serialize_with = "milliseconds::one"))]
    pub cpu: Duration,
    /// Time of the whole call.
    #[cfg_attr(feature = "serde", serde(rename = "wall_ms", serialize_with = "milliseconds::one"))]
    pub wall: Duration,
    /// Time on the GPU from the first to the last kernel, where the adapter has timestamps.
    #[cfg_attr(feature = "serde", serde(rename = "gpu_ms", serialize_with = "milliseconds::optional"))]
    pub gpu: Option<Duration>,
    /// GPU time per stage in recorded order, where asked for ([`Round0Options::stage_times`](crate::Round0Options)).
    #[cfg_attr(feature = "serde", serde(rename = "stage_ms"))]
    pub stages: Vec<StageTime>,
    /// The adapter that ran.
    pub adapter: String,
}

impl Round0Stats {
    /// All dispatches.
    pub fn kernels(&self) -> usize {
        self.column_kernels + self.coset_kernels + self.reduction_kernels
    }
}

impl fmt::Display for Round0Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} AIRs on {}: {} kernels ({} reductions), {} submissions, {} waits, {} allocations, {} scratch bytes, cpu {:.3} ms, ",
            self.airs,
            self.adapter,
            self.kernels(),
            self.reduction_kernels,
            self.submissions,
            self.waits,
            self.allocations,
            self.scratch_bytes,
            self.cpu.as_secs_f64() * 1e3,
        )?;
        if let Some(gpu) = self.gpu {
            write!(f, "gpu {:.3} ms, ", gpu.as_secs_f64() * 1e3)?;
        }
        write!(f, "wall {:.3} ms", self.wall.as_secs_f64() * 1e3)
    }
}
