//! Work beyond the GPU-time budget of a submission: cut over `x` into several of one call, for one wait, with the same bits.

use std::time::Duration;

use crate::support::{
    Case, SCHEDULES, STRATEGIES, Uploaded, assert_same, gpu,
    random_air::{Size, random_case},
    rng,
    wide_air::wide_case,
};
use logup_wgpu::{Error, FieldForm, Gpu, GpuOptions, Round0, Round0Options, Round0Stats, Schedule};

const BUDGETS: [Duration; 3] = [Duration::from_nanos(1), Duration::from_micros(200), Duration::from_secs(1)];

fn gpu_with_budget(form: FieldForm, submission_budget: Duration) -> Gpu {
    let options =
        GpuOptions { field_form: Some(form), submission_budget: Some(submission_budget), known_answers: false, ..GpuOptions::default() };
    Gpu::new(options).unwrap()
}

/// Several skip domains, chunks of `x`, matrices and kernels; rotations over the last row; both layouts.
fn cases() -> Vec<Case> {
    let size = Size { max_degree: 3, num_ops: 16, num_interactions: 4, max_message_len: 4 };
    let shapes = [(0, 512), (2, 4096), (4, 64), (4, 2048), (6, 1024)];
    let mut cases: Vec<Case> =
        shapes.iter().enumerate().map(|(i, &(l_skip, height))| random_case(&mut rng(i as u64), size, l_skip, height)).collect();
    cases.push(wide_case(40, 1 << 11, logup_wgpu::Layout::ColMajor, true));
    cases
}

#[test]
fn cut_work_gives_the_same_polynomials() {
    let cases = cases();
    let expected: Vec<_> = cases.iter().map(Case::reference).collect();
    for form in FieldForm::ALL {
        for schedule in SCHEDULES {
            for strategy in STRATEGIES {
                let mut submissions = vec![];
                let mut waits = vec![];
                for budget in BUDGETS {
                    let gpu = gpu_with_budget(form, budget);
                    let uploaded = Uploaded::together(&gpu, &cases, strategy);
                    let output = uploaded.evaluate(&Round0::with_schedule(&gpu, schedule));
                    let how = format!("{form:?}, {schedule:?}, {strategy:?}, {budget:?}");
                    for ((case, got), expected) in cases.iter().zip(&output.polys).zip(&expected) {
                        assert_same(got, expected, &format!("{how}, {}, height {}", case.air.name(), case.height));
                    }
                    submissions.push(output.stats.submissions);
                    waits.push(output.stats.waits);
                }
                let how = format!("{form:?}, {schedule:?}, {strategy:?}: {submissions:?} submissions, {waits:?} waits");
                assert!(submissions.is_sorted_by(|more, fewer| more >= fewer) && submissions[2] == waits[2], "{how}");
                assert!(submissions[0] > waits[0] + 10, "{how}: each workgroup should be a submission");
                assert!(waits.iter().all(|&num| num == waits[0]) && (schedule == Schedule::PerCoset || waits[0] == 1), "{how}");
            }
        }
    }
}

/// A software device has no watchdog, and the work of tests is none for another.
#[test]
fn one_submission_is_the_rule() {
    let cases = cases();
    let gpu = gpu(FieldForm::U64);
    for strategy in STRATEGIES {
        let Round0Stats { submissions, waits, .. } = Uploaded::together(gpu, &cases, strategy).evaluate(&Round0::new(gpu)).stats;
        assert_eq!((submissions, waits), (1, 1));
    }
}

/// The next call starts where it should: the same engine, its buffers and timestamps.
#[test]
fn stage_times_and_later_calls_know_of_cuts() {
    let cases = cases();
    let gpu = gpu_with_budget(FieldForm::U64, BUDGETS[0]);
    let options = {
        let mut options = Round0Options::default();
        options.stage_times = true;
        options
    };
    let engine = Round0::with_options(&gpu, options);
    let uploaded = Uploaded::together(&gpu, &cases, STRATEGIES[0]);
    let expected: Vec<_> = cases.iter().map(Case::reference).collect();
    let first = uploaded.evaluate(&engine);
    assert_eq!(first.polys, expected);
    assert_eq!(first.stats.gpu.is_some(), !first.stats.stages.is_empty());
    if let Some(gpu) = first.stats.gpu {
        assert_eq!(gpu, first.stats.stages.iter().map(|stage| stage.gpu).sum());
        assert!(first.stats.stages.len() >= first.stats.submissions);
    }
    let second = uploaded.evaluate(&engine);
    assert_eq!(second.polys, expected);
    assert_eq!((second.stats.submissions, second.stats.allocations), (first.stats.submissions, 0));
}

/// Each submission tells that it ran: one that was ended early is noticed whatever ran after it.
#[test]
fn every_submission_writes_the_nonce() {
    let case = &cases()[1..2];
    let gpu = gpu_with_budget(FieldForm::U64, BUDGETS[0]);
    let uploaded = Uploaded::together(&gpu, case, STRATEGIES[0]);
    let engine = Round0::new(&gpu);
    let instances = uploaded.instances();
    let call = engine.record(&uploaded.challenges(), &instances).unwrap();
    let [recording] = &call.recordings[..] else { panic!("one wait") };
    let num = recording.ends.len();
    assert!(num > 2, "{num} submissions");
    let submissions: Vec<_> = recording.submissions().collect();
    assert!(submissions.iter().all(|submission| !submission.is_empty()));
    assert_eq!(submissions.iter().map(|submission| submission.len()).sum::<usize>(), recording.dispatches.len());

    let mut words = vec![0; recording.result_words()];
    let results = words.len() - 4 * num;
    words[results..].chunks_exact_mut(4).for_each(|entry| entry[0] = recording.nonce);
    call.polys(vec![words.clone()]).unwrap();
    for missing in 0..num {
        let mut words = words.clone();
        words[results + 4 * missing] = u32::MAX;
        let Err(Error::DeviceLost { reason }) = call.polys(vec![words]) else { panic!("submission {missing} did not run") };
        assert!(reason.contains(&format!("submission {} of {num}", missing + 1)), "{reason}");
    }
}
