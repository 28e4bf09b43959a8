//! A default device that is lost.

use logup_wgpu::Error;
use openvm_stark_backend::{
    StarkEngine,
    prover::DeviceDataTransporter,
    test_utils::{TestFixture, test_system_params_small},
};
use openvm_stark_sdk::config::baby_bear_poseidon2::{BabyBearPoseidon2Config, CpuTranscript};
use openvm_wgpu::{WgpuDevice, WgpuEngine, WgpuProverError};

use crate::{
    fixtures::pair_air::{PairAir, PairFixture},
    support::faulty::{Fault, Faulty},
};

/// After the process's default device was lost, the next engine opens another.
#[test]
fn the_default_device_is_opened_anew() {
    let Some(driver) = Faulty::driver("lost::the_default_device_is_opened_anew") else { return };
    let params = test_system_params_small(2, 8, 3);
    let fixture = PairFixture(vec![PairAir::plain(4, 16)]);
    let engine = WgpuEngine::<CpuTranscript>::try_new(params.clone()).unwrap();
    let (pk, vk) = fixture.keygen(&engine);
    let prove = |engine: &WgpuEngine<CpuTranscript>| {
        let device = engine.device();
        let context = device.transport_proving_ctx_to_device(&fixture.generate_proving_ctx());
        engine.prove(&device.transport_pk_to_device(&pk), context)
    };
    engine.verify(&vk, &prove(&engine).unwrap()).unwrap();
    driver.is(Fault::Lose);
    let is_lost = |error: WgpuProverError| {
        let WgpuProverError::Commit(Error::DeviceLost { .. }) = &error else { panic!("{error}") };
    };
    is_lost(prove(&engine).err().unwrap());
    driver.is_well();
    is_lost(prove(&engine).err().unwrap());
    let config = BabyBearPoseidon2Config::default_from_params(params.clone());
    let on_the_dead_one = WgpuDevice::new(config, engine.device().gpu());
    assert!(matches!(on_the_dead_one.err(), Some(Error::DeviceLost { .. })));
    let next = WgpuEngine::<CpuTranscript>::try_new(params).unwrap();
    next.verify(&vk, &prove(&next).unwrap()).unwrap();
}
