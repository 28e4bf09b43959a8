//! Proofs of work: the least witness, by the CPU and by the device.

use std::{sync::Arc, time::Duration};

use logup_wgpu::{Error, F, FieldForm, Gpu, GpuOptions, compute::Kernel, introspect::EditShader};
use openvm_stark_backend::{FiatShamirTranscript, prover::TraceCommitter, test_utils::test_system_params_small};
use openvm_stark_sdk::config::baby_bear_poseidon2::{BabyBearPoseidon2Config, CpuTranscript};
use openvm_wgpu::{EngineTranscript, WgpuDevice, WgpuOptions, WgpuProverError, WgpuTranscript, kernels};
use p3_field::{PrimeCharacteristicRing, PrimeField32};
use p3_matrix::dense::RowMajorMatrix;

use crate::support::{gpu, random_f, rng};

fn device(gpu: &Gpu, min_device_pow_bits: usize) -> WgpuDevice {
    let config = BabyBearPoseidon2Config::default_from_params(test_system_params_small(2, 8, 3));
    let options = WgpuOptions { min_device_pow_bits: Some(min_device_pow_bits), ..WgpuOptions::default() };
    WgpuDevice::with_options(config, gpu, options).unwrap()
}

/// After any number of values, and after a squeeze, the witness is the least that the stock transcript accepts, whoever searches it with however many
/// threads; and both transcripts go on alike.
#[test]
fn witnesses_are_the_least() {
    let devices = [device(gpu(FieldForm::U64), 0), device(gpu(FieldForm::U32), 0), device(gpu(FieldForm::U64), usize::MAX)];
    let observed = random_f(&mut rng(41), 9);
    for num_observed in 0..=observed.len() {
        for bits in [0, 1, 5, 9] {
            let mut stock: CpuTranscript = EngineTranscript::start(&devices[0]);
            let mut ours: Vec<WgpuTranscript> = devices.iter().map(EngineTranscript::start).collect();
            let mut all: Vec<&mut dyn Steps> = ours.iter_mut().map(|ours| ours as &mut dyn Steps).collect();
            all.push(&mut stock);
            for transcript in all {
                observed[..num_observed].iter().for_each(|&value| transcript.observes(value));
                if bits == 5 {
                    transcript.samples();
                }
            }
            let accepts = |witness: &u32| stock.clone().check_witness(bits, F::from_u32(*witness));
            let least = if bits == 0 { 0 } else { (0..1 << 20).find(accepts).unwrap() };
            for (i, ours) in ours.iter_mut().enumerate() {
                let threads = rayon::ThreadPoolBuilder::new().num_threads(1 + i).build().unwrap();
                let witness = threads.install(|| ours.grind(bits));
                assert_eq!(witness.as_canonical_u32(), least, "{num_observed} values, {bits} bits, device {i}");
            }
            assert!(stock.check_witness(bits, F::from_u32(least)));
            let next: F = FiatShamirTranscript::sample(&mut stock);
            assert!(ours.iter_mut().all(|ours| ours.sample() == next));
        }
    }
}

/// A search that takes several submissions, because each may be short only.
#[test]
fn a_search_goes_on() {
    let short = GpuOptions { submission_budget: Some(Duration::from_nanos(1)), ..GpuOptions::default() };
    let [short, cpu] = [(Gpu::new(short).unwrap(), 0), (gpu(FieldForm::U64).clone(), usize::MAX)].map(|(gpu, bits)| device(&gpu, bits));
    let [mut ours, mut expected]: [WgpuTranscript; 2] = [&short, &cpu].map(EngineTranscript::start);
    let witnesses: Vec<u32> = (0..6).map(|_| ours.grind(12).as_canonical_u32()).collect();
    assert!(witnesses.iter().any(|&witness| witness > 3 * 256), "{witnesses:?}");
    assert!(witnesses.iter().all(|&witness| expected.grind(12).as_canonical_u32() == witness), "{witnesses:?}");
}

/// What is no witness is not taken: the CPU searches, and the device commits to nothing more.
#[test]
fn a_wrong_witness_is_found_out() {
    let edit = |kernel: &'static Kernel, source: String| match kernel.name == kernels::GRIND.name {
        true => {
            assert!(source.contains("i < INTERNAL"));
            source.replace("i < INTERNAL", "i < INTERNAL - 1u")
        }
        false => source,
    };
    let wrong = Gpu::new(GpuOptions { edit_shader: Some(EditShader(Arc::new(edit))), ..GpuOptions::default() }).unwrap();
    let [wrong, cpu] = [(wrong, 0), (gpu(FieldForm::U64).clone(), usize::MAX)].map(|(gpu, bits)| device(&gpu, bits));
    let [mut ours, mut expected]: [WgpuTranscript; 2] = [&wrong, &cpu].map(EngineTranscript::start);
    for _ in 0..3 {
        assert_eq!(ours.grind(10), expected.grind(10));
    }
    let trace = RowMajorMatrix::new(random_f(&mut rng(42), 8), 2);
    match TraceCommitter::commit(&wrong, &[&trace]) {
        Err(WgpuProverError::Commit(Error::WrongAnswer { kernel, .. })) => assert_eq!(kernel, kernels::GRIND.name),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("committed"),
    }
}

trait Steps {
    fn observes(&mut self, value: F);
    fn samples(&mut self);
}

impl<T: FiatShamirTranscript<BabyBearPoseidon2Config>> Steps for T {
    fn observes(&mut self, value: F) {
        self.observe(value);
    }

    fn samples(&mut self) {
        let _: F = self.sample();
    }
}
