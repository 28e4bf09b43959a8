//! Traces that do not satisfy their constraints: found when that is asked for, and otherwise a proof that fails to verify.

use logup_wgpu::{F, Gpu, GpuOptions};
use openvm_cpu_backend::CpuBackend;
use openvm_stark_backend::{
    StarkEngine,
    codec::Encode,
    prover::{DeviceDataTransporter, ProvingContext},
    test_utils::{FibFixture, TestFixture, test_system_params_small},
};
use openvm_stark_sdk::config::baby_bear_poseidon2::BabyBearPoseidon2Config;
use openvm_wgpu::{WgpuDevice, WgpuEngine, WgpuProverError, WgpuTranscript};
use p3_field::PrimeCharacteristicRing;

type SC = BabyBearPoseidon2Config;

#[test]
fn a_broken_trace_is_named_or_fails_to_verify() {
    let params = test_system_params_small(2, 8, 3);
    let gpu = Gpu::new(GpuOptions::default()).unwrap();
    let device = WgpuDevice::new(SC::default_from_params(params), &gpu).unwrap();
    // Two proofs are the same bytes: each proof of work is the least, where the stock transcript takes what a thread finds first.
    let plain = WgpuEngine::<WgpuTranscript>::with_device(device.clone());
    let checking = WgpuEngine::<WgpuTranscript>::with_device(device.checking_constraints(true));
    let fixture = FibFixture::new(0, 1, 64);
    let (pk, vk) = fixture.keygen(&plain);
    let key = plain.device().transport_pk_to_device(&pk);
    let context = |broken_row: Option<usize>| -> ProvingContext<CpuBackend<SC>> {
        let mut context = plain.device().transport_proving_ctx_to_device(&TestFixture::<SC>::generate_proving_ctx(&fixture));
        if let Some(row) = broken_row {
            let main = &mut context.per_trace[0].1.common_main;
            main.values[row * main.width] += F::ONE;
        }
        context
    };

    let good = plain.prove(&key, context(None)).unwrap();
    plain.verify(&vk, &good).unwrap();
    assert_eq!(plain.device().last_round0_stats().unwrap().check, None);
    let checked = checking.prove(&key, context(None)).unwrap();
    let stats = checking.device().last_round0_stats().unwrap();
    assert!(stats.check.is_some() && stats.upload <= stats.wall, "{stats:?}");
    assert_eq!(good.encode_to_vec().unwrap(), checked.encode_to_vec().unwrap(), "a check changes no proof");
    checking.device().check_constraints(&key, &context(None)).unwrap().satisfied().unwrap();

    // Row 20's left number is the sum's left of row 19, and goes into row 21's: two rows are wrong.
    let found = plain.device().check_constraints(&key, &context(Some(20))).unwrap();
    assert!(!found.failing.is_empty() && found.failing.iter().all(|failing| failing.rows.iter().all(|row| [19, 20].contains(row))));
    assert_eq!((found.failing[0].instance, &*found.failing[0].air, found.num_rows), (0, "FibonacciAir", 64));
    let error = checking.prove(&key, context(Some(20))).map(|_| ()).unwrap_err();
    let WgpuProverError::Air(logup_wgpu::Error::Unsatisfied { subject, row: 19, .. }) = &error else { panic!("{error}") };
    assert_eq!(*subject, "FibonacciAir".into());
    assert!(error.to_string().contains("is not zero on row 19"), "{error}");
    let unchecked = plain.prove(&key, context(Some(20))).unwrap();
    assert!(plain.verify(&vk, &unchecked).is_err(), "a proof of a wrong trace");
    // and the engine still works
    plain.verify(&vk, &checking.prove(&key, context(None)).unwrap()).unwrap();
}
