//! `check_constraints` finds what the reference finds: which constraints fail, on how many rows, and the first of them.

use std::{collections::BTreeSet, time::Duration};

use logup_wgpu::{
    AirBuilder, ConstraintCheck, Error, F, FieldForm, GpuOptions, Instance, Layout, Matrix, Round0, Round0Plan, Strategy, Trace,
};
use p3_field::PrimeCharacteristicRing;
use proptest::prelude::*;
use rand::Rng;

use crate::support::{
    Case, Uploaded, assert_found, gpu, gpu_of_my_own, limited_gpu, rng,
    satisfying::{Size, satisfying_case},
};

/// The case with so many cells changed.
fn broken(case: &Case, num_cells: usize, seed: u64) -> Case {
    let (mut case, mut rng) = (case.clone(), rng(seed));
    for _ in 0..num_cells {
        let part = rng.random_range(0..case.main.len());
        let cells = &mut case.main[part].0;
        if !cells.is_empty() {
            let at = rng.random_range(0..cells.len());
            cells[at] += F::from_u32(rng.random_range(1..1000));
        }
    }
    case
}

fn check(form: FieldForm, cases: &[Case]) -> ConstraintCheck {
    let uploaded = Uploaded::together(gpu(form), cases, Strategy::Split);
    let found = Round0::new(gpu(form)).check_constraints(&uploaded.instances()).unwrap();
    assert_found(&found, cases, &format!("{form:?}"));
    let with_constraints = || cases.iter().filter(|case| !case.air.constraints().is_empty());
    assert_eq!(found.num_rows, with_constraints().map(|case| case.height as u64).sum::<u64>());
    assert_eq!(found.num_constraints, with_constraints().map(|case| case.air.constraints().len()).sum::<usize>());
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_fails_is_found(
        seed: u64,
        max_degree in 1usize..=4,
        num_columns in 2usize..12,
        num_ops in 0usize..6,
        log_height in 0usize..=12,
        num_cells in 1usize..40,
    ) {
        let size = Size { max_degree, num_columns, num_ops, num_interactions: 1 };
        let case = satisfying_case(&mut rng(seed), size, 2, 1 << log_height);
        let bare = Case { air: case.air.clone().without_constraints(), ..case.clone() };
        let cases = [broken(&case, num_cells, seed), bare, case, broken(&satisfying_case(&mut rng(seed), size, 2, 8), 1, seed)];
        for form in FieldForm::ALL {
            let found = check(form, &cases);
            prop_assert!(found.failing.iter().all(|failing| failing.instance % 3 == 0), "{:?}", found.failing);
        }
    }
}

/// Nothing fails: no error; something does: the error names the first constraint, its first row, and how much else there is.
#[test]
fn the_error_names_air_constraint_and_row() {
    let mut air = AirBuilder::new("bits");
    let main = air.main_part(2);
    for column in 0..2 {
        let bit = air.column(main, column);
        let square = air.mul(bit, bit);
        let is_bit = air.sub(square, bit);
        air.constraint(is_bit);
    }
    let plan = Round0Plan::new(air.build().unwrap(), 2, Strategy::Split).unwrap();
    let gpu = gpu(FieldForm::U64);
    let round0 = Round0::new(gpu);
    let check = |cells: &[F]| {
        let trace = Trace::new(gpu, Matrix::col_major(cells, 2)).unwrap();
        round0.check_constraints(&[Instance::new(&plan).main([&trace])]).unwrap()
    };
    let mut cells = vec![F::ONE; 2 * 64];
    check(&cells).satisfied().unwrap();
    cells[64 + 9] = F::TWO;
    cells[64 + 60] = F::NEG_ONE;
    let found = check(&cells);
    let error = found.satisfied().unwrap_err();
    assert!(matches!(error, Error::Unsatisfied { constraint: 1, row: 9, num_rows: 2, num_constraints: 1, .. }), "{error:?}");
    assert_eq!(error.to_string(), "AIR \"bits\": constraint 1 is not zero on row 9; it fails on 2 rows, and 1 constraint fails in all");
    assert_eq!(found.failing[0].to_string(), "AIR \"bits\": constraint 1 is not zero on 2 rows: 9, 60");
    assert!(round0.check_constraints(&[]).unwrap().failing.is_empty());
}

/// A constraint that fails on every row of a tall trace: all are counted, and the first are the first.
#[test]
fn all_rows_of_a_tall_trace_can_fail() {
    let mut air = AirBuilder::new("tall");
    let main = air.main_part(1);
    let (here, next, last) = (air.column(main, 0), air.next(main, 0), air.is_last_row());
    let product = air.mul(here, next);
    let on_last = air.mul(last, here);
    [product, here, on_last].into_iter().for_each(|constraint| air.constraint(constraint));
    let plan = Round0Plan::new(air.build().unwrap(), 4, Strategy::Split).unwrap();
    let cells = vec![F::TWO; 1 << 16];
    for form in FieldForm::ALL {
        for matrix in [Matrix::col_major(&cells, 1), Matrix::row_major(&cells, 1)] {
            let trace = Trace::new(gpu(form), matrix).unwrap();
            let check = Round0::new(gpu(form)).check_constraints(&[Instance::new(&plan).main([&trace])]).unwrap();
            let found: Vec<_> = check.failing.iter().map(|one| (one.constraint, one.num_rows, one.rows.clone())).collect();
            let first: Vec<usize> = (0..8).collect();
            assert_eq!(found, [(0, 1 << 16, first.clone()), (1, 1 << 16, first), (2, 1, vec![(1 << 16) - 1])]);
        }
    }
}

/// A case whose program needs many temporaries: a hundred columns that are all read before the first product.
fn wide_case(num_columns: usize, height: usize) -> Case {
    let mut air = AirBuilder::new("wide");
    let main = air.main_part(num_columns);
    let cells: Vec<_> = (0..num_columns).map(|i| air.column(main, i)).collect();
    let sum = cells.iter().copied().reduce(|a, b| air.add(a, b)).unwrap();
    for &cell in &cells {
        let product = air.mul(cell, sum);
        air.constraint(product);
    }
    Case { layout: Layout::ColMajor, ..Case::random(air.build().unwrap(), 2, height, (None, &[num_columns]), 0, &mut rng(3)) }
}

/// Where temporaries of all rows have no room, launches follow each other in the same memory; long work becomes several submissions; traces
/// in many windows become several launches.
#[test]
fn checks_fit_small_devices() {
    let case = wide_case(100, 1 << 12);
    let cases = [case.clone(), wide_case(30, 64)];
    let num_launches = |gpu: &logup_wgpu::Gpu| {
        let uploaded = Uploaded::apart(gpu, &cases, Strategy::Split);
        let round0 = Round0::new(gpu);
        let found = round0.check_constraints(&uploaded.instances()).unwrap();
        assert_found(&found, &cases, "small");
        let recording = round0.record_check(&uploaded.instances()).unwrap().recording.unwrap();
        (recording.dispatches.len(), recording.ends.len())
    };
    assert_eq!(num_launches(gpu(FieldForm::U64)), (2, 1));
    let small_windows = limited_gpu(FieldForm::U64, |limits| logup_wgpu::wgpu::Limits {
        max_storage_buffer_binding_size: 1 << 20,
        max_storage_buffers_per_shader_stage: 8,
        ..limits
    });
    let (launches, submissions) = num_launches(&small_windows);
    assert!(launches > 2 && submissions == 1, "{launches} launches");
    let short = GpuOptions { submission_budget: Some(Duration::from_micros(10)), ..GpuOptions::default() };
    let (launches, submissions) = num_launches(&gpu_of_my_own(short, |limits| limits));
    assert!(submissions > 2 && launches >= 2 * submissions - 1, "{launches} launches, {submissions} submissions");
}

/// Inputs that do not fit are refused, by name, and the next check is right.
#[test]
fn bad_inputs_are_refused() {
    let case = broken(&satisfying_case(&mut rng(5), Size { max_degree: 3, num_columns: 5, num_ops: 3, num_interactions: 0 }, 2, 16), 9, 1);
    let gpu = gpu(FieldForm::U64);
    let uploaded = Uploaded::together(gpu, std::slice::from_ref(&case), Strategy::Split);
    let round0 = Round0::new(gpu);
    let [good] = uploaded.instances().try_into().unwrap();
    let public_values = [F::ONE; 9];
    for bad in [good.clone().main([] as [&Trace; 0]), good.clone().public_values(&public_values)] {
        let error = round0.check_constraints(&[good.clone(), bad]).unwrap_err();
        assert!(matches!(error, Error::Length { .. }) && error.to_string().contains("satisfying AIR"), "{error}");
    }
    let other = limited_gpu(FieldForm::U64, |limits| limits);
    let foreign = Uploaded::together(&other, std::slice::from_ref(&case), Strategy::Split);
    assert!(matches!(round0.check_constraints(&foreign.instances()), Err(Error::OtherDevice { .. })));
    assert_found(&round0.check_constraints(&[good]).unwrap(), &[case], "after errors");
}

/// Results are read back by whoever runs a recorded check, and only those that fit it.
#[test]
fn recorded_checks_refuse_other_results() {
    let case = wide_case(3, 16);
    let gpu = gpu(FieldForm::U64);
    let uploaded = Uploaded::together(gpu, std::slice::from_ref(&case), Strategy::Split);
    let (round0, instances) = (Round0::new(gpu), uploaded.instances());
    let record = || round0.record_check(&instances).unwrap();
    let recording = record().recording.unwrap();
    let kernels: BTreeSet<&str> = recording.dispatches.iter().map(|dispatch| dispatch.kernel.name).collect();
    assert!(kernels.contains("check_constraints"));
    let words = logup_wgpu::compute::Executor::new(gpu).run(&recording).unwrap();
    let length = record().found(&instances, words[1..].to_vec()).unwrap_err();
    assert!(matches!(length, Error::Length { .. }), "{length}");
    let other_call = record().found(&instances, words).unwrap_err();
    assert!(matches!(other_call, Error::DeviceLost { .. }), "the nonce is another call's: {other_call}");
    assert!(matches!(record().found(&[], vec![]), Err(Error::Length { .. })));
}
