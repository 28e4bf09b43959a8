//! A real run of OpenVM's keccak VM, proven by the stock CPU engine and by ours.
//!
//! A RISC-V program that loops over all of rv32im's instruction families and the keccak opcodes is executed by `openvm-circuit` 2.0.2; both
//! engines prove the traces of that run, and the stock verifier accepts both proofs. Each engine searches its own proofs of work, and the
//! search is in its times; with our witnesses the stock engine's proof is ours, byte for byte. Our times are those of a second proof.
//!
//! ```text
//! cargo run --release -p openvm-wgpu --features vm --example openvm_keccak [-- --json] [--permutations N] [--memory-budget BYTES]
//! ```

#[path = "../../../tests/support/args.rs"]
mod args;
#[path = "../../tests/fixtures/mod.rs"]
mod fixtures;
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

use std::error::Error;

use fixtures::keccak_vm::{copy, copy_for_stock, keccak_vm, program, run};
use logup_wgpu::{Gpu, GpuOptions};
use openvm_stark_backend::StarkEngine;
use openvm_stark_sdk::config::{app_params_with_100_bits_security, baby_bear_poseidon2::BabyBearPoseidon2Config};
use openvm_wgpu::{WgpuDevice, WgpuEngine, WgpuOptions};
use proofs::{OurTranscript, prove_both};

/// The tallest trace is `2^MAX_LOG_HEIGHT` rows.
const MAX_LOG_HEIGHT: usize = 21;

struct Args {
    json: bool,
    permutations: u32,
    memory_budget: Option<u64>,
}

fn args() -> Args {
    let mut args = args::Args::new("openvm_keccak [--json] [--permutations N] [--memory-budget BYTES]");
    let json = args.flag("--json");
    let permutations = args.option("--permutations", |n: &u32| (1..1 << 23).contains(n)).unwrap_or(340);
    let memory_budget = args.option("--memory-budget", |_| true);
    args.end();
    Args { json, permutations, memory_budget }
}

fn main() {
    if let Err(error) = prove(&args()) {
        eprintln!("{error}");
        std::process::exit(1)
    }
}

fn prove(args: &Args) -> Result<(), Box<dyn Error>> {
    let params = app_params_with_100_bits_security(MAX_LOG_HEIGHT);
    let options = WgpuOptions { memory_budget: args.memory_budget, ..WgpuOptions::default() };
    let config = BabyBearPoseidon2Config::default_from_params(params.clone());
    let device = WgpuDevice::with_options(config, &Gpu::new(GpuOptions::default())?, options)?;
    let (mut vm, pk) = keccak_vm(WgpuEngine::<OurTranscript>::with_device(device))?;
    let context = run(&mut vm, &program(args.permutations))?;
    let (ours, airs) = (&vm.engine, context.per_trace.len());
    eprintln!("adapter: {}", ours.device().gpu().adapter());
    let cells: usize = context.per_trace.iter().map(|(air, trace)| trace.height() * pk.per_air[*air].vk.params.width.total_width()).sum();
    eprintln!("{} permutations: {airs} AIRs, {cells} cells", args.permutations);
    let outcome = prove_both(ours, vm.pk(), &pk.get_vk(), [&|| copy(&context), &|| copy_for_stock(&context, &params)])?;
    if args.json {
        let mut json = record::head(ours.device().gpu());
        record::extend(&mut json, outcome.json());
        (json["permutations"], json["airs"], json["cells"]) = (args.permutations.into(), airs.into(), cells.into());
        println!("{json}");
    } else {
        outcome.print(("", &[]));
    }
    outcome.check()
}
