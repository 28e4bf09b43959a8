//! A real run of OpenVM's keccak VM, proven by the stock CPU engine and by ours.
//!
//! A RISC-V program that loops over all of rv32im's instruction families and the keccak opcodes is executed by `openvm-circuit` 2.0.2; both
//! engines prove the traces of that run, the stock verifier accepts both proofs, and they are the same bytes. The search for proofs of work
//! is done once and replayed, so it is in no time below.
//!
//! ```text
//! cargo run --release -p openvm-wgpu --features vm --example openvm_keccak [-- --json] [--permutations N]
//! ```

#[path = "../../../tests/support/args.rs"]
mod args;
#[path = "../../tests/fixtures/mod.rs"]
mod fixtures;
#[path = "../../../tests/support/record.rs"]
mod record;
#[path = "../../../tests/stock/mod.rs"]
mod stock;
mod stopwatch;
#[path = "../../../tests/support/mod.rs"]
mod support;

use std::{error::Error, time::Duration};

use fixtures::{
    keccak_vm::{copy, keccak_vm, program, run},
    replay::ReplayTranscript,
};
use openvm_cpu_backend::CpuBackend;
use openvm_stark_backend::{
    StarkEngine,
    codec::Encode,
    proof::Proof,
    prover::{DeviceMultiStarkProvingKey, Prover, ProvingContext},
};
use openvm_stark_sdk::config::{
    app_params_with_100_bits_security,
    baby_bear_poseidon2::{BabyBearPoseidon2Config, BabyBearPoseidon2CpuEngine},
};
use openvm_wgpu::{DeviceRound0Stats, WgpuEngine};
use serde_json::json;
use stopwatch::{STOCK_STAGE, Stopwatch, Times, ms};
use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, Targets},
    prelude::*,
};

type SC = BabyBearPoseidon2Config;
type Context = ProvingContext<CpuBackend<SC>>;
type Key = DeviceMultiStarkProvingKey<CpuBackend<SC>>;

/// The tallest trace is `2^MAX_LOG_HEIGHT` rows.
const MAX_LOG_HEIGHT: usize = 21;

struct Args {
    json: bool,
    permutations: u32,
}

fn args() -> Args {
    let mut args = args::Args::new("openvm_keccak [--json] [--permutations N]");
    let json = args.flag("--json");
    let permutations = args.option("--permutations", |n: &u32| (1..1 << 23).contains(n)).unwrap_or(340);
    args.end();
    Args { json, permutations }
}

fn main() {
    if let Err(error) = prove_both(&args()) {
        eprintln!("{error}");
        std::process::exit(1)
    }
}

fn prove_both(args: &Args) -> Result<(), Box<dyn Error>> {
    let say = |line: String| if args.json { eprintln!("{line}") } else { println!("{line}") };
    let stopwatch = Stopwatch::default();
    let targets = Targets::new().with_default(LevelFilter::INFO).with_target(STOCK_STAGE, LevelFilter::DEBUG);
    tracing_subscriber::registry().with(stopwatch.clone().with_filter(targets)).init();

    let params = app_params_with_100_bits_security(MAX_LOG_HEIGHT);
    let (mut vm, pk) = keccak_vm(WgpuEngine::<ReplayTranscript>::try_new(params.clone())?)?;
    let vk = pk.get_vk();
    let context = run(&mut vm, &program(args.permutations))?;
    let ours = &vm.engine;
    let stock = BabyBearPoseidon2CpuEngine::<ReplayTranscript>::new(params);
    let cells: usize = context.per_trace.iter().map(|(air, trace)| trace.height() * pk.per_air[*air].vk.params.width.total_width()).sum();
    say(format!("{} permutations: {} AIRs, {cells} cells", args.permutations, context.per_trace.len()));

    // Our first proof searches the proofs of work, and pays what only a first proof pays.
    let search = ReplayTranscript::searching();
    let first = prove(ours, search.clone(), vm.pk(), &context)?;
    let first_stats = ours.device().last_round0_stats().ok_or("no round 0")?;
    let (expected, stock_times) = stopwatch.time(|| prove(&stock, search.replay(), vm.pk(), &context));
    let (second, our_times) = stopwatch.time(|| prove(ours, search.replay(), vm.pk(), &context));
    let (expected, second) = (expected?, second?);
    let stats = ours.device().last_round0_stats().ok_or("no round 0")?;

    let expected = expected.encode_to_vec()?;
    let identical = expected == first.encode_to_vec()? && expected == second.encode_to_vec()?;
    let verified = [&first, &second].into_iter().all(|proof| stock.verify(&vk, proof).is_ok());
    report(&say, &stock_times, (&our_times, &stats), &first_stats);
    say(format!("verified by the stock verifier: {verified}; identical to the stock engine's proof: {identical}"));
    if args.json {
        let airs = context.per_trace.len();
        let mut json = record::head(ours.device().gpu());
        let proofs = json!({ "verified": verified, "identical_to_stock": identical, "airs": airs, "cells": cells });
        record::extend(&mut json, proofs);
        json["permutations"] = args.permutations.into();
        json["stock"] = stock_times.json();
        json["wgpu"] = our_times.json();
        json["wgpu"]["device_round0_ms"] = ms(stats.wall).into();
        json["wgpu"]["device_round0_gpu_ms"] = stats.call.gpu.map(ms).into();
        json["wgpu"]["waits"] = stats.call.waits.into();
        json["wgpu"]["kernels"] = stats.call.kernels().into();
        json["wgpu"]["allocations"] = stats.call.allocations.into();
        json["wgpu"]["upload_ms"] = ms(stats.upload).into();
        json["wgpu"]["first_device_round0_ms"] = ms(first_stats.wall).into();
        println!("{json}");
    }
    if verified && identical { Ok(()) } else { Err("the proofs are not what they should be".into()) }
}

fn prove<E>(engine: &E, transcript: ReplayTranscript, key: &Key, context: &Context) -> Result<Proof<SC>, Box<dyn Error>>
where
    E: StarkEngine<SC = SC, PB = CpuBackend<SC>, TS = ReplayTranscript>,
{
    Ok(engine.prover_from_transcript(transcript).prove(key, copy(context))?)
}

/// The stages side by side.
fn report(say: &impl Fn(String), stock: &Times, (ours, stats): (&Times, &DeviceRound0Stats), first: &DeviceRound0Stats) {
    let row = |stage: &str, stock: Duration, ours: Duration| {
        say(format!("{stage:<44}{:>10.1}{:>10.1}{:>9.2}", ms(stock), ms(ours), stock.as_secs_f64() / ours.as_secs_f64()));
    };
    say(format!("{:<44}{:>10}{:>10}{:>9}", "", "stock ms", "ours ms", "times"));
    row("stark_prove_excluding_trace", stock.prove, ours.prove);
    row("  main_trace_commit", stock.commit, ours.commit);
    row("  rap_constraints", stock.rap, ours.rap);
    row("    GKR input", stock.gkr_input, ours.gkr_input);
    row("    GKR", stock.gkr, ours.gkr);
    row("    rap_constraints.round0", stock.round0, ours.round0);
    row("    folding at r_0", stock.fold, ours.fold);
    row("    rap_constraints.mle_rounds", stock.mle_rounds, ours.mle_rounds);
    row("  openings", stock.openings, ours.openings);
    let upload = format!("{} bytes uploaded in {:.1} ms", stats.trace_upload_bytes, ms(stats.upload));
    say(format!("round 0 on the device: {:.1} ms, of it {upload}; {}", ms(stats.wall), stats.call));
    say(format!("of the first proof: {:.1} ms, {} allocations", ms(first.wall), first.call.allocations));
}
