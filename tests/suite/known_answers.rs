//! A device that computes wrongly is caught before it computes for anyone: kernels' texts are broken on purpose, one mistake at a time.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use crate::support::{
    Case, Uploaded, assert_same, failing_case,
    mutant::Mutant,
    random_air::{Size, random_case},
    rng,
};
use logup_wgpu::{
    Error, FieldForm, Gpu, GpuOptions, Layout, Round0, Strategy,
    introspect::{EditShader, kernels},
};

fn broken(mutant: Mutant, form: FieldForm, known_answers: bool) -> Gpu {
    let edit_shader = Some(EditShader(Arc::new(move |kernel, source| mutant.apply(kernel, source))));
    Gpu::new(GpuOptions { field_form: Some(form), known_answers, edit_shader, ..GpuOptions::default() }).unwrap()
}

/// A case with an affine and a non-affine part that reads all its columns.
fn case(layout: Layout) -> Case {
    let mut air = logup_wgpu::AirBuilder::new("judged");
    let main = air.main_part(6);
    let cells: Vec<_> = (0..6).map(|i| if i == 4 { air.next(main, i) } else { air.column(main, i) }).collect();
    let (ab, cd) = (air.mul(cells[0], cells[1]), air.mul(cells[2], cells[4]));
    let (difference, transition) = (air.sub(ab, cd), air.is_transition());
    let gated = air.mul(cells[5], transition);
    air.interaction(3, [difference, cells[3], gated], cells[0]);
    Case { layout, ..Case::random(air.build().unwrap(), 4, 64, (None, &[6]), 0, &mut rng(8)) }
}

fn evaluate(gpu: &Gpu, strategy: Strategy, layout: Layout) -> Result<logup_wgpu::Round0Output, Error> {
    let case = case(layout);
    let uploaded = Uploaded::together(gpu, std::slice::from_ref(&case), strategy);
    Round0::new(gpu).evaluate(&uploaded.challenges(), &uploaded.instances())
}

/// Each mistake ends in `WrongAnswer` that names the kernel, at the first call and at every later one, and ahead of it in `warm_up`.
#[test]
fn mutated_kernels_are_caught() {
    let split = |mutant| (mutant, Strategy::Split, Layout::ColMajor);
    let mutants = [
        split(Mutant::of(&kernels::COLUMN_SUMS, "select(a, a - vec4<u32>(P), a > vec4<u32>(P >> 1u))", "a")),
        split(Mutant::of(&kernels::COLUMN_SUMS, "job.first_x + (tile.chunk << job.log_chunk)", "job.first_x + tile.chunk")),
        split(Mutant::of(&kernels::COLUMN_SUMS, "ext_mul(sum, high)", "sum")),
        split(Mutant::of(&kernels::COLUMN_SUMS, "first + 7u * rows", "first + 6u * rows")),
        (
            Mutant::of(&kernels::COLUMN_SUMS_SCALAR, "const MONTY_R2: u32 = 0x45dddde3u", "const MONTY_R2: u32 = 0x45dddde1u"),
            Strategy::Split,
            Layout::RowMajor,
        ),
        (Mutant::of(&kernels::COLUMN_SUMS_SCALAR, "acc.high + (sum >> 32u)", "acc.high"), Strategy::Split, Layout::RowMajor),
        split(Mutant::of(&kernels::COSET_PASS, "let odd = f_dot8(minus.low", "let odd = f_dot8(plus.low")),
        split(Mutant::of(&kernels::COSET_PASS, "let lower = (at.x << L_SKIP) + z + 1u;", "let lower = (at.x << L_SKIP) + z;")),
        split(Mutant::of(&kernels::COSET_PASS, "return f_sub2(vec2<u32>(ONE), is_last2(job, at));", "return vec2<u32>(ONE);")),
        split(Mutant::of(
            &kernels::DUAL_REDUCE,
            "run.partial_base + 2u * chunk * job.num_z + z",
            "run.partial_base + chunk * job.num_z + z",
        )),
        split(Mutant::of(&kernels::DUAL_REDUCE, "ext_word(weights + 4u)", "ext_word(weights)")),
        split(Mutant::of(&kernels::DUAL_REDUCE, "vec4<u32>(job.nonce, 0u, 0u, 0u)", "vec4<u32>(0u, 0u, 0u, 0u)")),
        (
            Mutant::of(&kernels::COSET_INTERPRET, "case OP_NEG: { result = value_sub(Value(), a); }", "case OP_NEG: { result = a; }"),
            Strategy::Direct,
            Layout::ColMajor,
        ),
        (Mutant::of(&kernels::COSET_INTERPRET, "z += 16u", "z += 32u"), Strategy::Direct, Layout::ColMajor),
    ];
    for (mutant, strategy, layout) in mutants {
        let gpu = broken(mutant, FieldForm::U64, true);
        let error = evaluate(&gpu, strategy, layout).map(|_| ()).expect_err(&format!("{mutant:?}"));
        let Error::WrongAnswer { kernel, adapter, .. } = &error else { panic!("{mutant:?}: {error}") };
        assert_eq!((*kernel, adapter), (mutant.kernel.unwrap().name, &gpu.adapter()), "{mutant:?}: {error}");
        // Nothing is computed any more: not with another kernel, and traces are not taken.
        let case = case(layout);
        let plan = case.plan(strategy);
        let again = Round0::new(&gpu).warm_up(&[&plan], layout).unwrap_err();
        assert_eq!(again.to_string(), error.to_string());
        assert!(matches!(logup_wgpu::Trace::new(&gpu, case.matrices()[0]), Err(Error::WrongAnswer { .. })));

        let gpu = broken(mutant, FieldForm::U64, true);
        let ahead = Round0::new(&gpu).warm_up(&[&plan], layout).unwrap_err();
        assert_eq!(ahead.to_string(), error.to_string(), "{mutant:?}");
    }
}

/// The same of what only programs with bits and with roots that share a weight run.
#[test]
fn mutated_look_ups_are_caught() {
    for (of, by) in [
        ("byte_entry(job, rows.y, at.z - 8u)", "byte_entry(job, rows.y, at.z)"),
        ("cells4(job, column, row + z + 1u)", "cells4(job, column, row + z)"),
        ("vec4<u32>(1u, 2u, 4u, 8u), cells", "vec4<u32>(1u, 2u, 4u, 4u), cells"),
        ("let coefficients = weight(job, i);", "let coefficients = vec4<u32>(ONE);"),
        ("select(low, high, is_swapped), select(high, low, is_swapped)", "low, high"),
    ] {
        let mutant = Mutant::of(&kernels::COSET_PASS, of, by);
        let case = crate::support::satisfying::case_with_bits(4, 64);
        let error = Round0::new(&broken(mutant, FieldForm::U64, true)).warm_up(&[&case.plan(Strategy::Split)], case.layout).unwrap_err();
        assert!(matches!(error, Error::WrongAnswer { kernel: "coset_pass", .. }), "{mutant:?}: {error}");
    }
}

/// The same of the kernel that checks constraints, and of the reduction that tells that it ran.
#[test]
fn mutated_checks_are_caught() {
    for mutant in [
        Mutant::of(&kernels::CHECK_CONSTRAINTS, "sinking = max(sinking, atomicMin(&results[entry], sinking));", "sinking = NO_ROW;"),
        Mutant::of(&kernels::CHECK_CONSTRAINTS, "atomicAdd(&results[count], countOneBits(failing));", ""),
        Mutant::of(&kernels::CHECK_CONSTRAINTS, "case OP_SUB: { result = value_sub(a,", "case OP_SUB: { result = value_add(a,"),
        Mutant::of(&kernels::CHECK_CONSTRAINTS, "let is_last = selector4(row, job.row_mask);", "let is_last = selector4(row, 0u);"),
        Mutant::of(&kernels::CHECK_CONSTRAINTS, "tile.chunk << job.log_rows", "0u"),
        Mutant::of(&kernels::DUAL_REDUCE, "vec4<u32>(job.nonce, 0u, 0u, 0u)", "vec4<u32>(0u, 0u, 0u, 0u)"),
    ] {
        let gpu = broken(mutant, FieldForm::U64, true);
        let case = failing_case(1, 16, Layout::ColMajor);
        let uploaded = Uploaded::together(&gpu, std::slice::from_ref(&case), Strategy::Split);
        let error = Round0::new(&gpu).check_constraints(&uploaded.instances()).map(|_| ()).expect_err(&format!("{mutant:?}"));
        assert!(matches!(&error, Error::WrongAnswer { kernel, .. } if *kernel == mutant.kernel.unwrap().name), "{mutant:?}: {error}");
    }
}

/// The field's own text is in every kernel: mistakes in it are caught in both forms.
#[test]
fn mutated_field_arithmetic_is_caught() {
    let both = [
        Mutant::everywhere("return min(sum, sum - P);", "return max(sum, sum - P);"),
        Mutant::everywhere("return min(diff, diff + P);", "return diff;"),
        Mutant::everywhere("const MONTY_MU: u32 = 0x88000001u", "const MONTY_MU: u32 = 0x88000003u"),
        Mutant::everywhere("const ELEVEN: u32 = 0x37ffffe9u", "const ELEVEN: u32 = 0x37ffffe8u"),
    ];
    let u64_form = [
        Mutant::everywhere("i64(bitcast<i32>(a)) * i64(bitcast<i32>(b))", "i64(u64(a) * u64(b))"),
        Mutant::everywhere("return f_sub(min(high, high - P), t);", "return f_sub(high, t);"),
    ];
    let u32_form = [Mutant::everywhere("(low >> 16u) + (cross_0 & 0xffffu)", "(cross_0 & 0xffffu)")];
    let mutants = both.iter().flat_map(|&m| FieldForm::ALL.map(|form| (m, form)));
    let mutants = mutants.chain(u64_form.map(|m| (m, FieldForm::U64))).chain(u32_form.map(|m| (m, FieldForm::U32)));
    for (mutant, form) in mutants {
        let result = evaluate(&broken(mutant, form, true), Strategy::Split, Layout::ColMajor);
        let error = result.map(|_| ()).expect_err(&format!("{mutant:?}, {form:?}"));
        assert!(matches!(error, Error::WrongAnswer { .. }), "{mutant:?}, {form:?}: {error}");
    }
}

/// A warm-up tells of each kernel, and leaves the driver's kernels in the folder that it is given, for the next process; rubbish there is no
/// kernel.
#[test]
fn warm_ups_tell_and_keep() {
    let folder = std::env::temp_dir().join(format!("logup-wgpu-cache-{}", std::process::id()));
    let case = case(Layout::ColMajor);
    let plan = case.plan(Strategy::Split);
    let warm_up = || {
        let gpu = Gpu::new(GpuOptions { pipeline_cache: Some(folder.clone()), ..GpuOptions::default() }).unwrap();
        let (told, round0) = (Mutex::new(vec![]), Round0::new(&gpu));
        let warm = round0.warm_up_with(&[&plan], Layout::ColMajor, &|progress| told.lock().unwrap().push(progress)).unwrap();
        let mut told = told.into_inner().unwrap();
        told.sort_by_key(|progress| progress.ready);
        assert_eq!(told.iter().map(|progress| (progress.ready, progress.kernels)).collect::<Vec<_>>(), [(1, 3), (2, 3), (3, 3)]);
        let names: BTreeSet<&str> = told.iter().map(|progress| progress.kernel).collect();
        assert_eq!(names, BTreeSet::from(["column_sums", "coset_pass", "dual_reduce"]));
        assert!(told.iter().all(|progress| progress.compile <= warm.compile && !progress.compile.is_zero()));
        let output = Uploaded::together(&gpu, std::slice::from_ref(&case), Strategy::Split).evaluate(&round0);
        assert_same(&output.polys[0], &case.reference(), "with a cache");
        gpu
    };
    if warm_up().info().backend == logup_wgpu::wgpu::Backend::Vulkan {
        let files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(files.len(), 1, "{files:?}");
        assert!(std::fs::metadata(&files[0]).unwrap().len() > 0);
        warm_up();
        std::fs::write(&files[0], [7; 100]).unwrap();
        warm_up();
        std::fs::remove_dir_all(&folder).unwrap();
    }
}

/// Without known answers the same device gives a wrong result without an error; the stats say that nobody asked.
#[test]
fn known_answers_can_be_switched_off() {
    let wrong = Mutant::of(&kernels::COSET_PASS, "let odd = f_dot8(minus.low", "let odd = f_dot8(plus.low");
    let output = evaluate(&broken(wrong, FieldForm::U64, false), Strategy::Split, Layout::ColMajor).unwrap();
    assert_ne!(output.polys[0], case(Layout::ColMajor).reference());
    assert_eq!((output.stats.known_answers, output.stats.all_answered), (0, false));
}

/// Each kernel once, at its first use or ahead of it; whatever the layout and the number of trace windows.
#[test]
fn each_kernel_is_asked_once() {
    let gpu = Gpu::new(GpuOptions::default()).unwrap();
    let round0 = Round0::new(&gpu);
    let case = case(Layout::ColMajor);
    let uploaded = Uploaded::together(&gpu, std::slice::from_ref(&case), Strategy::Split);
    let first = uploaded.evaluate(&round0);
    assert_eq!((first.stats.known_answers, first.stats.all_answered), (3, true), "column_sums, coset_pass, dual_reduce");
    assert_eq!((first.stats.submissions, first.stats.waits, first.stats.kernels()), (1, 1, 3), "the call itself");
    assert!(first.stats.answer > std::time::Duration::ZERO && first.stats.answer <= first.stats.cpu);
    let second = uploaded.evaluate(&round0);
    assert_eq!((second.stats.known_answers, second.stats.all_answered, second.stats.answer), (0, true, std::time::Duration::ZERO));
    assert_same(&second.polys[0], &case.reference(), "after the known answers");
    let warm = round0.warm_up(&[&uploaded.plans[0]], Layout::ColMajor).unwrap();
    assert_eq!((warm.kernels, warm.known_answers), (3, 0));

    // A program that reads no column is the same kernel ahead and in the call.
    let mut air = logup_wgpu::AirBuilder::new("selectors");
    let main = air.main_part(1);
    let (first, last, column) = (air.is_first_row(), air.is_last_row(), air.column(main, 0));
    let product = air.mul(first, last);
    air.interaction(1, [product], column);
    let selectors = Case { layout: Layout::ColMajor, ..Case::random(air.build().unwrap(), 4, 64, (None, &[1]), 0, &mut rng(4)) };
    let warm = round0.warm_up(&[&selectors.plan(Strategy::Split)], Layout::ColMajor).unwrap();
    assert_eq!(warm.known_answers, 1, "its own kernel");
    let output = Uploaded::together(&gpu, std::slice::from_ref(&selectors), Strategy::Split).evaluate(&round0);
    assert_eq!(output.stats.known_answers, 0);
    assert_same(&output.polys[0], &selectors.reference(), "selectors");

    // Several buffers: kernels with more windows, asked anew. Two and four parts of random AIRs, both layouts, both strategies.
    let size = Size { max_degree: 3, num_ops: 20, num_interactions: 3, max_message_len: 3 };
    let mut asked = 0;
    for seed in 0..6 {
        let case = random_case(&mut rng(seed), size, 4, 64);
        for strategy in crate::support::STRATEGIES {
            let uploaded = Uploaded::apart(&gpu, std::slice::from_ref(&case), strategy);
            let output = uploaded.evaluate(&round0);
            assert_same(&output.polys[0], &case.reference(), &format!("seed {seed}, {strategy:?}, {:?}", case.layout));
            assert!(output.stats.all_answered);
            asked += output.stats.known_answers;
            assert_eq!(uploaded.evaluate(&round0).stats.known_answers, 0);
        }
    }
    assert!(asked > 6, "{asked}");
}
