//! The same traces proven by both engines, each with its own proofs of work, and what shows that the proofs are one.

use std::{
    collections::BTreeMap,
    error::Error,
    time::{Duration, Instant},
};

use openvm_cpu_backend::CpuBackend;
use openvm_stark_backend::{
    FiatShamirTranscript, StarkEngine,
    codec::Encode,
    keygen::types::MultiStarkVerifyingKey,
    proof::Proof,
    prover::{DeviceMultiStarkProvingKey, OpeningProver, Prover, ProvingContext, TraceCommitter},
};
use openvm_stark_sdk::config::baby_bear_poseidon2::{BabyBearPoseidon2Config, BabyBearPoseidon2CpuEngine, CpuTranscript};
use openvm_wgpu::{
    CommitStats, DeviceRound0Stats, EngineTranscript, GkrStats, MleRoundsStats, OpeningStats, PartStats, WgpuDevice, WgpuEngine,
    WgpuOptions, WgpuTranscript, kernels::stage,
};
use p3_baby_bear::default_babybear_poseidon2_16;
use serde_json::{Value, json};

use crate::{
    fixtures::observed::Observed,
    record, stages,
    stopwatch::{Stopwatch, Times, ms},
};

type SC = BabyBearPoseidon2Config;
pub type Key = DeviceMultiStarkProvingKey<CpuBackend<SC>>;
pub type Context = ProvingContext<CpuBackend<SC>>;
type StockTranscript = Observed<CpuTranscript>;
pub type OurTranscript = Observed<WgpuTranscript>;

/// What was proven and how long it took.
pub struct Outcome {
    pub verified: bool,
    pub identical: bool,
    pub reproducible: bool,
    stock: Times,
    /// Of the second proof.
    ours: Times,
    first: Times,
    /// Of a proof without interactions, nothing.
    gkr: GkrStats,
    mle_rounds: MleRoundsStats,
    columns: PartStats,
    round0: DeviceRound0Stats,
    commit: CommitStats,
    openings: OpeningStats,
    /// Of our first proof.
    peak_device_bytes: u64,
    /// The same, as it was said before the proof.
    expected_peak_device_bytes: u64,
    /// On a GPU at its full clock.
    warm: Option<Warm>,
    /// Our proofs of work: bits and time.
    grinds: Vec<(usize, f64)>,
}

/// A proof's commitment and openings on a GPU at its full clock.
struct Warm {
    commit: CommitStats,
    openings: OpeningStats,
    /// With each kernel's time, which costs some.
    by_kernel: OpeningStats,
    gkr_by_kernel: GkrStats,
    mle_rounds_by_kernel: MleRoundsStats,
    /// Proofs of work among it.
    openings_ms: f64,
    /// Of five whole proofs the median: its stages, and what they did.
    times: Times,
    round0: DeviceRound0Stats,
    gkr: GkrStats,
    mle_rounds: MleRoundsStats,
    columns: PartStats,
}

/// Ours, the stock engine's, ours again: each with its own proofs of work. Then the stock engine's with those of our second. `contexts` are ours and the stock
/// engine's, whose cached traces it has committed to itself.
pub fn prove_both(
    ours: &WgpuEngine<OurTranscript>,
    key: &Key,
    vk: &MultiStarkVerifyingKey<SC>,
    contexts: [&dyn Fn() -> Context; 2],
) -> Result<Outcome, Box<dyn Error>> {
    let [our_context, stock_context] = contexts;
    let stopwatch = Stopwatch::install();
    let stock = BabyBearPoseidon2CpuEngine::<StockTranscript>::new(ours.params().clone());
    let prove_ours = || -> Result<_, Box<dyn Error>> {
        let transcript = ours.initial_transcript();
        let (log, context) = (transcript.log(), our_context());
        let (proof, mut times) = stopwatch.time(transcript, |transcript| prove(ours, transcript, key, context));
        let commit = ours.device().last_commit_stats().ok_or("no commitment")?;
        times.set_commit(&commit);
        eprintln!("our proof: {:.2} s", times.prove.as_secs_f64());
        Ok((proof?, times, log, commit))
    };
    let prove_stock = |transcript: StockTranscript| -> Result<_, Box<dyn Error>> {
        let context = stock_context();
        let (proof, times) = stopwatch.time(transcript, |transcript| prove(&stock, transcript, key, context));
        eprintln!("stock proof: {:.2} s", times.prove.as_secs_f64());
        Ok((proof?, times))
    };
    let expected_peak_device_bytes = ours.device().expected_peak_device_bytes(key, &our_context())?;
    let (first, first_times, ..) = prove_ours()?;
    let peak_device_bytes = ours.device().peak_device_bytes();
    let (theirs, stock_times) = prove_stock(stock.initial_transcript())?;
    let (second, our_times, found, commit) = prove_ours()?;
    let device = ours.device();
    let gkr = device.last_gkr_stats().unwrap_or_default();
    let mle_rounds = device.last_mle_rounds_stats().ok_or("no rounds")?;
    let columns = device.last_column_openings_stats().ok_or("no rounds")?;
    let round0 = ours.device().last_round0_stats().ok_or("no round 0")?;
    let openings = ours.device().last_opening_stats().ok_or("no openings")?;
    let (expected, _) = prove_stock(found.replay(default_babybear_poseidon2_16().into()))?;

    let warm = if ours.device().gpu().is_software() { None } else { Some(warm(&stopwatch, ours, key, our_context)?) };

    let [first_bytes, second_bytes, expected_bytes] = [first.encode_to_vec()?, second.encode_to_vec()?, expected.encode_to_vec()?];
    Ok(Outcome {
        verified: [&first, &theirs, &second, &expected].into_iter().all(|proof| stock.verify(vk, proof).is_ok()),
        identical: second_bytes == expected_bytes,
        reproducible: first_bytes == second_bytes,
        stock: stock_times,
        ours: our_times,
        first: first_times,
        gkr,
        mle_rounds,
        columns,
        round0,
        commit,
        openings,
        peak_device_bytes,
        expected_peak_device_bytes,
        warm,
        grinds: found.grinds().iter().filter(|grind| grind.bits > 0).map(|grind| (grind.bits, ms(grind.duration))).collect(),
    })
}

fn prove<E, T>(engine: &E, transcript: Observed<T>, key: &Key, context: Context) -> Result<Proof<SC>, Box<dyn Error>>
where
    E: StarkEngine<SC = SC, PB = CpuBackend<SC>, TS = Observed<T>>,
    Observed<T>: FiatShamirTranscript<SC>,
{
    Ok(engine.prover_from_transcript(transcript).prove(key, context)?)
}

/// The trace commitment and its openings at a random point, and whole proofs, on a GPU at its full clock, which it takes half a second of work to reach: proofs of
/// work come before each. Of seven, and of five proofs, those with the median times.
fn warm(stopwatch: &Stopwatch, ours: &WgpuEngine<OurTranscript>, key: &Key, context: &dyn Fn() -> Context) -> Result<Warm, Box<dyn Error>> {
    let device = ours.device();
    let mut options = WgpuOptions::default();
    options.round0.stage_times = true;
    let timed = WgpuEngine::<OurTranscript>::with_device(WgpuDevice::with_options(device.config().clone(), device.gpu(), options)?);
    let warmed = || {
        let start = Instant::now();
        let mut transcript = WgpuTranscript::start(device);
        while start.elapsed() < Duration::from_millis(600) {
            let _ = transcript.grind(22);
        }
        transcript
    };
    let measure = |device: &WgpuDevice| -> Result<_, Box<dyn Error>> {
        let context = context().into_sorted();
        let mut transcript = warmed();
        let traces: Vec<_> = context.common_main_traces().map(|(_, trace)| trace).collect();
        let (_, data) = TraceCommitter::commit(device, &traces)?;
        let commit = device.last_commit_stats().ok_or("no commitment")?;
        let r = (0..=ours.params().n_stack).map(|_| FiatShamirTranscript::<SC>::sample_ext(&mut transcript)).collect();
        let start = Instant::now();
        device.prove_openings(&mut transcript, key, context, data, r)?;
        Ok((commit, start.elapsed(), device.last_opening_stats().ok_or("no openings")?))
    };
    let mut all = (0..7).map(|_| measure(device)).collect::<Result<Vec<_>, _>>()?;
    measure(timed.device())?;
    let (.., by_kernel) = measure(timed.device())?;
    all.sort_by_key(|(commit, ..)| commit.wall);
    let commit = all[3].0.clone();
    all.sort_by_key(|(_, wall, _)| *wall);
    let (_, wall, openings) = all.swap_remove(3);
    let mut proofs = vec![];
    for _ in 0..5 {
        let (context, transcript) = (context(), ours.initial_transcript());
        warmed();
        let (proof, mut times) = stopwatch.time(transcript, |transcript| prove(ours, transcript, key, context));
        proof?;
        times.set_commit(&device.last_commit_stats().ok_or("no commitment")?);
        let round0 = device.last_round0_stats().ok_or("no round 0")?;
        let rounds = device.last_mle_rounds_stats().ok_or("no rounds")?;
        let columns = device.last_column_openings_stats().ok_or("no rounds")?;
        proofs.push((times, round0, device.last_gkr_stats().unwrap_or_default(), rounds, columns));
    }
    proofs.sort_by_key(|(times, ..)| times.prove);
    let (times, round0, gkr, mle_rounds, columns) = proofs.swap_remove(2);
    for _ in 0..2 {
        let (context, transcript) = (context(), timed.initial_transcript());
        warmed();
        prove(&timed, transcript, key, context)?;
    }
    let gkr_by_kernel = timed.device().last_gkr_stats().unwrap_or_default();
    let mle_rounds_by_kernel = timed.device().last_mle_rounds_stats().ok_or("no rounds")?;
    let openings_ms = ms(wall);
    Ok(Warm { commit, openings, by_kernel, gkr_by_kernel, mle_rounds_by_kernel, openings_ms, times, round0, gkr, mle_rounds, columns })
}

/// What a part of the openings did.
fn of_part(part: &PartStats) -> Value {
    json!({
        "wall_ms": ms(part.wall),
        "waits": part.waits,
        "wait_ms": ms(part.wait),
        "gpu_ms": part.gpu.map(ms),
        "kernels": part.kernels,
        "up_bytes": part.up_bytes,
        "down_bytes": part.down_bytes,
    })
}

/// GKR's times and counts.
fn of_gkr(stats: &GkrStats) -> Value {
    let mut gkr = of_part(&stats.part);
    let more = json!({
        "tree_ms": ms(stats.tree),
        "fractions": stats.fractions,
        "layers_kept": stats.layers_kept,
        "gpu_ms_by_kernel": by_kernel(&stats.stages),
        "allocations": stats.allocations,
    });
    record::extend(&mut gkr, more);
    gkr
}

fn by_kernel(stages: &[openvm_wgpu::logup_wgpu::StageTime]) -> BTreeMap<&'static str, f64> {
    let mut by_kernel = BTreeMap::new();
    stages.iter().for_each(|time| *by_kernel.entry(time.kernel.name).or_default() += ms(time.gpu));
    by_kernel
}

/// The openings' times and counts.
fn of_openings(stats: &OpeningStats) -> Value {
    json!({
        "stacked_reduction": of_part(&stats.stacked_reduction),
        "whir": of_part(&stats.whir),
        "gpu_ms": stats.gpu().map(ms),
        "gpu_ms_by_kernel": by_kernel(&stats.stages),
        "waits": stats.waits(),
        "codes_again": stats.codes_again,
        "allocations": stats.allocations,
    })
}

/// A commitment's times and counts.
fn of_commitment(stats: &CommitStats) -> Value {
    json!({
        "wall_ms": ms(stats.wall),
        "upload_ms": ms(stats.upload),
        "upload_bytes": stats.upload_bytes,
        "device_ms": ms(stats.device),
        "host_ms": ms(stats.host),
        "readback_ms": ms(stats.readback),
        "readback_bytes": stats.readback_bytes,
        "code_gpu_ms": stats.gpu(stage::CODE).map(ms),
        "tree_gpu_ms": stats.gpu(stage::TREE).map(ms),
        "readback_gpu_ms": stats.gpu(stage::READBACK).map(ms),
        "code_bytes": stats.code_bytes,
        "permutations": stats.permutations,
        "kernels": stats.kernels,
        "waits": stats.waits,
        "allocations": stats.allocations,
        "stages": stats.stages.iter().filter(|time| time.kernel.stage != stage::READBACK).collect::<Vec<_>>(),
    })
}

impl Outcome {
    pub fn json(&self) -> Value {
        let (gkr, round0, commit, openings) = (&self.gkr, &self.round0, &self.commit, &self.openings);
        let (rounds, columns) = (&self.mle_rounds.part, &self.columns);
        let mut wgpu = self.ours.json();
        let device = json!({
            "first_prove_ms": ms(self.first.prove),
            "round0_trace_upload_bytes": round0.trace_upload_bytes,
            "prove_all_in_ms": ms(self.ours.prove),
            "waits": round0.call.waits + commit.waits + gkr.waits() + rounds.waits + columns.waits + openings.waits(),
            "waits_by_stage": {
                "prover.main_trace_commit": commit.waits,
                "prover.rap_constraints.logup_gkr": gkr.waits(),
                "prover.rap_constraints.round0": round0.call.waits,
                "prover.rap_constraints.mle_rounds": rounds.waits,
                "prover.rap_constraints.column_openings": columns.waits,
                "prover.openings.stacked_reduction": openings.stacked_reduction.waits,
                "prover.openings.whir": openings.whir.waits + openings.proof_of_work_waits,
            },
            "kernels": round0.call.kernels() + commit.kernels + gkr.part.kernels + rounds.kernels + columns.kernels + openings.stacked_reduction.kernels + openings.whir.kernels,
            "allocations": round0.call.allocations as u64 + commit.allocations + gkr.allocations + self.mle_rounds.allocations + openings.allocations,
            "openings_waits": openings.waits(),
            "proof_of_work_waits": { "gkr": gkr.proof_of_work_waits, "openings": openings.proof_of_work_waits },
            "host_bytes": {
                "prover.main_trace_commit": { "up": commit.upload_bytes, "down": commit.readback_bytes },
                "prover.rap_constraints.logup_gkr": { "up": gkr.part.up_bytes, "down": gkr.part.down_bytes },
                "prover.rap_constraints.round0": { "up": round0.trace_upload_bytes + round0.call.upload_bytes, "down": round0.call.readback_bytes },
                "prover.rap_constraints.mle_rounds": { "up": rounds.up_bytes, "down": rounds.down_bytes },
                "prover.rap_constraints.column_openings": { "up": columns.up_bytes, "down": columns.down_bytes },
                "prover.openings.stacked_reduction": { "up": openings.stacked_reduction.up_bytes, "down": openings.stacked_reduction.down_bytes },
                "prover.openings.whir": { "up": openings.whir.up_bytes, "down": openings.whir.down_bytes },
            },
            "gkr": of_gkr(gkr),
            "openings": of_openings(openings),
            "openings_warm": self.warm.as_ref().map(|warm| of_openings(&warm.openings)),
            "openings_warm_by_kernel": self.warm.as_ref().map(|warm| of_openings(&warm.by_kernel)),
            "openings_warm_ms": self.warm.as_ref().map(|warm| warm.openings_ms),
            "prove_warm_ms": self.warm.as_ref().map(|warm| ms(warm.times.prove)),
            "stages_warm": self.warm.as_ref().map(|warm| warm.times.json()),
            "device_round0_warm_ms": self.warm.as_ref().map(|warm| ms(warm.round0.wall)),
            "device_round0_warm_gpu_ms": self.warm.as_ref().and_then(|warm| warm.round0.call.gpu.map(ms)),
            "gkr_warm": self.warm.as_ref().map(|warm| of_gkr(&warm.gkr)),
            "gkr_warm_by_kernel": self.warm.as_ref().map(|warm| by_kernel(&warm.gkr_by_kernel.stages)),
            "mle_rounds_warm_by_kernel": self.warm.as_ref().map(|warm| by_kernel(&warm.mle_rounds_by_kernel.stages)),
            "mle_rounds": of_part(&self.mle_rounds.part),
            "mle_rounds_warm": self.warm.as_ref().map(|warm| of_part(&warm.mle_rounds.part)),
            "column_openings": of_part(&self.columns),
            "column_openings_warm": self.warm.as_ref().map(|warm| of_part(&warm.columns)),
            "peak_device_bytes": self.peak_device_bytes,
            "expected_peak_device_bytes": self.expected_peak_device_bytes,
            "device_round0_ms": ms(round0.wall),
            "device_round0_gpu_ms": round0.call.gpu.map(ms),
            "commitment": of_commitment(commit),
            "commitment_warm": self.warm.as_ref().map(|warm| of_commitment(&warm.commit)),
            "proofs_of_work": self.grinds,
        });
        record::extend(&mut wgpu, device);
        json!({
            "verified": self.verified,
            "identical_to_stock": self.identical,
            "reproducible": self.reproducible,
            "stages": stages::json(&self.stock, &self.ours),
            "stock": self.stock.json(),
            "wgpu": wgpu,
        })
    }

    /// The stages side by side, with what `beside` has, and what the device did.
    pub fn print(&self, beside: (&str, &[(&str, &str)])) {
        stages::table(&self.stock, &self.ours, beside).into_iter().for_each(|line| println!("{line}"));
        let commit = &self.commit;
        println!(
            "commitment: {} bytes uploaded in {:.1} ms, {} bytes read back in {:.1} ms; {} kernels, {} waits, {} allocations",
            commit.upload_bytes,
            ms(commit.upload),
            commit.readback_bytes,
            ms(commit.readback),
            commit.kernels,
            commit.waits,
            commit.allocations,
        );
        let openings = &self.openings;
        let rounds = [("GKR", &self.gkr.part), ("rounds after round 0", &self.mle_rounds.part), ("column openings", &self.columns)];
        for (name, part) in rounds.into_iter().chain([("stacked reduction", &openings.stacked_reduction), ("WHIR", &openings.whir)]) {
            println!("{name}: {} bytes up, {} bytes back; {} kernels, {} waits", part.up_bytes, part.down_bytes, part.kernels, part.waits);
        }
        println!("proofs of work in the openings: {} waits; all of the openings: {} waits", openings.proof_of_work_waits, openings.waits());
        println!("round 0 on the device: {} bytes uploaded; {}", self.round0.trace_upload_bytes, self.round0.call);
        println!(
            "our first proof had up to {} bytes on the device, {} were expected before it; it took {:.1} ms",
            self.peak_device_bytes,
            self.expected_peak_device_bytes,
            ms(self.first.prove)
        );
        println!("verified by the stock verifier: {}", self.verified);
        println!("identical to the stock engine's proof with our proofs of work: {}", self.identical);
        println!("our first and second proof are the same bytes: {}", self.reproducible);
    }

    /// # Errors
    /// If the proofs are not what they should be.
    pub fn check(&self) -> Result<(), Box<dyn Error>> {
        let is_right = self.verified && self.identical && self.reproducible;
        if is_right { Ok(()) } else { Err("the proofs are not what they should be".into()) }
    }
}
