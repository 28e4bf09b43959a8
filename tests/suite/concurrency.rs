//! Calls and first proofs from many threads at once, in every kind of pool: each ends, with the right result.

use std::{
    sync::{
        Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::support::{
    Case, SCHEDULES, STRATEGIES, Uploaded, gpu,
    pair_air::{PairAir, PairFixture},
    random_air::{Size, random_case},
    rng,
    watchdog::within,
};
use logup_wgpu::{Gpu, GpuOptions, Round0, Round0Polys, Strategy, openvm::WgpuEngine, shaders::FieldForm};
use openvm_stark_backend::{
    StarkEngine,
    prover::DeviceDataTransporter,
    test_utils::{TestFixture, test_system_params_small},
};
use openvm_stark_sdk::config::baby_bear_poseidon2::CpuTranscript;
use rayon::prelude::*;

const LIMIT: Duration = Duration::from_secs(300);

type Engine = WgpuEngine<CpuTranscript>;

/// Proves with a key that the engine has not seen, and verifies.
fn first_proof(engine: &Engine, fixture: &PairFixture) {
    let (pk, vk) = fixture.keygen(engine);
    let device = engine.device();
    let context = device.transport_proving_ctx_to_device(&fixture.generate_proving_ctx());
    let proof = engine.prove(&device.transport_pk_to_device(&pk), context).unwrap_or_else(|error| panic!("{error}"));
    engine.verify(&vk, &proof).unwrap();
}

fn fixture() -> PairFixture {
    PairFixture((0..16).map(|_| PairAir::wide(100, 4)).collect())
}

fn engine(gpu: &Gpu) -> Engine {
    Engine::with_gpu(test_system_params_small(3, 9, 3), gpu).unwrap()
}

fn pool(threads: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
}

/// Rounds of tasks that all want the same new plan: a thread that plans is handed another proof by rayon, which wants the plan too.
#[test]
fn first_proofs_as_rayon_tasks() {
    within(LIMIT, "first proofs as rayon tasks", || {
        for threads in [2, 3, 8] {
            for _ in 0..4 {
                // A new device too, so that kernels are compiled meanwhile.
                let engine = engine(&Gpu::new(GpuOptions::default()).unwrap());
                let fixture = fixture();
                pool(threads).install(|| (0..12).into_par_iter().with_max_len(1).for_each(|_| first_proof(&engine, &fixture)));
            }
        }
    });
}

/// A proof inside a scope inside a scope, and one in a pool that another pool's thread waits for.
#[test]
fn first_proofs_in_nested_scopes_and_pools() {
    within(LIMIT, "nested scopes", || {
        let (outer, inner) = (pool(3), pool(2));
        for _ in 0..3 {
            let (engine, fixture) = (engine(gpu(FieldForm::U64)), fixture());
            outer.scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|_| {
                        rayon::scope(|scope| (0..2).for_each(|_| scope.spawn(|_| first_proof(&engine, &fixture))));
                        inner.install(|| rayon::join(|| first_proof(&engine, &fixture), || first_proof(&engine, &fixture)));
                    });
                }
            });
        }
    });
}

/// A server: requests come in on a runtime's threads, proofs run on its blocking pool, and a rayon pool works at the same engine.
#[test]
fn proofs_on_a_runtime_under_load() {
    within(LIMIT, "a server", || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).max_blocking_threads(6).build().unwrap();
        let engine = std::sync::Arc::new(engine(gpu(FieldForm::U64)));
        let requests: Vec<_> = (0..16)
            .map(|i| {
                let engine = std::sync::Arc::clone(&engine);
                runtime.spawn_blocking(move || {
                    // Four keys, each asked for again and again.
                    let fixture = PairFixture((0..4).map(|_| PairAir::wide(50 + 50 * (i % 4), 8)).collect());
                    if i % 3 == 0 { pool(2).install(|| first_proof(&engine, &fixture)) } else { first_proof(&engine, &fixture) }
                })
            })
            .collect();
        runtime.block_on(async {
            for request in requests {
                request.await.unwrap();
            }
        });
    });
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
        let mains = uploaded.mains();
        let instances = uploaded.instances(&mains);
        let check = || assert_eq!(round0.evaluate(&instances).unwrap().polys, expected);
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
        let in_flight: Vec<_> = (0..6).map(|_| round0.submit(&instances).unwrap()).collect();
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
            let mains = uploaded.mains();
            let instances = uploaded.instances(&mains);
            let own = Round0::with_schedule(gpu, SCHEDULES[at / 8 % 2]);
            let engine = if at.is_multiple_of(5) { &own } else { &shared[at / 8 % 2] };
            let polys = match at / 16 % 3 {
                0 => engine.submit(&instances).unwrap().wait().unwrap().polys,
                1 => {
                    drop(engine.submit(&instances).unwrap());
                    engine.evaluate(&instances).unwrap().polys
                }
                _ => engine.evaluate(&instances).unwrap().polys,
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
