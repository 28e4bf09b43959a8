//! First proofs from many threads at once, in every kind of pool: each ends, with a proof that the verifier accepts.

use std::time::Duration;

use logup_wgpu::{FieldForm, Gpu, GpuOptions};
use openvm_stark_backend::{
    StarkEngine,
    prover::DeviceDataTransporter,
    test_utils::{TestFixture, test_system_params_small},
};
use openvm_stark_sdk::config::baby_bear_poseidon2::CpuTranscript;
use openvm_wgpu::WgpuEngine;
use rayon::prelude::*;

use crate::{
    fixtures::pair_air::{PairAir, PairFixture},
    support::{gpu, watchdog::within},
};

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
