//! Inside-out: field operations, each kernel, each AIR, a segment, many small AIRs, one AIR in the three ways; the stock prover beside them.
//!
//! ```text
//! cargo bench --features openvm [-- GROUP]
//! ```
//! Wall times of calls on resident traces (`kernels`: GPU time of one stage); throughput is bytes of used columns. Upload and kernel
//! compilation are groups of their own. The adapter is printed first. Sizes suit a software device; `examples/report` has the large ones.

#[path = "../tests/support/mod.rs"]
mod support;

use std::{hint::black_box, time::Duration};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use logup_wgpu::{
    AirBuilder, FieldOp, FieldOps, Gpu, GpuOptions, Layout, NodeId, Round0, Round0Plan, Round0Stats, Schedule, Strategy, Trace,
    shaders::{FieldForm, Kernel},
};
use support::{
    Case, Uploaded, keccakf, rng,
    stock::{StockInstance, keccak_vm_airs},
};

fn gpu() -> &'static Gpu {
    support::gpu(default_form())
}

/// What an unconfigured device would use.
fn default_form() -> FieldForm {
    static FORM: std::sync::LazyLock<FieldForm> = std::sync::LazyLock::new(|| {
        let gpu = Gpu::new(GpuOptions::default()).unwrap_or_else(|error| panic!("{error}"));
        println!("adapter: {}, {:?}", gpu.adapter(), gpu.field_form());
        gpu.field_form()
    });
    *FORM
}

/// `mul` and `ext_mul` in both forms: elements per second of 2^16 elements times 256 dependent operations.
fn field(c: &mut Criterion) {
    let mut group = c.benchmark_group("field");
    let num = 1 << 16;
    let rounds = 256;
    let mut rng = rng(1);
    let (a, b) = (support::random_ef(&mut rng, num), support::random_ef(&mut rng, num));
    group.throughput(Throughput::Elements(num as u64 * u64::from(rounds)));
    for form in FieldForm::ALL {
        let ops = FieldOps::new(support::gpu(form));
        for (name, op) in [("mul", FieldOp::Mul), ("ext4_mul", FieldOp::ExtMul)] {
            group.bench_function(BenchmarkId::new(name, format!("{form:?}")), |bench| {
                bench.iter(|| ops.apply(op, rounds, black_box(&a), &b).unwrap())
            });
        }
    }
    group.finish();
}

/// `width` affine columns in one message.
fn affine_case(width: usize, log_height: usize, layout: Layout) -> Case {
    let mut air = AirBuilder::new(format!("{width} columns"));
    let main = air.main_part(width);
    let fields: Vec<NodeId> = (0..width).map(|i| air.column(main, i)).collect();
    air.interaction(0, fields.iter().copied(), fields[0]);
    let case = Case::random(air.build().unwrap(), 4, 1 << log_height, (None, &[width]), 0, &mut rng(2));
    Case { layout, ..case }
}

fn bench_calls(bench: &mut criterion::Bencher<'_>, cases: &[Case], strategy: Strategy, schedule: Schedule) {
    let uploaded = Uploaded::together(gpu(), cases, strategy);
    let mains = uploaded.mains();
    let instances = uploaded.instances(&mains);
    let round0 = Round0::with_schedule(gpu(), schedule);
    round0.evaluate(&instances).unwrap();
    bench.iter(|| round0.evaluate(black_box(&instances)).unwrap());
}

/// All-affine AIRs: bytes of used columns per second of a whole call.
fn column_sums(c: &mut Criterion) {
    let mut group = c.benchmark_group("column_sums");
    for layout in [Layout::ColMajor, Layout::RowMajor] {
        for (width, log_height) in [(3, 18), (40, 16), (512, 12)] {
            let case = affine_case(width, log_height, layout);
            group.throughput(Throughput::Bytes(4 * (width << log_height) as u64));
            group.bench_function(format!("{layout:?}/{width}x2^{log_height}"), |bench| {
                bench_calls(bench, std::slice::from_ref(&case), Strategy::Split, Schedule::Batched)
            });
        }
    }
    group.finish();
}

/// Bytes of the columns that the cases' plans use.
fn used_bytes(cases: &[Case]) -> Throughput {
    Throughput::Bytes(cases.iter().map(|case| (4 * case.plan(Strategy::Split).num_columns_used() * case.height) as u64).sum())
}

/// GPU time (wall time of the call where there are no timestamps) of one kernel of a call.
fn bench_stage(bench: &mut criterion::Bencher<'_>, cases: &[Case], kernel: Kernel) {
    let uploaded = Uploaded::together(gpu(), cases, Strategy::Split);
    let mains = uploaded.mains();
    let instances = uploaded.instances(&mains);
    let mut round0 = Round0::new(gpu());
    round0.set_stage_times(true);
    bench.iter_custom(|calls| {
        let stage = |stats: Round0Stats| -> Duration {
            let stages = stats.stages.iter().filter(|stage| stage.kernel == kernel);
            if stats.stages.is_empty() { stats.wall } else { stages.map(|stage| stage.gpu).sum() }
        };
        (0..calls).map(|_| stage(round0.evaluate(&instances).unwrap().stats)).sum()
    });
}

/// Each kernel on one AIR that has all of them, and what `eq` costs: two tables on the host, in a recording of one column.
fn kernels(c: &mut Criterion) {
    let mut group = c.benchmark_group("kernels");
    let alu = keccak_vm_airs().into_iter().find(|air| air.name.contains("BaseAluCore")).expect("the VM has an ALU");
    let case = [Case { layout: Layout::ColMajor, ..alu.random_case(4, 1 << 14, &mut rng(5)) }];
    group.throughput(used_bytes(&case));
    for (name, kernel) in [("column_sums", Kernel::ColumnSums), ("coset_pass", Kernel::CosetPass), ("dual_reduce", Kernel::DualReduce)] {
        group.bench_function(name, |bench| bench_stage(bench, &case, kernel));
    }
    let column = [affine_case(1, 20, Layout::ColMajor)];
    let uploaded = Uploaded::together(gpu(), &column, Strategy::Split);
    let mains = uploaded.mains();
    let instances = uploaded.instances(&mains);
    let round0 = Round0::new(gpu());
    group.throughput(used_bytes(&column));
    group.bench_function("eq", |bench| bench.iter(|| round0.record(black_box(&instances)).unwrap()));
    group.finish();
}

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

/// log2 heights of the 26 AIRs in segment 118 of block 23992138 of a reth workload, here divided by 2^8.
const SEGMENT_118: [usize; 26] = [20, 1, 17, 17, 9, 14, 9, 5, 11, 16, 17, 21, 15, 18, 16, 17, 20, 16, 22, 19, 18, 21, 16, 2, 16, 18];

/// All AIRs of a segment in one call.
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

const WAYS: [(&str, Strategy, Schedule); 3] = [
    ("direct_per_coset", Strategy::Direct, Schedule::PerCoset),
    ("direct_batched", Strategy::Direct, Schedule::Batched),
    ("split_batched", Strategy::Split, Schedule::Batched),
];

/// Where the kernel comes from, what was asked for, and the default: one keccak AIR, and the VM's 26 AIRs in one call.
fn schedule(c: &mut Criterion) {
    let mut group = c.benchmark_group("schedule");
    let air = keccakf::air();
    let keccak = [keccakf::case(&air, 40, 4)];
    let mut rng = rng(3);
    let vm: Vec<Case> = keccak_vm_airs().iter().map(|air| air.random_case(4, 1 << 8, &mut rng)).collect();
    for (name, cases) in [("keccakf_40", &keccak[..]), ("vm_26_airs_2^8", &vm[..])] {
        for (way, strategy, schedule) in WAYS {
            group.bench_function(BenchmarkId::new(way, name), |bench| bench_calls(bench, cases, strategy, schedule));
        }
    }
    group.finish();
}

/// The stock prover on the same keccak AIR and on one AIR with a non-affine part, with ours beside it.
fn stock_cpu(c: &mut Criterion) {
    let mut group = c.benchmark_group("stock_cpu");
    let keccak = keccakf::air();
    let keccak_case = keccakf::case(&keccak, 40, 4);
    let alu = keccak_vm_airs().into_iter().find(|air| air.name.contains("BaseAluCore")).expect("the VM has an ALU");
    let alu_case = alu.random_case(4, 1 << 12, &mut rng(4));
    for (name, air, case) in [("keccakf_40", &keccak, &keccak_case), ("base_alu_2^12", &alu, &alu_case)] {
        let stock = StockInstance::new(air, case);
        group.bench_function(BenchmarkId::new("stock", name), |bench| bench.iter(|| black_box(&stock).round0()));
        group.bench_function(BenchmarkId::new("split_batched", name), |bench| {
            bench_calls(bench, std::slice::from_ref(case), Strategy::Split, Schedule::Batched)
        });
    }
    group.finish();
}

/// What a first call pays beside its kernels: compilation and upload.
fn first_call(c: &mut Criterion) {
    let mut group = c.benchmark_group("first_call");
    let plans = keccak_vm_airs().iter().map(|air| Round0Plan::new(air.air(), 4, Strategy::Split).unwrap()).collect::<Vec<_>>();
    let plans: Vec<&Round0Plan> = plans.iter().collect();
    // A device of its own each time: kernels are kept with it.
    let device = || Gpu::new(GpuOptions::default()).unwrap();
    group.bench_function("compile/26 AIRs", |bench| {
        bench.iter_batched(device, |gpu| Round0::new(&gpu).warm_up(&plans, Layout::ColMajor).unwrap(), criterion::BatchSize::PerIteration)
    });
    let case = affine_case(64, 14, Layout::ColMajor);
    group.throughput(Throughput::Bytes(4 << 20));
    group.bench_function("upload/4 MiB", |bench| bench.iter(|| Trace::upload(gpu(), &case.matrices()).unwrap()));
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    targets = field, kernels, column_sums, airs, segment, many_small, schedule, stock_cpu, first_call
}
criterion_main!(benches);
