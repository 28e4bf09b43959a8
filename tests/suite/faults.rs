//! Faults, rehearsed: each is a typed error within bounded time, and the next good call is right.

use std::{
    sync::{
        Arc, Barrier,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crate::support::{
    Case, Uploaded, assert_same,
    random_air::{Size, random_case},
    rng,
    watchdog::within,
};
use logup_wgpu::{Error, Gpu, GpuOptions, Layout, Round0, Strategy, introspect::EditShader};

const LIMIT: Duration = Duration::from_secs(120);

fn case() -> Case {
    let size = Size { max_degree: 3, num_ops: 16, num_interactions: 3, max_message_len: 3 };
    Case { layout: Layout::ColMajor, ..random_case(&mut rng(3), size, 3, 256) }
}

/// Work that takes a device a while: many interpreted rows.
fn long_case() -> Case {
    let size = Size { max_degree: 3, num_ops: 40, num_interactions: 4, max_message_len: 4 };
    Case { layout: Layout::ColMajor, ..random_case(&mut rng(4), size, 4, 1 << 16) }
}

/// A good call on a new engine.
fn is_right(gpu: &Gpu, case: &Case, after: &str) {
    let uploaded = Uploaded::together(gpu, std::slice::from_ref(case), Strategy::Split);
    assert_same(&uploaded.evaluate(&Round0::new(gpu)).polys[0], &case.reference(), after);
}

#[test]
fn a_wait_past_the_deadline() {
    within(LIMIT, "a deadline", || {
        let patient = Gpu::new(GpuOptions::default()).unwrap();
        let deadline = Duration::from_micros(50);
        let options = GpuOptions { deadline: Some(deadline), known_answers: false, ..GpuOptions::default() };
        // The same device, for a caller in a hurry.
        let (device, queue) = (patient.device().clone(), patient.queue().clone());
        let hurried = Gpu::from_device(patient.info().clone(), device, queue, &options).unwrap();
        let (long, short) = ([long_case()], case());
        let uploaded = Uploaded::together(&hurried, &long, Strategy::Direct);
        let round0 = Round0::new(&hurried);
        let instances = uploaded.instances();
        for _ in 0..2 {
            let start = Instant::now();
            let error = round0.evaluate(&uploaded.challenges(), &instances).unwrap_err();
            let Error::Deadline { waited } = error else { panic!("{error}") };
            assert!(waited >= deadline && waited <= start.elapsed(), "{waited:?}");
        }
        // The device goes on with the work; who has time sees it done, and those in no hurry get right results.
        is_right(&patient, &short, "after a deadline, on the same device");
        patient.device().poll(wgpu::PollType::wait_indefinitely()).unwrap();
        is_right(&patient, &long[0], "the work itself");
    });
}

/// Whoever has enough time sees no deadline.
#[test]
fn a_deadline_that_is_kept() {
    let gpu = Gpu::new(GpuOptions { deadline: Some(LIMIT), ..GpuOptions::default() }).unwrap();
    is_right(&gpu, &case(), "within the deadline");
    let gpu = Gpu::new(GpuOptions { deadline: None, ..GpuOptions::default() }).unwrap();
    is_right(&gpu, &case(), "without one");
}

#[test]
fn a_device_destroyed_while_a_call_runs() {
    within(LIMIT, "a destroyed device", || {
        let gpu = Gpu::new(GpuOptions::default()).unwrap();
        let long = [long_case()];
        let uploaded = Uploaded::together(&gpu, &long, Strategy::Direct);
        let round0 = Round0::new(&gpu);
        let instances = uploaded.instances();
        round0.evaluate(&uploaded.challenges(), &instances).unwrap();
        let in_flight = round0.submit(&uploaded.challenges(), &instances).unwrap();
        gpu.device().destroy();
        let error = in_flight.wait().unwrap_err();
        assert!(matches!(error, Error::DeviceLost { .. }), "{error}");
        assert!(matches!(round0.evaluate(&uploaded.challenges(), &instances), Err(Error::DeviceLost { .. })));
        is_right(&Gpu::new(GpuOptions::default()).unwrap(), &long[0], "on another device");
    });
}

/// A thread that panics with a call in flight, and one whose kernels' compilation panics: others on the same device are not touched.
#[test]
fn a_panic_in_another_thread() {
    within(LIMIT, "a panic", || {
        let panics = Arc::new(AtomicBool::new(false));
        let (armed, barrier) = (Arc::clone(&panics), Arc::new(Barrier::new(2)));
        let edit = EditShader(Arc::new(move |_, source| {
            if armed.swap(false, Ordering::SeqCst) {
                panic!("a panic while a kernel is compiled");
            }
            source
        }));
        let gpu = Gpu::new(GpuOptions { edit_shader: Some(edit), ..GpuOptions::default() }).unwrap();
        let cases = [case()];
        let expected = cases[0].reference();
        let uploaded = Uploaded::together(&gpu, &cases, Strategy::Split);
        let round0 = Round0::new(&gpu);
        let instances = uploaded.instances();

        // Compiling, while another thread wants the same kernels.
        panics.store(true, Ordering::SeqCst);
        let outcomes = std::thread::scope(|scope| {
            let call = || {
                barrier.wait();
                round0.evaluate(&uploaded.challenges(), &instances).map(|output| output.polys)
            };
            let threads = [scope.spawn(call), scope.spawn(call)];
            threads.map(|thread| thread.join())
        });
        let panicked = outcomes.iter().filter(|outcome| outcome.is_err()).count();
        assert_eq!(panicked, 1, "one thread compiled first");
        for polys in outcomes.into_iter().flatten() {
            assert_same(&polys.unwrap()[0], &expected, "beside a panic while compiling");
        }
        assert_same(&round0.evaluate(&uploaded.challenges(), &instances).unwrap().polys[0], &expected, "after a panic while compiling");

        // With a call in flight.
        std::thread::scope(|scope| {
            let panicked = scope.spawn(|| {
                let _in_flight = round0.submit(&uploaded.challenges(), &instances).unwrap();
                panic!("a panic with a call in flight");
            });
            let other = scope.spawn(|| round0.evaluate(&uploaded.challenges(), &instances).unwrap().polys);
            assert!(panicked.join().is_err());
            assert_same(&other.join().unwrap()[0], &expected, "beside a panic with a call in flight");
        });
        assert_same(
            &round0.evaluate(&uploaded.challenges(), &instances).unwrap().polys[0],
            &expected,
            "after a panic with a call in flight",
        );
    });
}

/// The engine, the plans, the traces: all gone while the device still works on them.
#[test]
fn an_engine_dropped_with_work_in_flight() {
    within(LIMIT, "dropped engines", || {
        let gpu = Gpu::new(GpuOptions::default()).unwrap();
        let long = [long_case()];
        for _ in 0..3 {
            let uploaded = Uploaded::together(&gpu, &long, Strategy::Direct);
            let round0 = Round0::new(&gpu);
            drop(round0.submit(&uploaded.challenges(), &uploaded.instances()).unwrap());
        }
        is_right(&gpu, &case(), "behind the work of dropped engines");
        // The device handle too.
        let uploaded = Uploaded::together(&gpu, &long, Strategy::Direct);
        let round0 = Round0::new(&gpu);
        drop(round0.submit(&uploaded.challenges(), &uploaded.instances()).unwrap());
        drop(gpu);
    });
    is_right(&Gpu::new(GpuOptions::default()).unwrap(), &case(), "on another device");
}

/// What only a driver can do wrong.
#[cfg(target_os = "linux")]
mod of_the_driver {
    use logup_wgpu::{F, Matrix, Trace};
    use p3_field::PrimeCharacteristicRing;

    use super::*;
    use crate::support::faulty::{Fault, Faulty};

    /// A command buffer that was ended early and reports success: nothing, or the last dispatch, or an early submission did not run.
    #[test]
    fn dispatches_that_did_not_run() {
        let Some(driver) = Faulty::driver("faults::of_the_driver::dispatches_that_did_not_run") else { return };
        let cases = [case()];
        let expected = cases[0].reference();
        let budgets = [None, Some(Duration::from_nanos(1))];
        for gpu in budgets.map(|submission_budget| Gpu::new(GpuOptions { submission_budget, ..GpuOptions::default() }).unwrap()) {
            let uploaded = Uploaded::together(&gpu, &cases, Strategy::Split);
            let round0 = Round0::new(&gpu);
            let instances = uploaded.instances();
            let stats = round0.evaluate(&uploaded.challenges(), &instances).unwrap().stats;
            let kernels = stats.kernels() as u64;
            let mut losses = vec![("all", 0..u64::MAX), ("the last", kernels - 1..kernels)];
            if stats.submissions > 1 {
                losses.push(("the first submission", 0..2));
            }
            for (which, dropped) in losses {
                driver.is(Fault::Drop(dropped));
                let error = round0.evaluate(&uploaded.challenges(), &instances).unwrap_err();
                driver.is_well();
                let Error::DeviceLost { reason } = &error else { panic!("{which} did not run: {error}") };
                assert!(reason.contains("did not run"), "{which} did not run: {reason}");
                assert_same(
                    &round0.evaluate(&uploaded.challenges(), &instances).unwrap().polys[0],
                    &expected,
                    &format!("after {which} did not run"),
                );
            }
        }
    }

    /// More than the device's memory: a trace, and a call's own buffers.
    #[test]
    fn no_memory() {
        let Some(driver) = Faulty::driver("faults::of_the_driver::no_memory") else { return };
        let gpu = Gpu::new(GpuOptions::default()).unwrap();
        is_right(&gpu, &case(), "before");
        let is_refused = |what: &str, error: Error| assert!(matches!(error, Error::OutOfMemory { .. }), "{what}: {error}");

        let cells = vec![F::ONE; 24 << 20];
        let upload = || Trace::new(&gpu, Matrix::col_major(&cells, 24));
        driver.is(Fault::Refuse(64 << 20));
        for _ in 0..2 {
            is_refused("a trace", upload().unwrap_err());
        }
        is_right(&gpu, &case(), "while there is no memory for more");
        driver.is_well();
        upload().unwrap();

        // One column over 2^20 points: eq is 16 MiB, and so is its upload.
        let long = [crate::support::wide_air::wide_case(1, 1 << 22, Layout::ColMajor, false)];
        let uploaded = Uploaded::together(&gpu, &long, Strategy::Split);
        let round0 = Round0::new(&gpu);
        let evals = long[0].eq_evals();
        let (instances, challenges) = ([uploaded.instances().remove(0).eq(&evals)], uploaded.challenges());
        driver.is(Fault::Refuse(8 << 20));
        for _ in 0..2 {
            is_refused("a call", round0.evaluate(&challenges, &instances).unwrap_err());
        }
        driver.is_well();
        assert_same(&round0.evaluate(&challenges, &instances).unwrap().polys[0], &long[0].reference(), "with memory again");
        is_right(&gpu, &case(), "after");
    }
}
