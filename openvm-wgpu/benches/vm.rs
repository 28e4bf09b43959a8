//! OpenVM's keccak VM: each AIR, a segment, many small AIRs, all AIRs in the three ways; the stock prover beside them; proofs of work.
//!
//! ```text
//! cargo bench -p openvm-wgpu --bench vm [-- GROUP]
//! ```
//! Wall times of calls on resident traces; throughput is bytes of used columns.

#[path = "../../tests/support/bench.rs"]
mod bench;
#[path = "../tests/fixtures/mod.rs"]
mod fixtures;
#[path = "../../tests/stock/mod.rs"]
mod stock;
#[path = "../../tests/support/mod.rs"]
mod support;

use std::{hint::black_box, time::Duration};

use bench::{bench_calls, used_bytes};
use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use fixtures::vm_airs::{SEGMENT_118, keccak_vm_airs};
use logup_wgpu::{Gpu, GpuOptions, Layout, Round0, Round0Plan, Schedule, Strategy};
use openvm_stark_backend::FiatShamirTranscript;
use openvm_stark_sdk::config::{app_params_with_100_bits_security, baby_bear_poseidon2::BabyBearPoseidon2Config};
use openvm_wgpu::{EngineTranscript, WgpuDevice, WgpuOptions, WgpuTranscript};
use stock::StockInstance;
use support::{Case, WAYS, rng};

/// Every AIR of the keccak VM alone, at 2^10 rows.
fn airs(c: &mut Criterion) {
    let mut group = c.benchmark_group("airs");
    let mut rng = rng(6);
    for air in keccak_vm_airs() {
        let case = [Case { layout: Layout::ColMajor, ..air.random_case(4, 1 << 10, &mut rng) }];
        group.throughput(used_bytes(&case));
        group.bench_function(&air.name, |bench| bench_calls(bench, &case, Strategy::Split, Schedule::Batched));
    }
    group.finish();
}

/// All AIRs of a segment in one call, at heights divided by 2^8.
fn segment(c: &mut Criterion) {
    let mut group = c.benchmark_group("segment");
    let mut rng = rng(7);
    let airs = keccak_vm_airs();
    let heights = SEGMENT_118.map(|log_height| 1 << log_height.saturating_sub(8));
    let cases: Vec<Case> =
        (airs.iter().zip(heights)).map(|(air, height)| Case { layout: Layout::ColMajor, ..air.random_case(4, height, &mut rng) }).collect();
    group.throughput(used_bytes(&cases));
    group.bench_function("118", |bench| bench_calls(bench, &cases, Strategy::Split, Schedule::Batched));
    group.finish();
}

/// 300 AIRs of 2^5 rows in one call.
fn many_small(c: &mut Criterion) {
    let mut group = c.benchmark_group("many_small");
    let mut rng = rng(8);
    let airs = keccak_vm_airs();
    let cases: Vec<Case> =
        (0..300).map(|i| Case { layout: Layout::ColMajor, ..airs[i % airs.len()].random_case(4, 1 << 5, &mut rng) }).collect();
    group.throughput(used_bytes(&cases));
    group.bench_function("300x2^5", |bench| bench_calls(bench, &cases, Strategy::Split, Schedule::Batched));
    group.finish();
}

/// The three ways on all AIRs in one call.
fn schedule(c: &mut Criterion) {
    let mut group = c.benchmark_group("schedule");
    let mut rng = rng(3);
    let cases: Vec<Case> = keccak_vm_airs().iter().map(|air| air.random_case(4, 1 << 8, &mut rng)).collect();
    for (way, strategy, schedule) in WAYS {
        group.bench_function(BenchmarkId::new(way, "vm_26_airs_2^8"), |bench| bench_calls(bench, &cases, strategy, schedule));
    }
    group.finish();
}

/// The stock prover on an AIR with a non-affine part, with ours beside it.
fn stock_cpu(c: &mut Criterion) {
    let mut group = c.benchmark_group("stock_cpu");
    let air = keccak_vm_airs().into_iter().find(|air| air.name.contains("BaseAluCore")).expect("the VM has an ALU");
    let case = air.random_case(4, 1 << 12, &mut rng(4));
    let stock = StockInstance::new(&air, &case);
    group.bench_function("stock/base_alu_2^12", |bench| bench.iter(|| black_box(&stock).round0()));
    let ours = std::slice::from_ref(&case);
    group.bench_function("split_batched/base_alu_2^12", |bench| bench_calls(bench, ours, Strategy::Split, Schedule::Batched));
    group.finish();
}

/// What a first call pays beside its kernels and the upload: compilation.
fn compile(c: &mut Criterion) {
    let mut group = c.benchmark_group("compile");
    let plans = keccak_vm_airs().iter().map(|air| Round0Plan::new(air.air(), 4, Strategy::Split).unwrap()).collect::<Vec<_>>();
    let plans: Vec<&Round0Plan> = plans.iter().collect();
    // A device of its own each time: kernels are kept with it.
    let device = || Gpu::new(GpuOptions::default()).unwrap();
    group.bench_function("26 AIRs", |bench| {
        bench.iter_batched(device, |gpu| Round0::new(&gpu).warm_up(&plans, Layout::ColMajor).unwrap(), BatchSize::PerIteration)
    });
    group.finish();
}

/// The search of proofs of work, one after another, by the device and by all threads of the CPU.
fn proof_of_work(c: &mut Criterion) {
    let mut group = c.benchmark_group("proof_of_work");
    let gpu = Gpu::new(GpuOptions::default()).unwrap();
    let config = BabyBearPoseidon2Config::default_from_params(app_params_with_100_bits_security(21));
    for (who, min_device_pow_bits) in [("device", 0), ("cpu", usize::MAX)] {
        let options = WgpuOptions { min_device_pow_bits: Some(min_device_pow_bits), ..WgpuOptions::default() };
        let device = WgpuDevice::with_options(config.clone(), &gpu, options).unwrap();
        for bits in [5, 8, 10, 12, 14, 16, 18, 20] {
            let mut transcript = WgpuTranscript::start(&device);
            group.bench_function(BenchmarkId::new(who, format!("{bits} bits")), |bench| bench.iter(|| transcript.grind(bits)));
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    targets = airs, segment, many_small, schedule, stock_cpu, compile, proof_of_work
}
criterion_main!(benches);
