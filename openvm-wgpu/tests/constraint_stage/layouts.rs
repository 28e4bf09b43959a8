//! Random keys and traces, and the awkward ones, in both field forms, with every window, and with all rounds on the device.

use std::{sync::Arc, time::Duration};

use logup_wgpu::{Error, FieldForm, Gpu, GpuOptions, compute::Kernel, introspect::EditShader, wgpu};
use openvm_stark_backend::test_utils::test_system_params_small;
use openvm_wgpu::{WgpuOptions, WgpuProverError, kernels};
use rand::Rng;

use crate::{
    air::{Expr, Spec},
    case::{Case, all_kinds},
    support::{fence::fenced, gpu, gpu_of_my_own, rng},
};

/// No round is left to the host, so many are for one wait.
fn without_host(rounds_per_wait: usize) -> WgpuOptions {
    WgpuOptions { max_host_len: Some(0), rounds_per_wait: Some(rounds_per_wait), ..WgpuOptions::default() }
}

fn check(case: &Case, gpus: &[&Gpu], options: &[WgpuOptions]) {
    let expected = case.expected();
    for &gpu in gpus {
        for &options in options {
            let proved = case.prove(&case.device(gpu, options)).unwrap();
            case.assert_same(&proved, &expected, &format!("{:?}, {options:?}", gpu.field_form()));
        }
    }
}

fn gpus() -> [&'static Gpu; 2] {
    FieldForm::ALL.map(gpu)
}

/// Heights from one row up, skip domains of 1 to 2^9 points, degrees up to 4, AIRs that take no part.
#[test]
fn random_stages_are_the_stock_ones() {
    let mut rng = rng(111);
    for i in 0..14 {
        let l_skip = i % 10;
        let n_stack = rng.random_range(2..=(12 - l_skip).clamp(2, 9));
        let max_degree = rng.random_range(1..=4);
        let num = rng.random_range(1..7);
        let spec = |rng: &mut _| {
            let log_height = rand::Rng::random_range(rng, 0..=(l_skip + n_stack).min(9));
            Spec::random(rng, log_height, max_degree, 6)
        };
        let specs: Vec<Spec> = (0..num).map(|_| spec(&mut rng)).collect();
        let absent: Vec<usize> = (1..num).filter(|_| rng.random_bool(0.15)).collect();
        let case = Case::new(&mut rng, test_system_params_small(l_skip, n_stack, 2), specs, &absent);
        check(&case, &[gpus()[i % 2]], &[without_host(1 + i % 4), WgpuOptions::default()]);
    }
}

fn plain(log_height: usize, random_columns: usize, num_pairs: usize) -> Spec {
    let cell = |i: usize, next: bool| Expr::Cell(0, i % random_columns, next);
    let pair = |i: usize| (i as u16, vec![cell(i, false), cell(i + 1, true)], cell(i + 2, false));
    Spec {
        log_height,
        preprocessed: None,
        cached: vec![],
        random_columns,
        derived: vec![],
        running: None,
        pairs: (0..num_pairs).map(pair).collect(),
        num_public_values: 0,
    }
}

/// A constraint over 300 columns, which several threads add up, and one product of 300 others, each of which is read twice, so that a thread has a hundred temporaries.
#[test]
fn wide_and_long_expressions_are_the_stock_ones() {
    let mut rng = rng(114);
    let cell = |i: usize| Expr::Cell(0, i, false);
    let sum = |terms: &mut dyn Iterator<Item = Expr>| terms.reduce(|a, b| Expr::Add(a.into(), b.into())).unwrap();
    let wide = Spec { derived: vec![sum(&mut (0..300).map(cell)), Expr::Mul(cell(0).into(), cell(299).into())], ..plain(5, 300, 1) };
    let product = |i: usize| Expr::Mul(cell(i % 20).into(), cell(20 + i / 20).into());
    let negated = |i: usize| if i.is_multiple_of(3) { Expr::Neg(product(i).into()) } else { product(i) };
    let [one, other] = [sum(&mut (0..300).map(product)), sum(&mut (0..300).map(negated))];
    let long =
        Spec { pairs: vec![(1, vec![product(0)], product(7))], derived: vec![Expr::Mul(one.into(), other.into())], ..plain(7, 40, 0) };
    let case = Case::new(&mut rng, test_system_params_small(2, 6, 2), vec![long, wide], &[]);
    check(&case, &gpus(), &[without_host(4)]);
}

/// No interactions; fewer and more of them than rows; a single fraction; constants alone; short traces; hundreds of AIRs.
#[test]
fn awkward_stages_are_the_stock_ones() {
    let mut rng = rng(112);
    let constants =
        Spec { pairs: vec![(1, vec![Expr::Constant(5)], Expr::First), (2, vec![Expr::Constant(6)], Expr::Constant(3))], ..plain(3, 1, 0) };
    let many: Vec<Spec> = (0..300).map(|i| plain(5, 1 + i % 3, 1 + i % 4)).collect();
    for (l_skip, n_stack, specs) in [
        (
            2,
            8,
            vec![
                Spec { derived: vec![Expr::Cell(0, 1, false)], ..plain(6, 3, 0) },
                Spec { running: Some(Expr::Constant(4)), ..plain(0, 2, 0) },
            ],
        ),
        (0, 6, vec![plain(0, 1, 1)]),
        (0, 9, vec![plain(9, 2, 1)]),
        (3, 5, vec![plain(0, 3, 90), Spec { derived: vec![Expr::Cell(0, 0, false)], ..plain(8, 1, 0) }]),
        (4, 6, vec![plain(2, 3, 1), constants.clone(), plain(1, 2, 3)]),
        (2, 7, vec![plain(9, 3, 2), plain(4, 3, 40), constants]),
        (3, 9, many),
    ] {
        let case = Case::new(&mut rng, test_system_params_small(l_skip, n_stack, 2), specs, &[]);
        check(&case, &gpus(), &[without_host(4), WgpuOptions::default()]);
    }
}

/// Interactions by the hundred, products by the hundred, fractions by the hundred thousand: many ranges and layers.
#[test]
fn large_stages_are_the_stock_ones() {
    let mut rng = rng(113);
    let deep = Spec::random(&mut rng, 7, 4, 60);
    let specs = vec![plain(15, 4, 3), Spec { cached: vec![5], ..plain(12, 5, 9) }, deep, plain(3, 2, 150)];
    let case = Case::new(&mut rng, test_system_params_small(4, 13, 3), specs, &[]);
    check(&case, &gpus(), &[without_host(4), WgpuOptions::default()]);
}

/// A device of small buffers and bindings spreads layers over many, one on which a submission may take next to nothing makes many, and within a budget layers
/// are computed again.
#[test]
fn chunks_submissions_and_budgets_do_not_show() {
    let mut rng = rng(114);
    let limits = |limits| wgpu::Limits { max_storage_buffer_binding_size: 1 << 20, max_buffer_size: 8 << 20, ..limits };
    // Round 0's known answers take more room.
    let options = |form| GpuOptions { field_form: Some(form), known_answers: false, ..GpuOptions::default() };
    let small = FieldForm::ALL.map(|form| gpu_of_my_own(options(form), limits));
    let short = Gpu::new(GpuOptions { submission_budget: Some(Duration::from_nanos(1)), ..GpuOptions::default() }).unwrap();
    let specs = vec![plain(14, 4, 3), all_kinds(14), all_kinds(14), all_kinds(14), Spec::random(&mut rng, 9, 3, 8), plain(2, 3, 6)];
    let case = Case::new(&mut rng, test_system_params_small(2, 12, 2), specs, &[]);
    check(&case, &[&small[0], &small[1], &short], &[without_host(4)]);

    let specs = vec![plain(13, 2, 8), plain(5, 3, 6)];
    let case = Case::new(&mut rng, test_system_params_small(2, 11, 2), specs, &[]);
    let expected = case.expected();
    let roomy = case.device(gpus()[0], without_host(4));
    case.assert_same(&case.prove(&roomy).unwrap(), &expected, "without a budget");
    let kept = roomy.last_gkr_stats().unwrap().layers_kept;
    let mut least = kept;
    // The commitment alone takes 3.2 MB, layers beside its traces and tree 5.5 MB.
    for budget in (3_400_000..6_000_000).rev().step_by(100_000) {
        let options = WgpuOptions { memory_budget: Some(budget), max_host_len: Some(0), ..WgpuOptions::default() };
        let poor = case.device(gpus()[0], options);
        match case.prove(&poor) {
            Ok(proved) => {
                case.assert_same(&proved, &expected, &format!("{budget} bytes"));
                least = least.min(poor.last_gkr_stats().unwrap().layers_kept);
            }
            Err(WgpuProverError::Gkr(Error::DeviceLimit { .. })) => break,
            Err(error) => panic!("{budget} bytes: {error}"),
        }
    }
    assert!(least < kept, "{least} of {kept} layers");
}

/// What is folded has room where the commitment has it: codewords are given up for it, though no layer of fractions asked for it.
#[test]
fn codewords_make_room_for_folded_traces() {
    let square = Expr::Mul(Expr::Cell(0, 0, false).into(), Expr::Cell(0, 1, false).into());
    let specs = vec![Spec { derived: vec![square.clone(), square], ..plain(12, 30, 0) }];
    let case = Case::new(&mut rng(116), test_system_params_small(0, 12, 2), specs, &[]);
    let expected = case.expected();
    let budgets = (1_000_000..4_000_000).step_by(100_000);
    let device = |budget| case.device(gpus()[0], WgpuOptions { memory_budget: Some(budget), ..WgpuOptions::default() });
    let tight = budgets.map(device).find(|device| case.is_committed(device)).expect("a budget that is enough");
    case.assert_same(&case.prove(&tight).unwrap(), &expected, "within what the commitment takes");
}

/// Every storage access of this crate's kernels lies within its binding: a thread that was outside once writes words that are no field elements.
#[test]
fn no_kernel_reaches_outside_its_bindings() {
    let mut rng = rng(115);
    let is_fenced = |kernel: &Kernel| {
        let of_any_length = [kernels::GRIND.name, kernels::MARK.name];
        kernels::ALL.iter().any(|known| known.name == kernel.name) && !of_any_length.contains(&kernel.name)
    };
    let gpus = FieldForm::ALL.map(|form| {
        let edit = move |kernel: &'static Kernel, source: String| if is_fenced(kernel) { fenced(&source) } else { source };
        let edit_shader = Some(EditShader(Arc::new(edit)));
        Gpu::new(GpuOptions { field_form: Some(form), known_answers: false, edit_shader, ..GpuOptions::default() }).unwrap()
    });
    for (l_skip, n_stack, log_heights) in [(3, 7, vec![9, 4, 0]), (0, 5, vec![4, 1]), (1, 7, vec![8, 8]), (6, 3, vec![9, 2])] {
        let specs = log_heights.into_iter().map(all_kinds).collect();
        let case = Case::new(&mut rng, test_system_params_small(l_skip, n_stack, 2), specs, &[]);
        check(&case, &gpus.each_ref(), &[without_host(3), WgpuOptions::default()]);
    }
}
