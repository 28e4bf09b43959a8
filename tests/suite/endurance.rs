//! Memory stays flat: over 10,000 calls, 500 engines and 50 proofs. Each in a process of its own, whose memory is then no other test's.

use crate::support::{
    Case, SCHEDULES, Uploaded, gpu,
    pair_air::{PairAir, PairFixture},
    random_air::{Size, random_case},
    rng,
    watchdog::{alone, is_alone},
};
use logup_wgpu::{Gpu, GpuOptions, Round0, Strategy, openvm::WgpuEngine, shaders::FieldForm, wgpu};
use memory_stats::memory_stats;
use openvm_stark_backend::{
    StarkEngine,
    prover::DeviceDataTransporter,
    test_utils::{TestFixture, test_system_params_small},
};
use openvm_stark_sdk::config::baby_bear_poseidon2::CpuTranscript;

/// What allocators and drivers may keep more at the end than after the first tenth.
const SLACK: usize = 8 << 20;

/// Does it so many times, in a process of its own: the memory in use, host's and device's, is at the end what it was after a tenth of them.
fn is_flat(test: &str, gpu: impl FnOnce() -> Gpu, times: usize, what: &str, once: impl FnMut(&Gpu, usize)) {
    if !is_alone(test) {
        let output = alone(test, &[]);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
        let figures = text.lines().find(|line| line.contains("MiB after")).expect("figures");
        println!("{figures}");
        return;
    }
    let (gpu, mut once) = (gpu(), once);
    let in_use = || {
        gpu.queue().submit([]);
        gpu.device().poll(wgpu::PollType::wait_indefinitely()).unwrap();
        let counters = gpu.device().get_internal_counters().hal;
        let objects = [counters.buffers, counters.bind_groups, counters.command_encoders, counters.compute_pipelines, counters.query_sets];
        (memory_stats().unwrap().physical_mem, objects.map(|objects| objects.read()))
    };
    (0..times / 10).for_each(|i| once(&gpu, i));
    let (early, early_objects) = in_use();
    (times / 10..times).for_each(|i| once(&gpu, i));
    let (late, late_objects) = in_use();
    let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
    println!("{what}: {:.1} MiB after {}, {:.1} MiB after {times}", mib(early), times / 10, mib(late));
    assert!(late <= early + SLACK, "{what} grow: {early} bytes, then {late}");
    assert_eq!(late_objects, early_objects, "{what}: wgpu's objects");
}

fn case() -> Case {
    let size = Size { max_degree: 3, num_ops: 12, num_interactions: 3, max_message_len: 3 };
    random_case(&mut rng(3), size, 3, 64)
}

#[test]
fn calls() {
    let cases = [case()];
    let mut engine = None;
    is_flat(
        "endurance::calls",
        || gpu(FieldForm::U64).clone(),
        10_000,
        "calls",
        |gpu, i| {
            let (engine, uploaded) = engine.get_or_insert_with(|| (Round0::new(gpu), Uploaded::together(gpu, &cases, Strategy::Split)));
            let mains = uploaded.mains();
            let instances = uploaded.instances(&mains);
            match i % 10 {
                0 => drop(engine.submit(&instances).unwrap()),
                1 => assert!(engine.evaluate(&instances[..0]).unwrap().polys.is_empty()),
                2 => assert!(engine.evaluate(&[logup_wgpu::Instance { eq_3bs: &[], ..instances[0] }]).is_err()),
                _ => _ = engine.evaluate(&instances).unwrap(),
            }
        },
    );
}

#[test]
fn engines() {
    let cases = [case()];
    is_flat(
        "endurance::engines",
        || Gpu::new(GpuOptions::default()).unwrap(),
        500,
        "engines",
        |gpu, i| {
            let uploaded = Uploaded::apart(gpu, &cases, Strategy::Split);
            let _ = uploaded.evaluate(&Round0::with_schedule(gpu, SCHEDULES[i % 2]));
        },
    );
}

#[test]
fn proofs() {
    let params = test_system_params_small(2, 8, 3);
    let fixture = PairFixture((0..4).map(|i| PairAir::plain(4, 16 << i)).collect());
    let mut prover = None;
    is_flat(
        "endurance::proofs",
        || gpu(FieldForm::U64).clone(),
        50,
        "proofs",
        |gpu, _| {
            let (engine, pk, vk) = prover.get_or_insert_with(|| {
                let engine = WgpuEngine::<CpuTranscript>::with_gpu(params.clone(), gpu).unwrap();
                let (pk, vk) = fixture.keygen(&engine);
                let pk = engine.device().transport_pk_to_device(&pk);
                (engine, pk, vk)
            });
            let context = engine.device().transport_proving_ctx_to_device(&fixture.generate_proving_ctx());
            let proof = engine.prove(pk, context).unwrap();
            engine.verify(vk, &proof).unwrap();
        },
    );
}
