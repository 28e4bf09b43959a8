//! Awkward shapes against the naive reference, in every field form, strategy and schedule.

use std::sync::Arc;

use crate::support::{
    Case, Uploaded, assert_same, check_all, gpu,
    random_air::{Size, random_case},
    random_ef, rng,
};
use logup_wgpu::{
    Air, AirBuilder, BufferMatrix, Challenges, EF, Error, F, FieldForm, Gpu, GpuOptions, Instance, Layout, NodeId, P, Part, Round0,
    Round0Plan, Strategy, Trace,
    wgpu::{self, util::DeviceExt},
};
use p3_field::PrimeCharacteristicRing;

/// An AIR over one main part, and its random inputs.
fn case(width: usize, l_skip: usize, height: usize, build: impl FnOnce(&mut AirBuilder, Part)) -> Case {
    let mut air = AirBuilder::new(format!("{width} columns"));
    let main = air.main_part(width);
    build(&mut air, main);
    Case::random(air.build().unwrap(), l_skip, height, (None, &[width]), 0, &mut rng((width * 31 + l_skip * 7 + height) as u64))
}

fn check(cases: &[Case]) {
    let expected: Vec<_> = cases.iter().map(Case::reference).collect();
    check_all(cases, &expected);
}

fn in_both_layouts(case: Case) -> [Case; 2] {
    [Layout::ColMajor, Layout::RowMajor].map(|layout| Case { layout, ..case.clone() })
}

#[test]
fn widths_around_powers_of_two() {
    for width in [1, 9, 1001, 1024, 1025] {
        let all_affine = case(width, 2, 16, |air, main| {
            let fields: Vec<NodeId> = (0..width).map(|i| if i % 5 == 3 { air.next(main, i) } else { air.column(main, i) }).collect();
            air.interaction(0, fields.iter().copied(), fields[0]);
        });
        // sixteen products over all of the width, every column in the message: what a kernel is generated for stays small
        let products = case(width, 1, 8, |air, main| {
            let columns: Vec<NodeId> = (0..width).map(|i| air.column(main, i)).collect();
            let product = |air: &mut AirBuilder, i: usize| air.mul(columns[i * width / 16], columns[width - 1 - i % width]);
            let mut fields: Vec<NodeId> = (0..16).map(|i| product(air, i)).collect();
            fields.extend(&columns);
            air.interaction(0, fields.iter().copied(), fields[0]);
        });
        for case in [all_affine, products] {
            check(&in_both_layouts(case));
        }
    }
}

#[test]
fn values_zero_one_and_minus_one() {
    for value in [F::ZERO, F::ONE, F::NEG_ONE] {
        let mut case = case(3, 4, 256, |air, main| {
            let (a, b, c) = (air.column(main, 0), air.next(main, 1), air.column(main, 2));
            let product = air.mul(a, b);
            let sum = air.add(product, c);
            air.interaction(u16::MAX, [a, b, c], sum);
        });
        case.main[0].0.fill(value);
        check(&in_both_layouts(case));
    }
}

#[test]
fn every_height_around_every_skip_domain() {
    let size = Size { max_degree: 3, num_ops: 12, num_interactions: 3, max_message_len: 3 };
    for l_skip in [0, 1, 2, 4, 5] {
        for log_height in 0..=l_skip + 2 {
            check(&[random_case(&mut rng((l_skip * 100 + log_height) as u64), size, l_skip, 1 << log_height)]);
        }
    }
}

#[test]
fn interactions_without_messages_columns_or_at_all() {
    let none = case(2, 2, 8, |_, _| {});
    let count_only = case(2, 2, 8, |air, main| {
        let count = air.column(main, 1);
        air.interaction(3, [], count);
    });
    let constants_only = case(2, 2, 8, |air, _| {
        let (two, five) = (air.constant(F::TWO), air.constant(F::from_u32(5)));
        air.interaction(3, [two, five], two);
    });
    let selectors_only = case(2, 2, 8, |air, _| {
        let (first, last, transition) = (air.is_first_row(), air.is_last_row(), air.is_transition());
        let both = air.mul(first, transition);
        air.interaction(3, [first, last, both], transition);
    });
    let cases = [none, count_only, constants_only, selectors_only];
    for case in &cases {
        check(std::slice::from_ref(case));
    }
    check(&cases);

    // No device work: nothing is submitted.
    let uploaded = Uploaded::together(gpu(FieldForm::U64), &cases[..1], Strategy::Split);
    let output = uploaded.evaluate(&Round0::new(gpu(FieldForm::U64)));
    assert_eq!((output.stats.submissions, output.stats.waits, output.stats.kernels()), (0, 0, 0));
    assert!(output.polys[0].numerator.is_empty());
    assert!(Round0::new(gpu(FieldForm::U64)).evaluate(&crate::support::challenges(), &[]).unwrap().polys.is_empty());
}

#[test]
fn an_air_without_traces() {
    let mut air = AirBuilder::new("no traces");
    air.public_values(1);
    let (public, first, last) = (air.public_value(0), air.is_first_row(), air.is_last_row());
    let product = air.mul(first, last);
    air.interaction(1, [public, product], first);
    let case = Case::random(air.build().unwrap(), 2, 1, (None, &[]), 1, &mut rng(3));
    check(&[case]);
}

#[test]
fn rotation_over_the_last_row() {
    // Only the first row differs from zero, so everything comes from the last row's next.
    for (l_skip, height) in [(0, 4), (2, 4), (2, 16), (4, 2)] {
        let mut case = case(2, l_skip, height, |air, main| {
            let (next, column) = (air.next(main, 0), air.column(main, 1));
            let product = air.mul(next, column);
            air.interaction(0, [next], product);
        });
        case.layout = Layout::ColMajor;
        case.main[0].0[..height].fill(F::ZERO);
        case.main[0].0[0] = F::from_u32(P - 5);
        check(&[case]);
    }
}

#[test]
fn all_degree_3() {
    let case = case(9, 4, 64, |air, main| {
        let columns: Vec<NodeId> = (0..9).map(|i| air.column(main, i)).collect();
        let cube = |air: &mut AirBuilder, i: usize| {
            let square = air.mul(columns[i], columns[(i + 1) % 9]);
            air.mul(square, columns[(i + 2) % 9])
        };
        let cubes: Vec<NodeId> = (0..9).map(|i| cube(air, i)).collect();
        air.interaction(0, cubes.iter().copied(), cubes[4]);
    });
    check(&in_both_layouts(case));
}

/// The sizes at which launch geometry changes: several chunks, several groups, several tiles per dispatch row.
#[test]
fn tall_traces_are_cut_into_chunks() {
    let build = |air: &mut AirBuilder, main| {
        let (a, b, c) = (air.column(main, 0), air.next(main, 1), air.column(main, 2));
        let product = air.mul(a, b);
        air.interaction(2, [a, b, product], c);
    };
    for (l_skip, log_height) in [(0, 15), (2, 16), (4, 16), (6, 15)] {
        for case in in_both_layouts(case(3, l_skip, 1 << log_height, build)) {
            let expected = case.reference();
            check_all(&[case], &[expected]);
        }
    }
}

#[test]
fn eq_evaluations_can_be_given() {
    let size = Size { max_degree: 2, num_ops: 10, num_interactions: 3, max_message_len: 3 };
    let cases: Vec<Case> = (0..3).map(|seed| random_case(&mut rng(seed), size, 2, 64 << seed)).collect();
    for strategy in crate::support::STRATEGIES {
        let uploaded = Uploaded::together(gpu(FieldForm::U64), &cases, strategy);
        let by_challenges = uploaded.instances();
        let evals: Vec<Vec<EF>> = cases.iter().map(Case::eq_evals).collect();
        let by_evals: Vec<Instance<'_>> = by_challenges.iter().cloned().zip(&evals).map(|(instance, evals)| instance.eq(evals)).collect();
        let round0 = Round0::new(gpu(FieldForm::U64));
        let expected = round0.evaluate(&uploaded.challenges(), &by_challenges).unwrap();
        let output = round0.evaluate(&Challenges { xi: &[], ..uploaded.challenges() }, &by_evals).unwrap();
        assert_eq!(output.polys, expected.polys);
        assert!(output.stats.upload_bytes >= expected.stats.upload_bytes);
    }

    // A short cube's evaluations may be the first of a long one's.
    let cases = [4, 6].map(|log_height| random_case(&mut rng(log_height), size, 2, 1 << log_height));
    let uploaded = Uploaded::together(gpu(FieldForm::U64), &cases, Strategy::Split);
    let weights = crate::support::random_ef(&mut rng(7), 1 << 4);
    let instances: Vec<Instance<'_>> =
        uploaded.instances().into_iter().zip([&weights[..1 << 2], &weights]).map(|(instance, weights)| instance.eq(weights)).collect();
    let round0 = Round0::new(gpu(FieldForm::U64));
    let together = round0.evaluate(&uploaded.challenges(), &instances).unwrap().polys;
    for (instance, together) in instances.into_iter().zip(together) {
        assert_eq!(round0.evaluate(&uploaded.challenges(), &[instance]).unwrap().polys, [together]);
    }

    // Evaluations need not come from challenges.
    let case = Case { xi: vec![], ..random_case(&mut rng(9), size, 2, 4) };
    let weight = [EF::from_u32(77)];
    let uploaded = Uploaded::together(gpu(FieldForm::U64), std::slice::from_ref(&case), Strategy::Split);
    let instance = uploaded.instances().remove(0).eq(&weight);
    let output = Round0::new(gpu(FieldForm::U64)).evaluate(&uploaded.challenges(), &[instance]).unwrap();
    let reference = case.reference();
    assert!(output.polys[0].denominator.iter().zip(&reference.denominator).all(|(&got, &one)| got == one * weight[0]));
}

#[test]
fn traces_may_share_a_buffer_or_not() {
    let size = Size { max_degree: 3, num_ops: 10, num_interactions: 3, max_message_len: 3 };
    // Twelve AIRs with up to four matrices: more buffers than a dispatch has windows.
    let cases: Vec<Case> = (0..12).map(|seed| random_case(&mut rng(seed), size, 3, 8 << (seed % 4))).collect();
    for strategy in crate::support::STRATEGIES {
        let together = Uploaded::together(gpu(FieldForm::U64), &cases, strategy);
        let apart = Uploaded::apart(gpu(FieldForm::U64), &cases, strategy);
        let round0 = Round0::new(gpu(FieldForm::U64));
        let (one, many) = (together.evaluate(&round0), apart.evaluate(&round0));
        assert_eq!(one.polys, many.polys);
        assert!(one.stats.kernels() < many.stats.kernels(), "{} and {}", one.stats.kernels(), many.stats.kernels());
        assert_eq!((many.stats.submissions, many.stats.waits, many.stats.reduction_kernels), (1, 1, 1));
    }
}

#[test]
fn a_callers_buffer_is_used_in_place() {
    let mut case = case(5, 2, 32, |air, main| {
        let (a, b) = (air.column(main, 4), air.next(main, 2));
        let product = air.mul(a, b);
        air.interaction(2, [a, product], b);
    });
    case.layout = Layout::RowMajor;
    let gpu = gpu(FieldForm::U64);
    let offset = 13;
    let mut words = vec![u32::MAX; offset];
    // p3's words, by its public constructor and 2^32 mod P
    let montgomery = |x: F| ((u64::from(p3_field::PrimeField32::as_canonical_u32(&x)) << 32) % u64::from(P)) as u32;
    words.extend(case.main[0].0.iter().map(|&x| montgomery(x)));
    words.resize(words.len().next_multiple_of(4), u32::MAX); // buffers are bound in units of 16 bytes
    let buffer = gpu.device().create_buffer_init(&wgpu::util::BufferInitDescriptor {
        label: None,
        contents: bytemuck::cast_slice(&words),
        usage: wgpu::BufferUsages::STORAGE,
    });
    let matrix =
        BufferMatrix { buffer: Arc::new(buffer.into()), first_word: offset as u64, width: 5, height: 32, layout: Layout::RowMajor };
    let trace = Trace::from_buffer(gpu, matrix).unwrap();
    for strategy in crate::support::STRATEGIES {
        let plan = case.plan(strategy);
        let instance = Instance::new(&plan).main([&trace]).weights(&case.weights);
        let output = Round0::new(gpu).evaluate(&Challenges { xi: &case.xi, beta: case.beta, lambda: case.lambda }, &[instance]);
        assert_same(&output.unwrap().polys[0], &case.reference(), "caller's buffer");
    }
}

/// Calls of changing size on one engine give what fresh engines give: nothing stale is left in its buffers.
#[test]
fn scratch_does_not_leak_between_calls() {
    let size = Size { max_degree: 3, num_ops: 10, num_interactions: 3, max_message_len: 3 };
    let cases: Vec<Case> = [7usize, 3, 10, 0, 5, 9].map(|log| random_case(&mut rng(log as u64), size, 2, 1 << log)).into();
    for form in FieldForm::ALL {
        for strategy in crate::support::STRATEGIES {
            let engine = Round0::new(gpu(form));
            for case in &cases {
                let uploaded = Uploaded::together(gpu(form), std::slice::from_ref(case), strategy);
                let expected = case.reference();
                assert_same(&uploaded.evaluate(&engine).polys[0], &expected, case.air.name());
            }
            let uploaded = Uploaded::together(gpu(form), &cases, strategy);
            let mut twice = uploaded.instances();
            twice.extend_from_slice(&twice.clone());
            let output = engine.evaluate(&uploaded.challenges(), &twice).unwrap();
            for (i, polys) in output.polys.iter().enumerate() {
                assert_same(polys, &cases[i % cases.len()].reference(), "the same instance twice");
            }
        }
    }
}

/// A program that is too long for a kernel is cut: into several kernels where each has its own, into several jobs of the interpreter's
/// dispatches.
#[test]
fn long_programs_are_cut() {
    let width = 600;
    let case = case(width, 9, 512, |air: &mut AirBuilder, main| {
        let columns: Vec<NodeId> = (0..width).map(|i| air.column(main, i)).collect();
        let fields: Vec<NodeId> = (0..width).map(|i| air.mul(columns[i], columns[(i + 1) % width])).collect();
        air.interaction(0, fields.iter().copied(), columns[0]);
    });
    let [case, _] = in_both_layouts(case);
    let outputs = crate::support::STRATEGIES.map(|strategy| {
        let uploaded = Uploaded::together(gpu(FieldForm::U64), std::slice::from_ref(&case), strategy);
        uploaded.evaluate(&Round0::new(gpu(FieldForm::U64)))
    });
    assert_eq!(outputs[0].polys, outputs[1].polys);
    // 600 products are sixty programs of ten, which share a kernel but for the last, in which the columns begin anew. Direct makes two
    // interpreted passes.
    assert_eq!(outputs.map(|output| output.stats.coset_kernels), [2, 2]);
    // Against the formula at one point of D, where columns are cells: Z = 1, so z = 0.
    let polys = &outputs_at_one(&case);
    let row = |column: usize| case.main[0].0[column * 512];
    let message: EF = case.beta.powers().take(width).enumerate().map(|(i, power)| power * row(i) * row((i + 1) % width)).sum();
    let expected = (message + case.beta.exp_u64(width as u64)) * case.weights[0];
    assert_eq!(*polys, expected);
}

/// The largest skip domains, at heights around them, at a random point.
#[test]
fn skip_domains_of_up_to_4096_points() {
    let size = Size { max_degree: 3, num_ops: 12, num_interactions: 3, max_message_len: 3 };
    for l_skip in 10..=12 {
        let cases = [0, 3, l_skip, l_skip + 2].map(|log_height| random_case(&mut rng(log_height as u64), size, l_skip, 1 << log_height));
        let point = random_ef(&mut rng(l_skip as u64), 1)[0];
        for form in FieldForm::ALL {
            for strategy in crate::support::STRATEGIES {
                let output = Uploaded::together(gpu(form), &cases, strategy).evaluate(&Round0::new(gpu(form)));
                for (case, polys) in cases.iter().zip(&output.polys) {
                    assert_eq!(polys.at(point), case.reference_at(point), "l_skip {l_skip}, height {}, {strategy:?}", case.height);
                }
            }
        }
    }
}

/// A message field `is_real * sum_i (i + 2) * bit_i` of so many terms.
fn long_field(terms: usize, width: usize, l_skip: usize, height: usize) -> Case {
    case(width, l_skip, height, |air, main| {
        let is_real = air.column(main, 0);
        let mut sum = air.constant(F::ZERO);
        for i in 0..terms {
            let (bit, weight) = (air.column(main, i % width), air.constant(F::from_usize(i + 2)));
            let term = air.mul(bit, weight);
            sum = air.add(sum, term);
        }
        let field = air.mul(is_real, sum);
        air.interaction(1, [field], is_real);
    })
}

/// Programs whose threads would make more loop iterations than lavapipe lets them, if rows or columns were not counted: each was wrong once
/// under `Strategy::Direct`, without an error. What one thread cannot evaluate at one point is refused.
#[test]
fn long_roots_are_right_or_refused() {
    let beyond = long_field(1_336, 1_337, 9, 1 << 9);
    for strategy in crate::support::STRATEGIES {
        let error = Round0Plan::new(beyond.air.clone(), 9, strategy).unwrap_err();
        let is_limit = matches!(error, Error::DeviceLimit { kernel: "coset_interpret", requested: 40_000.., limit: 32_768, .. });
        assert!(is_limit, "{error}");
    }
    for (terms, width, l_skip, height) in [(700, 40, 4, 1 << 11), (900, 40, 4, 1 << 11), (11_000, 40, 2, 4), (600, 600, 9, 1 << 9)] {
        let case = long_field(terms, width, l_skip, height);
        let point = random_ef(&mut rng(terms as u64), 1)[0];
        let expected = case.reference_at(point);
        for strategy in crate::support::STRATEGIES {
            let uploaded = Uploaded::together(gpu(FieldForm::U64), std::slice::from_ref(&case), strategy);
            let polys = uploaded.evaluate(&Round0::new(gpu(FieldForm::U64))).polys.swap_remove(0);
            assert_eq!(polys.at(point), expected, "{terms} terms, {strategy:?}");
        }
    }
}

/// Roots that no generated kernel of bounded size can hold: the first call comes back in seconds, and is right.
#[test]
fn first_calls_take_seconds_whatever_a_root_is() {
    let product = |width: usize| {
        case(width, 4, 32, |air, main| {
            // In pairs, so that the degree stays within bounds: (c_0 + c_1)(c_2 + c_3) + ..
            let mut sum = air.constant(F::ZERO);
            for i in 0..width / 4 {
                let [a, b, c, d] = [0, 1, 2, 3].map(|k| air.column(main, 4 * i + k));
                let (left, right) = (air.add(a, b), air.add(c, d));
                let product = air.mul(left, right);
                sum = air.add(sum, product);
            }
            let square = air.mul(sum, sum);
            air.interaction(0, [square], square);
        })
    };
    let square_of_sum = |width: usize| {
        case(width, 4, 32, |air, main| {
            let zero = air.constant(F::ZERO);
            let sum = (0..width).fold(zero, |sum, i| {
                let column = air.column(main, i);
                air.add(sum, column)
            });
            let square = air.mul(sum, sum);
            air.interaction(0, [square], sum);
        })
    };
    let power = case(1, 4, 32, |air, main| {
        let x = air.column(main, 0);
        let power = (1..255).fold(x, |power, _| air.mul(power, x));
        air.interaction(0, [power], x);
    });
    let cases = [long_field(64, 64, 4, 32), long_field(200, 200, 4, 32), product(400), square_of_sum(1_000), power];
    for case in cases {
        let point = random_ef(&mut rng(7), 1)[0];
        let expected = case.reference_at(point);
        let gpu = Gpu::new(GpuOptions::default()).unwrap();
        let start = std::time::Instant::now();
        let polys =
            Uploaded::together(&gpu, std::slice::from_ref(&case), Strategy::Split).evaluate(&Round0::new(&gpu)).polys.swap_remove(0);
        let first_call = start.elapsed();
        assert_eq!(polys.at(point), expected, "{:?}", case.air.name());
        assert!(first_call.as_secs() < 30, "{first_call:?}");
    }
}

/// The denominator at `Z = 1`.
fn outputs_at_one(case: &Case) -> EF {
    let uploaded = Uploaded::together(gpu(FieldForm::U32), std::slice::from_ref(case), Strategy::Split);
    let output = uploaded.evaluate(&Round0::new(gpu(FieldForm::U32)));
    output.polys[0].denominator.iter().copied().sum()
}

#[test]
fn plans_count_what_they_use() {
    let air: Air = case(7, 2, 8, |air, main| {
        let (a, b, c) = (air.column(main, 0), air.next(main, 0), air.column(main, 6));
        let product = air.mul(b, c);
        air.interaction(0, [a, product], a);
    })
    .air;
    let plan = Round0Plan::new(air, 2, Strategy::Split).unwrap();
    assert_eq!(plan.num_columns_used(), 2);
    assert!(plan.scratch_bytes(1 << 20).unwrap() > plan.scratch_bytes(1 << 10).unwrap());
}
