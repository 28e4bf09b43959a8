//! The Metal text runs: recordings are replayed with it, on the CPU, and compared with the reference and the stock prover.
//!
//! It is the text that Metal gets, in every variant, translated with the options of wgpu's Metal backend; what does not run here is Apple's
//! compiler and GPU. See `support/msl` for the executor.

#[path = "support/msl/mod.rs"]
mod metal;
mod support;

use std::{collections::BTreeSet, sync::Mutex, time::Instant};

use logup_wgpu::{
    AirBuilder, EF, F, FieldForm, GpuOptions, Layout, NodeId, Round0, Round0Polys, Schedule, Strategy,
    compute::{Kernel, Variant},
    introspect::kernels,
    wgpu,
};
use metal::{
    Buffer, Build, Counts, Machine, Order,
    check::{ORDERS, check, check_all},
};
use p3_field::BasedVectorSpace;
use rayon::prelude::*;
use support::{
    Case, STRATEGIES, Uploaded, assert_found, failing_case, field_ops, found_as,
    mutant::Mutant,
    random_air::{Size, random_case},
    rng,
    satisfying::{by_rows, case_with_bits},
};

fn references(cases: &[Case]) -> Vec<Round0Polys> {
    cases.par_iter().map(Case::reference).collect()
}

/// Random DAGs at every skip domain up to 2^9 points, in both layouts, over one buffer and over several.
#[test]
fn random_airs_run() {
    let start = Instant::now();
    let size = Size { max_degree: 3, num_ops: 25, num_interactions: 4, max_message_len: 4 };
    let shapes = [(0, 8), (1, 2), (2, 64), (3, 1), (4, 256), (5, 64), (6, 4), (7, 256), (8, 256), (9, 512)];
    let cases = (shapes.iter().zip(0..)).map(|(&(l_skip, height), seed)| {
        let layout = if seed % 2 == 0 { Layout::ColMajor } else { Layout::RowMajor };
        Case { layout, ..random_case(&mut rng(seed), size, l_skip, height) }
    });
    let mut cases: Vec<Case> = cases.collect();
    cases.extend([case_with_bits(4, 64), by_rows(&case_with_bits(5, 128))]);
    let expected = references(&cases);
    let mut counts = Counts::default();
    for form in FieldForm::ALL {
        let gpu = support::gpu(form);
        for strategy in STRATEGIES {
            counts += check_all(gpu, &Uploaded::together(gpu, &cases, strategy), &expected, &format!("{strategy:?}, together"));
        }
        counts += check_all(gpu, &Uploaded::apart(gpu, &cases, Strategy::Split), &expected, "Split, apart");
        // Without wgpu's checks, as `GpuOptions::shader_checks` allows: the same bits.
        let unchecked = Machine { checked: false, ..Machine::new(form, Order::Ascending) };
        let uploaded = Uploaded::together(gpu, &cases, Strategy::Split);
        counts += check(unchecked, gpu, &uploaded, Schedule::Batched, &expected, "Split, unchecked");
    }
    println!("random AIRs: {counts:?} in {:.1?}", start.elapsed());
}

/// `num_parts` main parts of two columns, all of them in products and in affine fields.
fn parts_case(num_parts: usize, l_skip: usize, num_x: usize, layout: Layout) -> Case {
    let mut air = AirBuilder::new(format!("{num_parts} parts, {layout:?}"));
    let cells: Vec<NodeId> = (0..num_parts)
        .flat_map(|_| {
            let part = air.main_part(2);
            [air.column(part, 0), air.next(part, 1)]
        })
        .collect();
    let products: Vec<NodeId> = cells.iter().zip(cells.iter().skip(1)).map(|(&a, &b)| air.mul(a, b)).collect();
    let product = products.into_iter().reduce(|a, b| air.sub(a, b)).expect("two columns");
    air.interaction(5, cells.iter().copied().chain([product]), cells[1]);
    let height = num_x << l_skip;
    Case { layout, ..Case::random(air.build().unwrap(), l_skip, height, (None, &vec![2; num_parts]), 0, &mut rng(num_parts as u64)) }
}

/// Thirteen columns of one part, every third one rotated, and a product.
fn wide_case(l_skip: usize, height: usize, layout: Layout) -> Case {
    let mut air = AirBuilder::new(format!("13 columns, {layout:?}"));
    let main = air.main_part(13);
    let mut fields: Vec<NodeId> = (0..13).map(|i| if i % 3 == 1 { air.next(main, i) } else { air.column(main, i) }).collect();
    fields.push(air.mul(fields[6], fields[7]));
    air.interaction(0, fields.iter().copied(), fields[0]);
    Case { layout, ..Case::random(air.build().unwrap(), l_skip, height, (None, &[13]), 0, &mut rng(13)) }
}

/// Products of sums of many columns, here and in the next row: forms, more than are staged at a time.
fn forms_case(l_skip: usize, height: usize, layout: Layout) -> Case {
    let mut air = AirBuilder::new(format!("forms, {layout:?}"));
    let main = air.main_part(22);
    let cells: Vec<NodeId> = (0..22).map(|i| if i % 4 == 3 { air.next(main, i) } else { air.column(main, i) }).collect();
    let mut fields = vec![];
    for two in cells.chunks_exact(2) {
        let sum = air.add(two[0], two[1]);
        fields.push(air.mul(sum, sum));
    }
    air.interaction(0, fields.iter().copied(), fields[0]);
    Case { layout, ..Case::random(air.build().unwrap(), l_skip, height, (None, &[22]), 0, &mut rng(22)) }
}

/// Programs that read no column.
fn selectors_case() -> Case {
    let mut air = AirBuilder::new("selectors");
    air.main_part(1);
    let (first, last, transition) = (air.is_first_row(), air.is_last_row(), air.is_transition());
    let product = air.mul(first, last);
    air.interaction(1, [first, product], transition);
    Case::random(air.build().unwrap(), 4, 64, (None, &[1]), 0, &mut rng(4))
}

/// Every variant of every kernel runs: 1, 2, 4 and 8 trace windows and none, with 16-byte loads and without.
#[test]
fn every_variant_runs() {
    let mut cases = vec![selectors_case(), forms_case(1, 8, Layout::RowMajor), forms_case(9, 1 << 10, Layout::ColMajor)];
    for num_parts in [1, 2, 4, 8] {
        cases.extend([Layout::ColMajor, Layout::RowMajor].map(|layout| parts_case(num_parts, 4, 4, layout)));
    }
    let mut ran: BTreeSet<(&'static str, bool, u32, bool)> = BTreeSet::new();
    for form in FieldForm::ALL {
        let gpu = support::gpu(form);
        for case in &cases {
            let expected = references(std::slice::from_ref(case));
            for strategy in STRATEGIES {
                let uploaded = Uploaded::apart(gpu, std::slice::from_ref(case), strategy);
                check_all(gpu, &uploaded, &expected, &format!("{strategy:?}"));
                let engine = Round0::new(gpu);
                let instances = uploaded.instances();
                let call = engine.record(&uploaded.challenges(), &instances).unwrap();
                let dispatches = call.recordings.iter().flat_map(|recording| &recording.dispatches);
                ran.extend(
                    dispatches
                        .map(|d| (d.kernel.name, form == FieldForm::U64, d.traces.len() as u32, d.constants.contains(&("VEC4_LOADS", 1)))),
                );
            }
        }
    }
    for variant in kernels::variants() {
        if [kernels::stage::TOOL, kernels::stage::CHECKS].contains(&variant.kernel.stage) {
            continue; // field_operations_run, checks_run
        }
        let both = variant.slots > 0 && variant.kernel.constants.contains(&"VEC4_LOADS");
        for &vec4_loads in if both { &[false, true][..] } else { &[false] } {
            let key = (variant.kernel.name, variant.form == FieldForm::U64, variant.slots, vec4_loads);
            assert!(ran.contains(&key), "{variant:?}, VEC4_LOADS {vec4_loads} did not run");
        }
    }
}

/// Constraints are checked in 0, 1, 2, 4 and 8 trace windows, and the entries of a failing one are right whatever order the threads come in.
#[test]
fn checks_run() {
    let mut ran: BTreeSet<(FieldForm, u32)> = BTreeSet::new();
    for form in FieldForm::ALL {
        let gpu = support::gpu(form);
        for (num_parts, layout) in [0, 1, 2, 4, 8].into_iter().flat_map(|num| [(num, Layout::ColMajor), (num, Layout::RowMajor)]) {
            let case = [failing_case(num_parts, 1 << 12, layout)];
            let uploaded = Uploaded::apart(gpu, &case, Strategy::Split);
            for order in ORDERS {
                let (found, _) = Machine::new(form, order).check_constraints(gpu, &uploaded).unwrap();
                assert_found(&found, &case, &format!("{form:?}, {order:?}"));
            }
            let recording = Round0::new(gpu).record_check(&uploaded.instances()).unwrap().recording.unwrap();
            let checks = recording.dispatches.iter().filter(|dispatch| dispatch.kernel == &kernels::CHECK_CONSTRAINTS);
            ran.extend(checks.map(|dispatch| (form, dispatch.traces.len() as u32)));
        }
    }
    let all = kernels::CHECK_CONSTRAINTS.variants().map(|variant| (variant.form, variant.slots));
    assert_eq!(ran, all.collect());

    let gpu = support::gpu(FieldForm::U64);
    let case = [failing_case(2, 1 << 12, Layout::ColMajor)];
    let uploaded = Uploaded::together(gpu, &case, Strategy::Split);
    for (from, to) in [
        ("sinking = max(sinking, atomicMin(&results[entry], sinking));", "atomicMin(&results[entry], sinking);"),
        ("atomicLoad(&results[last]) <= row", "atomicLoad(&results[count + 1u]) <= row"),
        ("entry > last", "entry >= last"),
        ("(first + 3u) & job.row_mask", "first + 3u"),
        ("case OP_NEG: { result = value_sub(Value(), a); }", "case OP_NEG: { result = Value(); }"),
    ] {
        let mutant = Mutant::of(&kernels::CHECK_CONSTRAINTS, from, to);
        let edit = move |kernel, source| mutant.apply(kernel, source);
        let is_caught = ORDERS.into_iter().any(|order| {
            let machine = Machine { edit: &edit, ..Machine::new(FieldForm::U64, order) };
            machine.check_constraints(gpu, &uploaded).map_or(true, |(found, _)| !found_as(&found, &case[0]))
        });
        assert!(is_caught, "{from} is {to}, and nothing shows");
    }
}

/// Traces larger than a binding, on devices with small ones: windows of 2^14 words, two, four and eight bound.
#[test]
fn windows_run() {
    for (storage_buffers, slots) in [(8, 2), (9, 4), (32, 8)] {
        for form in FieldForm::ALL {
            let options = GpuOptions { field_form: Some(form), known_answers: false, ..GpuOptions::default() };
            let gpu = support::gpu_of_my_own(options, |limits| wgpu::Limits {
                max_storage_buffer_binding_size: 64 << 10,
                max_storage_buffers_per_shader_stage: storage_buffers,
                ..limits
            });
            assert_eq!((gpu.limits().max_slots(), gpu.limits().log_window()), (slots, 14));
            for (layout, height) in [(Layout::ColMajor, 1 << 12), (Layout::RowMajor, 1 << 11)] {
                let case = wide_case(2, height, layout);
                let uploaded = Uploaded::together(&gpu, std::slice::from_ref(&case), Strategy::Split);
                let words = case.height * 13;
                assert!(words > 1 << 14, "several windows");
                check_all(&gpu, &uploaded, &references(std::slice::from_ref(&case)), &format!("{slots} slots"));
            }
        }
    }
}

/// The field on its own, and the kernel that measures memory.
#[test]
fn field_operations_run() {
    let (a, b) = field_ops::operands();
    let words = |elements: &[EF]| -> Vec<u32> { elements.iter().flat_map(|x| words_of(*x)).collect() };
    let bytes = 16 * a.len() as u64;
    for form in FieldForm::ALL {
        for build in [Build::Plain, Build::Sanitized] {
            let machine = Machine { build, ..Machine::new(form, Order::Ascending) };
            let variant = Variant { kernel: &kernels::FIELD_OPS, form, slots: 0 };
            let kernel = machine.load(variant, variant.source(), &[]);
            for op in field_ops::OPS {
                let params = Buffer::of_words(&[op as u32, 1]);
                let (left, right, mut out) = (Buffer::of_words(&words(&a)), Buffer::of_words(&words(&b)), Buffer::filled(bytes, u32::MAX));
                let bindings = [(&params, 0..8), (&left, 0..bytes), (&right, 0..bytes), (&out, 0..bytes)];
                machine.dispatch(&kernel, &bindings, [a.len().div_ceil(256) as u32, 1, 1]).unwrap();
                let got = out.words();
                for (i, (&x, &y)) in a.iter().zip(&b).enumerate() {
                    assert_eq!(got[4 * i..][..4], words_of(field_ops::expected(op, x, y)), "{form:?}, {build:?}: {op:?} of {x} and {y}");
                }
            }
        }
        let machine = Machine::new(form, Order::Ascending);
        let variant = Variant { kernel: &kernels::PLAIN_READ, form, slots: 0 };
        let kernel = machine.load(variant, variant.source(), &[]);
        let pattern: Vec<u32> = [0x9e37_79b9, 0x7f4a_7c15, 0xf39c_c060, 0x5ced_c834].into_iter().cycle().take(4 * 256).collect();
        let (mut input, mut out) = (pattern, Buffer::filled(32, u32::MAX));
        input.resize(2 * 4 * 16384, 0); // the first workgroup reads what it knows once in every thread, the second zeros
        let input = Buffer::of_words(&input);
        machine.dispatch(&kernel, &[(&input, 0..2 * 16 * 16384), (&out, 0..32)], [2, 1, 1]).unwrap();
        assert_eq!(out.words()[..8], [0x9e37_79b9, 0x7f4a_7c15, 0xf39c_c060, 0x5ced_c834, u32::MAX, u32::MAX, u32::MAX, u32::MAX]);
    }
}

/// Two tiles of rows and two of columns of a matrix with 70 rows and 45 columns, of which 40 are chosen, out of order; and a matrix of two rows.
#[test]
fn transpositions_run() {
    let (width, height, columns): (u32, u32, Vec<u32>) = (45, 70, (0..40).map(|i| (7 * i + 3) % 45).collect());
    let rows: Vec<u32> = (0..width * height + 2 * width).map(|i| i.wrapping_mul(0x9e37_79b9)).collect();
    let tile = |job, chunk, col_group| [job, chunk, col_group, 0];
    let tiles: Vec<u32> = (0..3).flat_map(|chunk| [tile(0, chunk, 0), tile(0, chunk, 1)]).chain([tile(1, 0, 0)]).flatten().collect();
    // rows_base, width, num_rows, columns_base, num_columns, out_base, column_words, row_stride, copies
    let jobs = [[0, width, height, 0, 40, 0, height, 1, 1], [width * height, width, 2, 5, 3, 40 * height, 4, 1, 2]].concat();
    let cell = |row: u32, column: u32| rows[(row * width + column) as usize];
    let first = columns.iter().flat_map(|&column| (0..height).map(move |row| cell(row, column)));
    let second = columns[5..8].iter().flat_map(|&column| (0..4).map(move |row| cell(height + row % 2, column)));
    let expected: Vec<u32> = first.chain(second).collect();
    let variant = Variant { kernel: &kernels::TRANSPOSE, form: FieldForm::U64, slots: 0 };
    let transposed = |order, source: String| {
        let machine = Machine::new(FieldForm::U64, order);
        let kernel = machine.load(variant, source, &[]);
        let inputs = [&tiles, &jobs, &columns, &rows].map(|words| Buffer::of_words(words));
        let mut out = Buffer::filled(4 * expected.len() as u64, u32::MAX);
        let sizes = [&tiles, &jobs, &columns, &rows].map(|words| 4 * words.len() as u64);
        let bindings: Vec<_> = inputs.iter().zip(sizes).map(|(buffer, bytes)| (buffer, 0..bytes)).collect();
        let out_bytes = 0..4 * expected.len() as u64;
        let ran = machine.dispatch(&kernel, &[&bindings[..], &[(&out, out_bytes)]].concat(), [tiles.len() as u32 / 4, 1, 1]);
        ran.map(|()| out.words()[..expected.len()].to_vec())
    };
    for order in ORDERS {
        assert_eq!(transposed(order, variant.source()).unwrap(), expected, "{order:?}");
    }
    let without_barrier = Mutant::without_barrier(&kernels::TRANSPOSE, 0).apply(&kernels::TRANSPOSE, variant.source());
    assert!(ORDERS.into_iter().any(|order| transposed(order, without_barrier.clone()).map_or(true, |words| words != expected)));
}

/// An element's words in Montgomery form.
fn words_of(x: EF) -> [u32; 4] {
    let word = |x: &F| {
        let canonical = p3_field::PrimeField32::as_canonical_u32(x);
        ((u64::from(canonical) << 32) % u64::from(logup_wgpu::P)) as u32
    };
    std::array::from_fn(|i| word(&<EF as BasedVectorSpace<F>>::as_basis_coefficients_slice(&x)[i]))
}

/// No signed overflow, no shift by more than the width, no misaligned access, in a program of each kind.
#[test]
fn nothing_is_undefined() {
    let size = Size { max_degree: 3, num_ops: 25, num_interactions: 4, max_message_len: 4 };
    let shapes = [(0, 8), (1, 2), (4, 256), (4, 4), (5, 64), (9, 512)];
    let cases = (shapes.iter().zip(100..)).map(|(&(l_skip, height), seed)| random_case(&mut rng(seed), size, l_skip, height));
    let cases: Vec<Case> = cases.collect();
    let expected = references(&cases);
    for form in FieldForm::ALL {
        let machine = Machine { build: Build::Sanitized, ..Machine::new(form, Order::Descending) };
        for strategy in STRATEGIES {
            let uploaded = Uploaded::together(support::gpu(form), &cases, strategy);
            check(machine, support::gpu(form), &uploaded, Schedule::Batched, &expected, &format!("{strategy:?}"));
        }
    }
    // A shift by 32 too much gives the same bits on this machine: only the sanitizer sees it.
    let mutant = Mutant::of(&kernels::COLUMN_SUMS_SCALAR, "tile.chunk << job.log_chunk", "tile.chunk << (job.log_chunk + 32u)");
    let edit = move |kernel, source| mutant.apply(kernel, source);
    let machine = Machine { build: Build::Sanitized, edit: &edit, ..Machine::new(FieldForm::U64, Order::Ascending) };
    let gpu = support::gpu(FieldForm::U64);
    let uploaded = Uploaded::together(gpu, &cases, Strategy::Split);
    let error = machine.evaluate(gpu, &uploaded, Schedule::Batched).expect_err("a finding");
    assert!(error.contains("column_sums_scalar: 0 indices outside") && !error.contains(" 0 findings"), "{error}");
}

/// Every mistake is seen: barriers that are missing, sums that wrap, constants, signs, indices outside that a check would move.
#[test]
fn mutants_are_caught() {
    let both = [
        Mutant::without_barrier(&kernels::COLUMN_SUMS_SCALAR, 0),
        Mutant::without_barrier(&kernels::COLUMN_SUMS_SCALAR, 1),
        Mutant::without_barrier(&kernels::COLUMN_SUMS_SCALAR, 2),
        Mutant::without_barrier(&kernels::COLUMN_SUMS, 0),
        Mutant::without_barrier(&kernels::COLUMN_SUMS, 1),
        Mutant::without_barrier(&kernels::COSET_PASS, 0),
        Mutant::without_barrier(&kernels::COSET_PASS, 1),
        Mutant::without_barrier(&kernels::COSET_PASS, 2),
        Mutant::without_barrier(&kernels::COSET_PASS, 3),
        Mutant::without_barrier(&kernels::COSET_PASS, 4),
        Mutant::without_barrier(&kernels::COSET_PASS, 5),
        Mutant::without_barrier(&kernels::COSET_PASS, 6),
        Mutant::without_barrier(&kernels::COSET_INTERPRET, 0),
        Mutant::without_barrier(&kernels::COSET_INTERPRET, 1),
        Mutant::without_barrier(&kernels::COSET_INTERPRET, 2),
        Mutant::without_barrier(&kernels::DUAL_REDUCE, 0),
        Mutant::without_barrier(&kernels::DUAL_REDUCE, 1),
        Mutant::without_barrier(&kernels::DUAL_REDUCE, 2),
        Mutant::everywhere("return min(sum, sum - P);", "return max(sum, sum - P);"),
        Mutant::everywhere("return min(diff, diff + P);", "return max(diff, diff + P);"),
        Mutant::everywhere("const MONTY_MU: u32 = 0x88000001u", "const MONTY_MU: u32 = 0x88000003u"),
        Mutant::everywhere("const ELEVEN: u32 = 0x37ffffe9u", "const ELEVEN: u32 = 0x37ffffe8u"),
        Mutant::of(&kernels::COLUMN_SUMS, "first + 7u * rows", "first + 6u * rows"),
        Mutant::of(&kernels::DUAL_REDUCE, "ext_word(weights + 4u)", "ext_word(weights)"),
        // An index outside that wgpu's check moves to the right place: only the count shows it.
        Mutant::of(&kernels::DUAL_REDUCE, "results[arrayLength(&results) - 1u]", "results[arrayLength(&results)]"),
        // Threads of a workgroup that do not all come to the barrier.
        Mutant::of(&kernels::COLUMN_SUMS_SCALAR, "if stride == WORKGROUP_SIZE {", "if stride == WORKGROUP_SIZE || thread == 255u {"),
    ];
    let u64_form = [
        Mutant::everywhere("i64(bitcast<i32>(a)) * i64(bitcast<i32>(b))", "i64(u64(a) * u64(b))"),
        Mutant::everywhere("select(a, a - vec4<u32>(P), a > vec4<u32>(P >> 1u))", "a"),
        Mutant::everywhere("return f_sub(min(high, high - P), t);", "return f_sub(high, t);"),
        Mutant::everywhere("acc.high + (sum >> 32u)", "acc.high"),
    ];
    let u32_form = [
        Mutant::everywhere("(low >> 16u) + (cross_0 & 0xffffu)", "(cross_0 & 0xffffu)"),
        Mutant::everywhere("(cross_1 >> 16u) + (middle >> 16u)", "(cross_1 >> 16u)"),
    ];
    let mutants = both.iter().map(|&mutant| (mutant, FieldForm::U64)).chain(u64_form.map(|mutant| (mutant, FieldForm::U64)));
    let mutants: Vec<(Mutant, FieldForm)> = mutants.chain(u32_form.map(|mutant| (mutant, FieldForm::U32))).collect();

    // Few z and many x, so that every loop and every barrier of a sum over lanes has work.
    let cases = [
        wide_case(2, 1 << 12, Layout::ColMajor),
        parts_case(3, 2, 1024, Layout::ColMajor),
        parts_case(3, 2, 256, Layout::RowMajor),
        parts_case(3, 4, 4, Layout::ColMajor),
        forms_case(4, 1 << 9, Layout::ColMajor),
        case_with_bits(4, 1 << 9),
    ];
    let expected = references(&cases);
    let is_caught = |form, edit: &(dyn Fn(&'static Kernel, String) -> String + Sync)| {
        let gpu = support::gpu(form);
        STRATEGIES.into_iter().any(|strategy| {
            let uploaded = Uploaded::together(gpu, &cases, strategy);
            ORDERS.into_iter().any(|order| {
                let machine = Machine { edit, ..Machine::new(form, order) };
                let result = machine.evaluate(gpu, &uploaded, Schedule::Batched);
                result.map_or(true, |(polys, _)| polys != expected)
            })
        })
    };
    assert!(FieldForm::ALL.into_iter().all(|form| !is_caught(form, &|_, source| source)), "the kernels as they are");
    let missed: Mutex<Vec<(Mutant, FieldForm)>> = Mutex::new(vec![]);
    mutants.par_iter().for_each(|&(mutant, form)| {
        let texts = kernels::variants().filter(|variant| variant.form == form).map(|variant| (variant.kernel, variant.source()));
        assert!(texts.into_iter().any(|(kernel, text)| mutant.apply(kernel, text.clone()) != text), "{mutant:?} changes nothing");
        if !is_caught(form, &|kernel, source| mutant.apply(kernel, source)) {
            missed.lock().unwrap().push((mutant, form));
        }
    });
    let missed = missed.into_inner().unwrap();
    assert!(missed.is_empty(), "{} of {} mutants were missed: {missed:#?}", missed.len(), mutants.len());
    println!("{} mutants caught", mutants.len());
}

/// On a Mac, Metal compiles the same texts.
#[cfg(target_vendor = "apple")]
#[test]
fn metal_compiles_every_text() {
    use support::translate::{MslOptions, to_msl};
    for form in FieldForm::ALL {
        let gpu = support::gpu_with_features(form, wgpu::Features::PASSTHROUGH_SHADERS);
        for variant in kernels::variants().filter(|variant| variant.form == form) {
            for vec4_loads in [0, 1] {
                for checked in [false, true] {
                    let options = MslOptions { lang_version: (2, 3), checked };
                    let msl = to_msl(variant, &variant.source(), &variant.constants(29, &[("VEC4_LOADS", vec4_loads)]), options);
                    let descriptor = wgpu::ShaderModuleDescriptorPassthrough {
                        label: Some(variant.kernel.name),
                        msl: Some(msl.text.into()),
                        ..wgpu::ShaderModuleDescriptorPassthrough::default()
                    };
                    let scope = gpu.device().push_error_scope(wgpu::ErrorFilter::Validation);
                    // SAFETY: the text is only compiled.
                    let _module = unsafe { gpu.device().create_shader_module_passthrough(descriptor) };
                    let error = pollster::block_on(scope.pop());
                    assert!(error.is_none(), "{variant:?}: {}", error.expect("an error"));
                }
            }
        }
    }
}
