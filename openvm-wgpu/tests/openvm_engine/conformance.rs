//! `WgpuEngine` as OpenVM uses an engine: OpenVM's own conformance suite, all of it, and proofs equal to the stock engine's, byte for byte.

use std::error::Error;

use logup_wgpu::{F, FieldForm, Gpu, GpuOptions, introspect::EditShader, wgpu};
use openvm_stark_backend::{
    StarkEngine, SystemParams,
    codec::Encode,
    memory_metering::ProvingMemoryCounts,
    proof::Proof,
    prover::{DeviceDataTransporter, Prover},
    test_utils::{
        CachedFixture11, FibFixture, InteractionsFixture11, MixtureFixture, PreprocessedAndCachedFixture, PreprocessedFibFixture,
        SelfInteractionFixture, TestFixture, test_system_params_small,
    },
};
use openvm_stark_sdk::config::baby_bear_poseidon2::{BabyBearPoseidon2Config, BabyBearPoseidon2CpuEngine, CpuTranscript};
use openvm_wgpu::{WgpuDevice, WgpuEngine, WgpuOptions, WgpuProverError};
use p3_baby_bear::default_babybear_poseidon2_16;
use p3_field::PrimeCharacteristicRing;

use crate::{
    fixtures::{
        awkward_air::AwkwardFixture,
        keccak_vm::{copy, copy_for_stock, keccak_vm, program, run},
        observed::Observed,
        pair_air::{Field, Pair, PairAir, PairFixture},
    },
    support::{gpu, gpu_of_my_own},
};

type SC = BabyBearPoseidon2Config;

mod suite {
    openvm_backend_tests::backend_test_suite!(openvm_wgpu::WgpuEngine);
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

/// One engine, and a key whose AIRs the caller permutes: its stored hash stays, its plans do not. AIRs of one shape, so that nothing but
/// the columns that are read tells them apart.
#[test]
fn permuted_keys_are_other_keys() {
    on_one_thread(|| {
        let params = test_system_params_small(3, 7, 3);
        let stock = BabyBearPoseidon2CpuEngine::<CpuTranscript>::new(params.clone());
        let ours = WgpuEngine::<CpuTranscript>::new(params);
        let other = Pair { bus: 9, message: vec![Field::Column(3), Field::Column(2)], count: Field::Column(0) };
        let airs = [PairAir::plain(4, 16), PairAir { pairs: vec![other], ..PairAir::plain(4, 16) }];
        let fixture = PairFixture(airs.to_vec());
        let (pk, vk) = fixture.keygen(&stock);
        stock.verify(&vk, &fixture.prove(&ours, &pk)).unwrap();

        let mut permuted = pk.clone();
        permuted.per_air.swap(0, 1);
        assert!(permuted.vk_pre_hash == pk.vk_pre_hash, "the hash that is carried along");
        let swapped = PairFixture(vec![airs[1].clone(), airs[0].clone()]);
        let (expected, proof) = (swapped.prove(&stock, &permuted), swapped.prove(&ours, &permuted));
        assert!(bytes(&expected) == bytes(&proof), "the proofs differ");
        stock.verify(&permuted.get_vk(), &proof).unwrap();
        stock.verify(&vk, &fixture.prove(&ours, &pk)).unwrap();
    });
}

/// More keys than a device keeps plans of, in turns.
#[test]
fn many_keys_on_one_engine() {
    let params = test_system_params_small(2, 8, 3);
    let engine = WgpuEngine::<CpuTranscript>::new(params);
    let keys: Vec<_> = (0..12)
        .map(|i| {
            let fixture = PairFixture((0..=i % 3).map(|j| PairAir::plain(3 + i + j, 8)).collect());
            let (pk, vk) = fixture.keygen(&engine);
            (fixture, pk, vk)
        })
        .collect();
    for _ in 0..2 {
        for (fixture, pk, vk) in &keys {
            engine.verify(vk, &fixture.prove(&engine, pk)).unwrap();
        }
    }
}

/// Skip domains of up to 4,096 points, as the stock engine proves them; larger ones are refused when the engine is made.
#[test]
fn large_skip_domains() {
    for l_skip in 10..=12 {
        let params = test_system_params_small(l_skip, 2, 3);
        let config = SC::default_from_params(params.clone());
        for log_height in [2, l_skip + 1] {
            let fixture = AwkwardFixture { config: config.clone(), log_heights: vec![log_height] };
            assert_identical("awkward", &params, &fixture);
        }
    }
    let error = WgpuEngine::<CpuTranscript>::try_new(test_system_params_small(13, 2, 3)).err().unwrap();
    assert!(matches!(error, logup_wgpu::Error::SkipDomain { got: 13, limit: 12, .. }), "{error}");
}

/// A device whose buffers hold eight columns, and AIRs of which one alone reads a hundred: the stock engine's proof.
#[test]
fn traces_larger_than_a_buffer() {
    on_one_thread(|| {
        let params = test_system_params_small(3, 9, 3);
        let options = GpuOptions { known_answers: false, ..GpuOptions::default() }; // their traces are larger still
        let gpu = gpu_of_my_own(options, |limits| wgpu::Limits { max_buffer_size: 128 << 10, ..limits });
        let stock = BabyBearPoseidon2CpuEngine::<CpuTranscript>::new(params.clone());
        let ours = WgpuEngine::<CpuTranscript>::with_gpu(params, &gpu).unwrap();
        let fixture = PairFixture(vec![PairAir::wide(100, 1 << 12), PairAir::plain(4, 1 << 12), PairAir::wide(50, 8)]);
        let (pk, vk) = fixture.keygen(&stock);
        let (expected, proof) = (fixture.prove(&stock, &pk), fixture.prove(&ours, &pk));
        assert!(bytes(&expected) == bytes(&proof), "the proofs differ");
        stock.verify(&vk, &proof).unwrap();
    });
}

/// Wide traces, of rows by the thousand and of fewer rows than the skip domain has.
#[test]
fn wide_traces() {
    on_one_thread(|| {
        let params = test_system_params_small(3, 9, 3);
        let stock = BabyBearPoseidon2CpuEngine::<CpuTranscript>::new(params.clone());
        let ours = WgpuEngine::<CpuTranscript>::new(params);
        let fixture = PairFixture(vec![PairAir::wide(100, 1 << 12), PairAir::plain(4, 1 << 12), PairAir::wide(50, 2)]);
        let (pk, vk) = fixture.keygen(&stock);
        let (expected, proof) = (fixture.prove(&stock, &pk), fixture.prove(&ours, &pk));
        assert!(bytes(&expected) == bytes(&proof), "the proofs differ");
        stock.verify(&vk, &proof).unwrap();
    });
}

/// Where all interactions of an AIR have degree 0, the stock engine's proof is not one: its own verifier refuses it. Ours passes, so the
/// bytes differ.
#[test]
fn interactions_of_degree_zero() {
    on_one_thread(|| {
        let params = test_system_params_small(3, 7, 3);
        let stock = BabyBearPoseidon2CpuEngine::<CpuTranscript>::new(params.clone());
        let ours = WgpuEngine::<CpuTranscript>::new(params);
        let pair = Pair { bus: 1, message: vec![Field::Constant(5), Field::Constant(9)], count: Field::Constant(3) };
        let fixture = PairFixture(vec![PairAir { pairs: vec![pair], ..PairAir::plain(4, 16) }]);
        let (pk, vk) = fixture.keygen(&stock);
        let (theirs, proof) = (fixture.prove(&stock, &pk), fixture.prove(&ours, &pk));
        stock.verify(&vk, &proof).unwrap();
        assert!(stock.verify(&vk, &theirs).is_err(), "the stock engine's proof verifies now: the docs are to say so");
        assert!(bytes(&theirs) != bytes(&proof));
    });
}

/// Nothing is proven on a device that computes wrongly, and the stats of a proof say that its kernels were asked.
#[test]
fn a_wrong_device_proves_nothing() {
    let params = test_system_params_small(2, 8, 3);
    let prove = |gpu: &Gpu| {
        let engine = WgpuEngine::<CpuTranscript>::with_gpu(params.clone(), gpu).unwrap();
        let fixture = SelfInteractionFixture { widths: vec![4, 7], log_height: 5, bus_index: 4 };
        let (pk, _) = fixture.keygen(&engine);
        let (device, context) = (engine.device(), fixture.generate_proving_ctx());
        let key = device.transport_pk_to_device(&pk);
        let warm_up = device.prepare(&key);
        let context = device.transport_proving_ctx_to_device(&context);
        engine.prove(&key, context).map(|_| (warm_up.unwrap(), engine.device().last_round0_stats().unwrap()))
    };
    let (warm_up, stats) = prove(&Gpu::new(GpuOptions::default()).unwrap()).unwrap();
    assert!(warm_up.known_answers >= 2 && warm_up.known_answers == warm_up.kernels, "{warm_up:?}");
    assert_eq!((stats.call.all_answered, stats.call.known_answers), (true, 0), "all of them when the key came");

    let edit = |_, source: String| source.replace("const MONTY_MU: u32 = 0x88000001u", "const MONTY_MU: u32 = 0x88000003u");
    let options = GpuOptions { edit_shader: Some(EditShader(std::sync::Arc::new(edit))), ..GpuOptions::default() };
    let error = prove(&Gpu::new(options).unwrap()).err().unwrap();
    assert!(matches!(&error, WgpuProverError::Commit(logup_wgpu::Error::WrongAnswer { .. })), "{error}");
}

/// A real run of the keccak VM, its VM on our engine, proven on all threads with the proofs of work of the stock engine's proof.
#[test]
fn keccak_vm_proof_is_the_stock_engines() -> Result<(), Box<dyn Error>> {
    let params = SystemParams { max_constraint_degree: 3, ..SystemParams::new_for_testing(20) };
    let (mut vm, pk) = keccak_vm(WgpuEngine::<Observed<CpuTranscript>>::try_new(params.clone())?)?;
    let context = run(&mut vm, &program(3))?;
    assert!(context.per_trace.len() >= 20, "{} AIRs", context.per_trace.len());
    let stock = BabyBearPoseidon2CpuEngine::<Observed<CpuTranscript>>::new(params.clone());
    let search = stock.initial_transcript();
    let found = search.log();
    let expected = stock.prover_from_transcript(search).prove(vm.pk(), copy_for_stock(&context, &params))?;
    let kept = copy(&context);
    let replay = found.replay(default_babybear_poseidon2_16().into());
    let proof = vm.engine.prover_from_transcript(replay).prove(vm.pk(), context)?;
    assert!(bytes(&expected) == bytes(&proof), "the proofs differ");
    stock.verify(&pk.get_vk(), &proof)?;
    let stats = vm.engine.device().last_round0_stats().unwrap();
    assert_eq!((stats.call.submissions, stats.call.waits), (1, 1), "one call for all AIRs");

    // The run satisfies every constraint; with one cell of the tallest AIR's trace changed it does not.
    let device = vm.engine.device();
    let check = device.check_constraints(vm.pk(), &kept)?;
    check.satisfied()?;
    assert!(check.num_constraints > 3000 && check.num_rows > 1 << 18, "{check:?}");
    let mut broken = copy(&kept);
    let perm = broken.per_trace.iter().position(|(air, _)| pk.per_air[*air].air_name == "KeccakfPermAir").expect("permutations");
    let main = &mut broken.per_trace[perm].1.common_main;
    main.values[5 * main.width + 100] += logup_wgpu::F::TWO;
    let found = device.check_constraints(vm.pk(), &broken)?;
    assert!(found.failing.iter().all(|failing| failing.instance == perm && failing.rows.iter().all(|row| (4..=5).contains(row))));
    assert!(!found.failing.is_empty());
    Ok(())
}

/// What the device refuses is the proof's error, and there is no proof by other means.
#[test]
fn what_the_device_refuses_is_an_error() {
    let params = test_system_params_small(2, 10, 3);
    // 81 columns of 2^12 rows do not fit, four do.
    let options = WgpuOptions { memory_budget: Some(1 << 20), ..WgpuOptions::default() };
    let device = WgpuDevice::with_options(SC::default_from_params(params.clone()), gpu(FieldForm::U32), options).unwrap();
    let engine = WgpuEngine::<CpuTranscript>::with_device(device);
    let prove = |fixture: SelfInteractionFixture| {
        let (pk, _) = fixture.keygen(&engine);
        let (device, context) = (engine.device(), fixture.generate_proving_ctx());
        engine.prove(&device.transport_pk_to_device(&pk), device.transport_proving_ctx_to_device(&context))
    };
    let error = prove(SelfInteractionFixture { widths: vec![40, 41], log_height: 12, bus_index: 4 }).expect_err("no room");
    let WgpuProverError::Commit(logup_wgpu::Error::DeviceLimit { requested, limit, .. }) = error else { panic!("{error}") };
    assert!(requested > limit && limit == 1 << 20);
    // and the engine still works
    prove(SelfInteractionFixture { widths: vec![4], log_height: 3, bus_index: 4 }).expect("a proof that fits");
}

/// A trace that no commitment can take is its AIR's, by name, and the engine goes on.
#[test]
fn traces_that_cannot_be_stacked_are_refused_by_name() {
    let engine = WgpuEngine::<CpuTranscript>::new(test_system_params_small(2, 6, 3));
    let fixture = FibFixture::new(0, 1, 8);
    let (pk, _) = fixture.keygen(&engine);
    let (device, key) = (engine.device(), engine.device().transport_pk_to_device(&pk));
    let context = || device.transport_proving_ctx_to_device(&TestFixture::<SC>::generate_proving_ctx(&fixture));
    for (rows, what) in [(6, "no power of two"), (512, "taller than the stack"), (0, "none")] {
        let mut context = context();
        let trace = &mut context.per_trace[0].1.common_main;
        trace.values.resize(rows * trace.width, F::ZERO);
        let error = engine.prove(&key, context).expect_err(what);
        let WgpuProverError::Air(logup_wgpu::Error::Height { subject, got }) = error else { panic!("{what}: {error}") };
        assert_eq!((subject, got), ("FibonacciAir".into(), rows), "{what}");
    }
    engine.prove(&key, context()).expect("a good one");
}

/// A context that does not fit its key is refused, not proven wrongly and no panic.
#[test]
fn traces_that_do_not_fit_are_refused() {
    let engine = WgpuEngine::<CpuTranscript>::new(test_system_params_small(2, 8, 3));
    let fixture = FibFixture::new(0, 1, 8);
    let (pk, _) = fixture.keygen(&engine);
    let device = engine.device();
    let mut context = device.transport_proving_ctx_to_device(&TestFixture::<SC>::generate_proving_ctx(&fixture));
    context.per_trace[0].1.public_values.pop();
    let error = engine.prove(&device.transport_pk_to_device(&pk), context).expect_err("a public value is missing");
    assert!(
        matches!(&error, WgpuProverError::Air(logup_wgpu::Error::Length { subject, .. }) if *subject == "FibonacciAir".into()),
        "{error}"
    );
}

/// Segments are cut for what this engine keeps: stacked matrix and codeword beside the traces, no scratch for constraints.
#[test]
fn memory_is_estimated_for_this_engine() {
    let engine = WgpuEngine::<CpuTranscript>::new(test_system_params_small(2, 8, 3));
    let config = engine.proving_memory_config();
    assert!(config.cache_stacked_matrix && config.cache_rs_code_matrix && config.zerocheck_save_memory);
    let estimate = config.estimate(ProvingMemoryCounts::new(1 << 20, 0, 0, 0));
    assert_eq!((estimate.main, estimate.stacked_matrix, estimate.rs_code_matrix), (4 << 20, 4 << 20, 8 << 20));
}
