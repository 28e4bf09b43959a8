//! The measurements, as one JSON object.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use logup_wgpu::{
    Air, BufferMatrix, F, Gpu, Instance, Layout, Part, Result, Round0, Round0Output, Round0Plan, Round0Polys, Round0Stats, Schedule,
    Strategy, Trace,
    compute::Buffer,
    p3_field::{PrimeCharacteristicRing, PrimeField32},
    wgpu,
};
use serde_json::{Value, json};

use crate::{
    Args,
    fixtures::{
        vm_airs::{SEGMENT_118, keccak_vm_airs},
        vm_traces::{AirTrace, traces_of_a_run},
    },
    record, single_calls,
    stock::{StockAir, StockInstance},
    support::{Case, challenges, rng},
    zerocheck,
};

pub const L_SKIP: usize = 4;
/// Rows of the block that a trace repeats.
pub const LOG_BLOCK: usize = 13;
/// GPU ms of the native CUDA kernel `_logup_bary_eval_interactions_round0` (openvm-cuda-backend 2.0.1) on an H200 at 2^20 rows,
/// KeccakfPerm at 2^18: median of 11, resident random traces.
const CUDA_H200_MS: [f64; 26] = [
    0.154, 0.842, 1.719, 2.576, 33.75, 3.872, 72.72, 2.923, 4.816, 2.506, 1.724, 0.359, 1.861, 2.448, 1.025, 2.572, 1.908, 3.573, 4.025,
    3.977, 2.999, 3.633, 1.301, 0.413, 1.863, 0.362,
];
/// The same for segment 118: the sum of its 26 kernels.
const CUDA_H200_SEGMENT_MS: f64 = 35.2;
const KECCAKF_PERM: usize = 5;
/// Of the VM's run whose rows traces are made of.
const PERMUTATIONS: u32 = 32;
/// Calls are repeated before they are timed, until the fastest of a round of this length is as fast as those of the two rounds before, but for
/// this share; for so long at least, because an idle H200 was seen to be as slow, five times as slow, for 150 ms; and for so long at most.
const ROUND: Duration = Duration::from_millis(100);
const STABLE: f64 = 0.02;
const WARM_UP: Duration = Duration::from_millis(600);
const WARM_UP_LIMIT: Duration = Duration::from_secs(10);

/// An AIR's block on the host and its traces on the device.
pub struct Resident {
    pub block: Case,
    log_height: usize,
    traces: Vec<Trace>,
}

impl Resident {
    pub fn instance<'a>(&'a self, plan: &'a Round0Plan) -> Instance<'a> {
        Instance::new(plan).traces(&self.traces).public_values(&self.block.public_values).weights(&self.block.weights)
    }
}

/// Random blocks of the AIRs at their heights, repeated into one device buffer where that fits, column-major.
pub fn reside(gpu: &Gpu, airs: &[&StockAir], log_heights: &[usize], seed: u64) -> Result<Vec<Resident>> {
    let mut rng = rng(seed);
    let mut blocks = vec![];
    for (air, &log_height) in airs.iter().zip(log_heights) {
        let mut block = air.random_case(L_SKIP, 1 << log_height.min(LOG_BLOCK), &mut rng);
        block.layout = Layout::ColMajor;
        with_bits(&mut block, &air.whole_air());
        blocks.push(Block::whole(block, log_height));
    }
    reside_blocks(gpu, blocks)
}

/// Puts bits into boolean columns: kernels see nothing else of them.
fn with_bits(block: &mut Case, air: &Air) {
    for (part, column) in air.boolean_columns() {
        let rows = column * block.height..(column + 1) * block.height;
        let (values, _) = match part {
            Part::Preprocessed => block.preprocessed.as_mut().expect("the AIR has columns there"),
            Part::Main(i) => &mut block.main[i],
        };
        values[rows].iter_mut().for_each(|cell| *cell = F::from_bool(cell.as_canonical_u32() & 1 == 1));
    }
}

/// Rows that are repeated on the device.
pub struct Block {
    /// Column-major.
    pub case: Case,
    /// How many of its rows are repeated, from the first on.
    pub rows: usize,
    pub log_height: usize,
}

impl Block {
    /// All rows.
    pub fn whole(case: Case, log_height: usize) -> Self {
        Self { rows: case.height, case, log_height }
    }
}

/// These blocks, each repeated until its trace is full.
pub fn reside_blocks(gpu: &Gpu, blocks: Vec<Block>) -> Result<Vec<Resident>> {
    let words = |block: &Block| -> u64 {
        block.case.matrices().iter().map(|matrix| ((matrix.width << block.log_height) as u64).next_multiple_of(64)).sum()
    };
    let limit = gpu.limits().buffer_bytes / 4;
    let mut residents: Vec<Resident> = vec![];
    let mut rest = &blocks[..];
    while !rest.is_empty() {
        // As many AIRs as one buffer takes.
        let mut num_words = 0;
        let fits = rest.iter().take_while(|block| {
            num_words += words(block);
            num_words <= limit
        });
        let (now, later) = rest.split_at(fits.count().max(1));
        rest = later;
        let num_words: u64 = now.iter().map(words).sum();
        let buffer = gpu.device().create_buffer(&wgpu::BufferDescriptor {
            label: Some("resident traces"),
            size: 4 * num_words,
            usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        });
        let buffer = Arc::new(Buffer::from(buffer));
        let mut at = 0;
        for block in now {
            let log_height = block.log_height;
            let source = Trace::upload(gpu, &block.case.matrices())?;
            let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            let mut traces = vec![];
            for trace in &source {
                repeat(&mut encoder, trace, block.rows as u64, &buffer, at, log_height);
                let (buffer, layout) = (Arc::clone(&buffer), Layout::ColMajor);
                let matrix = BufferMatrix { buffer, first_word: at, width: trace.width(), height: 1 << log_height, layout };
                traces.push(Trace::from_buffer(gpu, matrix)?);
                at += ((trace.width() << log_height) as u64).next_multiple_of(64);
            }
            gpu.queue().submit([encoder.finish()]);
            residents.push(Resident { block: block.case.clone(), log_height, traces });
        }
    }
    let _ = gpu.device().poll(wgpu::PollType::wait_indefinitely());
    Ok(residents)
}

/// Copies the first `block_rows` of a block's columns to `at`, again and again until `2^log_height` rows are full.
fn repeat(encoder: &mut wgpu::CommandEncoder, block: &Trace, block_rows: u64, to: &Buffer, at: u64, log_height: usize) {
    let rows = 1u64 << log_height;
    for column in 0..block.width() as u64 {
        let (from, first) = block.location(column as usize);
        for row in (0..rows).step_by(block_rows as usize) {
            let bytes = 4 * block_rows.min(rows - row);
            encoder.copy_buffer_to_buffer(from.memory(), 4 * first, to.memory(), 4 * (at + column * rows + row), bytes);
        }
    }
}

pub fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// What the stock prover gives for a block, and its wall ms.
pub fn stock_ms(air: &StockAir, block: &Case) -> (Round0Polys, f64) {
    let oracle = StockInstance::new(air, block);
    let start = Instant::now();
    let polys = oracle.round0();
    (polys, ms(start.elapsed()))
}

/// GPU time where there is one, else wall time.
pub fn gpu_ms(stats: &Round0Stats) -> f64 {
    ms(stats.gpu.unwrap_or(stats.wall))
}

/// What a call did; its `gpu_ms` as [`gpu_ms`] says.
pub fn of_call(stats: &Round0Stats) -> Value {
    let mut call = serde_json::to_value(stats).expect("numbers and names");
    call["gpu_ms"] = json!(gpu_ms(stats));
    call["kernels"] = json!(stats.kernels());
    call
}

/// GPU ms of each stage, from one more call with a pass for each.
fn stages(round0: &mut Round0, instances: &[Instance<'_>]) -> Result<Value> {
    round0.set_stage_times(true);
    let stats = round0.evaluate(&challenges(), instances)?.stats;
    round0.set_stage_times(false);
    Ok(stats.stages.iter().map(|stage| (stage.kernel.name.to_owned(), json!(ms(stage.gpu)))).collect::<serde_json::Map<_, _>>().into())
}

/// How a device was warmed: GPUs lower their clocks while idle, for example while the host compiles, and take up to seconds of work to raise them.
pub struct Warmth {
    pub time: Duration,
    /// GPU time of the call that was repeated: in the first round, and in the last.
    pub first_ms: f64,
    pub last_ms: f64,
    pub stable: bool,
}

/// Repeats a call until its GPU time is stable.
pub fn warm(round0: &Round0, instances: &[Instance<'_>]) -> Result<Warmth> {
    let start = Instant::now();
    let mut rounds: Vec<f64> = vec![];
    loop {
        let (round, mut fastest) = (Instant::now(), f64::INFINITY);
        while round.elapsed() < ROUND {
            fastest = fastest.min(gpu_ms(&round0.evaluate(&challenges(), instances)?.stats));
        }
        rounds.push(fastest);
        let last = rounds.len().saturating_sub(3);
        // A software device has no clocks of its own.
        let software = round0.gpu().info().device_type == wgpu::DeviceType::Cpu;
        let even = || rounds.len() > 2 && rounds[last..].iter().all(|&ms| (ms - fastest).abs() <= STABLE * fastest);
        let stable = software || (start.elapsed() >= WARM_UP && even());
        if stable || start.elapsed() > WARM_UP_LIMIT {
            return Ok(Warmth { time: start.elapsed(), first_ms: rounds[0], last_ms: fastest, stable });
        }
    }
}

/// The first call, and of `calls` more after a warm-up the one with the median wall time, with the median GPU and CPU times put in.
pub fn repeat_calls(round0: &Round0, instances: &[Instance<'_>], calls: usize) -> Result<(Round0Output, Round0Stats)> {
    let first = round0.evaluate(&challenges(), instances)?;
    warm(round0, instances)?;
    let mut stats: Vec<Round0Stats> = (0..calls).map(|_| Ok(round0.evaluate(&challenges(), instances)?.stats)).collect::<Result<_>>()?;
    let middle = stats.len() / 2;
    stats.sort_by_key(|stats| stats.gpu);
    let gpu = stats[middle].gpu;
    stats.sort_by_key(|stats| stats.cpu);
    let cpu = stats[middle].cpu;
    stats.sort_by_key(|stats| stats.wall);
    let mut median = stats.swap_remove(middle);
    (median.gpu, median.cpu) = (gpu, cpu);
    Ok((first, median))
}

/// Whether selectors make a repeated trace differ from its block.
fn uses_selectors(case: &Case) -> bool {
    use logup_wgpu::Node;
    case.air.nodes().iter().any(|node| matches!(node, Node::IsFirstRow | Node::IsLastRow | Node::IsTransition))
}

/// Has the device work on an AIR of 2^16 rows until its time is stable, and says so.
pub fn raise_clocks(gpu: &Gpu, air: &StockAir) -> Result<Warmth> {
    let plan = Round0Plan::new(air.air(), L_SKIP, Strategy::Split)?;
    let resident = reside(gpu, &[air], &[16], 0)?.pop().expect("one AIR");
    let round0 = Round0::new(gpu);
    let warmth = warm(&round0, &[resident.instance(&plan)])?;
    let Warmth { time, first_ms, last_ms, stable } = warmth;
    let how = if stable { "stable" } else { "not stable" };
    eprintln!("warmed for {:.1?}: a reference call took {first_ms:.3} ms of GPU time at first, {last_ms:.3} ms now, {how}", time);
    Ok(warmth)
}

pub fn report(gpu: &Gpu, log_height: usize, software: bool, args: &Args) -> Result<Value> {
    let calls = if args.quick { 3 } else { 9 };
    let stock_airs = keccak_vm_airs();
    let on_h200 = gpu.info().name.contains("H200");

    let compile = Instant::now();
    let plans: Vec<Round0Plan> = stock_airs.iter().map(|air| Round0Plan::new(air.air(), L_SKIP, Strategy::Split)).collect::<Result<_>>()?;
    let mut round0 = Round0::new(gpu);
    let warm_up = round0.warm_up(&plans.iter().collect::<Vec<_>>(), Layout::ColMajor)?;
    let (compile_ms, known_answers_ms) = (ms(compile.elapsed() - warm_up.answer), ms(warm_up.answer));
    eprintln!(
        "adapter: {}; compiled every kernel in {compile_ms:.0} ms, {} known answers in {known_answers_ms:.0} ms",
        gpu.adapter(),
        warm_up.known_answers,
    );
    let compile = Instant::now();
    let constraints = |air: &StockAir| Round0Plan::new(air.whole_air().without_interactions(), L_SKIP, Strategy::Split);
    let constraints: Vec<Round0Plan> = stock_airs.iter().map(constraints).collect::<Result<_>>()?;
    let planned = compile.elapsed();
    let of_constraints = round0.warm_up(&constraints.iter().collect::<Vec<_>>(), Layout::ColMajor)?;
    let (plan_ms, compile_zerocheck_ms) = (ms(planned), ms(compile.elapsed() - planned - of_constraints.answer));
    eprintln!("planned the constraints in {plan_ms:.0} ms and compiled their kernels in {compile_zerocheck_ms:.0} ms");
    let warmth = raise_clocks(gpu, &stock_airs[KECCAKF_PERM])?;
    let read = gpu.plain_read_rate()?;
    eprintln!("plain read {:.1} GB/s", read / 1e9);

    // Of the VM's AIRs those with interactions, as `stock_airs` are.
    let run: Vec<AirTrace> = traces_of_a_run(PERMUTATIONS).into_iter().filter(|of| !of.air.dag.interactions.is_empty()).collect();
    let mut airs = vec![];
    for (i, (stock, plan)) in stock_airs.iter().zip(&plans).enumerate() {
        let height = if i == KECCAKF_PERM { log_height - 2 } else { log_height };
        let resident = reside(gpu, &[stock], &[height], i as u64)?.pop().expect("one AIR");
        let instances = [resident.instance(plan)];
        let (output, stats) = repeat_calls(&round0, &instances, calls)?;
        // The oracle, at the block's height.
        let (expected, stock_ms) = stock_ms(stock, &resident.block);
        let exact = if uses_selectors(&resident.block) && height > LOG_BLOCK {
            // Selectors do not repeat: the textbook way is the oracle, at full height.
            let direct = Round0Plan::new(stock.air(), L_SKIP, Strategy::Direct)?;
            Round0::new(gpu).evaluate(&challenges(), &[resident.instance(&direct)])?.polys == output.polys
        } else {
            output.polys[0] == expected
        };
        let stock_scaled = stock_ms * f64::from(1u32 << (height - height.min(LOG_BLOCK)));
        let used = plan.num_columns_used();
        let bytes = (4 * used) as f64 * f64::from(1u32 << height);
        let gpu_time = gpu_ms(&stats);
        eprintln!("[{:>2}/26] {:<40} 2^{height} rows {gpu_time:>9.3} ms, exact: {exact}", i + 1, stock.name);
        let mut row = json!({
            "name": stock.name,
            "log_height": height,
            "used_columns": used,
            "affine": plan.num_cosets() == 0,
            "gpu_ms": gpu_time,
            "wall_ms": ms(stats.wall),
            "cpu_ms": ms(stats.cpu),
            "ns_per_cell": gpu_time * 1e6 * 4.0 / bytes,
            "gb_s": bytes / gpu_time / 1e6,
            "fraction_of_read": bytes / gpu_time * 1e3 / read,
            "stock_cpu_ms": stock_scaled,
            "stock_log_height": height.min(LOG_BLOCK),
            "speedup_stock": stock_scaled / ms(stats.wall),
            "stage_ms": stages(&mut round0, &instances)?,
            "exact": exact,
        });
        let block = resident.block.clone();
        drop(resident); // before the next
        if let Some(zerocheck) = zerocheck::air(gpu, &run[i], i, &block, height, calls, on_h200 && log_height == 20)? {
            eprintln!(
                "        zerocheck {:>38} {:>9.3} ms, exact: {}; rows {}, {} constraints fail",
                "",
                zerocheck["gpu_ms"].as_f64().unwrap_or(0.0),
                zerocheck["exact"],
                zerocheck["trace"]["rows"].as_str().unwrap_or_default(),
                zerocheck["trace"]["failing_constraints"],
            );
            row["zerocheck"] = zerocheck;
        }
        if on_h200 && log_height == 20 {
            row["cuda_ms"] = json!(CUDA_H200_MS[i]);
            row["speedup_cuda"] = json!(CUDA_H200_MS[i] / gpu_time);
        }
        airs.push(row);
    }

    // Software devices and quick runs take the segment 2^6 times smaller.
    let offset = if software || args.quick { 6 } else { 0 };
    let heights = SEGMENT_118.map(|log| log.saturating_sub(offset));
    let all: Vec<&StockAir> = stock_airs.iter().collect();
    eprintln!("segment 118, heights divided by 2^{offset}");
    let segment = segment_118(gpu, &all, &heights, if args.quick { 3 } else { calls })?;
    let [mut segment, direct_batched, direct_per_coset] = segment.each_ref().map(of_call);
    segment["log_height_offset"] = json!(-(offset as i64));
    segment["direct_batched"] = direct_batched;
    segment["direct_per_coset"] = direct_per_coset;
    if on_h200 && offset == 0 {
        segment["cuda_kernels_ms"] = json!(CUDA_H200_SEGMENT_MS);
    }

    let both_halves = zerocheck::segment(gpu, &all, offset, calls, on_h200)?;

    eprintln!("300 AIRs of 2^5 rows");
    let small: Vec<&StockAir> = (0..300).map(|i| &stock_airs[i % stock_airs.len()]).collect();
    let residents = reside(gpu, &small, &[5; 300], 300)?;
    let instances: Vec<Instance<'_>> = residents.iter().enumerate().map(|(i, r)| r.instance(&plans[i % plans.len()])).collect();
    let (output, stats) = repeat_calls(&round0, &instances, calls)?;
    let small_exact = (0..small.len()).all(|i| output.polys[i] == StockInstance::new(small[i], &residents[i].block).round0());

    let mut many_small = of_call(&stats);
    many_small["log_height"] = json!(5);
    eprintln!("100 wide AIRs of 2^5 rows");
    let many_wide = single_calls::many_wide(gpu, calls)?;
    let permutations = if software || args.quick { 16 } else { 1024 };
    eprintln!("p3's Keccak-f, {permutations} permutations");
    let keccakf = single_calls::keccakf(gpu, permutations, calls)?;

    let speedups: Vec<f64> = airs.iter().filter_map(|air| air["speedup_stock"].as_f64()).collect();
    let zerocheck = |key: &str| airs.iter().filter_map(|air| air["zerocheck"][key].as_f64()).collect::<Vec<f64>>();
    let (zerocheck_stock, zerocheck_cuda) = (zerocheck("speedup_stock"), zerocheck("speedup_cuda"));
    let least = |values: &[f64]| values.iter().copied().fold(f64::INFINITY, f64::min);
    let others_exact = small_exact && many_wide["exact"] == true && keccakf["exact"] == true;
    let exact = others_exact && airs.iter().all(|air| air["exact"] == true && air["zerocheck"]["exact"] != false);
    let measured = json!({
        "shader_checks": !args.unchecked,
        "read_gb_s": read / 1e9,
        "warm_up": { "ms": ms(warmth.time), "first_gpu_ms": warmth.first_ms, "last_gpu_ms": warmth.last_ms, "stable": warmth.stable },
        "compile_ms": compile_ms,
        "plan_zerocheck_ms": plan_ms,
        "compile_zerocheck_ms": compile_zerocheck_ms,
        "known_answers_zerocheck_ms": ms(of_constraints.answer),
        "known_answers": warm_up.known_answers,
        "known_answers_ms": known_answers_ms,
        "exact": exact,
        "airs": airs,
        "geomean_speedup_stock": geomean(&speedups),
        "min_speedup_stock": least(&speedups),
        "geomean_speedup_stock_zerocheck": geomean(&zerocheck_stock),
        "min_speedup_stock_zerocheck": least(&zerocheck_stock),
        "segment_118": segment,
        "segment_118_both_halves": both_halves,
        "many_small": many_small,
        "many_wide": many_wide,
        "keccakf": keccakf,
    });
    let mut report = record::head(gpu);
    record::extend(&mut report, measured);
    if on_h200 && log_height == 20 {
        let speedups: Vec<f64> = report["airs"].as_array().into_iter().flatten().filter_map(|air| air["speedup_cuda"].as_f64()).collect();
        report["geomean_speedup_cuda"] = json!(geomean(&speedups));
        report["min_speedup_cuda"] = json!(least(&speedups));
        report["geomean_speedup_cuda_zerocheck"] = json!(geomean(&zerocheck_cuda));
        report["min_speedup_cuda_zerocheck"] = json!(least(&zerocheck_cuda));
    }
    Ok(report)
}

/// Split + Batched, Direct + Batched and Direct + PerCoset on one segment, in turns.
fn segment_118(gpu: &Gpu, airs: &[&StockAir], log_heights: &[usize], calls: usize) -> Result<[Round0Stats; 3]> {
    let residents = reside(gpu, airs, log_heights, 118)?;
    let ways =
        [(Strategy::Split, Schedule::Batched, calls), (Strategy::Direct, Schedule::Batched, 1), (Strategy::Direct, Schedule::PerCoset, 1)];
    let mut all: Vec<Round0Stats> = vec![];
    let mut expected = None;
    for (strategy, schedule, calls) in ways {
        let plans: Vec<Round0Plan> = airs.iter().map(|air| Round0Plan::new(air.air(), L_SKIP, strategy)).collect::<Result<_>>()?;
        let instances: Vec<Instance<'_>> = residents.iter().zip(&plans).map(|(resident, plan)| resident.instance(plan)).collect();
        let mut round0 = Round0::with_schedule(gpu, schedule);
        let (output, mut stats) = repeat_calls(&round0, &instances, calls)?;
        if strategy == Strategy::Split {
            round0.set_stage_times(true);
            stats.stages = round0.evaluate(&challenges(), &instances)?.stats.stages;
        }
        assert!(*expected.get_or_insert(output.polys.clone()) == output.polys, "{strategy:?} and {schedule:?} differ");
        all.push(stats);
    }
    debug_assert!(residents.iter().zip(log_heights).all(|(resident, &log)| resident.log_height == log));
    Ok(all.try_into().expect("three ways"))
}

fn geomean(values: &[f64]) -> f64 {
    (values.iter().map(|value| value.ln()).sum::<f64>() / values.len() as f64).exp()
}

/// An AIR's name; of a VM wrapper, its core's.
pub fn short_name(air: &Value) -> &str {
    let name = air["name"].as_str().unwrap_or_default();
    let core = name.strip_prefix("VmAirWrapper<").and_then(|inner| Some(inner.strip_suffix('>')?.split_once(", ")?.1));
    core.unwrap_or(name)
}

/// The report as a table.
pub fn print(report: &Value) {
    let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
    println!("adapter: {}", report["adapter"].as_str().unwrap_or_default());
    println!(
        "plain read: {:.1} GB/s; every kernel compiled in {:.0} ms, {} known answers in {:.1} ms",
        number(&report["read_gb_s"]),
        number(&report["compile_ms"]),
        report["known_answers"],
        number(&report["known_answers_ms"]),
    );
    println!(
        "{:<42}{:>6}{:>9}{:>11}{:>11}{:>9}{:>9}{:>11}{:>11}",
        "AIR", "rows", "columns", "ms", "ns/cell", "GB/s", "% read", "x stock", "x CUDA"
    );
    for air in report["airs"].as_array().into_iter().flatten() {
        let cuda = air["speedup_cuda"].as_f64().map_or("-".into(), |x| format!("{x:.1}"));
        println!(
            "{:<42}{:>6}{:>9}{:>11.3}{:>11.4}{:>9.1}{:>9.1}{:>11.1}{cuda:>11}",
            short_name(air).chars().take(41).collect::<String>(),
            format!("2^{}", air["log_height"]),
            air["used_columns"].to_string(),
            number(&air["gpu_ms"]),
            number(&air["ns_per_cell"]),
            number(&air["gb_s"]),
            100.0 * number(&air["fraction_of_read"]),
            number(&air["speedup_stock"]),
        );
    }
    println!("geometric mean over the stock prover: {:.1}x", number(&report["geomean_speedup_stock"]));
    if let Some(mean) = report["geomean_speedup_cuda"].as_f64() {
        println!("geometric mean over the CUDA kernel's record: {mean:.1}x");
    }
    println!("zerocheck of {:<32}{:>12}{:>11}{:>11}{:>11}", "", "constraints", "ms", "x stock", "x CUDA");
    for air in report["airs"].as_array().into_iter().flatten().filter(|air| air["zerocheck"].is_object()) {
        let (zerocheck, name) = (&air["zerocheck"], short_name(air).chars().take(41).collect::<String>());
        let cuda = zerocheck["speedup_cuda"].as_f64().map_or("-".into(), |x| format!("{x:.1}"));
        let (ms, stock) = (number(&zerocheck["gpu_ms"]), number(&zerocheck["speedup_stock"]));
        println!("{name:<45}{:>12}{ms:>11.3}{stock:>11.1}{cuda:>11}", zerocheck["constraints"].to_string());
    }
    println!(
        "geometric mean over the stock prover: {:.1}x, least {:.1}x",
        number(&report["geomean_speedup_stock_zerocheck"]),
        number(&report["min_speedup_stock_zerocheck"])
    );
    if let Some(mean) = report["geomean_speedup_cuda_zerocheck"].as_f64() {
        println!("over the CUDA kernel's record: {mean:.1}x, least {:.1}x", number(&report["min_speedup_cuda_zerocheck"]));
    }
    println!("segment 118: {}", report["segment_118"]);
    println!("segment 118, both halves in one call: {}", report["segment_118_both_halves"]);
    println!("300 small AIRs: {}", report["many_small"]);
    println!("100 wide AIRs: {}", report["many_wide"]);
    println!("p3's Keccak-f: {}", report["keccakf"]);
    println!("every result exact: {}", report["exact"]);
}
