//! Calls recorded for the portable form (16-bit limbs, WebGPU's limits), run in Dawn and compared.

use std::ops::Range;

use logup_wgpu::{FieldForm, Gpu, RecordedCall, Round0, Round0Plan, Round0Polys, Schedule, Strategy, wgpu};

use super::{
    Case, SCHEDULES, Uploaded, assert_same,
    dawn::{Dawn, Ran},
    limited_gpu,
};

/// A device that has what WebGPU has everywhere, but for this.
pub fn webgpu(change: fn(&mut wgpu::Limits)) -> Gpu {
    limited_gpu(FieldForm::U32, |_| {
        let mut limits = wgpu::Limits::default();
        change(&mut limits);
        limits
    })
}

/// Instances of one call, what comes of them, and the device that lends its limits to the recording.
pub struct Group<'a> {
    gpu: &'a Gpu,
    uploaded: Uploaded<'a>,
    strategy: Strategy,
    expected: &'a [Round0Polys],
}

impl<'a> Group<'a> {
    pub fn together(gpu: &'a Gpu, cases: &'a [Case], strategy: Strategy, expected: &'a [Round0Polys]) -> Self {
        Self { gpu, uploaded: Uploaded::together(gpu, cases, strategy), strategy, expected }
    }

    pub fn apart(gpu: &'a Gpu, cases: &'a [Case], strategy: Strategy, expected: &'a [Round0Polys]) -> Self {
        Self { gpu, uploaded: Uploaded::apart(gpu, cases, strategy), strategy, expected }
    }

    /// How many submissions a call makes.
    fn num_submissions(&self, schedule: Schedule) -> usize {
        match schedule {
            Schedule::Batched => 1,
            Schedule::PerCoset => self.uploaded.plans.iter().map(Round0Plan::num_coset_blocks).sum(),
        }
    }

    fn compare(&self, call: &RecordedCall<'_>, schedule: Schedule, results: &[Vec<u32>]) {
        let polys = call.polys(results.to_vec()).unwrap();
        assert_eq!(polys.len(), self.expected.len());
        for ((case, got), expected) in self.uploaded.cases.iter().zip(&polys).zip(self.expected) {
            let how = format!("{}, height {}, l_skip {}", case.air.name(), case.height, case.l_skip);
            assert_same(got, expected, &format!("{how}, {:?}, {schedule:?}, {:?}", self.strategy, case.layout));
        }
    }
}

/// Records every group under both schedules, runs all in Dawn and compares.
pub fn check(mut dawn: Dawn, groups: &[Group<'_>]) -> Ran {
    let instances: Vec<_> = groups.iter().map(|group| group.uploaded.instances()).collect();
    let engines: Vec<_> = groups.iter().map(|group| SCHEDULES.map(|schedule| Round0::with_schedule(group.gpu, schedule))).collect();
    let mut calls: Vec<(&Group<'_>, Schedule, RecordedCall<'_>, Range<usize>)> = vec![];
    for ((group, instances), engines) in groups.iter().zip(&instances).zip(&engines) {
        for (schedule, engine) in SCHEDULES.into_iter().zip(engines) {
            let call = engine.record(&group.uploaded.challenges(), instances).unwrap();
            let submissions = dawn.call(group.gpu, &call.recordings);
            assert_eq!(submissions.len(), group.num_submissions(schedule), "{:?}, {schedule:?}", group.strategy);
            calls.push((group, schedule, call, submissions));
        }
    }
    let ran = dawn.run();
    for (group, schedule, call, submissions) in calls {
        group.compare(&call, schedule, &ran.results[submissions]);
    }
    println!("{} submissions, {} kernels, {} words compared on {}", ran.results.len(), ran.num_kernels, ran.num_words(), ran.adapter);
    ran
}
