//! A real run of OpenVM's keccak VM, proven by the stock CPU engine and by ours.
//!
//! A RISC-V program that loops over all of rv32im's instruction families and the keccak opcodes is executed by `openvm-circuit` 2.0.2; both
//! engines prove the traces of that run, the stock verifier accepts both proofs, and they are the same bytes. The search for proofs of work
//! is done once and replayed, so that a proof of work below is one that is checked.
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
#[path = "../support/stages.rs"]
mod stages;
#[path = "../../../tests/stock/mod.rs"]
mod stock;
#[path = "../support/stopwatch.rs"]
mod stopwatch;
#[path = "../../../tests/support/mod.rs"]
mod support;

use std::error::Error;

use fixtures::{
    keccak_vm::{copy, keccak_vm, program, run},
    observed::Observed,
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
    baby_bear_poseidon2::{BabyBearPoseidon2Config, BabyBearPoseidon2CpuEngine, CpuTranscript},
};
use openvm_wgpu::WgpuEngine;
use p3_baby_bear::default_babybear_poseidon2_16;
use serde_json::json;
use stopwatch::{Stopwatch, ms};

type SC = BabyBearPoseidon2Config;
type Context = ProvingContext<CpuBackend<SC>>;
type Transcript = Observed<CpuTranscript>;
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
    let stopwatch = Stopwatch::install();

    let params = app_params_with_100_bits_security(MAX_LOG_HEIGHT);
    let (mut vm, pk) = keccak_vm(WgpuEngine::<Transcript>::try_new(params.clone())?)?;
    let vk = pk.get_vk();
    let context = run(&mut vm, &program(args.permutations))?;
    let ours = &vm.engine;
    let stock = BabyBearPoseidon2CpuEngine::<Transcript>::new(params);
    let cells: usize = context.per_trace.iter().map(|(air, trace)| trace.height() * pk.per_air[*air].vk.params.width.total_width()).sum();
    say(format!("{} permutations: {} AIRs, {cells} cells", args.permutations, context.per_trace.len()));

    // Our first proof searches the proofs of work, and pays what only a first proof pays.
    let search = ours.initial_transcript();
    let found = search.log();
    let first = prove(ours, search, vm.pk(), &context)?;
    let first_stats = ours.device().last_round0_stats().ok_or("no round 0")?;
    let replay = || found.replay(default_babybear_poseidon2_16().into());
    let (expected, stock_times) = stopwatch.time(replay(), |transcript| prove(&stock, transcript, vm.pk(), &context));
    let (second, our_times) = stopwatch.time(replay(), |transcript| prove(ours, transcript, vm.pk(), &context));
    let (expected, second) = (expected?, second?);
    let stats = ours.device().last_round0_stats().ok_or("no round 0")?;

    let expected = expected.encode_to_vec()?;
    let identical = expected == first.encode_to_vec()? && expected == second.encode_to_vec()?;
    let verified = [&first, &second].into_iter().all(|proof| stock.verify(&vk, proof).is_ok());
    stages::table(&stock_times, &our_times, ("", &[])).into_iter().for_each(say);
    let upload = format!("{} bytes uploaded in {:.1} ms", stats.trace_upload_bytes, ms(stats.upload));
    say(format!("round 0 on the device: {:.1} ms, of it {upload}; {}", ms(stats.wall), stats.call));
    say(format!("of the first proof: {:.1} ms, {} allocations", ms(first_stats.wall), first_stats.call.allocations));
    say(format!("verified by the stock verifier: {verified}; identical to the stock engine's proof: {identical}"));
    if args.json {
        let airs = context.per_trace.len();
        let mut json = record::head(ours.device().gpu());
        let proofs = json!({ "verified": verified, "identical_to_stock": identical, "airs": airs, "cells": cells });
        record::extend(&mut json, proofs);
        json["permutations"] = args.permutations.into();
        json["stages"] = stages::json(&stock_times, &our_times);
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

fn prove<E>(engine: &E, transcript: Transcript, key: &Key, context: &Context) -> Result<Proof<SC>, Box<dyn Error>>
where
    E: StarkEngine<SC = SC, PB = CpuBackend<SC>, TS = Transcript>,
{
    Ok(engine.prover_from_transcript(transcript).prove(key, copy(context))?)
}
