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
    time::{Duration, Instant},
};

use fixtures::observed::Observed;
use logup_wgpu::F;
use openvm_cpu_backend::CpuBackend;
use openvm_stark_backend::{
    AirRef, StarkEngine,
    codec::Encode,
    p3_matrix::dense::RowMajorMatrix,
    proof::Proof,
    prover::{AirProvingContext, DeviceDataTransporter, DeviceMultiStarkProvingKey, Prover, ProvingContext},
};
use openvm_stark_sdk::config::{
    app_params_with_100_bits_security,
    baby_bear_poseidon2::{BabyBearPoseidon2Config, BabyBearPoseidon2CpuEngine, CpuTranscript},
};
use openvm_wgpu::{DeviceRound0Stats, WgpuEngine};
use p3_baby_bear::default_babybear_poseidon2_16;
use serde_json::{Value, json};
use stock::keccakf::{KeccakfAir, random_trace, states_rng};
use stopwatch::{Stopwatch, Times, ms};

type SC = BabyBearPoseidon2Config;
type Key = DeviceMultiStarkProvingKey<CpuBackend<SC>>;
type StockTranscript = Observed<CpuTranscript>;
type OurTranscript = Observed<CpuTranscript>;

/// The committed matrix has `2^LOG_STACKED_HEIGHT` rows, whatever the trace's height: traces are stacked in it.
const LOG_STACKED_HEIGHT: usize = 21;
/// Those that 2^20 rows hold, at 24 each. With twice the rows, 2,633 columns would be more than the parameters are for (`w_stack`).
const MAX_PERMUTATIONS: usize = (1 << 20) / 24;

struct Args {
    json: bool,
    permutations: usize,
    plot: Option<(PathBuf, Option<PathBuf>)>,
}

/// What was proven and how long it took.
struct Outcome {
    verified: bool,
    identical: bool,
    reproducible: bool,
    cells: usize,
    stock: Times,
    ours: Times,
    first: Duration,
    stats: DeviceRound0Stats,
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
    let outcome = prove_both(&ours, args.permutations)?;
    if args.json {
        let mut json = record::head(ours.device().gpu());
        record::extend(&mut json, outcome.json());
        json["permutations"] = args.permutations.into();
        println!("{json}");
    } else {
        outcome.print(args.permutations);
    }
    if outcome.verified && outcome.identical { Ok(()) } else { Err("the proofs are not what they should be".into()) }
}

/// Ours, the stock engine's, ours again: each with its own proofs of work. Then the stock engine's with those of our second.
fn prove_both(ours: &WgpuEngine<OurTranscript>, permutations: usize) -> Result<Outcome, Box<dyn Error>> {
    let stopwatch = Stopwatch::install();
    let stock = BabyBearPoseidon2CpuEngine::<StockTranscript>::new(ours.params().clone());
    eprintln!("adapter: {}", ours.device().gpu().adapter());
    let trace = random_trace(permutations, &mut states_rng());
    eprintln!("{permutations} permutations: {} rows, {} columns", trace.values.len() / trace.width, trace.width);
    let (pk, vk) = ours.keygen(&[Arc::new(KeccakfAir) as AirRef<SC>]);
    let start = Instant::now();
    let key = ours.device().transport_pk_to_device(&pk);
    eprintln!("key planned and its kernels compiled in {:.1} s", start.elapsed().as_secs_f64());

    let prove_ours = || -> Result<_, Box<dyn Error>> {
        let transcript = ours.initial_transcript();
        let log = transcript.log();
        let (proof, times) = stopwatch.time(transcript, |transcript| prove(ours, transcript, &key, &trace));
        eprintln!("our proof: {:.1} s", times.prove.as_secs_f64());
        Ok((proof?, times, log))
    };
    let prove_stock = |transcript: StockTranscript| -> Result<_, Box<dyn Error>> {
        let (proof, times) = stopwatch.time(transcript, |transcript| prove(&stock, transcript, &key, &trace));
        eprintln!("stock proof: {:.1} s", times.prove.as_secs_f64());
        Ok((proof?, times))
    };
    let (first, first_times, _) = prove_ours()?;
    let (theirs, stock_times) = prove_stock(stock.initial_transcript())?;
    let (second, our_times, found) = prove_ours()?;
    let stats = ours.device().last_round0_stats().ok_or("no round 0")?;
    let (expected, _) = prove_stock(found.replay(default_babybear_poseidon2_16().into()))?;

    let [first_bytes, second_bytes, expected_bytes] = [first.encode_to_vec()?, second.encode_to_vec()?, expected.encode_to_vec()?];
    Ok(Outcome {
        verified: [&first, &theirs, &second, &expected].into_iter().all(|proof| stock.verify(&vk, proof).is_ok()),
        identical: second_bytes == expected_bytes,
        // Not with the stock grinder, which takes whichever witness a thread finds first.
        reproducible: first_bytes == second_bytes,
        cells: trace.values.len(),
        stock: stock_times,
        ours: our_times,
        first: first_times.prove,
        stats,
    })
}

fn prove<E, T>(engine: &E, transcript: Observed<T>, key: &Key, trace: &RowMajorMatrix<F>) -> Result<Proof<SC>, Box<dyn Error>>
where
    E: StarkEngine<SC = SC, PB = CpuBackend<SC>, TS = Observed<T>>,
    Observed<T>: openvm_stark_backend::FiatShamirTranscript<SC>,
{
    let context = ProvingContext::new(vec![(0, AirProvingContext::new(vec![], trace.clone(), vec![]))]);
    Ok(engine.prover_from_transcript(transcript).prove(key, context)?)
}

impl Outcome {
    fn json(&self) -> Value {
        let mut wgpu = self.ours.json();
        let device = json!({
            "first_prove_ms": ms(self.first),
            "round0_trace_upload_bytes": self.stats.trace_upload_bytes,
            "waits": self.stats.call.waits,
            "kernels": self.stats.call.kernels(),
            "allocations": self.stats.call.allocations,
            "peak_device_bytes": self.peak_device_bytes(),
        });
        record::extend(&mut wgpu, device);
        json!({
            "verified": self.verified,
            "identical_to_stock": self.identical,
            "reproducible": self.reproducible,
            "cells": self.cells,
            "stages": stages::json(&self.stock, &self.ours),
            "stock": self.stock.json(),
            "wgpu": wgpu,
        })
    }

    /// The most memory that a proof has on the device at a time; the engine does not say it yet.
    fn peak_device_bytes(&self) -> Option<u64> {
        None
    }

    fn print(&self, permutations: usize) {
        stages::table(&self.stock, &self.ours, metal_port::COLUMN).into_iter().for_each(|line| println!("{line}"));
        println!("{}", metal_port::note(permutations));
        println!("our first proof: {:.1} ms", ms(self.first));
        println!("round 0 on the device: {} bytes uploaded; {}", self.stats.trace_upload_bytes, self.stats.call);
        println!("verified by the stock verifier: {}", self.verified);
        println!("identical to the stock engine's proof with our proofs of work: {}", self.identical);
        let reason = if self.reproducible { "" } else { ": the grinder takes whichever witness a thread finds first" };
        println!("our first and second proof are the same bytes: {}{reason}", self.reproducible);
    }
}
