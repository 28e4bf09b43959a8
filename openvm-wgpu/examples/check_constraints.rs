//! Which constraints does a trace not satisfy, and where? 1,024 Keccak-f permutations, with one cell changed.
//!
//! The trace is p3's (2^15 rows, 2,633 columns) and the AIR has 3,182 constraints. All are evaluated on every row on the device; the stock
//! CPU check (`openvm_stark_backend::air_builders::debug::check_constraints`) is timed beside it, on the trace as it was: it stops at the
//! first row that fails.
//!
//! ```text
//! cargo run --release -p openvm-wgpu --example check_constraints [-- --json] [--permutations N] [--row R] [--column C]
//! ```

#[path = "../../tests/support/args.rs"]
mod args;
#[path = "../../tests/support/record.rs"]
mod record;
#[path = "../../tests/stock/mod.rs"]
mod stock;
#[path = "../../tests/support/mod.rs"]
mod support;

use std::time::Instant;

use logup_wgpu::{ConstraintCheck, Gpu, GpuOptions, Instance, Result, Round0, Round0Plan, Strategy, Trace};
use openvm_stark_backend::{air_builders::debug::check_constraints, p3_matrix::dense::RowMajorMatrixView};
use openvm_stark_sdk::config::baby_bear_poseidon2::BabyBearPoseidon2Config;
use p3_field::PrimeCharacteristicRing;
use serde_json::json;
use stock::keccakf::{self, KeccakfBusAir};
use support::Case;

struct Args {
    json: bool,
    permutations: usize,
    row: usize,
    column: usize,
}

fn args() -> Args {
    let mut args = args::Args::new("check_constraints [--json] [--permutations N] [--row R] [--column C]");
    let json = args.flag("--json");
    let mut number = |name, least: usize, usual| args.option(name, |&n: &usize| n >= least).unwrap_or(usual);
    let (permutations, row, column) = (number("--permutations", 1, 1024), number("--row", 0, 1234), number("--column", 0, 1000));
    args.end();
    Args { json, permutations, row, column }
}

fn main() {
    if let Err(error) = run(&args()) {
        eprintln!("{error}");
        std::process::exit(1)
    }
}

fn run(args: &Args) -> Result<()> {
    let say = |line: String| if args.json { eprintln!("{line}") } else { println!("{line}") };
    let gpu = Gpu::new(GpuOptions::default())?;
    say(format!("adapter: {}", gpu.adapter()));
    let stock_air = keccakf::air();
    let mut case = Case { air: stock_air.whole_air(), ..keccakf::case(&stock_air, args.permutations, 4) };
    let width = case.main[0].1;
    say(format!("{} rows, {width} columns, {} constraints", case.height, case.air.constraints().len()));

    let start = Instant::now();
    let (name, views) = (&stock_air.name, [RowMajorMatrixView::new(&case.main[0].0, width)]);
    check_constraints::<_, BabyBearPoseidon2Config>(&KeccakfBusAir, name, &None, &views, &case.public_values);
    let stock_ms = 1e3 * start.elapsed().as_secs_f64();

    let plan = Round0Plan::new(case.air.clone(), 4, Strategy::Split)?;
    let round0 = Round0::new(&gpu);
    let check = |case: &Case| -> Result<ConstraintCheck> {
        let trace = Trace::new(&gpu, case.matrices()[0])?;
        round0.check_constraints(&[Instance::new(&plan).main([&trace])])
    };
    check(&case)?.satisfied()?; // which also compiles the kernel
    let good = check(&case)?;
    good.satisfied()?;
    say("the trace satisfies them all".into());

    let (row, column) = (args.row % case.height, args.column % width);
    case.main[0].0[row * width + column] += logup_wgpu::F::ONE;
    say(format!("column {column} of row {row} is one more now:"));
    let broken = check(&case)?;
    for failing in &broken.failing {
        say(failing.to_string());
    }
    let ms = 1e3 * good.wall.as_secs_f64();
    if args.json {
        let each = broken
            .failing
            .iter()
            .flat_map(|failing| failing.rows.iter().map(|row| json!({ "air": failing.air, "constraint": failing.constraint, "row": row })));
        let mut object = record::head(&gpu);
        let gpu_ms = good.gpu.map(|gpu| 1e3 * gpu.as_secs_f64());
        let found = json!({
            "failing": each.collect::<Vec<_>>(),
            "rows": good.num_rows,
            "constraints": good.num_constraints,
            "ms": ms,
            "gpu_ms": gpu_ms,
            "stock_ms": stock_ms,
        });
        record::extend(&mut object, found);
        println!("{object}");
    } else {
        println!("checked in {ms:.1} ms, trace resident; by the stock check on the CPU in {stock_ms:.1} ms");
    }
    Ok(())
}
