//! An execution of many segments, each a proof of its own, proven with an engine per GPU.
//!
//! One thread executes the program and generates each segment's traces, which queue for the engines: the next segment's traces are made while the last
//! ones are proven. The proofs are verified together, boundary by boundary, and those of several GPUs are those of one.
//!
//! ```text
//! cargo run --release -p openvm-wgpu --features vm --example openvm_segments [-- --json] [--segments N] [--permutations N] [--gpus N]
//! ```
//! `--permutations` are those of a segment, about; `--gpus` are the first so many adapters (`LOGUP_WGPU_ADAPTER` is not asked), one again and again where there
//! are fewer. `--log-height` is log2 of the stacked matrix's rows, which the tallest trace may have.

#[path = "../../../tests/support/args.rs"]
mod args;
#[path = "../../tests/fixtures/mod.rs"]
mod fixtures;
#[path = "../../../tests/support/record.rs"]
mod record;
#[path = "../../../tests/stock/mod.rs"]
mod stock;
#[path = "../../../tests/support/mod.rs"]
mod support;

use std::{
    error::Error,
    thread,
    time::{Duration, Instant},
};

use fixtures::keccak_vm::{KeccakVm, copy, keccak_vm, program};
use logup_wgpu::{AdapterChoice, F, Gpu, GpuOptions};
use openvm_circuit::arch::{execution_mode::Segment, instructions::exe::VmExe, verify_segments};
use openvm_cpu_backend::CpuBackend;
use openvm_stark_backend::{
    StarkEngine,
    codec::Encode,
    keygen::types::MultiStarkProvingKey,
    proof::Proof,
    prover::{DeviceDataTransporter, DeviceMultiStarkProvingKey, ProvingContext},
};
use openvm_stark_sdk::config::{app_params_with_100_bits_security, baby_bear_poseidon2::BabyBearPoseidon2Config};
use openvm_wgpu::{WgpuEngine, WgpuProverError, WgpuTranscript};
use serde_json::{Value, json};

type SC = BabyBearPoseidon2Config;
type Vm = KeccakVm<WgpuTranscript>;
type Context = ProvingContext<CpuBackend<SC>>;

struct Args {
    json: bool,
    segments: usize,
    permutations: u32,
    gpus: Option<usize>,
    log_height: usize,
}

fn args() -> Args {
    let mut args = args::Args::new("openvm_segments [--json] [--segments N] [--permutations N] [--gpus N] [--log-height N]");
    let json = args.flag("--json");
    let segments = args.option("--segments", |n| (2..=1000).contains(n)).unwrap_or(6);
    let permutations = args.option("--permutations", |n: &u32| (1..1 << 12).contains(n)).unwrap_or(340);
    let gpus = args.option("--gpus", |n| (1..=64).contains(n));
    let log_height = args.option("--log-height", |n| (19..=24).contains(n)).unwrap_or(21);
    args.end();
    Args { json, segments, permutations, gpus, log_height }
}

fn main() {
    if let Err(error) = run(&args()) {
        eprintln!("{error}");
        std::process::exit(1)
    }
}

/// An engine and its key, for a thread of its own.
struct Worker {
    engine: WgpuEngine,
    key: DeviceMultiStarkProvingKey<CpuBackend<SC>>,
}

/// How an execution was proven.
struct Run {
    gpus: usize,
    proofs: Vec<Proof<SC>>,
    wall: Duration,
    /// Of the thread that executes: executions, generating traces, and waiting until the queue has room.
    execution: Duration,
    traces: Duration,
    queue_full: Duration,
}

impl Run {
    fn segments_per_s(&self) -> f64 {
        self.proofs.len() as f64 / self.wall.as_secs_f64()
    }

    fn json(&self) -> Value {
        let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
        json!({
            "gpus": self.gpus,
            "wall_ms": ms(self.wall),
            "segments_per_s": self.segments_per_s(),
            "execution_ms": ms(self.execution),
            "traces_ms": ms(self.traces),
            "queue_full_ms": ms(self.queue_full),
        })
    }
}

fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    let options = GpuOptions::default();
    let adapters = Gpu::adapters(&options)?;
    if adapters.is_empty() {
        return Err("no adapter".into());
    }
    let num_gpus = args.gpus.unwrap_or(adapters.len());
    let params = app_params_with_100_bits_security(args.log_height);
    let mut gpus = vec![];
    for i in 0..num_gpus {
        let gpu = Gpu::new(GpuOptions { adapter: Some(AdapterChoice::Index(i % adapters.len())), ..options.clone() })?;
        eprintln!("GPU {i}: {}", gpu.adapter());
        gpus.push(gpu);
    }
    let (mut vm, pk) = keccak_vm(WgpuEngine::<WgpuTranscript>::with_gpu(params.clone(), &gpus[0])?)?;
    let workers = gpus.iter().map(|gpu| worker(gpu, &params, &pk)).collect::<Result<Vec<Worker>, _>>()?;
    let (exe, segments) = cut(&vm, args.permutations, args.segments)?;
    let lengths: Vec<u64> = segments.iter().map(|segment| segment.num_insns).collect();
    eprintln!("{} segments of {lengths:?} instructions", segments.len());

    // The first proof of an engine also allocates.
    for worker in &workers {
        prove(&mut vm, &exe, &segments[..1], std::slice::from_ref(worker), None)?;
    }
    let one = prove(&mut vm, &exe, &segments, &workers[..1], None)?;
    let (mut all, mut identical) = (None, true);
    if num_gpus > 1 {
        all = Some(prove(&mut vm, &exe, &segments, &workers, None)?);
        // An execution's traces differ from run to run in the order of some rows: the same traces again, by one engine.
        let mut traces = vec![];
        let again = prove(&mut vm, &exe, &segments, &workers, Some(&mut traces))?;
        for (proof, context) in again.proofs.iter().zip(traces) {
            identical &= workers[0].engine.prove(&workers[0].key, context)?.encode_to_vec()? == proof.encode_to_vec()?;
        }
    }
    let verified =
        [Some(&one), all.as_ref()].into_iter().flatten().all(|run| verify_segments(&vm.engine, &pk.get_vk(), &run.proofs).is_ok());
    if args.json {
        let mut json = record::head(&gpus[0]);
        let runs: Vec<Value> = [Some(&one), all.as_ref()].into_iter().flatten().map(Run::json).collect();
        let own = json!({ "segments": segments.len(), "verified": verified, "identical": identical, "runs": runs });
        record::extend(&mut json, own);
        println!("{json}");
    } else {
        for run in [Some(&one), all.as_ref()].into_iter().flatten() {
            println!(
                "{} GPUs: {:.2} segments/s, {:.2} s; executing {:.2} s, generating traces {:.2} s, waiting for engines {:.2} s",
                run.gpus,
                run.segments_per_s(),
                run.wall.as_secs_f64(),
                run.execution.as_secs_f64(),
                run.traces.as_secs_f64(),
                run.queue_full.as_secs_f64(),
            );
        }
        println!("verified as one execution by the stock verifier: {verified}");
        println!("proofs of all GPUs are those of one: {identical}");
    }
    if verified && identical { Ok(()) } else { Err("the proofs are not what they should be".into()) }
}

fn worker(gpu: &Gpu, params: &openvm_stark_backend::SystemParams, pk: &MultiStarkProvingKey<SC>) -> Result<Worker, Box<dyn Error>> {
    let start = Instant::now();
    let engine = WgpuEngine::with_gpu(params.clone(), gpu)?;
    let key = engine.device().transport_pk_to_device(pk);
    eprintln!("key loaded, its kernels compiled and asked in {:.1} s", start.elapsed().as_secs_f64());
    Ok(Worker { engine, key })
}

/// A program of about so many permutations for each segment, and its execution in so many segments: cut where they take a certain memory, which is searched.
/// Memory grows in steps, so that some programs cannot be cut into exactly so many: then a longer one is.
fn cut(vm: &Vm, permutations: u32, num_segments: usize) -> Result<(VmExe<F>, Vec<Segment>), Box<dyn Error>> {
    for longer in 0..16 {
        let exe = program(permutations * num_segments as u32 * (16 + longer) / 16);
        let interpreter = vm.metered_interpreter(&exe)?;
        let (mut low, mut high) = (1usize << 20, 1usize << 40);
        while low < high {
            let middle = low.midpoint(high);
            let (segments, _) = interpreter.execute_metered(vec![], vm.build_metered_ctx(&exe).with_max_memory(middle))?;
            match segments.len().cmp(&num_segments) {
                std::cmp::Ordering::Equal => return Ok((exe, segments)),
                std::cmp::Ordering::Greater => low = middle + 1,
                std::cmp::Ordering::Less => high = middle,
            }
        }
    }
    Err(format!("no memory per segment cuts the execution into {num_segments}").into())
}

/// Executes the segments and proves each; `keep` is given a copy of each one's traces.
fn prove(
    vm: &mut Vm,
    exe: &VmExe<F>,
    segments: &[Segment],
    workers: &[Worker],
    mut keep: Option<&mut Vec<Context>>,
) -> Result<Run, Box<dyn Error>> {
    type Proven = (usize, Result<Proof<SC>, WgpuProverError>);
    let start = Instant::now();
    let (mut execution, mut traces, mut queue_full) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    // Room for the traces of one segment beside those that are being proven.
    let (to_workers, queue) = crossbeam_channel::bounded::<(usize, Context)>(1);
    let (to_us, proven) = crossbeam_channel::unbounded::<Proven>();
    let produced = thread::scope(|scope| -> Result<(), Box<dyn Error>> {
        for Worker { engine, key } in workers {
            let (queue, to_us) = (queue.clone(), to_us.clone());
            scope.spawn(move || {
                for (segment, context) in queue {
                    let proof = engine.prove(key, context);
                    eprintln!("segment {segment} proven by {}", engine.device().gpu().adapter());
                    if to_us.send((segment, proof)).is_err() {
                        return;
                    }
                }
            });
        }
        drop((queue, to_us));
        let committed_program = vm.commit_program_on_device(&exe.program);
        vm.load_program(committed_program);
        let mut interpreter = vm.preflight_interpreter(exe)?;
        let mut state = vm.create_initial_state(exe, vec![]);
        for (i, segment) in segments.iter().enumerate() {
            let begin = Instant::now();
            vm.transport_init_memory_to_device(&state.memory);
            let output = vm.execute_preflight(&mut interpreter, state, Some(segment.num_insns), &segment.trace_heights)?;
            state = output.to_state;
            execution += begin.elapsed();
            let begin = Instant::now();
            let context = vm.generate_proving_ctx(output.system_records, output.record_arenas)?;
            traces += begin.elapsed();
            let begin = Instant::now();
            if let Some(keep) = &mut keep {
                keep.push(copy(&context));
            }
            to_workers.send((i, context)).map_err(|_| "no engine is left")?;
            queue_full += begin.elapsed();
        }
        drop(to_workers);
        Ok(())
    });
    produced?;
    let mut proofs: Vec<(usize, Proof<SC>)> =
        proven.into_iter().map(|(i, proof)| Ok((i, proof?))).collect::<Result<_, WgpuProverError>>()?;
    proofs.sort_by_key(|(i, _)| *i);
    let proofs = proofs.into_iter().map(|(_, proof)| proof).collect();
    Ok(Run { gpus: workers.len(), proofs, wall: start.elapsed(), execution, traces, queue_full })
}
