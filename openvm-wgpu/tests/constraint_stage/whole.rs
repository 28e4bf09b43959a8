//! Whole proofs: of random keys and traces by both engines, and what one of ours reads and brings to the device.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use logup_wgpu::{FieldForm, Gpu, GpuOptions, compute::Recording};
use openvm_stark_backend::{StarkEngine, test_utils::test_system_params_small};
use openvm_stark_sdk::config::baby_bear_poseidon2::CpuTranscript;
use openvm_wgpu::{RecordingObserver, WgpuEngine, WgpuOptions, kernels};
use proptest::prelude::*;
use rand::{Rng, rngs::StdRng};

use crate::{
    air::Spec,
    case::{Case, all_kinds},
    memory::expected_and_used,
    support::{gpu, rng},
};

/// Up to four AIRs of up to 2^8 rows, some of which take no part.
fn random(rng: &mut StdRng, l_skip: usize, max_degree: usize) -> Case {
    // The test configuration has no fewer than 2^5 stacked rows.
    let n_stack = rng.random_range(5usize.saturating_sub(l_skip).max(2)..=10 - l_skip);
    let num = rng.random_range(1..5);
    let specs = (0..num).map(|_| {
        let log_height = rng.random_range(0..=(l_skip + n_stack).min(8));
        Spec::random(rng, log_height, max_degree, 4)
    });
    let specs: Vec<Spec> = specs.collect();
    let absent: Vec<usize> = (1..num).filter(|_| rng.random_bool(0.2)).collect();
    Case::new(rng, test_system_params_small(l_skip, n_stack, 3), specs, &absent)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, max_shrink_iters: 0, ..ProptestConfig::default() })]

    #[test]
    fn random_proofs_are_the_stock_engines(seed: u64, l_skip in 0usize..6, max_degree in 1usize..5, without_host: bool) {
        let case = random(&mut rng(seed), l_skip, max_degree);
        let options = if without_host { WgpuOptions { max_host_len: Some(0), ..WgpuOptions::default() } } else { WgpuOptions::default() };
        // A device of its own: one that has compiled for many keys compiles slowly (lavapipe).
        let gpu = Gpu::new(GpuOptions::default()).unwrap();
        let [ours, theirs] = case.whole_proofs(&gpu, options);
        prop_assert!(ours == theirs, "the proofs of {:#?} differ", case.specs);
        let [expected, used] = expected_and_used(&case, &gpu, options);
        prop_assert!(expected.abs_diff(used) <= used / 10, "{expected} bytes expected, {used} used by {:#?}", case.specs);
    }
}

/// Counts recordings that read all columns.
#[derive(Default)]
struct Reads(AtomicUsize);

impl RecordingObserver for Reads {
    fn before(&self, recording: &Recording) {
        let reads = recording.dispatches.iter().any(|dispatch| dispatch.kernel.name == kernels::OPENING_SUMS.name);
        self.0.fetch_add(reads.into(), Ordering::Relaxed);
    }

    fn after(&self, _: &[u32]) {}
}

/// The openings of columns and the stacked reduction share one read of them, but within a budget; and only a key's first proof brings its instructions.
#[test]
fn columns_are_read_once_and_instructions_stay() {
    let case = Case::known(test_system_params_small(2, 6, 3), vec![all_kinds(8), all_kinds(5)]);
    for (memory_budget, expected) in [(None, 1), (Some(1 << 30), 2)] {
        let reads = Arc::new(Reads::default());
        let device = case.device(gpu(FieldForm::U64), WgpuOptions { memory_budget, ..WgpuOptions::default() });
        let engine = WgpuEngine::<CpuTranscript>::with_device(device.observed_by(reads.clone()));
        let mut up_bytes = vec![];
        for _ in 0..2 {
            let before = reads.0.load(Ordering::Relaxed);
            case.whole_proof(&engine);
            assert_eq!(reads.0.load(Ordering::Relaxed) - before, expected, "{memory_budget:?}");
            up_bytes.push(engine.device().last_mle_rounds_stats().unwrap().part.up_bytes);
        }
        assert!(up_bytes[1] + 16 <= up_bytes[0], "{up_bytes:?}");
    }
}
