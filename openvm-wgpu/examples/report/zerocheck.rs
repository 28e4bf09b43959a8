//! The zerocheck's half of round 0 of each AIR, and both halves of a segment in one call.
//!
//! Traces satisfy the constraints as far as rows of a VM's run do when they are repeated (`satisfying`). The polynomials of `Strategy::Split` and of
//! `Strategy::Direct` are defined by the same evaluations on any trace, so one judges the other at full height; that they are the stock prover's
//! on traces that satisfy the constraints is what `tests/vm_airs` shows. The segment's traces are LogUp's random ones, with bits in boolean columns.

use std::time::Instant;

use logup_wgpu::{Gpu, Result, Round0, Round0Plan, Strategy};
use serde_json::{Value, json};

use crate::{
    fixtures::{vm_airs::SEGMENT_118, vm_traces::AirTrace},
    measure::{L_SKIP, gpu_ms, ms, of_call, repeat_calls, reside},
    satisfying::{self, Satisfying},
    stock::{StockAir, StockInstance},
    support::{Case, challenges},
};

/// GPU ms of the native CUDA kernel `_zerocheck_ntt_eval_constraints` (openvm-cuda-backend 2.0.1) on an H200, under the conditions of
/// `measure::CUDA_H200_MS`. The first AIR has no constraints.
const CUDA_H200_MS: [f64; 26] = [
    0.0, 0.590, 0.282, 1.895, 5.035, 129.0, 22.34, 1.874, 3.549, 0.584, 0.405, 0.477, 0.915, 1.097, 0.506, 1.743, 1.238, 1.587, 2.804,
    3.866, 1.899, 1.917, 1.316, 0.102, 28.20, 0.577,
];
/// The same for segment 118, LogUp's kernels included.
const CUDA_H200_SEGMENT_MS: f64 = 86.7;

/// One AIR's constraints; `None` where it has none. The stock prover is timed on `block`.
pub fn air(
    gpu: &Gpu,
    trace: &AirTrace,
    air_idx: usize,
    block: &Case,
    log_height: usize,
    calls: usize,
    on_h200: bool,
) -> Result<Option<Value>> {
    let stock = &trace.air;
    let air = stock.whole_air().without_interactions();
    if air.constraints().is_empty() {
        return Ok(None);
    }
    let num_constraints = air.constraints().len();
    let plan = Round0Plan::new(air.clone(), L_SKIP, Strategy::Split)?;
    let round0 = Round0::new(gpu);
    let Satisfying { resident, made } = satisfying::reside(gpu, trace, log_height)?;
    let instances = [resident.instance(&plan).weights(&[])];
    let (output, stats) = repeat_calls(&round0, &instances, calls)?;
    let direct = Round0Plan::new(air, L_SKIP, Strategy::Direct)?;
    let exact = Round0::new(gpu).evaluate(&challenges(), &[resident.instance(&direct).weights(&[])])?.polys == output.polys;
    let start = Instant::now();
    std::hint::black_box(StockInstance::new(stock, block).zerocheck());
    let stock_ms = ms(start.elapsed()) * ((1usize << log_height) / block.height) as f64;
    let mut row = json!({
        "constraints": num_constraints,
        "used_columns": plan.num_columns_used(),
        "gpu_ms": gpu_ms(&stats),
        "wall_ms": ms(stats.wall),
        "cpu_ms": ms(stats.cpu),
        "kernels": stats.kernels(),
        "scratch_bytes": stats.scratch_bytes,
        "stock_cpu_ms": stock_ms,
        "speedup_stock": stock_ms / ms(stats.wall),
        "trace": made,
        "exact": exact,
    });
    if on_h200 {
        row["cuda_ms"] = json!(CUDA_H200_MS[air_idx]);
        row["speedup_cuda"] = json!(CUDA_H200_MS[air_idx] / gpu_ms(&stats));
    }
    Ok(Some(row))
}

/// Both halves of segment 118 in one call, its heights divided by `2^offset`.
pub fn segment(gpu: &Gpu, airs: &[&StockAir], offset: usize, calls: usize, on_h200: bool) -> Result<Value> {
    let heights = SEGMENT_118.map(|log| log.saturating_sub(offset));
    let residents = reside(gpu, airs, &heights, 118)?;
    let plans: Vec<Round0Plan> = airs.iter().map(|air| Round0Plan::new(air.whole_air(), L_SKIP, Strategy::Split)).collect::<Result<_>>()?;
    let instances: Vec<_> = residents.iter().zip(&plans).map(|(resident, plan)| resident.instance(plan)).collect();
    let mut round0 = Round0::new(gpu);
    let start = Instant::now();
    round0.warm_up(&plans.iter().collect::<Vec<_>>(), logup_wgpu::Layout::ColMajor)?;
    let warm_up = start.elapsed();
    let (_, mut stats) = repeat_calls(&round0, &instances, calls)?;
    round0.set_stage_times(true);
    stats.stages = round0.evaluate(&challenges(), &instances)?.stats.stages;
    let mut segment = of_call(&stats);
    segment["log_height_offset"] = json!(-(offset as i64));
    segment["warm_up_ms"] = json!(ms(warm_up));
    if on_h200 && offset == 0 {
        segment["cuda_kernels_ms"] = json!(CUDA_H200_SEGMENT_MS);
    }
    Ok(segment)
}
