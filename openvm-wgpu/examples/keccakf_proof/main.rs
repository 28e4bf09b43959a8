//! A whole proof of Keccak-f permutations, by the stock CPU engine and by ours, stage by stage, with all proofs of work.
//!
//! The trace is p3's (2^15 rows, 2,633 columns for the default 1,024 permutations), proven alone: one AIR, no interactions, OpenVM's
//! parameters for apps. Each engine searches its own proofs of work, and the search is in its times. Our times are those of a second proof;
//! the first, which also allocates, is reported apart. That our proof is the stock engine's to the byte is shown by a stock proof with our
//! witnesses, which is in no time below. How long a search takes is luck, so proofs of work also have a row of their own.
//!
//! ```text
//! cargo run --release -p openvm-wgpu --example keccakf_proof [-- --json] [--permutations N]
//! cargo run --release -p openvm-wgpu --example keccakf_proof -- --plot RECORD [--out SVG]
//! ```
//! `--plot` proves nothing: it draws the proof of a record, which is the JSON line of this example or of `openvm_keccak` in a file.

#[path = "../../../tests/support/args.rs"]
mod args;
#[path = "../../tests/fixtures/mod.rs"]
mod fixtures;
mod metal_port;
#[path = "../support/proof_plot.rs"]
mod proof_plot;
#[path = "../support/proofs.rs"]
mod proofs;
#[path = "../../../tests/support/record.rs"]
mod record;
#[path = "../support/stages.rs"]
mod stages;
#[path = "../../../tests/stock/mod.rs"]
mod stock;
#[path = "../support/stopwatch.rs"]
mod stopwatch;
#[path = "../../../tests/support/mod.rs"]
mod support;

use std::{
    error::Error,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use openvm_stark_backend::{
    AirRef, StarkEngine,
    prover::{AirProvingContext, DeviceDataTransporter, ProvingContext},
};
use openvm_stark_sdk::config::{app_params_with_100_bits_security, baby_bear_poseidon2::BabyBearPoseidon2Config};
use openvm_wgpu::WgpuEngine;
use proofs::{OurTranscript, prove_both};
use serde_json::Value;
use stock::keccakf::{KeccakfAir, random_trace, states_rng};

type SC = BabyBearPoseidon2Config;

/// The committed matrix has `2^LOG_STACKED_HEIGHT` rows, whatever the trace's height: traces are stacked in it.
const LOG_STACKED_HEIGHT: usize = 21;
/// Those that 2^20 rows hold, at 24 each. With twice the rows, 2,633 columns would be more than the parameters are for (`w_stack`).
const MAX_PERMUTATIONS: usize = (1 << 20) / 24;

struct Args {
    json: bool,
    permutations: usize,
    plot: Option<(PathBuf, Option<PathBuf>)>,
}

fn args() -> Args {
    let mut args = args::Args::new("keccakf_proof [--json] [--permutations N] | --plot RECORD [--out SVG]");
    let json = args.flag("--json");
    let permutations = args.option("--permutations", |n| (1..=MAX_PERMUTATIONS).contains(n)).unwrap_or(metal_port::PERMUTATIONS);
    let record = args.option("--plot", |_: &PathBuf| true);
    let plot = record.map(|record| (record, args.option("--out", |_: &PathBuf| true)));
    args.end();
    Args { json, permutations, plot }
}

fn main() {
    let args = args();
    let result = match &args.plot {
        Some((record, svg)) => plot(record, svg.as_deref()),
        None => run(&args),
    };
    if let Err(error) = result {
        eprintln!("{error}");
        std::process::exit(1)
    }
}

/// Draws a record's proof, beside the record if nothing else is said.
fn plot(path: &Path, svg: Option<&Path>) -> Result<(), Box<dyn Error>> {
    let record: Value = serde_json::from_str(&std::fs::read_to_string(path)?)?;
    let result = if record["result"].is_object() { &record["result"] } else { &record };
    if !proof_plot::is_proof(result) {
        return Err(format!("{} has no proof by both engines", path.display()).into());
    }
    let svg = svg.map_or_else(|| path.with_extension("svg"), Path::to_owned);
    proof_plot::draw(result, &svg)?;
    eprintln!("wrote {}", svg.display());
    Ok(())
}

fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    let ours = WgpuEngine::<OurTranscript>::try_new(app_params_with_100_bits_security(LOG_STACKED_HEIGHT))?;
    eprintln!("adapter: {}", ours.device().gpu().adapter());
    let trace = random_trace(args.permutations, &mut states_rng());
    eprintln!("{} permutations: {} rows, {} columns", args.permutations, trace.values.len() / trace.width, trace.width);
    let (pk, vk) = ours.keygen(&[Arc::new(KeccakfAir) as AirRef<SC>]);
    let start = Instant::now();
    let key = ours.device().transport_pk_to_device(&pk);
    eprintln!("key planned and its kernels compiled in {:.1} s", start.elapsed().as_secs_f64());
    let context = || ProvingContext::new(vec![(0, AirProvingContext::new(vec![], trace.clone(), vec![]))]);
    let outcome = prove_both(&ours, &key, &vk, [&context, &context])?;
    if args.json {
        let mut json = record::head(ours.device().gpu());
        record::extend(&mut json, outcome.json());
        (json["permutations"], json["cells"]) = (args.permutations.into(), trace.values.len().into());
        println!("{json}");
    } else {
        outcome.print(metal_port::COLUMN);
        println!("{}", metal_port::note(args.permutations));
    }
    outcome.check()
}
