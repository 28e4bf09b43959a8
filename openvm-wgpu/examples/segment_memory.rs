//! How much device memory will the proof of a segment take? Said before there are any traces, by their heights alone; the GPU does nothing.
//!
//! The AIRs are the 26 with interactions of OpenVM's keccak VM, their heights by default those of a segment of 424 million cells (block 23992138 of a reth
//! workload, segment 118), the parameters OpenVM's for applications with stacked columns of `2^N` rows.
//!
//! ```text
//! cargo run --release -p openvm-wgpu --features vm --example segment_memory [-- --json] [--log-stacked-height N] [--lower N] [--memory-budget BYTES]
//! ```
//!
//! `--lower N` divides all heights by `2^N`.

#[path = "../../tests/support/args.rs"]
mod args;
#[path = "../tests/fixtures/mod.rs"]
mod fixtures;
#[path = "../../tests/stock/mod.rs"]
mod stock;
#[path = "../../tests/support/mod.rs"]
mod support;

use std::{error::Error, sync::Arc, time::Instant};

use fixtures::vm_airs::{SEGMENT_118, keccak_vm_key};
use logup_wgpu::{F, Gpu, GpuOptions, p3_field::PrimeCharacteristicRing};
use openvm_cpu_backend::{CpuBackend, CpuDevice};
use openvm_stark_backend::prover::{
    AirProvingContext, CommittedTraceData, DeviceDataTransporter, DeviceMultiStarkProvingKey, ProvingContext, TraceCommitter,
};
use openvm_stark_sdk::config::{app_params_with_100_bits_security, baby_bear_poseidon2::BabyBearPoseidon2Config};
use openvm_wgpu::{WgpuDevice, WgpuOptions};
use p3_matrix::dense::RowMajorMatrix;
use serde_json::json;

type SC = BabyBearPoseidon2Config;

struct Args {
    json: bool,
    log_stacked_height: usize,
    lower: usize,
    memory_budget: Option<u64>,
}

fn args() -> Args {
    let mut args = args::Args::new("segment_memory [--json] [--log-stacked-height N] [--lower N] [--memory-budget BYTES]");
    let json = args.flag("--json");
    let log_stacked_height = args.option("--log-stacked-height", |n: &usize| (5..=26).contains(n)).unwrap_or(24);
    let lower = args.option("--lower", |_| true).unwrap_or(0);
    let memory_budget = args.option("--memory-budget", |_| true);
    args.end();
    Args { json, log_stacked_height, lower, memory_budget }
}

fn main() {
    if let Err(error) = run(&args()) {
        eprintln!("{error}");
        std::process::exit(1)
    }
}

fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    let config = SC::default_from_params(app_params_with_100_bits_security(args.log_stacked_height));
    let key = keccak_vm_key(&config);
    let key = DeviceDataTransporter::<SC, CpuBackend<SC>>::transport_pk_to_device(&CpuDevice::new(config.clone()), &key);
    let context = context(&key, args.lower)?;
    let cells = |own: &AirProvingContext<CpuBackend<SC>>| {
        own.common_main.values.len() + own.cached_mains.iter().map(|cached| cached.trace.values.len()).sum::<usize>()
    };
    let cells: usize = context.per_trace.iter().map(|(_, own)| cells(own)).sum();

    let gpu = Gpu::new(GpuOptions::default())?;
    let options = WgpuOptions { memory_budget: args.memory_budget, ..WgpuOptions::default() };
    let device = WgpuDevice::with_options(config, &gpu, options)?;
    let start = Instant::now();
    let bytes = device.expected_peak_device_bytes(&key, &context)?;
    let ms = start.elapsed().as_secs_f64() * 1e3;
    let airs = context.per_trace.len();
    if args.json {
        println!(
            "{}",
            json!({ "adapter": gpu.adapter(), "airs": airs, "cells": cells, "expected_peak_device_bytes": bytes, "found_in_ms": ms })
        );
    } else {
        println!("{airs} AIRs, {cells} cells: {bytes} bytes on {}, found in {ms:.0} ms", gpu.adapter());
    }
    Ok(())
}

/// Traces of zeros, which take no memory of the host's either, at the segment's heights.
fn context(key: &DeviceMultiStarkProvingKey<CpuBackend<SC>>, lower: usize) -> Result<ProvingContext<CpuBackend<SC>>, Box<dyn Error>> {
    let zeros = |width: usize, height: usize| RowMajorMatrix::new(F::zero_vec(width * height), width);
    // The data of a commitment, which this engine does not look at.
    let small = SC::default_from_params(app_params_with_100_bits_security(8));
    let (commitment, data) = TraceCommitter::<CpuBackend<SC>>::commit(&CpuDevice::new(small), &[&zeros(1, 16)])?;
    let data = Arc::new(data);
    let with_interactions = key.per_air.iter().enumerate().filter(|(_, air)| !air.vk.symbolic_constraints.interactions.is_empty());
    let per_trace = with_interactions.zip(SEGMENT_118).map(|((air, of_air), log_height)| {
        let height = 1 << log_height.saturating_sub(lower);
        let height = of_air.preprocessed_data.as_ref().map_or(height, |committed| committed.trace.values.len() / committed.trace.width);
        let params = &of_air.vk.params;
        let cached = |&width: &usize| CommittedTraceData { commitment, trace: zeros(width, height), data: Arc::clone(&data) };
        let cached_mains = params.width.cached_mains.iter().map(cached).collect();
        (air, AirProvingContext::new(cached_mains, zeros(params.width.common_main, height), F::zero_vec(params.num_public_values)))
    });
    Ok(ProvingContext::new(per_trace.collect()))
}
