//! What the benches of both packages share.

use std::hint::black_box;

use criterion::{Bencher, Throughput};
use logup_wgpu::{FieldForm, Gpu, GpuOptions, Round0, Schedule, Strategy};

use crate::support::{self, Case, Uploaded};

/// The device that `GpuOptions::default()` opens.
pub fn gpu() -> &'static Gpu {
    support::gpu(default_form())
}

/// The field form that it has.
fn default_form() -> FieldForm {
    static FORM: std::sync::LazyLock<FieldForm> = std::sync::LazyLock::new(|| {
        let gpu = Gpu::new(GpuOptions::default()).unwrap_or_else(|error| panic!("{error}"));
        println!("adapter: {}, {:?}", gpu.adapter(), gpu.field_form());
        gpu.field_form()
    });
    *FORM
}

/// Calls on resident traces.
pub fn bench_calls(bench: &mut Bencher<'_>, cases: &[Case], strategy: Strategy, schedule: Schedule) {
    let uploaded = Uploaded::together(gpu(), cases, strategy);
    let instances = uploaded.instances();
    let round0 = Round0::with_schedule(gpu(), schedule);
    round0.evaluate(&uploaded.challenges(), &instances).unwrap();
    bench.iter(|| round0.evaluate(&uploaded.challenges(), black_box(&instances)).unwrap());
}

/// Bytes of the columns that the cases' plans use.
pub fn used_bytes(cases: &[Case]) -> Throughput {
    Throughput::Bytes(cases.iter().map(|case| (4 * case.plan(Strategy::Split).num_columns_used() * case.height) as u64).sum())
}
