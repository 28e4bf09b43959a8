//! Every storage access of every kernel lies within its binding: what `shader_checks: false` relies on.
//!
//! Kernels are compiled with each index of a storage array compared with the array's length. A thread that was outside once stores words
//! that are no field elements from then on, and the result is not right any more. (With the checks of wgpu on, an index outside would be
//! clamped, and the result be right by luck.)

use std::sync::Arc;

use crate::support::{
    Case, SCHEDULES, STRATEGIES, Uploaded, assert_found,
    fence::fenced,
    random_air::{Size, random_case},
    rng, satisfying,
};
use logup_wgpu::{Error, F, FieldForm, Gpu, GpuOptions, Layout, Round0, Round0Polys, Schedule, Strategy, introspect::EditShader};
use p3_field::PrimeCharacteristicRing;

/// A device whose kernels are fenced, and changed before by `edit`.
fn fenced_gpu(form: FieldForm, edit: fn(String) -> String) -> Gpu {
    let edit_shader = Some(EditShader(Arc::new(move |_, source| fenced(&edit(source)))));
    Gpu::new(GpuOptions { field_form: Some(form), known_answers: false, edit_shader, ..GpuOptions::default() }).unwrap()
}

/// Skip domains around those that kernels treat apart, heights below and above, one matrix in a buffer and several.
fn cases() -> Vec<Case> {
    let size = Size { max_degree: 3, num_ops: 25, num_interactions: 4, max_message_len: 4 };
    let shapes = [(0, 8), (1, 2), (2, 64), (3, 1), (4, 2), (4, 1 << 11), (5, 64), (8, 1 << 10), (10, 1 << 11)];
    shapes
        .iter()
        .enumerate()
        .flat_map(|(seed, &(l_skip, height))| {
            let case = random_case(&mut rng(seed as u64), size, l_skip, height);
            [Layout::ColMajor, Layout::RowMajor].map(|layout| Case { layout, ..case.clone() })
        })
        .collect()
}

fn results(gpu: &Gpu, cases: &[Case], schedule: Schedule, apart: bool) -> Vec<Result<Vec<Round0Polys>, Error>> {
    let results = STRATEGIES.map(|strategy| {
        let uploaded = if apart { Uploaded::apart(gpu, cases, strategy) } else { Uploaded::together(gpu, cases, strategy) };
        Round0::with_schedule(gpu, schedule).evaluate(&uploaded.challenges(), &uploaded.instances()).map(|output| output.polys)
    });
    results.into()
}

#[test]
fn no_kernel_reaches_outside_its_bindings() {
    let cases = cases();
    let expected: Vec<Round0Polys> = cases.iter().map(Case::reference).collect();
    for form in FieldForm::ALL {
        let gpu = fenced_gpu(form, |source| source);
        for schedule in SCHEDULES {
            for apart in [false, true] {
                for result in results(&gpu, &cases, schedule, apart) {
                    assert!(result.unwrap() == expected, "{form:?}, {schedule:?}, apart: {apart}");
                }
            }
        }
    }
}

/// The same of checks, whose rows lie in few tiles and many.
#[test]
fn no_check_reaches_outside_its_bindings() {
    let size = satisfying::Size { max_degree: 3, num_columns: 9, num_ops: 4, num_interactions: 0 };
    let cases: Vec<Case> = [1, 2, 64, 1 << 13]
        .iter()
        .map(|&height| {
            let mut case = satisfying::satisfying_case(&mut rng(height), size, 2, height as usize);
            let last = &mut case.main.last_mut().expect("a part").0;
            last.iter_mut().step_by(5).for_each(|cell| *cell += F::ONE);
            case
        })
        .collect();
    let found = |gpu: &Gpu, apart: bool| {
        let uploaded = if apart { Uploaded::apart(gpu, &cases, Strategy::Split) } else { Uploaded::together(gpu, &cases, Strategy::Split) };
        Round0::new(gpu).check_constraints(&uploaded.instances())
    };
    for form in FieldForm::ALL {
        for apart in [false, true] {
            let check = found(&fenced_gpu(form, |source| source), apart).unwrap();
            assert_found(&check, &cases, &format!("{form:?}, apart: {apart}"));
        }
    }
    let wrong = fenced_gpu(FieldForm::U64, |source| source.replace("let base = word(column);", "let base = word(column) + 0x1000000u;"));
    let right = found(&fenced_gpu(FieldForm::U64, |source| source), false).unwrap();
    assert!(found(&wrong, false).map_or(true, |check| check.failing != right.failing), "cells outside");
}

/// The fence sees what was wrong once: tables of another coset read on `D`, where under `PerCoset` none are bound.
#[test]
fn the_fence_sees_an_index_outside() {
    let gpu = fenced_gpu(FieldForm::U64, |source| source.replace("if job.identity == 0u {\n        plus", "if true {\n        plus"));
    let cases = cases();
    let expected: Vec<Round0Polys> = cases.iter().map(Case::reference).collect();
    let split = results(&gpu, &cases, Schedule::PerCoset, false).swap_remove(0);
    assert!(split.is_err() || split.unwrap() != expected);
}
