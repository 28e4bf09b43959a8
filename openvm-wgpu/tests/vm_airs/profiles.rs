//! The AIRs on weaker devices than the one at hand.

use logup_wgpu::{Gpu, GpuOptions, Profile, Round0};

use crate::{
    fixtures::vm_airs::keccak_vm_airs,
    stock::StockInstance,
    support::{Case, STRATEGIES, Uploaded, assert_same, rng},
};

#[test]
fn all_airs_are_exact_under_each_profile() {
    let airs = keccak_vm_airs();
    let cases: Vec<Case> = airs.iter().map(|air| air.random_case(4, 32, &mut rng(9))).collect();
    let expected: Vec<_> = airs.iter().zip(&cases).map(|(air, case)| StockInstance::new(air, case).round0()).collect();
    for profile in Profile::ALL {
        let options = GpuOptions { profile: Some(profile), ..GpuOptions::default() };
        let gpu = Gpu::new(options).unwrap_or_else(|error| panic!("{profile:?}: {error}"));
        for strategy in STRATEGIES {
            let output = Uploaded::together(&gpu, &cases, strategy).evaluate(&Round0::new(&gpu));
            for ((case, got), expected) in cases.iter().zip(&output.polys).zip(&expected) {
                assert_same(got, expected, &format!("{profile:?}, {strategy:?}, {}", case.air.name()));
            }
        }
    }
}
