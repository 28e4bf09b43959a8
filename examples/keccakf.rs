//! Round 0 of 1,024 real Keccak-f permutations, in the three ways that this kernel has been driven, beside the stock prover.
//!
//! The trace is p3's (2^15 rows, 2,633 columns, 345 MB), uploaded once, row-major as it was generated. Each way must give the stock
//! prover's coefficients. Times are medians of the second call onward, the stock prover's of three.
//!
//! ```text
//! cargo run --release --example keccakf [-- --json] [--permutations N] [--calls N]
//! ```

#[path = "../tests/support/args.rs"]
mod args;
#[path = "../tests/support/record.rs"]
mod record;
#[path = "../tests/stock/mod.rs"]
mod stock;
#[path = "../tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use logup_wgpu::{Challenges, Gpu, GpuOptions, Instance, Result, Round0, Round0Plan, Round0Stats, Trace};
use serde_json::{Value, json};
use stock::{StockInstance, keccakf};
use support::WAYS;

const L_SKIP: usize = 4;
struct Args {
    json: bool,
    permutations: usize,
    calls: usize,
}

fn args() -> Args {
    let mut args = args::Args::new("keccakf [--json] [--permutations N] [--calls N]");
    let json = args.flag("--json");
    let mut number = |name, usual| args.option(name, |&n: &usize| n > 0).unwrap_or(usual);
    let (permutations, calls) = (number("--permutations", 1024), number("--calls", 5));
    args.end();
    Args { json, permutations, calls }
}

fn main() {
    if let Err(error) = run(&args()) {
        eprintln!("{error}");
        std::process::exit(1)
    }
}

fn run(args: &Args) -> Result<()> {
    let &Args { json, permutations, calls } = args;
    let say = |line: String| if json { eprintln!("{line}") } else { println!("{line}") };

    let gpu = Gpu::new(GpuOptions::default())?;
    say(format!("adapter: {}", gpu.adapter()));
    say(format!("generating the trace of {permutations} permutations"));
    let air = keccakf::air();
    let case = keccakf::case(&air, permutations, L_SKIP);
    let width = case.main[0].1;
    say(format!("trace: {} rows, {width} columns, {:.0} MB", case.height, (4 * case.height * width) as f64 / 1e6));

    say("stock prover (CPU) ..".into());
    let stock = StockInstance::new(&air, &case);
    let expected = stock.round0();
    // The median of three, like ours, or of fewer where fewer calls are asked for.
    let mut stock_times: Vec<Duration> = (0..calls.min(3))
        .map(|_| {
            let start = Instant::now();
            assert!(stock.round0() == expected);
            start.elapsed()
        })
        .collect();
    stock_times.sort_unstable();
    let stock_cpu = stock_times[stock_times.len() / 2];

    let start = Instant::now();
    let trace = Trace::new(&gpu, case.matrices()[0])?;
    say(format!("upload: {:.1} ms", ms(start.elapsed())));

    let mut exact = true;
    let plans: Vec<Round0Plan> =
        WAYS.iter().map(|(_, strategy, _)| Round0Plan::new(case.air.clone(), L_SKIP, *strategy)).collect::<Result<_>>()?;
    let mut rows: Vec<(&str, Vec<Round0Stats>)> = WAYS.iter().map(|(name, ..)| (*name, vec![])).collect();
    let engines: Vec<Round0> = WAYS.iter().map(|(_, _, schedule)| Round0::with_schedule(&gpu, *schedule)).collect();
    for ((name, ..), plan) in WAYS.iter().zip(&plans) {
        say(format!("{name}: {plan}"));
    }
    let challenges = Challenges { xi: &case.xi, beta: case.beta, lambda: case.lambda };
    // The ways take turns, so that what else the machine does falls on all of them.
    for call in 0..=calls {
        for i in 0..WAYS.len() {
            let instance = Instance::new(&plans[i]).main([&trace]).weights(&case.weights);
            let output = engines[i].evaluate(&challenges, &[instance])?;
            exact &= output.polys[0] == expected;
            if call > 0 {
                rows[i].1.push(output.stats);
            }
        }
        say(format!("call {call} of {calls} in each way done"));
    }

    if json {
        let mut object = record::head(&gpu);
        record::extend(&mut object, json!({ "exact": exact, "stock_cpu_ms": ms(stock_cpu) }));
        for (name, stats) in &rows {
            object[*name] = summary(stats);
        }
        println!("{object}");
    } else {
        table(&rows, stock_cpu);
        println!("every coefficient equal to the stock prover's: {exact}");
    }
    assert!(exact, "a way differs from the stock prover");
    Ok(())
}

/// The last call's statistics, with median times.
fn summary(stats: &[Round0Stats]) -> Value {
    let last = stats.last().expect("at least one call");
    let median = |time: fn(&Round0Stats) -> Option<Duration>| median(stats, time).map(ms);
    let mut object = serde_json::to_value(last).expect("statistics are JSON");
    let medians = json!({
        "kernels": last.kernels(),
        "cpu_ms": median(|s| Some(s.cpu)),
        "gpu_ms": median(|s| s.gpu),
        "wall_ms": median(|s| Some(s.wall)),
    });
    record::extend(&mut object, medians);
    object
}

fn table(rows: &[(&str, Vec<Round0Stats>)], stock_cpu: Duration) {
    println!(
        "\n{:<18}{:>7}{:>9}{:>12}{:>13}{:>15}{:>10}{:>10}{:>11}",
        "", "waits", "kernels", "reductions", "allocations", "scratch bytes", "CPU ms", "GPU ms", "wall ms"
    );
    for (name, stats) in rows {
        let last = stats.last().expect("at least one call");
        let gpu = median(stats, |s| s.gpu).map_or("-".into(), |gpu| format!("{:.2}", ms(gpu)));
        println!(
            "{name:<18}{:>7}{:>9}{:>12}{:>13}{:>15}{:>10.2}{gpu:>10}{:>11.2}",
            last.waits,
            last.kernels(),
            last.reduction_kernels,
            last.allocations,
            last.scratch_bytes,
            ms(median(stats, |s| Some(s.cpu)).unwrap_or_default()),
            ms(median(stats, |s| Some(s.wall)).unwrap_or_default()),
        );
    }
    println!("{:<18}{:>105.2}", "stock prover (CPU)", ms(stock_cpu));
    let split = rows.last().and_then(|(_, stats)| median(stats, |s| Some(s.wall)));
    println!("\nsplit_batched is {:.0}x faster than the stock prover", stock_cpu.as_secs_f64() / split.unwrap_or_default().as_secs_f64());
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn median(stats: &[Round0Stats], time: impl Fn(&Round0Stats) -> Option<Duration>) -> Option<Duration> {
    let mut times: Vec<Duration> = stats.iter().map(time).collect::<Option<_>>()?;
    times.sort_unstable();
    times.get(times.len() / 2).copied()
}
