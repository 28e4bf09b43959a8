//! The whole comparison on whatever adapter is there: OpenVM's 26 AIRs, a real segment, many small AIRs.
//!
//! ```text
//! cargo run --release --features openvm --example report [-- --quick] [--log-height N] [--json] [--out DIR] [--unchecked] [--growth] [--plot RECORD]
//! ```
//! Each AIR's traces are a random block of at most 2^13 rows, repeated on the device, so that the stock prover can judge any height:
//! summed over the high bits of `x`, `eq` is 1, and a repeated trace has the block's polynomials. Selectors do not repeat: above the block's
//! height, AIRs that use them are judged by `Strategy::Direct` instead, as is the segment. `--out DIR` writes a dated record and a plot.
//! `--growth` measures how the cost grows instead: six AIRs of 3 to 913 columns over log heights 4 to 22.
//! `--plot RECORD` measures nothing and draws a record's plot again, beside it.

#[path = "../../tests/support/mod.rs"]
mod support;

mod growth;
mod measure;
mod plot;

use logup_wgpu::{Gpu, GpuOptions, wgpu};

pub struct Args {
    pub quick: bool,
    pub json: bool,
    pub unchecked: bool,
    pub growth: bool,
    pub log_height: Option<usize>,
    pub out: Option<std::path::PathBuf>,
}

fn args() -> Args {
    let usage = || -> ! {
        eprintln!("usage: report [--quick] [--log-height N] [--json] [--out DIR] [--unchecked] [--growth] [--plot RECORD]");
        std::process::exit(2)
    };
    let mut args = Args { quick: false, json: false, unchecked: false, growth: false, log_height: None, out: None };
    let mut rest = std::env::args().skip(1);
    while let Some(arg) = rest.next() {
        match arg.as_str() {
            "--quick" => args.quick = true,
            "--json" => args.json = true,
            "--unchecked" => args.unchecked = true,
            "--growth" => args.growth = true,
            "--plot" => {
                plot::draw_again(rest.next().unwrap_or_else(|| usage()).as_ref());
                std::process::exit(0)
            }
            "--log-height" => match rest.next().and_then(|n| n.parse().ok()).filter(|n| (4..=24).contains(n)) {
                Some(log_height) => args.log_height = Some(log_height),
                None => usage(),
            },
            "--out" => args.out = Some(rest.next().unwrap_or_else(|| usage()).into()),
            _ => usage(),
        }
    }
    args
}

fn main() {
    let args = args();
    let result = Gpu::new(GpuOptions { shader_checks: !args.unchecked, ..GpuOptions::default() }).and_then(|gpu| run(&gpu, &args));
    if let Err(error) = result {
        eprintln!("{error}");
        std::process::exit(1)
    }
}

fn run(gpu: &Gpu, args: &Args) -> logup_wgpu::Result<()> {
    let software = gpu.info().device_type == wgpu::DeviceType::Cpu;
    if args.growth {
        let report =
            serde_json::json!({ "date": measure::date(), "adapter": gpu.adapter(), "growth": growth::growth(gpu, software, args)? });
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
    let report = measure::report(gpu, log_height, software, args)?;
    if args.json {
        println!("{report}");
    } else {
        measure::print(&report);
    }
    if let Some(dir) = &args.out {
        plot::write(&report, dir, "report");
    }
    assert_eq!(report["exact"], true, "a result differs from its judge's");
    Ok(())
}
