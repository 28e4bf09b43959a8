//! The commitment and proofs of work on the kernels' Metal text, which `tests/support/msl` compiles as C++ and runs on the CPU.

#[path = "../../../tests/support/msl/mod.rs"]
mod msl;

use logup_wgpu::{FieldForm, compute::Kernel};
use openvm_cpu_backend::{CpuBackend, CpuDevice};
use openvm_stark_backend::{FiatShamirTranscript, SystemParams, prover::TraceCommitter, test_utils::test_system_params_small};
use openvm_stark_sdk::config::baby_bear_poseidon2::BabyBearPoseidon2Config;
use openvm_wgpu::{EngineTranscript, WgpuDevice, WgpuTranscript, kernels};
use p3_field::PrimeField32;
use p3_matrix::dense::RowMajorMatrix;

use self::msl::{Counts, Machine, Order};
use crate::support::{gpu, mutant::Mutant, random_f, rng};

type SC = BabyBearPoseidon2Config;

/// Whether the layers that the Metal text gives are the stock device's.
fn is_right(machine: Machine<'_>, params: &SystemParams, shapes: &[(usize, usize)]) -> Result<(bool, Counts), String> {
    let config = SC::default_from_params(params.clone());
    let mut rng = rng(51);
    let traces: Vec<_> = shapes.iter().map(|&(width, log)| RowMajorMatrix::new(random_f(&mut rng, width << log), width)).collect();
    let traces: Vec<&RowMajorMatrix<_>> = traces.iter().collect();
    let (_, expected) = TraceCommitter::<CpuBackend<SC>>::commit(&CpuDevice::new(config.clone()), &traces).unwrap();
    let device = WgpuDevice::new(config, gpu(machine.form)).unwrap();
    let commitment = device.record_commitment(&traces).unwrap();
    let (results, counts) = machine.run_all(device.gpu(), std::slice::from_ref(&commitment.recording))?;
    Ok((commitment.digest_layers(&results[0]).as_ref() == Some(expected.tree.digest_layers()), counts))
}

/// Every number of register stages, passes over strided and over consecutive words, several blocks of a sponge, one to three dispatches of tree layers; in
/// both forms and both orders of threads.
#[test]
fn commitments_run() {
    let mut counts = Counts::default();
    for (l_skip, log_height, k, shapes) in [
        (4, 13, 4, &[(9, 13), (3, 12), (20, 4), (5, 2)][..]),
        (0, 3, 1, &[(2, 3), (1, 0)]),
        (6, 9, 2, &[(17, 9), (1, 5)]),
        (9, 12, 1, &[(1, 12), (30, 3)]),
    ] {
        let params = test_system_params_small(l_skip, log_height - l_skip, k);
        for form in FieldForm::ALL {
            for order in [Order::Ascending, Order::Descending] {
                let (right, ran) = is_right(Machine::new(form, order), &params, shapes).unwrap();
                assert!(right, "{form:?}, {order:?}, l_skip {l_skip}, height 2^{log_height}");
                counts += ran;
            }
        }
    }
    println!("{counts:?}");
}

/// Witnesses are the CPU's, wherever in the sponge they are absorbed.
#[test]
fn searches_run() {
    for form in FieldForm::ALL {
        let device = WgpuDevice::new(SC::default_from_params(test_system_params_small(2, 6, 3)), gpu(form)).unwrap();
        let mut transcript = WgpuTranscript::start(&device);
        for absorbed in [0, 1, 6] {
            random_f(&mut rng(absorbed), absorbed as usize).into_iter().for_each(|value| transcript.observe(value));
            let recording = transcript.record_grind(6).unwrap();
            let (results, _) = Machine::new(form, Order::Ascending).run_all(device.gpu(), &[recording]).unwrap();
            assert_eq!(results[0][0], transcript.grind(6).as_canonical_u32(), "{form:?}, {absorbed} absorbed");
        }
    }
}

/// A dropped barrier shows in some order of threads.
#[test]
fn barriers_are_needed() {
    let params = test_system_params_small(6, 7, 3);
    for (kernel, num_barriers) in
        [(&kernels::CODE_PASS, 1), (&kernels::INTERPOLATE, 3), (&kernels::ROW_HASH, 2), (&kernels::MERKLE_LAYERS, 2)]
    {
        for i in 0..num_barriers {
            let mutant = Mutant::without_barrier(kernel, i);
            let edit = |edited: &'static Kernel, source: String| mutant.apply(edited, source);
            let noticed = [Order::Ascending, Order::Descending].into_iter().any(|order| {
                let machine = Machine { edit: &edit, ..Machine::new(FieldForm::U64, order) };
                !matches!(is_right(machine, &params, &[(9, 13), (3, 1)]), Ok((true, _)))
            });
            assert!(noticed, "{}, barrier {i}", kernel.name);
        }
    }
}
