//! Whole proofs of random keys and traces, by both engines.

use logup_wgpu::{Gpu, GpuOptions};
use openvm_stark_backend::test_utils::test_system_params_small;
use openvm_wgpu::WgpuOptions;
use proptest::prelude::*;
use rand::{Rng, rngs::StdRng};

use crate::{air::Spec, case::Case, support::rng};

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
        let [ours, theirs] = case.whole_proofs(&Gpu::new(GpuOptions::default()).unwrap(), options);
        prop_assert!(ours == theirs, "the proofs of {:#?} differ", case.specs);
    }
}
