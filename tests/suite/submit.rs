//! A call in two steps: submitted, and waited for or dropped.

use std::time::Duration;

use crate::support::{
    Case, SCHEDULES, Uploaded, gpu,
    random_air::{Size, random_case},
    rng,
};
use logup_wgpu::{Error, FieldForm, Instance, Round0, Strategy, compute::Executor};

fn cases() -> Vec<Case> {
    let size = Size { max_degree: 2, num_ops: 12, num_interactions: 3, max_message_len: 3 };
    (0..4).map(|seed| random_case(&mut rng(seed), size, 3, 64 << seed)).collect()
}

#[test]
fn waiting_gives_what_evaluating_gives() {
    let cases = cases();
    for schedule in SCHEDULES {
        let uploaded = Uploaded::together(gpu(FieldForm::U64), &cases, Strategy::Split);
        let instances = uploaded.instances();
        let round0 = Round0::with_schedule(gpu(FieldForm::U64), schedule);
        let expected = round0.evaluate(&uploaded.challenges(), &instances).unwrap();
        let in_flight = round0.submit(&uploaded.challenges(), &instances).unwrap();
        let pause = Duration::from_millis(20);
        std::thread::sleep(pause);
        let output = in_flight.wait().unwrap();
        assert_eq!(output.polys, expected.polys);
        assert_eq!((output.stats.waits, output.stats.allocations > 0), (expected.stats.waits, expected.stats.waits > 1));
        assert!(output.stats.wall >= pause && output.stats.cpu <= output.stats.wall, "{}", output.stats);
    }
}

#[test]
fn a_dropped_call_leaves_the_engine_usable() {
    let cases = cases();
    for schedule in SCHEDULES {
        let uploaded = Uploaded::together(gpu(FieldForm::U64), &cases, Strategy::Split);
        let instances = uploaded.instances();
        let round0 = Round0::with_schedule(gpu(FieldForm::U64), schedule);
        let expected = round0.evaluate(&uploaded.challenges(), &instances).unwrap();
        let steady = round0.evaluate(&uploaded.challenges(), &instances).unwrap().stats.allocations;
        for _ in 0..3 {
            drop(round0.submit(&uploaded.challenges(), &instances).unwrap());
        }
        let after = round0.evaluate(&uploaded.challenges(), &instances).unwrap();
        assert_eq!(after.polys, expected.polys);
        assert_eq!(after.stats.allocations, steady + 2, "the upload and the readback buffer");
        assert_eq!(round0.evaluate(&uploaded.challenges(), &instances).unwrap().stats.allocations, steady);
    }
}

/// A call that is forgotten, not dropped, takes its buffers along; the next ones get others.
#[test]
fn a_forgotten_call_leaves_the_engine_usable() {
    let cases = cases();
    for schedule in SCHEDULES {
        let uploaded = Uploaded::together(gpu(FieldForm::U64), &cases, Strategy::Split);
        let instances = uploaded.instances();
        let round0 = Round0::with_schedule(gpu(FieldForm::U64), schedule);
        let expected = round0.evaluate(&uploaded.challenges(), &instances).unwrap();
        let steady = round0.evaluate(&uploaded.challenges(), &instances).unwrap().stats.allocations;
        for _ in 0..3 {
            std::mem::forget(round0.submit(&uploaded.challenges(), &instances).unwrap());
            assert_eq!(round0.evaluate(&uploaded.challenges(), &instances).unwrap().polys, expected.polys);
        }
        let after = round0.evaluate(&uploaded.challenges(), &instances).unwrap().stats;
        assert_eq!((after.allocations, after.gpu.is_some()), (steady, expected.stats.gpu.is_some()));
    }
}

/// What is recorded runs in any executor: this crate's own, by itself, gives the same polynomials.
#[test]
fn recordings_run_in_an_executor() {
    let cases = cases();
    for schedule in SCHEDULES {
        let uploaded = Uploaded::together(gpu(FieldForm::U64), &cases, Strategy::Split);
        let (instances, round0) = (uploaded.instances(), Round0::with_schedule(gpu(FieldForm::U64), schedule));
        let expected = round0.evaluate(&uploaded.challenges(), &instances).unwrap().polys;
        let mut executor = Executor::new(gpu(FieldForm::U64));
        for _ in 0..2 {
            let call = round0.record(&uploaded.challenges(), &instances).unwrap();
            let results = call.recordings.iter().map(|recording| executor.run(recording).unwrap()).collect();
            assert_eq!(call.polys(results).unwrap(), expected, "{schedule:?}");
        }
        let mut recording = round0.record(&uploaded.challenges(), &instances).unwrap().recordings.swap_remove(0);
        recording.buffers.truncate(1);
        assert!(matches!(executor.run(&recording), Err(Error::Unsupported { .. })));
    }
}

#[test]
fn instances_are_checked_before_anything_is_submitted() {
    let cases = cases();
    let uploaded = Uploaded::together(gpu(FieldForm::U64), &cases, Strategy::Split);
    let round0 = Round0::new(gpu(FieldForm::U64));
    let instances: Vec<Instance<'_>> = uploaded.instances().into_iter().map(|instance| instance.weights(&[])).collect();
    assert!(matches!(round0.submit(&uploaded.challenges(), &instances), Err(Error::Length { what: "weights", .. })));
}
