//! Proofs of work: the least witness, so that a proof is the same bytes wherever and however often it is made.
//!
//! A witness `w` is right for a sponge with these contents if, after `w` is absorbed, the lowest `bits` bits of what is squeezed are zero: one permutation
//! for each that is tried.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use logup_wgpu::{
    Error, F, P, Result,
    compute::{Recording, word},
};
use openvm_stark_backend::p3_symmetric::Permutation;
use p3_baby_bear::{Poseidon2BabyBear, default_babybear_poseidon2_16};
use p3_field::{Field, PackedValue, PrimeCharacteristicRing, PrimeField32};
use rayon::prelude::*;
use tracing::debug;

use crate::{
    compute::{Compute, Use},
    kernels::{GRIND, GrindJob, RATE, WIDTH, stage},
    poseidon2,
    recorder::{Recorder, results},
};

type Packed = <F as Field>::Packing;

/// A sponge before a witness is absorbed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Puzzle {
    pub state: [F; WIDTH],
    /// Where the witness is absorbed, below the rate.
    pub absorb: usize,
    pub bits: usize,
}

/// Bits up to which one thread searches: it is done before others are awake.
const MAX_ALONE: usize = 8;
/// Witnesses that a thread of the CPU tries at a time.
const CPU_CHUNK: u32 = 256;
/// Threads of a dispatch. Guess: as many as a large GPU runs at a time.
const THREADS: u32 = 1 << 17;
/// Witnesses that a thread of the device tries at most: a software device leaves loops that run for long.
const PER_THREAD: u32 = 64;

impl Puzzle {
    /// The least witness, by all threads of the CPU.
    pub fn least_on_cpu(&self) -> F {
        let permutation = default_babybear_poseidon2_16();
        if self.bits <= MAX_ALONE {
            return F::from_u32(self.least_of(0..P, &permutation).expect("one in 2^bits is a witness"));
        }
        // As many as it takes on average, but a chunk for each thread at least.
        let block = (CPU_CHUNK * rayon::current_num_threads() as u32).max(1 << self.bits).next_power_of_two();
        let blocks = (0..P).step_by(block as usize);
        let least = |first: u32| {
            let chunks = (first..P.min(first + block)).into_par_iter().step_by(CPU_CHUNK as usize);
            // What comes after a chunk with a witness is not begun.
            chunks.map(|first| self.least_of(first..P.min(first + CPU_CHUNK), &permutation)).find_first(Option::is_some).flatten()
        };
        let witness = blocks.into_iter().find_map(least).expect("one in 2^bits is a witness");
        F::from_u32(witness)
    }

    fn least_of(&self, witnesses: std::ops::Range<u32>, permutation: &Poseidon2BabyBear<WIDTH>) -> Option<u32> {
        let mask = (1u32 << self.bits) - 1;
        witnesses.clone().step_by(Packed::WIDTH).find_map(|first| {
            let mut state: [Packed; WIDTH] = self.state.map(Packed::from);
            state[self.absorb] = Packed::from_fn(|lane| F::from_u32(first + lane as u32));
            permutation.permute_mut(&mut state);
            let squeezed = state[RATE - 1].as_slice();
            let lane = squeezed.iter().position(|squeezed| squeezed.as_canonical_u32() & mask == 0)?;
            Some(first + lane as u32).filter(|witness| witnesses.contains(witness))
        })
    }
}

/// Searches witnesses on a device, where that is faster.
#[derive(Clone, Debug)]
pub(crate) struct Grinder {
    compute: Arc<Compute>,
    /// Fewer bits are the CPU's.
    min_bits: usize,
    waits: Arc<AtomicUsize>,
}

impl Grinder {
    pub fn new(compute: &Arc<Compute>, min_bits: Option<usize>) -> Self {
        Self {
            compute: Arc::clone(compute),
            min_bits: min_bits.unwrap_or_else(|| min_device_bits(compute.gpu.is_software())),
            waits: Arc::default(),
        }
    }

    /// Times that anybody waited for the device so far.
    pub fn waits(&self) -> usize {
        self.waits.load(Ordering::Relaxed)
    }

    /// The least witness. A device that fails, or that gives what is none, is said so in the log, and the CPU searches: the result is the same.
    pub fn least(&self, puzzle: &Puzzle) -> F {
        if puzzle.bits < self.min_bits {
            return puzzle.least_on_cpu();
        }
        let permutation = default_babybear_poseidon2_16();
        match self.least_on_device(puzzle) {
            Ok(witness) if puzzle.least_of(witness..witness + 1, &permutation) == Some(witness) => F::from_u32(witness),
            Ok(witness) => {
                let error = self.compute.gpu.distrust(GRIND.name, format!("{witness} is no witness"));
                tracing::warn!(%error, "a proof of work is searched on the CPU");
                puzzle.least_on_cpu()
            }
            Err(error) => {
                tracing::warn!(%error, "a proof of work is searched on the CPU");
                puzzle.least_on_cpu()
            }
        }
    }

    /// Witnesses that a submission tries: four times as many as it takes on average, if it may take so long. A software device is given fewer: each of its threads
    /// goes through workgroups one after another, and they have witnesses from all over the range.
    fn num_witnesses(&self, bits: usize) -> u32 {
        let gpu = &self.compute.gpu;
        let wanted = if gpu.is_software() { (1u64 << bits) / 2 } else { 4u64 << bits };
        let per_submission = gpu.products_per_submission().map_or(u64::MAX, |products| products / poseidon2::PRODUCTS);
        wanted.max(4096).min(per_submission).clamp(256, u64::from(THREADS * PER_THREAD)) as u32
    }

    /// The least witness from `first` on among as many as a submission tries, as data: the first word of the results, `u32::MAX` for none.
    ///
    /// # Errors
    /// As [`Recorder::dispatch`].
    pub fn record(&self, puzzle: &Puzzle, first: u32) -> Result<Recording> {
        let num_witnesses = self.num_witnesses(puzzle.bits).min(P - first);
        let mut recorder = Recorder::new(&self.compute.gpu, 16, self.compute.next_nonce());
        recorder.fill_results(u32::MAX, 4);
        let job = recorder.job(&GrindJob {
            state: puzzle.state.map(word),
            absorb: puzzle.absorb as u32,
            mask: (1 << puzzle.bits) - 1,
            first,
            num_witnesses,
        });
        let constants = recorder.table(&poseidon2::constants());
        let workgroups = num_witnesses.min(THREADS).div_ceil(GRIND.workgroup_size);
        recorder.dispatch(&GRIND, vec![job, constants, results(0..16)], vec![], workgroups.into(), 0)?;
        Ok(recorder.finish(vec![]))
    }

    fn least_on_device(&self, puzzle: &Puzzle) -> Result<u32> {
        let compute = &self.compute;
        let mut first = 0;
        let mut submissions = 0;
        while first < P {
            let recording = self.record(puzzle, first)?;
            let mut executor = compute.executor(Use::ProofOfWork);
            let submission = executor.start(&recording, false)?;
            let report = executor.finish(submission, |words| words[0])?;
            compute.give_back(Use::ProofOfWork, executor);
            submissions += 1;
            self.waits.fetch_add(1, Ordering::Relaxed);
            if report.results != u32::MAX {
                let gpu_ms = report.passes.iter().map(|pass| pass.gpu.as_secs_f64() * 1e3).sum::<f64>();
                let (backend, stage) = (compute.gpu.info().backend, stage::PROOF_OF_WORK);
                debug!(%backend, stage, kernels = submissions, sync_count = submissions, bits = puzzle.bits, gpu_ms, "metal_dispatch_stage");
                return Ok(report.results);
            }
            first = first.saturating_add(self.num_witnesses(puzzle.bits));
        }
        Err(Error::DeviceLost { reason: "no proof of work among all field elements".into() })
    }
}

/// The bits from which on a device is faster than the CPU's threads. An H200 beside 16 cores with AVX2 (2026-11-28, both warm; `benches/vm.rs`): 8 bits 85 us
/// against 69, 10 bits 87 against 126, 20 bits 0.65 ms against 16.7.
fn min_device_bits(is_software: bool) -> usize {
    match is_software {
        // Permutations of vectors are as fast on the CPU, without a device between.
        true if Packed::WIDTH > 1 => usize::MAX,
        // Two cores, 2026-11-29: 10 bits 1.0 ms against 0.7, 12 bits 1.8 against 2.4, 20 bits 172 against 334.
        true => 12,
        false => 10,
    }
}
