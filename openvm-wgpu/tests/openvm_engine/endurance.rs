//! Memory stays flat over 50 proofs.

use logup_wgpu::FieldForm;
use openvm_stark_backend::{
    StarkEngine,
    prover::DeviceDataTransporter,
    test_utils::{TestFixture, test_system_params_small},
};
use openvm_stark_sdk::config::baby_bear_poseidon2::CpuTranscript;
use openvm_wgpu::WgpuEngine;

use crate::{
    fixtures::pair_air::{PairAir, PairFixture},
    support::{flat::is_flat, gpu},
};

#[test]
fn proofs() {
    let params = test_system_params_small(2, 8, 3);
    let fixture = PairFixture((0..4).map(|i| PairAir::plain(4, 16 << i)).collect());
    let mut prover = None;
    is_flat(
        "endurance::proofs",
        || gpu(FieldForm::U64).clone(),
        50,
        "proofs",
        |gpu, _| {
            let (engine, pk, vk) = prover.get_or_insert_with(|| {
                let engine = WgpuEngine::<CpuTranscript>::with_gpu(params.clone(), gpu).unwrap();
                let (pk, vk) = fixture.keygen(&engine);
                let pk = engine.device().transport_pk_to_device(&pk);
                (engine, pk, vk)
            });
            let context = engine.device().transport_proving_ctx_to_device(&fixture.generate_proving_ctx());
            let proof = engine.prove(pk, context).unwrap();
            engine.verify(vk, &proof).unwrap();
        },
    );
}
