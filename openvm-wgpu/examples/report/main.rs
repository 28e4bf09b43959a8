//! The whole comparison on whatever adapter is there: OpenVM's 26 AIRs, a real segment, many small AIRs.
//!
//! ```text
//! cargo run --release -p openvm-wgpu --features vm --example report [-- --quick] [--log-height N] [--json] [--out DIR] [--unchecked] [--growth] [--synthetic]
//!     [--census] [--plot RECORD]
//! ```
//! Each AIR's traces are a random block of at most 2^13 rows, repeated on the device, so that the stock prover can check any height:
//! summed over the high bits of `x`, `eq` is 1, and a repeated trace has the block's polynomials. Selectors do not repeat: above the block's
//! height, AIRs that use them are checked by `Strategy::Direct` instead, as is the segment. The constraints' half runs on rows of a VM's run, repeated,
//! and says how many constraints fail where such a trace is none. `--out DIR` writes a dated record and a plot.
//! `--census` measures nothing and needs no GPU: it counts what the AIRs' expressions are made of.
//! `--synthetic` measures six AIRs with long expressions instead: 300 to 700 nodes of degree 2 to 4.
//! `--growth` measures how the cost grows instead: six AIRs of 3 to 913 columns over log heights 4 to 22.
//! `--plot RECORD` measures nothing and draws a record's plot again, beside it.

#[path = "../../../tests/support/args.rs"]
mod args;
mod census;
#[path = "../../tests/fixtures/mod.rs"]
mod fixtures;
mod growth;
mod measure;
mod plot;
#[path = "../support/proof_plot.rs"]
mod proof_plot;
#[path = "../../../tests/support/record.rs"]
mod record;
mod satisfying;
mod single_calls;
#[path = "../../../tests/stock/mod.rs"]
mod stock;
#[path = "../../../tests/support/mod.rs"]
mod support;
mod synthetic;
mod zerocheck;

use std::path::PathBuf;

use logup_wgpu::{Gpu, GpuOptions, wgpu};

pub struct Args {
    pub quick: bool,
    pub json: bool,
    pub unchecked: bool,
    pub growth: bool,
    pub census: bool,
    pub synthetic: bool,
    pub log_height: Option<usize>,
    pub out: Option<PathBuf>,
}

fn args() -> Args {
    let usage = "report [--quick] [--log-height N] [--json] [--out DIR] [--unchecked] [--growth] [--synthetic] [--census] [--plot RECORD]";
    let mut args = args::Args::new(usage);
    let any = |_: &PathBuf| true;
    let plot = args.option("--plot", any);
    let chosen = Args {
        quick: args.flag("--quick"),
        json: args.flag("--json"),
        unchecked: args.flag("--unchecked"),
        growth: args.flag("--growth"),
        census: args.flag("--census"),
        synthetic: args.flag("--synthetic"),
        log_height: args.option("--log-height", |n: &usize| (4..=24).contains(n)),
        out: args.option("--out", any),
    };
    args.end();
    if let Some(record) = plot {
        plot::draw_again(&record);
        std::process::exit(0)
    }
    chosen
}

fn main() {
    let args = args();
    if args.census {
        census::print(args.json).unwrap_or_else(|error| panic!("{error}"));
        return;
    }
    let result = Gpu::new(GpuOptions { shader_checks: !args.unchecked, ..GpuOptions::default() }).and_then(|gpu| run(&gpu, &args));
    if let Err(error) = result {
        eprintln!("{error}");
        std::process::exit(1)
    }
}

fn run(gpu: &Gpu, args: &Args) -> logup_wgpu::Result<()> {
    let software = gpu.info().device_type == wgpu::DeviceType::Cpu;
    if args.growth {
        let mut report = record::head(gpu);
        record::extend(&mut report, serde_json::json!({ "growth": growth::growth(gpu, software, args)? }));
        println!("{report:#}");
        if let Some(dir) = &args.out {
            plot::write(&report, dir, "growth");
        }
        return Ok(());
    }
    let log_height = args.log_height.unwrap_or(match (software, args.quick) {
        (true, false) => 13,
        (true, true) => 10,
        (false, false) => 20,
        (false, true) => 16,
    });
    if args.synthetic {
        measure::raise_clocks(gpu, &fixtures::vm_airs::keccak_vm_airs()[0])?;
        let airs = synthetic::measure(gpu, log_height, if args.quick { 3 } else { 9 })?;
        let mut report = record::head(gpu);
        record::extend(&mut report, serde_json::json!({ "synthetic": airs }));
        println!("{report}");
        return Ok(());
    }
    let report = measure::report(gpu, log_height, software, args)?;
    if args.json {
        println!("{report}");
    } else {
        measure::print(&report);
    }
    if let Some(dir) = &args.out {
        plot::write(&report, dir, "report");
    }
    assert_eq!(report["exact"], true, "a result differs from its oracle's");
    Ok(())
}
