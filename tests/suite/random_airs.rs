//! Random interaction DAGs of degree up to 4 against the naive reference, in every field form, strategy and schedule. Proptest prints
//! the seed of a failing case and shrinks its size.

use crate::support::random_air::{Size, random_case};
use proptest::prelude::*;

proptest! {
    // Every AIR is compiled: a few tenths of a second on lavapipe, twice.
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_dags_equal_the_reference(
        seed: u64,
        max_degree in 1usize..=4,
        num_ops in 0usize..40,
        num_interactions in 0usize..6,
        max_message_len in 0usize..5,
        l_skip in 0usize..=4,
        log_height in 0usize..=7,
    ) {
        let size = Size { max_degree, num_ops, num_interactions, max_message_len };
        let case = random_case(&mut crate::support::rng(seed), size, l_skip, 1 << log_height);
        let expected = case.reference();
        crate::support::check_all(&[case], &[expected]);
    }

    /// Several AIRs of different heights and skip domains in one call.
    #[test]
    fn random_batches_equal_the_reference(seed: u64, shapes in prop::collection::vec((0usize..=4, 0usize..=7), 1..6)) {
        let mut rng = crate::support::rng(seed);
        let size = Size { max_degree: 3, num_ops: 15, num_interactions: 3, max_message_len: 3 };
        let cases: Vec<_> = shapes.iter().map(|&(l_skip, log_height)| random_case(&mut rng, size, l_skip, 1 << log_height)).collect();
        let expected: Vec<_> = cases.iter().map(|case| case.reference()).collect();
        crate::support::check_all(&cases, &expected);
    }
}

#[test]
fn large_skip_domains_equal_the_reference() {
    let size = Size { max_degree: 3, num_ops: 12, num_interactions: 3, max_message_len: 3 };
    for (seed, l_skip, log_height) in [(1, 6, 8), (2, 8, 9), (3, 8, 3), (4, 9, 10), (5, 9, 0)] {
        let case = random_case(&mut crate::support::rng(seed), size, l_skip, 1 << log_height);
        let expected = case.reference();
        crate::support::check_all(&[case], &[expected]);
    }
}
