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
    prover::{DeviceMultiStarkProvingKey, DeviceStarkProvingKey, MultiRapProver, Prover, ProvingContext, TraceCommitter},
};
use openvm_stark_sdk::config::{
    app_params_with_100_bits_security,
    baby_bear_poseidon2::{BabyBearPoseidon2Config, BabyBearPoseidon2CpuEngine},
};
use openvm_wgpu::{LogupRound0Stats, WgpuEngine};
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
    // The shorter of two: a busy moment in it would make the other half look short.
    let stock_zerocheck =
        stock_zerocheck_round0(&stock, vm.pk(), &context, &stopwatch)?.min(stock_zerocheck_round0(&stock, vm.pk(), &context, &stopwatch)?);
    let (second, our_times) = stopwatch.time(|| prove(ours, search.replay(), vm.pk(), &context));
    let (expected, second) = (expected?, second?);
    let stats = ours.device().last_round0_stats().ok_or("no round 0")?;

    let expected = expected.encode_to_vec()?;
    let identical = expected == first.encode_to_vec()? && expected == second.encode_to_vec()?;
    let verified = [&first, &second].into_iter().all(|proof| stock.verify(&vk, proof).is_ok());
    let stock_logup = stock_times.round0.saturating_sub(stock_zerocheck);
    report(&say, (&stock_times, stock_logup), (&our_times, &stats), &first_stats);
    say(format!("verified by the stock verifier: {verified}; identical to the stock engine's proof: {identical}"));
    if args.json {
        let airs = context.per_trace.len();
        let mut json = record::head(ours.device().gpu());
        let proofs = json!({ "verified": verified, "identical_to_stock": identical, "airs": airs, "cells": cells });
        record::extend(&mut json, proofs);
        json["permutations"] = args.permutations.into();
        json["stock"] = stock_times.json(stock_logup);
        json["wgpu"] = our_times.json(stats.wall);
        json["wgpu"]["waits"] = stats.call.waits.into();
        json["wgpu"]["kernels"] = stats.call.kernels().into();
        json["wgpu"]["allocations"] = stats.call.allocations.into();
        json["wgpu"]["upload_ms"] = ms(stats.upload).into();
        json["wgpu"]["first_logup_round0_ms"] = ms(first_stats.wall).into();
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

/// Time of the constraints' half of the stock engine's round 0.
///
/// The stock engine computes both halves in one private function, so this is the time of round 0 with a key whose AIRs have no interactions.
/// The expressions of interactions stay, as the stock engine evaluates them for the constraints too.
fn stock_zerocheck_round0(
    stock: &BabyBearPoseidon2CpuEngine<ReplayTranscript>,
    key: &Key,
    context: &Context,
    stopwatch: &Stopwatch,
) -> Result<Duration, Box<dyn Error>> {
    let per_air = key.per_air.iter().map(|air| {
        let mut vk = air.vk.clone();
        vk.symbolic_constraints.interactions.clear();
        let preprocessed_data = air.preprocessed_data.clone();
        DeviceStarkProvingKey { air_name: air.air_name.clone(), vk, preprocessed_data, other_data: () }
    });
    let (constraints, params) = (key.trace_height_constraints.clone(), key.params.clone());
    let key = DeviceMultiStarkProvingKey::new(per_air.collect(), constraints, key.max_constraint_degree, params, key.vk_pre_hash);
    let sorted = copy(context).into_sorted();
    let traces: Vec<_> = sorted.common_main_traces().map(|(_, trace)| trace).take(1).collect();
    // The stage takes a commitment that it does not look at.
    let device = stock.device();
    let (_, pcs_data) = device.commit(&traces)?;
    let mut transcript = ReplayTranscript::searching();
    let (proof, times) = stopwatch.time(|| device.prove_rap_constraints(&mut transcript, &key, &sorted, &pcs_data));
    proof?;
    Ok(times.round0)
}

/// The stages side by side.
fn report(
    say: &impl Fn(String),
    (stock, stock_logup): (&Times, Duration),
    (ours, stats): (&Times, &LogupRound0Stats),
    first: &LogupRound0Stats,
) {
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
    row("      LogUp, uploads included", stock_logup, stats.wall);
    row("      constraints, batching", stock.round0.saturating_sub(stock_logup), ours.round0.saturating_sub(stats.wall));
    row("    folding at r_0", stock.fold, ours.fold);
    row("    rap_constraints.mle_rounds", stock.mle_rounds, ours.mle_rounds);
    row("  openings", stock.openings, ours.openings);
    let upload = format!("{} bytes uploaded in {:.1} ms", stats.trace_upload_bytes, ms(stats.upload));
    say(format!("LogUp round 0: {upload}; {}", stats.call));
    say(format!("LogUp round 0 of the first proof: {:.1} ms, {} allocations", ms(first.wall), first.call.allocations));
}
