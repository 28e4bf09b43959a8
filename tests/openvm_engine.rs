//! `WgpuEngine` as OpenVM uses an engine: OpenVM's own conformance suite, all of it, and proofs equal to the stock engine's, byte for byte.
#![cfg(feature = "openvm")]

mod support;

use std::error::Error;

use logup_wgpu::{
    openvm::{WgpuDevice, WgpuEngine, WgpuProverError},
    shaders::FieldForm,
    wgpu,
};
use openvm_stark_backend::{
    StarkEngine, SystemParams,
    codec::Encode,
    proof::Proof,
    prover::{DeviceDataTransporter, Prover},
    test_utils::{
        CachedFixture11, FibFixture, InteractionsFixture11, MixtureFixture, PreprocessedAndCachedFixture, PreprocessedFibFixture,
        SelfInteractionFixture, TestFixture, test_system_params_small,
    },
};
use openvm_stark_sdk::config::baby_bear_poseidon2::{BabyBearPoseidon2Config, BabyBearPoseidon2CpuEngine, CpuTranscript};
use support::{
    awkward_air::AwkwardFixture,
    keccak_vm::{copy, keccak_vm, program, run},
    replay::ReplayTranscript,
};

type SC = BabyBearPoseidon2Config;

mod suite {
    openvm_backend_tests::backend_test_suite!(logup_wgpu::openvm::WgpuEngine);
}

/// Proves on one thread, where the stock grinder finds the same proof of work each time.
fn on_one_thread<T: Send>(prove: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap().install(prove)
}

fn bytes(proof: &Proof<SC>) -> Vec<u8> {
    proof.encode_to_vec().unwrap()
}

/// Both engines' proofs of a fixture are the same bytes, and the stock engine accepts ours.
fn assert_identical(name: &str, params: &SystemParams, fixture: &(impl TestFixture<SC> + Sync)) {
    on_one_thread(|| {
        let stock = BabyBearPoseidon2CpuEngine::<CpuTranscript>::new(params.clone());
        let ours = WgpuEngine::<CpuTranscript>::new(params.clone());
        let (pk, vk) = fixture.keygen(&stock);
        let (expected, proof) = (fixture.prove(&stock, &pk), fixture.prove(&ours, &pk));
        assert!(bytes(&expected) == bytes(&proof), "{name}, l_skip {}: the proofs differ", params.l_skip);
        stock.verify(&vk, &proof).unwrap_or_else(|error| panic!("{name}: {error}"));
    });
}

/// Heights above, at and below `2^l_skip`.
#[test]
fn fixtures_proofs_are_the_stock_engines() {
    for l_skip in [1, 2, 5] {
        let params = test_system_params_small(l_skip, 10 - l_skip, 3);
        let config = SC::default_from_params(params.clone());
        let identical = |name: &str, fixture: &dyn Fixture| fixture.assert_identical(name, &params);
        identical("two AIRs with interactions", &InteractionsFixture11);
        identical("cached traces", &CachedFixture11::new(config.clone()));
        for log_height in [0, 1, l_skip, 8] {
            let height = 1 << log_height;
            let selectors: Vec<bool> = (0..height).map(|i| i % 3 != 1).collect();
            identical("no interactions", &FibFixture::new(1, 2, height));
            identical("preprocessed trace", &PreprocessedFibFixture::new(3, 4, selectors.clone()));
            identical("preprocessed and cached traces", &PreprocessedAndCachedFixture::new(selectors, config.clone(), 2));
            identical("several AIRs", &SelfInteractionFixture { widths: vec![4, 7, 30], log_height, bus_index: 4 });
            identical("mixture", &MixtureFixture::standard(log_height, config.clone()));
            identical("awkward", &AwkwardFixture { config: config.clone(), log_heights: vec![log_height] });
        }
        identical("awkward, mixed heights", &AwkwardFixture { config: config.clone(), log_heights: vec![3, 0, 7, 2, 5] });
    }
}

/// `TestFixture` without its generic methods.
trait Fixture {
    fn assert_identical(&self, name: &str, params: &SystemParams);
}

impl<T: TestFixture<SC> + Sync> Fixture for T {
    fn assert_identical(&self, name: &str, params: &SystemParams) {
        assert_identical(name, params, self);
    }
}

/// A real run of the keccak VM, its VM on our engine, proven on all threads with the proofs of work of the stock engine's proof.
#[test]
fn keccak_vm_proof_is_the_stock_engines() -> Result<(), Box<dyn Error>> {
    let params = SystemParams { max_constraint_degree: 3, ..SystemParams::new_for_testing(20) };
    let (mut vm, pk) = keccak_vm(WgpuEngine::<ReplayTranscript>::try_new(params.clone())?)?;
    let context = run(&mut vm, &program(3))?;
    assert!(context.per_trace.len() >= 20, "{} AIRs", context.per_trace.len());
    let stock = BabyBearPoseidon2CpuEngine::<ReplayTranscript>::new(params);
    let search = ReplayTranscript::searching();
    let expected = stock.prover_from_transcript(search.clone()).prove(vm.pk(), copy(&context))?;
    let proof = vm.engine.prover_from_transcript(search.replay()).prove(vm.pk(), context)?;
    assert!(bytes(&expected) == bytes(&proof), "the proofs differ");
    stock.verify(&pk.get_vk(), &proof)?;
    let stats = vm.engine.device().last_round0_stats().unwrap();
    assert_eq!((stats.call.submissions, stats.call.waits), (1, 1), "one call for all AIRs");
    Ok(())
}

/// What the device refuses is the proof's error, with the AIRs' names; there is no proof by other means.
#[test]
fn device_errors_name_the_airs() {
    let params = test_system_params_small(2, 8, 3);
    let gpu = support::limited_gpu(FieldForm::U32, |limits| wgpu::Limits { max_buffer_size: 1 << 16, ..limits });
    let device = WgpuDevice::new(SC::default_from_params(params.clone()), &gpu);
    let engine = WgpuEngine::<ReplayTranscript>::with_device(device);
    let prove = |fixture: SelfInteractionFixture| {
        let (pk, _) = fixture.keygen(&engine);
        let (device, context) = (engine.device(), fixture.generate_proving_ctx());
        engine.prove(&device.transport_pk_to_device(&pk), device.transport_proving_ctx_to_device(&context))
    };
    let error = prove(SelfInteractionFixture { widths: vec![40, 41], log_height: 9, bus_index: 4 }).expect_err("no room");
    let WgpuProverError::Round0 { airs, source } = &error else { panic!("{error}") };
    assert_eq!(airs.len(), 2);
    assert!(matches!(source, logup_wgpu::Error::DeviceLimit { .. }), "{source}");
    assert!(error.to_string().contains("SelfInteractionAir"), "{error}");
    // and the engine still works
    prove(SelfInteractionFixture { widths: vec![4], log_height: 3, bus_index: 4 }).expect("a proof that fits");
}

/// A context that does not fit its key is refused, not proven wrongly and no panic.
#[test]
fn traces_that_do_not_fit_are_refused() {
    let engine = WgpuEngine::<ReplayTranscript>::new(test_system_params_small(2, 8, 3));
    let fixture = FibFixture::new(0, 1, 8);
    let (pk, _) = fixture.keygen(&engine);
    let device = engine.device();
    let mut context = device.transport_proving_ctx_to_device(&TestFixture::<SC>::generate_proving_ctx(&fixture));
    context.per_trace[0].1.public_values.pop();
    let error = engine.prove(&device.transport_pk_to_device(&pk), context).expect_err("a public value is missing");
    assert!(matches!(&error, WgpuProverError::Air(logup_wgpu::Error::Length { air, .. }) if air == "FibonacciAir"), "{error}");
}
