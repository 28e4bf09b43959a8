//! The portable form (16-bit limbs, WebGPU's default limits) through a second WGSL compiler: recordings run in Dawn.
//!
//! Every kernel that fits 8 storage buffers, with 1 and 2 trace windows, both strategies, schedules and layouts. `make check-portable`
//! installs Dawn and runs this; `cargo test` alone leaves it out.

mod support;

use std::collections::BTreeSet;

use logup_wgpu::{AirBuilder, EF, F, FieldForm, Layout, Round0, Round0Polys, Strategy, compute::Variant, introspect::kernels};
use p3_field::{BasedVectorSpace, PrimeField32};
use support::{
    Case, STRATEGIES, Uploaded, assert_found,
    dawn::Dawn,
    failing_case,
    field_ops::{OPS, expected, operands},
    portable::{Group, check, webgpu},
    random_air::{Size, random_case},
    rng,
    satisfying::{by_rows, case_with_bits},
    wide_air::wide_case,
};

fn references(cases: &[Case]) -> Vec<Round0Polys> {
    cases.iter().map(Case::reference).collect()
}

/// Random DAGs, in every skip domain around those that kernels treat apart, both layouts.
fn random_cases() -> Vec<Case> {
    let size = Size { max_degree: 3, num_ops: 20, num_interactions: 3, max_message_len: 4 };
    let shapes = [(0, 8), (1, 2), (2, 64), (3, 1), (3, 128), (4, 2), (4, 256), (5, 64), (6, 256), (8, 512)];
    let with_layouts = |(seed, &(l_skip, height))| {
        let case = random_case(&mut rng(seed as u64), size, l_skip, height);
        [Layout::ColMajor, Layout::RowMajor].map(|layout| Case { layout, ..case.clone() })
    };
    let bits = [case_with_bits(4, 64), by_rows(&case_with_bits(5, 128))];
    shapes.iter().enumerate().flat_map(with_layouts).chain(bits).collect()
}

/// Kernels without a trace window.
fn case_without_columns() -> Case {
    let mut air = AirBuilder::new("no columns");
    air.public_values(1);
    let (public, first, transition) = (air.public_value(0), air.is_first_row(), air.is_transition());
    let product = air.mul(first, transition);
    air.interaction(1, [public, product], first);
    Case::random(air.build().unwrap(), 2, 1, (None, &[]), 1, &mut rng(3))
}

fn variants(fits: impl Fn(Variant) -> bool) -> BTreeSet<(&'static str, u32)> {
    let all = kernels::variants().filter(|variant| variant.form == FieldForm::U32 && fits(*variant));
    all.map(|variant| (variant.kernel.name, variant.slots)).collect()
}

#[test]
#[ignore = "runs in Dawn: make check-portable"]
fn calls_equal_the_reference() {
    let gpu = webgpu(|_| {});
    assert_eq!((gpu.limits().binding_alignment, gpu.limits().max_slots()), (256, 2));
    let small_windows = webgpu(|limits| limits.max_storage_buffer_binding_size = 64 << 10);

    let random = random_cases();
    let two_buffers: Vec<Case> = random.iter().filter(|case| case.matrices().len() <= 2).cloned().collect();
    let no_columns = [case_without_columns()];
    let two_windows = [Layout::ColMajor, Layout::RowMajor].map(|layout| wide_case(8, 1 << 12, layout, true));
    // More windows than a dispatch binds: dispatches are cut.
    let five_windows = [Layout::ColMajor, Layout::RowMajor].map(|layout| wide_case(20, 1 << 12, layout, false));
    let [random_polys, two_buffers_polys, no_columns_polys, two_windows_polys, five_windows_polys] =
        [&random[..], &two_buffers, &no_columns, &two_windows, &five_windows].map(references);

    let mut groups = vec![Group::together(&small_windows, &five_windows, Strategy::Split, &five_windows_polys)];
    for strategy in STRATEGIES {
        groups.push(Group::together(&gpu, &random, strategy, &random_polys));
        groups.push(Group::apart(&gpu, &two_buffers, strategy, &two_buffers_polys));
        groups.push(Group::together(&gpu, &no_columns, strategy, &no_columns_polys));
        groups.push(Group::together(&small_windows, &two_windows, strategy, &two_windows_polys));
    }
    let ran = check(Dawn::new("calls", 8), &groups);
    // Those of calls, all that 8 storage buffers have room for.
    let of_calls = |variant: Variant| ![kernels::stage::TOOL, kernels::stage::CHECKS].contains(&variant.kernel.stage);
    assert_eq!(ran.variants, variants(|variant| of_calls(variant) && variant.needs().storage_buffers <= 8));
}

/// Devices that have more storage buffers than WebGPU's 8 run kernels with more windows.
#[test]
#[ignore = "runs in Dawn: make check-portable"]
fn four_windows_equal_the_reference() {
    let gpu = webgpu(|limits| limits.max_storage_buffers_per_shader_stage = 9);
    assert_eq!(gpu.limits().max_slots(), 4);
    let cases = random_cases();
    let expected = references(&cases);
    let groups = STRATEGIES.map(|strategy| Group::apart(&gpu, &cases, strategy, &expected));
    let ran = check(Dawn::new("four-windows", 9), &groups);
    let of_calls = |variant: Variant| variant.kernel != &kernels::CHECK_CONSTRAINTS && variant.slots == 4;
    assert!(ran.variants.is_superset(&variants(of_calls)), "{:?}", ran.variants);
}

/// Checks of constraints, in 0, 1, 2 and 4 windows.
#[test]
#[ignore = "runs in Dawn: make check-portable"]
fn checks_equal_the_reference() {
    let gpu = webgpu(|limits| limits.max_storage_buffers_per_shader_stage = 9);
    let cases = [0, 1, 2, 4].map(|num_parts| [failing_case(num_parts, 1 << 12, Layout::ColMajor)]);
    let (round0, mut dawn) = (Round0::new(&gpu), Dawn::new("checks", 9));
    let uploaded = cases.each_ref().map(|case| Uploaded::apart(&gpu, case, Strategy::Split));
    let checks = uploaded.each_ref().map(|uploaded| {
        let check = round0.record_check(&uploaded.instances()).unwrap();
        let submissions = dawn.call(&gpu, check.recording.as_slice());
        (check, submissions)
    });
    let ran = dawn.run();
    assert!(ran.variants.is_superset(&variants(|variant| variant.kernel == &kernels::CHECK_CONSTRAINTS && variant.slots <= 4)));
    for ((case, uploaded), (check, submissions)) in cases.iter().zip(&uploaded).zip(checks) {
        let [result] = &ran.results[submissions] else { panic!("one submission") };
        let found = check.found(&uploaded.instances(), result.clone()).unwrap();
        assert_found(&found, case, "Dawn");
    }
    println!("{} submissions, {} kernels, {} words compared on {}", ran.results.len(), ran.num_kernels, ran.num_words(), ran.adapter);
}

/// The field kernel alone: every operation against p3.
#[test]
#[ignore = "runs in Dawn: make check-portable"]
fn field_operations_equal_p3() {
    let words = |elements: &[EF]| -> Vec<u32> {
        let coefficients = |element: &EF| -> [F; 4] { element.as_basis_coefficients_slice().try_into().unwrap() };
        elements.iter().flat_map(coefficients).map(|word| word.to_unique_u32()).collect()
    };
    let (a, b) = operands();
    let variant = Variant { kernel: &kernels::FIELD_OPS, form: FieldForm::U32, slots: 0 };
    let mut dawn = Dawn::new("field", 8);
    for op in OPS {
        let params = [op as u32, 1];
        dawn.kernel(variant, &[&params, &words(&a), &words(&b)], 4 * a.len(), [a.len().div_ceil(256) as u32, 1]);
    }
    let ran = dawn.run();
    assert_eq!(ran.results.len(), OPS.len());
    for (op, result) in OPS.into_iter().zip(&ran.results) {
        let expected: Vec<EF> = a.iter().zip(&b).map(|(&x, &y)| expected(op, x, y)).collect();
        assert!(*result == words(&expected), "{op:?}");
    }
    println!("{} submissions, {} kernels, {} words compared on {}", ran.results.len(), ran.num_kernels, ran.num_words(), ran.adapter);
}

/// A mistake in a kernel shows: what runs in Dawn is the text that was given to it, and its results are what is compared.
#[test]
#[ignore = "runs in Dawn: make check-portable"]
fn a_mistake_shows() {
    let gpu = webgpu(|_| {});
    let case = [Case { layout: Layout::ColMajor, ..random_cases().swap_remove(12) }];
    let expected = references(&case);
    let uploaded = Uploaded::together(&gpu, &case, Strategy::Split);
    let round0 = Round0::new(&gpu);
    let instances = uploaded.instances();
    let run = |folder: &str, from: &'static str, to: &'static str| {
        let call = round0.record(&uploaded.challenges(), &instances).unwrap();
        let mut dawn = Dawn::edited(folder, move |text| text.replace(from, to));
        dawn.call(&gpu, &call.recordings);
        call.polys(dawn.run().results)
    };
    assert_eq!(run("as-it-is", "", "").unwrap(), expected);
    for (folder, from, to) in [
        ("field", "return min(sum, sum - P);", "return max(sum, sum - P);"),
        ("limbs", "(cross_1 >> 16u) + (middle >> 16u)", "(cross_1 >> 16u)"),
        ("nonce", "vec4<u32>(job.nonce, 0u, 0u, 0u)", "vec4<u32>(0u, 0u, 0u, 0u)"),
    ] {
        let mistaken = run(&format!("mistake-{folder}"), from, to);
        assert!(mistaken.is_err() || mistaken.unwrap() != expected, "{from} is {to}, and nothing shows");
    }
}
