//! Calls from many threads at once: each ends, with the right result.

use std::{
    sync::{
        Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::support::{
    Case, SCHEDULES, STRATEGIES, Uploaded, gpu,
    random_air::{Size, random_case},
    rng,
    watchdog::within,
};
use logup_wgpu::{FieldForm, Gpu, GpuOptions, Round0, Round0Polys, Strategy};
use rayon::prelude::*;

const LIMIT: Duration = Duration::from_secs(300);

fn pool(threads: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
}

/// One engine for calls of the compute crate, shared: by threads that start together, and by rayon tasks, which prepare and interpolate in
/// the pool that they run in.
#[test]
fn calls_on_one_engine() {
    let size = Size { max_degree: 3, num_ops: 20, num_interactions: 3, max_message_len: 3 };
    let cases: Vec<Case> = (0..6).map(|seed| random_case(&mut rng(seed), size, 3, 64 << (seed % 3))).collect();
    let expected: Vec<Round0Polys> = cases.iter().map(Case::reference).collect();
    within(LIMIT, "calls on one engine", || {
        let gpu = Gpu::new(GpuOptions::default()).unwrap();
        let round0 = Round0::new(&gpu);
        let uploaded = Uploaded::together(&gpu, &cases, Strategy::Split);
        let instances = uploaded.instances();
        let check = || assert_eq!(round0.evaluate(&uploaded.challenges(), &instances).unwrap().polys, expected);
        let together = Barrier::new(6);
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    together.wait();
                    (0..5).for_each(|_| check());
                });
            }
        });
        pool(4).install(|| (0..24).into_par_iter().with_max_len(1).for_each(|_| check()));
        // Several in flight on one thread; the buffers of six are made, and four are kept.
        let in_flight: Vec<_> = (0..6).map(|_| round0.submit(&uploaded.challenges(), &instances).unwrap()).collect();
        check();
        for call in in_flight {
            assert_eq!(call.wait().unwrap().polys, expected);
        }
    });
}

/// 1,000 calls of every kind from eight threads on one device, all at once: each has its own result.
#[test]
fn a_thousand_mixed_calls() {
    const THREADS: usize = 8;
    const CALLS: usize = 125;
    within(LIMIT, "a thousand calls", || {
        let gpu = gpu(FieldForm::U64);
        let size = Size { max_degree: 3, num_ops: 12, num_interactions: 3, max_message_len: 3 };
        let groups: Vec<Vec<Case>> = (0..4)
            .map(|group| (0..=group).map(|i| random_case(&mut rng(100 * group + i), size, 2 + i as usize, 16 << (2 * i))).collect())
            .collect();
        let expected: Vec<Vec<Round0Polys>> = groups.iter().map(|cases| cases.iter().map(Case::reference).collect()).collect();
        let uploaded: Vec<[Uploaded<'_>; 2]> =
            groups.iter().map(|cases| STRATEGIES.map(|strategy| Uploaded::together(gpu, cases, strategy))).collect();
        let shared = SCHEDULES.map(|schedule| Round0::with_schedule(gpu, schedule));
        let done = AtomicUsize::new(0);
        let one_call = |thread: usize, i: usize| {
            // Every combination comes up, in another order on each thread.
            let at = i * (2 * thread + 1) + thread;
            let group = at % groups.len();
            let uploaded = &uploaded[group][at / 4 % 2];
            let instances = uploaded.instances();
            let own = Round0::with_schedule(gpu, SCHEDULES[at / 8 % 2]);
            let engine = if at.is_multiple_of(5) { &own } else { &shared[at / 8 % 2] };
            let polys = match at / 16 % 3 {
                0 => engine.submit(&uploaded.challenges(), &instances).unwrap().wait().unwrap().polys,
                1 => {
                    drop(engine.submit(&uploaded.challenges(), &instances).unwrap());
                    engine.evaluate(&uploaded.challenges(), &instances).unwrap().polys
                }
                _ => engine.evaluate(&uploaded.challenges(), &instances).unwrap().polys,
            };
            assert!(polys == expected[group], "thread {thread}, call {i}, group {group}");
            done.fetch_add(1, Ordering::Relaxed);
        };
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let one_call = &one_call;
                scope.spawn(move || (0..CALLS).for_each(|i| one_call(thread, i)));
            }
        });
        assert_eq!(done.into_inner(), THREADS * CALLS);
    });
}
