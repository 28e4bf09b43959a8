//! The memory of a proof, said before it.

use logup_wgpu::{FieldForm, Gpu};
use openvm_stark_backend::{StarkEngine, prover::DeviceDataTransporter, test_utils::test_system_params_small};
use openvm_stark_sdk::config::baby_bear_poseidon2::CpuTranscript;
use openvm_wgpu::{WgpuEngine, WgpuOptions};

use crate::{
    air::Spec,
    case::{Case, all_kinds, small},
    support::gpu,
};

/// Expected and used bytes of a proof on a device that has made no other.
pub fn expected_and_used(case: &Case, gpu: &Gpu, options: WgpuOptions) -> [u64; 2] {
    let engine = WgpuEngine::<CpuTranscript>::with_device(case.device(gpu, options));
    let device = engine.device();
    let key = device.transport_pk_to_device(&case.key);
    let context = case.context(device);
    let before = device.peak_device_bytes();
    let expected = device.expected_peak_device_bytes(&key, &context).unwrap();
    assert_eq!(device.peak_device_bytes(), before, "what is expected takes no memory");
    let checking = device.clone().checking_constraints(true).expected_peak_device_bytes(&key, &context).unwrap();
    assert!(checking >= expected, "a check's scratch: {checking} and {expected}");
    engine.prove(&key, context).unwrap();
    [expected, device.peak_device_bytes()]
}

/// A proof takes what was said, to the byte, and is refused if that says so.
#[test]
fn proofs_take_what_was_expected() {
    let tall =
        Case::known(test_system_params_small(4, 9, 3), vec![all_kinds(12), all_kinds(9), Spec { random_columns: 60, ..all_kinds(10) }]);
    let cases = [tall, small(), Case::known(test_system_params_small(0, 6, 2), vec![all_kinds(1)])];
    let gpu = gpu(FieldForm::U64);
    for (i, case) in cases.iter().enumerate() {
        let [without, _] = expected_and_used(case, gpu, WgpuOptions::default());
        let budget = WgpuOptions { memory_budget: Some(without / 2), ..WgpuOptions::default() };
        let copies = WgpuOptions { host_copies: true, ..WgpuOptions::default() };
        let device_alone = WgpuOptions { max_host_len: Some(0), rounds_per_wait: Some(1), ..WgpuOptions::default() };
        for options in [WgpuOptions::default(), budget, copies, device_alone] {
            let [expected, used] = expected_and_used(case, gpu, options);
            assert_eq!(expected, used, "case {i}, {options:?}");
        }
        let device = case.device(gpu, WgpuOptions { memory_budget: Some(without / 16), ..WgpuOptions::default() });
        let key = device.transport_pk_to_device(&case.key);
        let context = case.context(&case.device(gpu, WgpuOptions::default()));
        let refused = device.expected_peak_device_bytes(&key, &context).unwrap_err();
        let error = WgpuEngine::<CpuTranscript>::with_device(device).prove(&key, context).unwrap_err();
        assert_eq!(refused.to_string(), error.to_string(), "case {i}");
    }
}
