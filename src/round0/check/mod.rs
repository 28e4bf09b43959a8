//! Which constraints fail, and where: a check of every constraint on every row, before or without a proof.

mod known_answer;

use std::{
    fmt,
    time::{Duration, Instant},
};

pub(super) use self::known_answer::known_answer;
use super::{
    Instance, Round0, known_answers,
    prepared::{CheckedTraces, TraceBuffers},
    record::{self, CHECK_WORDS},
};
use crate::{
    error::{Error, Result, Subject},
    field::F,
    gpu::{ArgumentGroups, Executor, Memory},
    kernels::NO_ROW,
    matrix::Placement,
    plan::Round0Plan,
    recording::Recording,
};

/// A constraint that is not zero on every row of its trace.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct FailingConstraint {
    /// Which of the call's instances.
    pub instance: usize,
    /// The AIR's name.
    pub air: String,
    /// Its place in [`Air::constraints`](crate::Air::constraints).
    pub constraint: usize,
    /// On how many rows it is not zero.
    pub num_rows: u64,
    /// The first of them, ascending: [`ConstraintCheck::MAX_ROWS`] at most.
    pub rows: Vec<usize>,
}

impl fmt::Display for FailingConstraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { air, constraint, num_rows, rows, .. } = self;
        let rows: Vec<String> = rows.iter().map(usize::to_string).collect();
        let more = if *num_rows > rows.len() as u64 { ", .." } else { "" };
        let plural = if *num_rows == 1 { "" } else { "s" };
        write!(f, "AIR {air:?}: constraint {constraint} is not zero on {num_rows} row{plural}: {}{more}", rows.join(", "))
    }
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConstraintCheck {
    /// The constraints that fail, by instance and constraint.
    pub failing: Vec<FailingConstraint>,
    /// Rows that were looked at: of the traces of AIRs that have constraints.
    pub num_rows: u64,
    /// Constraints of all instances.
    pub num_constraints: usize,
    /// Host time of the call.
    pub wall: Duration,
    /// GPU time, where the adapter has timestamps.
    pub gpu: Option<Duration>,
}

impl ConstraintCheck {
    /// How many rows of a failing constraint are named.
    pub const MAX_ROWS: usize = CHECK_WORDS - 1;

    /// Nothing, if all constraints hold.
    ///
    /// # Errors
    /// [`Error::Unsatisfied`] with the first that fails.
    pub fn satisfied(&self) -> Result<()> {
        let Some(first) = self.failing.first() else { return Ok(()) };
        let &FailingConstraint { ref air, constraint, num_rows, ref rows, .. } = first;
        let num_constraints = self.failing.len();
        Err(Error::Unsatisfied { subject: air.as_str().into(), constraint, row: rows[0], num_rows, num_constraints })
    }
}

/// An instance whose constraints are checked.
#[derive(Debug)]
pub(crate) struct CheckedInstance<'a> {
    pub plan: &'a Round0Plan,
    /// In the order of `Air::parts`; buffers are places in the call's.
    pub traces: Vec<Placement<usize>>,
    pub height: usize,
    /// Of the degree-0 nodes.
    pub values: Vec<F>,
}

impl Round0 {
    /// The constraints that are not zero on every row of their traces: each with the number of rows on which it fails and the first of them.
    ///
    /// Every constraint is evaluated on every row as it is written, by a kernel that reads programs as data, so that nothing is compiled for an
    /// AIR. One submission and one wait, as for [`evaluate`](Self::evaluate). Interactions are not looked at, nor are weights and `eq`.
    ///
    /// ```
    /// # use logup_wgpu::{AirBuilder, F, Gpu, GpuOptions, Instance, Matrix, Round0, Round0Plan, Strategy, Trace};
    /// # use p3_field::PrimeCharacteristicRing;
    /// // One column of bits.
    /// let mut air = AirBuilder::new("bits");
    /// let main = air.main_part(1);
    /// let bit = air.column(main, 0);
    /// let square = air.mul(bit, bit);
    /// let is_bit = air.sub(square, bit);
    /// air.constraint(is_bit);
    /// let plan = Round0Plan::new(air.build()?, 2, Strategy::Split)?;
    ///
    /// let gpu = Gpu::new(GpuOptions::default())?;
    /// let trace = Trace::new(&gpu, Matrix::col_major(&[0, 1, 7, 1, 0, 5, 1, 0].map(F::from_u32), 1))?;
    /// let check = Round0::new(&gpu).check_constraints(&[Instance::new(&plan).main([&trace])])?;
    /// let [failing] = &check.failing[..] else { panic!("one constraint fails") };
    /// assert_eq!((failing.constraint, failing.num_rows, &failing.rows[..]), (0, 2, &[2, 5][..]));
    /// # Ok::<(), logup_wgpu::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Length`] and [`Error::OtherDevice`] for traces and public values that do not fit their plan; [`Error::DeviceLimit`] for a
    /// constraint that one thread cannot evaluate on one row (some 30,000 operations) and for work beyond the device's limits; what the device
    /// reports, as `evaluate`. Constraints that fail are no error here; see [`ConstraintCheck::satisfied`].
    pub fn check_constraints(&self, instances: &[Instance<'_>]) -> Result<ConstraintCheck> {
        self.gpu.usable()?;
        let start = Instant::now();
        let _span = tracing::debug_span!("check_constraints", airs = instances.len()).entered();
        let RecordedCheck { recording, mut check } = self.record_check(instances)?;
        let Some(mut recording) = recording else { return Ok(check) };
        if let Some(asked) = &self.asked {
            asked.widen(&mut recording)?;
        }
        let kernels = Executor::kernels(&self.gpu, self.memory, &recording)?;
        if self.asked.is_none() {
            known_answers::ensure_for(&self.gpu, std::iter::empty(), &recording, &kernels)?;
        }
        let mut set = self.call_set(None);
        let submission = set.executor.submit(&recording, &kernels, &mut ArgumentGroups::default(), false);
        let report = submission.and_then(|submission| set.executor.wait(submission, <[u32]>::to_vec));
        if report.is_err() {
            set.executor.abandon();
        }
        self.give_back(set);
        let report = report?;
        if self.memory == Memory::Device {
            check.find(instances, &report.results)?;
        }
        check.wall = start.elapsed();
        check.gpu = (!report.passes.is_empty()).then(|| report.passes.iter().map(|pass| pass.gpu).sum());
        tracing::debug!(failing = check.failing.len(), rows = check.num_rows, wall = ?check.wall, "constraints checked");
        Ok(check)
    }

    /// What [`check_constraints`](Self::check_constraints) would submit, as data: nothing is run. Another executor can run it, and
    /// [`RecordedCheck::found`] reads its results.
    ///
    /// # Errors
    /// As `check_constraints`, but for what only the device reports.
    pub fn record_check(&self, instances: &[Instance<'_>]) -> Result<RecordedCheck> {
        let mut buffers = TraceBuffers::default();
        let mut checked = vec![];
        for instance in instances {
            let traces = CheckedTraces::new(instance, &self.gpu)?;
            if !instance.plan.air().constraints().is_empty() {
                let values = instance.plan.air().degree_zero_values(instance.public_values);
                checked.push(CheckedInstance { plan: instance.plan, traces: buffers.place(&traces), height: traces.height, values });
            }
        }
        let check = ConstraintCheck {
            num_rows: checked.iter().map(|instance| instance.height as u64).sum(),
            num_constraints: checked.iter().map(|instance| instance.plan.air().constraints().len()).sum(),
            ..ConstraintCheck::default()
        };
        let record = || record::checks(&checked, &buffers.0, &self.gpu.limits(), self.gpu.budget(), self.next_nonce());
        Ok(RecordedCheck { recording: if checked.is_empty() { None } else { Some(record()?) }, check })
    }
}

/// A check as data. See [`Round0::record_check`].
#[derive(Debug)]
#[non_exhaustive]
pub struct RecordedCheck {
    /// `None` where there is no constraint.
    pub recording: Option<Recording>,
    check: ConstraintCheck,
}

impl RecordedCheck {
    /// What was found, from the words of the recording's [`results`](crate::compute::Recording) after it ran. Times are not known.
    ///
    /// # Errors
    /// [`Error::Length`] for other instances or results of another size; [`Error::DeviceLost`] where a submission's last dispatch did not run.
    pub fn found(self, instances: &[Instance<'_>], results: Vec<u32>) -> Result<ConstraintCheck> {
        let Self { recording, mut check } = self;
        let length = |what, got, expected| Error::Length { subject: Subject::Call, what, got, expected };
        let num_constraints = instances.iter().map(|instance| instance.plan.air().constraints().len()).sum();
        if num_constraints != check.num_constraints {
            return Err(length("constraints", num_constraints, check.num_constraints));
        }
        let num_words = recording.as_ref().map_or(0, Recording::result_words);
        if results.len() != num_words {
            return Err(length("words of a recording's results", results.len(), num_words));
        }
        if let Some(recording) = recording {
            Recording::check_nonces(&results, recording.ends.len(), recording.nonce)?;
            let words = results;
            check.find(instances, &words)?;
        }
        Ok(check)
    }
}

impl ConstraintCheck {
    /// Reads the results of a check of these instances.
    ///
    /// # Errors
    /// [`Error::DeviceLost`] for results that no kernel has written as they are.
    fn find(&mut self, instances: &[Instance<'_>], mut words: &[u32]) -> Result<()> {
        for (place, instance) in instances.iter().enumerate() {
            let air = instance.plan.air();
            for constraint in 0..air.constraints().len() {
                let of_constraint = words.split_off(..CHECK_WORDS).expect("words of each constraint");
                let (num_rows, rows) = (u64::from(of_constraint[0]), &of_constraint[1..]);
                let rows: Vec<usize> = rows.iter().filter(|&&row| row != NO_ROW).map(|&row| row as usize).collect();
                if rows.len() as u64 != num_rows.min(Self::MAX_ROWS as u64) || !rows.is_sorted() {
                    let reason = format!("constraint {constraint} of AIR {:?} fails on {num_rows} rows, {rows:?}", air.name());
                    return Err(Error::DeviceLost { reason });
                }
                if num_rows > 0 {
                    self.failing.push(FailingConstraint { instance: place, air: air.name().to_owned(), constraint, num_rows, rows });
                }
            }
        }
        Ok(())
    }
}
