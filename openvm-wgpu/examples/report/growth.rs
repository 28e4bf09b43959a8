//! How the cost grows with rows and columns: six AIRs of 3 to 913 columns over log heights 4 to 22, ours beside the stock prover.

use logup_wgpu::{Gpu, Rates, Result, Round0, Round0Plan, Strategy};
use serde_json::{Value, json};

use crate::{
    Args,
    fixtures::vm_airs::keccak_vm_airs,
    measure::{L_SKIP, LOG_BLOCK, gpu_ms, ms, raise_clocks, repeat_calls, reside, short_name, stock_ms},
    stock::StockAir,
};

/// 3, 6, 20, 49, 561 and 913 used columns; the second and the last have a non-affine part.
const AIRS: [&str; 6] = ["RangeTuple", "VmConnector", "Auipc", "ShiftCore", "KeccakfOp", "Xorin"];
/// Cells of the largest trace: 4 GiB on a GPU, 32 MiB on a software device.
const MAX_CELLS: [usize; 2] = [1 << 30, 1 << 23];

/// One object per AIR with its points.
pub fn growth(gpu: &Gpu, software: bool, args: &Args) -> Result<Value> {
    let stock_airs = keccak_vm_airs();
    let rates = if software { Rates::LAVAPIPE_2_CORES } else { Rates::H200 };
    let round0 = Round0::new(gpu);
    if !software {
        raise_clocks(gpu, &stock_airs[0])?;
    }
    let calls = if args.quick { 3 } else { 9 };
    let mut airs = vec![];
    for name in AIRS {
        let stock: &StockAir = stock_airs.iter().find(|air| air.name.contains(name)).expect("an AIR of the VM");
        let plan = Round0Plan::new(stock.air(), L_SKIP, Strategy::Split)?;
        let width = stock.width.preprocessed.unwrap_or(0) + stock.width.main_widths().iter().sum::<usize>();
        let largest = (MAX_CELLS[usize::from(software)] / width).ilog2() as usize;
        let mut points = vec![];
        let mut stock_per_row = 0.0;
        for log_height in (4..=22.min(largest)).step_by(if args.quick { 2 } else { 1 }) {
            let resident = reside(gpu, &[stock], &[log_height], log_height as u64)?.pop().expect("one AIR");
            let (output, stats) = repeat_calls(&round0, &[resident.instance(&plan)], calls)?;
            let mut exact = Value::Null;
            if log_height <= LOG_BLOCK {
                let (expected, ms) = stock_ms(stock, &resident.block);
                exact = json!(expected == output.polys[0]);
                stock_per_row = ms / f64::from(1u32 << log_height);
            }
            let estimate = plan.estimate(1 << log_height, &rates)?;
            points.push(json!({
                "log_height": log_height,
                "gpu_ms": gpu_ms(&stats),
                "wall_ms": ms(stats.wall),
                "stock_cpu_ms": stock_per_row * f64::from(1u32 << log_height),
                "stock_measured": log_height <= LOG_BLOCK,
                "estimate_wall_ms": ms(estimate.device),
                "estimate_stock_cpu_ms": ms(estimate.stock),
                "exact": exact,
            }));
        }
        let wins = points.iter().find(|point| point["wall_ms"].as_f64() < point["stock_cpu_ms"].as_f64());
        let row = json!({
            "name": stock.name,
            "used_columns": plan.num_columns_used(),
            "faster_from_log_height": wins.map_or(Value::Null, |point| point["log_height"].clone()),
            "points": points,
        });
        eprintln!("{:<28} {:>4} columns, up to 2^{largest} rows", short_name(&row), plan.num_columns_used());
        airs.push(row);
    }
    Ok(json!(airs))
}
