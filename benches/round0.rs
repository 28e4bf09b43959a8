//! Inside-out: field operations, each kernel, one AIR in the three ways; the stock prover beside them. `openvm-wgpu`'s bench `vm` has
//! OpenVM's AIRs.
//!
//! ```text
//! cargo bench --bench round0 [-- GROUP]
//! ```
//! Wall times of calls on resident traces (`kernels`: GPU time of one stage); throughput is bytes of used columns. Upload and kernel
//! compilation are groups of their own. The adapter is printed first. Sizes suit a software device; `openvm-wgpu`'s example `report` has the large ones.

#[path = "../tests/support/bench.rs"]
mod bench;
#[path = "../tests/stock/mod.rs"]
mod stock;
#[path = "../tests/support/mod.rs"]
mod support;

use std::{hint::black_box, time::Duration};

use bench::{bench_calls, gpu, used_bytes};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use logup_wgpu::{
    AirBuilder, FieldForm, Layout, NodeId, Round0, Round0Stats, Schedule, Strategy, Trace,
    compute::Kernel,
    introspect::{FieldOp, FieldOps, kernels},
};
use stock::{StockInstance, keccakf};
use support::{Case, Uploaded, WAYS, rng};

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

/// Twenty columns, half of them in products: as many as an ALU's.
fn product_case(log_height: usize) -> Case {
    let mut air = AirBuilder::new("products");
    let main = air.main_part(20);
    let cells: Vec<NodeId> = (0..20).map(|i| air.column(main, i)).collect();
    let products: Vec<NodeId> = cells.chunks_exact(4).map(|cells| air.mul(cells[0], cells[1])).collect();
    air.interaction(0, cells.iter().copied(), cells[3]);
    air.interaction(1, products, cells[7]);
    let case = Case::random(air.build().unwrap(), 4, 1 << log_height, (None, &[20]), 0, &mut rng(5));
    Case { layout: Layout::ColMajor, ..case }
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

/// GPU time (wall time of the call where there are no timestamps) of one kernel of a call.
fn bench_stage(bench: &mut criterion::Bencher<'_>, cases: &[Case], kernel: &'static Kernel) {
    let uploaded = Uploaded::together(gpu(), cases, Strategy::Split);
    let instances = uploaded.instances();
    let mut round0 = Round0::new(gpu());
    round0.set_stage_times(true);
    bench.iter_custom(|calls| {
        let stage = |stats: Round0Stats| -> Duration {
            let stages = stats.stages.iter().filter(|stage| stage.kernel == kernel);
            if stats.stages.is_empty() { stats.wall } else { stages.map(|stage| stage.gpu).sum() }
        };
        (0..calls).map(|_| stage(round0.evaluate(&uploaded.challenges(), &instances).unwrap().stats)).sum()
    });
}

/// Each kernel on one AIR that has all of them, and what `eq` costs: two tables on the host, in a recording of one column.
fn kernels(c: &mut Criterion) {
    let mut group = c.benchmark_group("kernels");
    let case = [product_case(14)];
    group.throughput(used_bytes(&case));
    for (name, kernel) in
        [("column_sums", &kernels::COLUMN_SUMS), ("coset_pass", &kernels::COSET_PASS), ("dual_reduce", &kernels::DUAL_REDUCE)]
    {
        group.bench_function(name, |bench| bench_stage(bench, &case, kernel));
    }
    let column = [affine_case(1, 20, Layout::ColMajor)];
    let uploaded = Uploaded::together(gpu(), &column, Strategy::Split);
    let instances = uploaded.instances();
    let round0 = Round0::new(gpu());
    group.throughput(used_bytes(&column));
    group.bench_function("eq", |bench| bench.iter(|| round0.record(&uploaded.challenges(), black_box(&instances)).unwrap()));
    group.finish();
}

/// The three ways on one keccak AIR.
fn schedule(c: &mut Criterion) {
    let mut group = c.benchmark_group("schedule");
    let air = keccakf::air();
    let keccak = [keccakf::case(&air, 40, 4)];
    for (way, strategy, schedule) in WAYS {
        group.bench_function(BenchmarkId::new(way, "keccakf_40"), |bench| bench_calls(bench, &keccak, strategy, schedule));
    }
    group.finish();
}

/// The stock prover on the same keccak AIR, with ours beside it.
fn stock_cpu(c: &mut Criterion) {
    let mut group = c.benchmark_group("stock_cpu");
    let air = keccakf::air();
    let case = keccakf::case(&air, 40, 4);
    let stock = StockInstance::new(&air, &case);
    group.bench_function("stock/keccakf_40", |bench| bench.iter(|| black_box(&stock).round0()));
    let ours = std::slice::from_ref(&case);
    group.bench_function("split_batched/keccakf_40", |bench| bench_calls(bench, ours, Strategy::Split, Schedule::Batched));
    group.finish();
}

/// What a first call pays beside its kernels: the upload.
fn upload(c: &mut Criterion) {
    let mut group = c.benchmark_group("upload");
    let case = affine_case(64, 14, Layout::ColMajor);
    group.throughput(Throughput::Bytes(4 << 20));
    group.bench_function("4 MiB", |bench| bench.iter(|| Trace::upload(gpu(), &case.matrices()).unwrap()));
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    targets = field, kernels, column_sums, schedule, stock_cpu, upload
}
criterion_main!(benches);
