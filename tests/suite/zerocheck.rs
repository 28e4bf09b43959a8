//! The constraints' polynomial on traces that satisfy them: the stock prover's, the formula's, and the engine's in every form, strategy and
//! schedule.

use logup_wgpu::{EF, FieldForm, Strategy, reference};
use p3_field::PrimeCharacteristicRing;
use proptest::prelude::*;

use crate::{
    stock::{StockAir, StockInstance},
    support::{
        Case, check_all, random_ef, rng,
        satisfying::{Size, by_rows, case_with_bits, satisfying_case},
    },
};

/// By the stock prover. It must be what the formula gives, and the reference.
fn expected(case: &Case) -> logup_wgpu::Round0Polys {
    let stock_air = StockAir::of_air(&case.air);
    let mut expected = StockInstance::new(&stock_air, case).round0();
    // The stock prover sees degrees of expressions before ours were simplified, and has as many coefficients.
    assert_eq!(stock_air.degree, case.air.constraint_degree());
    expected.zerocheck = StockInstance::new(&stock_air, case).zerocheck();
    let reference = case.reference();
    crate::support::assert_same(&reference, &expected, "the reference");
    let point = random_ef(&mut rng(7), 1)[0];
    let at_point = case.with_reference(|instance| reference::round0_at(instance, point));
    assert_eq!(expected.zerocheck_at(point), at_point.zerocheck, "the formula");
    expected
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn satisfying_airs_equal_the_stock_prover(
        seed: u64,
        max_degree in 1usize..=4,
        num_columns in 2usize..12,
        num_ops in 0usize..6,
        num_interactions in 0usize..3,
        l_skip in 0usize..=4,
        log_height in 0usize..=6,
    ) {
        let size = Size { max_degree, num_columns, num_ops, num_interactions };
        let case = satisfying_case(&mut rng(seed), size, l_skip, 1 << log_height);
        let expected = expected(&case);
        check_all(&[case], &[expected]);
    }
}

/// Skip domains up to 2^9 points, below, at and above the height.
#[test]
fn large_skip_domains_equal_the_stock_prover() {
    let size = Size { max_degree: 4, num_columns: 6, num_ops: 3, num_interactions: 1 };
    for (seed, l_skip, log_height) in [(1, 5, 5), (2, 6, 8), (3, 7, 7), (4, 8, 3), (5, 9, 10)] {
        let case = satisfying_case(&mut rng(seed), size, l_skip, 1 << log_height);
        let expected = expected(&case);
        check_all(&[case], &[expected]);
    }
}

/// Several AIRs of different heights in one call, with interactions, constraints or both.
#[test]
fn halves_share_a_call() {
    let mut rng = rng(11);
    let size = Size { max_degree: 3, num_columns: 9, num_ops: 4, num_interactions: 2 };
    let mut cases = vec![];
    for log_height in [1, 4, 6] {
        let case = satisfying_case(&mut rng, size, 3, 1 << log_height);
        let without_interactions = Case { air: case.air.clone().without_interactions(), weights: vec![], ..case.clone() };
        cases.push(Case { air: case.air.clone().without_constraints(), ..case.clone() });
        cases.push(without_interactions);
        cases.push(case);
    }
    let expected: Vec<_> = cases.iter().map(expected).collect();
    assert!(expected[1].numerator.is_empty() && expected[0].zerocheck.is_empty());
    assert!(expected[2].zerocheck.iter().any(|&coefficient| coefficient != EF::ZERO));
    check_all(&cases, &expected);
}

/// Roots that share a weight are summed first, and forms that differ little made from each other. Bits are looked up in skip domains of 16 and 32 points, and are cells elsewhere; of rows both ways, of lifted traces too.
#[test]
fn boolean_columns_are_looked_up() {
    for (l_skip, log_height) in [(3, 5), (4, 0), (4, 3), (4, 4), (4, 9), (5, 2), (5, 5), (5, 9)] {
        let case = case_with_bits(l_skip, 1 << log_height);
        let plan = case.plan(Strategy::Split);
        assert_eq!(plan.num_look_ups() >= 30, (4..=5).contains(&l_skip), "2^{l_skip} points");
        let sources = plan.shader_sources(FieldForm::U64, 1);
        let has_line = |is: fn(&str) -> bool| sources.iter().any(|source| source.lines().any(is));
        assert!(has_line(|line| line.starts_with("    let s") && line.contains("dot4(job")), "sums of roots that share a weight");
        assert!(has_line(|line| line.starts_with("    c") && line.contains("= f_add2(c")), "differences of forms");
        let expected = expected(&case);
        let rows = by_rows(&case);
        check_all(&[case, rows], &[expected.clone(), expected]);
    }
}
