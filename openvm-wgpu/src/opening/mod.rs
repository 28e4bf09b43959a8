//! The openings on the device: the stacked reduction, then WHIR. Traces, codes and trees are those that the commitments left there; nothing but what the
//! transcript sees, opened rows and paths comes back.

mod column_sums;
mod known_answer;
mod queries;
mod stacked;
mod whir;

use std::time::Duration;

use logup_wgpu::{EF, Error, F, StageTime};
use openvm_cpu_backend::CpuProverError;
use openvm_stark_backend::{
    FiatShamirTranscript, SystemParams,
    proof::{StackingProof, WhirProof},
};
use p3_field::PrimeCharacteristicRing;
use p3_matrix::dense::RowMajorMatrix;
use tracing::info_span;

pub(crate) use self::{column_sums::KeptSums, known_answer::ask};
use crate::{
    Digest, SC, WgpuProverError,
    commit::{Committer, Stack},
    compute::{Compute, Use},
    kernels::stage,
    sumcheck::session::{PartStats, RecordingObserver, Session, Totals},
};

/// What the openings of a proof did on the device.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct OpeningStats {
    /// From trace columns to stacked columns.
    pub stacked_reduction: PartStats,
    /// From stacked columns to a polynomial, its codes, trees and proofs of work among it.
    pub whir: PartStats,
    /// GPU time of each kernel's dispatches, in order, where asked for ([`Round0Options::stage_times`](logup_wgpu::Round0Options)).
    pub stages: Vec<StageTime>,
    /// Codewords and trees that were computed again, because they had been given up or were never here.
    pub codes_again: usize,
    /// Times that proofs of work waited for the device, of all threads meanwhile.
    pub proof_of_work_waits: usize,
    /// Device buffers created.
    pub allocations: u64,
}

impl OpeningStats {
    /// Times that the host waited for the device, its proofs of work among it.
    pub fn waits(&self) -> usize {
        self.stacked_reduction.waits + self.whir.waits + self.proof_of_work_waits
    }

    /// Time on the GPU but for its proofs of work, where the device has timestamps.
    pub fn gpu(&self) -> Option<Duration> {
        Some(self.stacked_reduction.gpu? + self.whir.gpu?)
    }
}

/// A commitment that is opened.
pub(crate) struct Opening {
    root: Digest,
    stack: Stack,
    /// Of each of its traces, whether it is opened rotated as well.
    needs_rotation: Vec<bool>,
}

/// The openings' part of a proof.
pub(crate) type OpeningProof = (StackingProof<SC>, WhirProof<SC>);

/// A commitment's traces, from the tallest down, each with whether it is opened rotated as well.
pub(crate) type OpenedTraces<'a> = (Digest, Vec<(&'a RowMajorMatrix<F>, bool)>);

/// Of each of a commitment's traces its columns' values, plain and rotated; nothing for one that is shorter than the skip domain.
pub(crate) type ColumnValues = Vec<Option<Vec<[EF; 2]>>>;

/// Why there are no openings.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What the device, or its limits, said.
    Device(Error),
    /// A configuration that the stock openings refuse, too.
    Stock(CpuProverError),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Device(error)
    }
}

impl From<Failure> for WgpuProverError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Device(error) => Self::Openings(error),
            Failure::Stock(error) => Self::Cpu(error),
        }
    }
}

/// Elements of the stacked reduction's arrays up to which the host does the rounds that are left. All rounds of so many took 0.25 ms on
/// a core of an AMD EPYC that was busy besides (2026-11-28; 2^10 0.11, 2^14 1.04), a recording and a wait for an H200 take 0.3 to 0.4.
const HOST_LEN: usize = 1 << 12;

/// Opens commitments: at the constraint stage's point `r`, then what follows from it.
pub(crate) struct Opener<'a> {
    pub compute: &'a Compute,
    pub committer: &'a Committer,
    pub params: &'a SystemParams,
    /// What column openings leave for the stacked reduction.
    pub kept_sums: &'a KeptSums,
    /// See [`WgpuOptions::max_host_len`](crate::WgpuOptions).
    pub max_host_len: Option<usize>,
    pub observer: Option<&'a dyn RecordingObserver>,
    pub stage_times: bool,
}

impl Opener<'_> {
    /// The proof of the openings, and what it took.
    ///
    /// # Errors
    /// What the device, or its limits, say; what the stock openings say of a configuration.
    pub fn prove<TS: FiatShamirTranscript<SC>>(
        &self,
        transcript: &mut TS,
        traces: Vec<OpenedTraces<'_>>,
        r: &[EF],
    ) -> Result<(OpeningProof, OpeningStats), Failure> {
        let openings = self.openings(traces)?;
        self.prove_opened(transcript, openings, r)
    }

    /// Every column of these traces at the point, commitment by commitment, and what it took.
    ///
    /// # Errors
    /// What the device, or its limits, say.
    pub fn column_values(&self, traces: Vec<OpenedTraces<'_>>, r: &[EF]) -> logup_wgpu::Result<(Vec<ColumnValues>, PartStats)> {
        let openings = self.openings(traces)?;
        let mut session = Session::new(self.compute, Use::Openings, self.observer, self.stage_times);
        let values = column_sums::column_values(&mut session, self.kept_sums, self.params.l_skip, &openings, r)?;
        let part = session.end_part(stage::COLUMN_OPENINGS);
        session.end();
        let mut values = values.into_iter();
        let of_opening = |opening: &Opening| {
            let mut of_trace: Vec<Option<Vec<[EF; 2]>>> = vec![Some(vec![]); opening.needs_rotation.len()];
            for ((trace, ..), value) in opening.stack.plan.layout.sorted_cols.iter().zip(values.by_ref()) {
                let own = of_trace[*trace].take();
                of_trace[*trace] = own.zip(value).map(|(mut own, value)| {
                    own.push(value);
                    own
                });
            }
            of_trace
        };
        Ok((openings.iter().map(of_opening).collect(), part))
    }

    fn openings(&self, traces: Vec<OpenedTraces<'_>>) -> logup_wgpu::Result<Vec<Opening>> {
        let opening = |(root, traces): OpenedTraces<'_>| {
            let (traces, needs_rotation): (Vec<_>, Vec<_>) = traces.into_iter().unzip();
            let (stack, _) = self.committer.stack(self.params, &root, &traces)?;
            Ok(Opening { root, stack, needs_rotation })
        };
        traces.into_iter().map(opening).collect()
    }

    fn prove_opened<TS: FiatShamirTranscript<SC>>(
        &self,
        transcript: &mut TS,
        openings: Vec<Opening>,
        r: &[EF],
    ) -> Result<(OpeningProof, OpeningStats), Failure> {
        let (l_skip, n_stack) = (self.params.l_skip, self.params.n_stack);
        let mut session = Session::new(self.compute, Use::Openings, self.observer, self.stage_times);
        let width: usize = openings.iter().map(|opening| opening.stack.plan.width()).sum();

        let span = info_span!("prover.openings.stacked_reduction", phase = "prover").entered();
        let host_len = self.max_host_len.unwrap_or(HOST_LEN);
        self.committer.make_room_beside(stacked::bytes(width << n_stack));
        let (stacking, point) = stacked::prove(&mut session, transcript, self.kept_sums, (l_skip, n_stack), &openings, r, host_len)?;
        let stacked_reduction = session.end_part(stage::STACKED_REDUCTION);
        drop(span);

        let _span = info_span!("prover.openings.whir", phase = "prover").entered();
        self.committer.make_room_beside(whir::bytes(self.params));
        let whir = whir::prove(&mut session, transcript, self.committer, self.params, openings, &cube_point(l_skip, &point))?;
        let whir_stats = session.end_part(stage::WHIR);
        let codes_again = session.codes_again;
        let Totals { stages, allocations } = session.end();
        let stats = OpeningStats { stacked_reduction, whir: whir_stats, stages, codes_again, proof_of_work_waits: 0, allocations };
        Ok(((stacking, whir), stats))
    }
}

/// The stacked columns' point as one of a cube: `u_0` stands for its powers `u_0^(2^i)`.
fn cube_point(l_skip: usize, point: &[EF]) -> Vec<EF> {
    std::iter::successors(Some(point[0]), |power| Some(power.square())).take(l_skip).chain(point[1..].iter().copied()).collect()
}
