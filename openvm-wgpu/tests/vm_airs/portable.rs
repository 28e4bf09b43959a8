//! The AIRs in Dawn, through a second WGSL compiler: see `tests/portable.rs` of the repository.

use logup_wgpu::Round0Polys;

use crate::{
    fixtures::vm_airs::keccak_vm_airs,
    stock::StockInstance,
    support::{
        Case, STRATEGIES,
        dawn::Dawn,
        portable::{Group, check, webgpu},
        rng,
    },
};

/// All 26 AIRs of OpenVM's keccak VM against the stock prover.
#[test]
#[ignore = "runs in Dawn: make check-portable"]
fn openvm_airs_equal_the_stock_prover() {
    let gpu = webgpu(|_| {});
    let airs = keccak_vm_airs();
    assert_eq!(airs.len(), 26);
    let of_height = |height: usize| -> (Vec<Case>, Vec<Round0Polys>) {
        let mut rng = rng(height as u64);
        let cases: Vec<Case> = airs.iter().map(|air| air.random_case(4, height, &mut rng)).collect();
        let expected = airs.iter().zip(&cases).map(|(air, case)| StockInstance::new(air, case).round0()).collect();
        (cases, expected)
    };
    let calls = [1, 32].map(of_height);
    let ways = calls.iter().flat_map(|call| STRATEGIES.map(|strategy| (call, strategy)));
    let groups: Vec<_> = ways.map(|((cases, expected), strategy)| Group::together(&gpu, cases, strategy, expected)).collect();
    check(Dawn::new("openvm", 8), &groups);
}
