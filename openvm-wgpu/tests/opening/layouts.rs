//! Openings of traces of all shapes with all parameters, in both field forms.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use logup_wgpu::{Error, FieldForm, Gpu, GpuOptions, compute::Kernel, introspect::EditShader, wgpu};
use openvm_stark_sdk::config::{
    hook_params_with_100_bits_security, internal_params_with_100_bits_security, leaf_params_with_100_bits_security,
    root_params_with_100_bits_security,
};
use openvm_wgpu::{WgpuOptions, WgpuProverError, kernels};
use rand::Rng;

use crate::{
    case::{Case, Shape, params},
    support::{fence::fenced, gpu, limited_gpu, rng},
};

/// No round is left to the host.
fn without_host() -> WgpuOptions {
    WgpuOptions { max_host_len: Some(0), ..WgpuOptions::default() }
}

/// Both forms, all rounds on the device and with the host's share, against the stock device.
fn check(case: &Case, gpus: &[&Gpu], options: &[WgpuOptions]) {
    let expected = case.expected(&case.device(gpus[0], WgpuOptions::default()));
    for &gpu in gpus {
        for &options in options {
            let (opened, _) = case.opened(&case.device(gpu, options)).unwrap();
            case.assert_same(&opened, &expected, &format!("{:?}, {options:?}", gpu.field_form()));
        }
    }
}

fn gpus() -> [&'static Gpu; 2] {
    FieldForm::ALL.map(gpu)
}

/// Skip domains up to 2^9, rates, rows of a query, one to five rounds of WHIR, windows of one to four variables; more queries than rows, equal queries;
/// several commitments; traces of fewer rows than the skip domain has.
#[test]
fn random_openings_are_the_stock_ones() {
    let mut rng = rng(71);
    for i in 0..60 {
        let l_skip = i % 10;
        let n_stack = rng.random_range(u32::from(l_skip == 0) as usize..=(11 - l_skip).max(2));
        let m = l_skip + n_stack;
        let k = rng.random_range(1..=m.min(6));
        let num_rounds = rng.random_range(1..=(m / k).min(5));
        let queries: Vec<usize> = (0..num_rounds).map(|_| [1, 2, 7, 40][rng.random_range(0..4)]).collect();
        let params = params(l_skip, n_stack, rng.random_range(1..=4), k, &queries);
        let case = Case::random(&mut rng, params, 6);
        check(&case, &[gpus()[i % 2]], &[without_host(), WgpuOptions::default()]);
    }
}

/// Columns by the hundred, slices of thousands of blocks, skip domains beyond a workgroup's threads.
#[test]
fn large_openings_are_the_stock_ones() {
    let mut rng = rng(72);
    let shapes = [
        (4, 11, 4, vec![Shape::plain(15, 3, true), Shape::plain(14, 1, false), Shape::plain(9, 300, true), Shape::plain(2, 900, true)]),
        (9, 5, 4, vec![Shape::plain(14, 9, true), Shape::plain(8, 70, true), Shape::plain(3, 5, false)]),
        (0, 13, 5, vec![Shape { preprocessed: Some(2), cached: vec![3, 1], ..Shape::plain(13, 4, true) }, Shape::plain(0, 40, true)]),
    ];
    for (l_skip, n_stack, k, shapes) in shapes {
        let case = Case::new(&mut rng, params(l_skip, n_stack, 1, k, &[50, 30]), shapes);
        check(&case, &gpus(), &[without_host()]);
    }
}

/// OpenVM's parameters for aggregation: other rates and skip domains, and proofs of work of up to 18 bits before each challenge. With fewer rows where the stock
/// device takes minutes of two cores; `LOGUP_WGPU_ALL_ROWS=1` for all of them, as they were measured.
#[test]
fn aggregation_is_the_stock_ones() {
    let mut rng = rng(78);
    let all_rows = std::env::var("LOGUP_WGPU_ALL_ROWS").is_ok_and(|value| value == "1");
    for (name, mut params, fewer) in [
        ("leaf", leaf_params_with_100_bits_security(), 5),
        ("internal", internal_params_with_100_bits_security(), 2),
        ("root", root_params_with_100_bits_security(), 5),
        ("hook", hook_params_with_100_bits_security(), 3),
    ] {
        params.n_stack -= if all_rows { 0 } else { fewer };
        let m = params.log_stacked_height();
        params.whir.rounds.truncate(m / params.whir.k);
        let shapes = vec![Shape { cached: vec![1], ..Shape::plain(m, 2, true) }, Shape::plain(m - 4, 9, false), Shape::plain(3, 20, true)];
        let case = Case::new(&mut rng, params, shapes);
        let device = case.device(gpus()[0], WgpuOptions::default());
        let start = Instant::now();
        let expected = case.expected(&device);
        let stock = start.elapsed();
        case.opened(&device).unwrap();
        let (opened, stats) = case.opened(&device).unwrap();
        case.assert_same(&opened, &expected, name);
        let ours = stats.stacked_reduction.wall + stats.whir.wall;
        println!("{name}, 2^{m} rows: {ours:.1?}, {} waits; the stock device, commitments among it, {stock:.1?}", stats.waits());
    }
}

/// A device of small buffers and bindings spreads arrays over many, and one on which a submission may take next to nothing makes many.
#[test]
fn chunks_and_submissions_do_not_show() {
    let mut rng = rng(73);
    let limits = |limits| wgpu::Limits { max_storage_buffer_binding_size: 64 << 10, max_buffer_size: 1 << 20, ..limits };
    let small = FieldForm::ALL.map(|form| limited_gpu(form, limits));
    let short = Gpu::new(GpuOptions { submission_budget: Some(Duration::from_nanos(1)), ..GpuOptions::default() }).unwrap();
    let shapes = vec![Shape::plain(13, 9, true), Shape::plain(11, 5, false), Shape::plain(6, 17, true), Shape::plain(1, 3, true)];
    let case = Case::new(&mut rng, params(2, 11, 1, 4, &[20, 10, 10]), shapes);
    check(&case, &[&small[0], &small[1], &short], &[without_host(), WgpuOptions::default()]);
}

/// Where the budget has no room for codewords beside the rest they are given up and computed again: the same openings.
#[test]
fn codes_are_computed_again_within_a_budget() {
    let mut rng = rng(74);
    let shapes = vec![Shape { cached: vec![2], ..Shape::plain(13, 40, true) }, Shape::plain(5, 30, true)];
    let case = Case::new(&mut rng, params(3, 10, 1, 3, &[20, 10]), shapes);
    let roomy = case.device(gpus()[0], WgpuOptions::default());
    let expected = case.expected(&roomy);
    let (opened, stats) = case.opened(&roomy).unwrap();
    assert_eq!(stats.codes_again, 0, "{stats:?}");
    case.assert_same(&opened, &expected, "without a budget");
    let peak = roomy.peak_device_bytes();
    let budget = WgpuOptions { memory_budget: Some(peak * 2 / 3), ..WgpuOptions::default() };
    let poor = case.device(gpus()[0], budget);
    for _ in 0..3 {
        let (opened, stats) = case.opened(&poor).unwrap();
        assert!(stats.codes_again > 0, "{stats:?}");
        case.assert_same(&opened, &expected, "within a budget");
    }
    let error = case.opened(&case.device(gpus()[0], WgpuOptions { memory_budget: Some(peak / 8), ..WgpuOptions::default() })).unwrap_err();
    let limited = match &error {
        WgpuProverError::Commit(Error::DeviceLimit { requested, limit, .. })
        | WgpuProverError::Openings(Error::DeviceLimit { requested, limit, .. }) => requested > limit,
        _ => false,
    };
    assert!(limited, "{error}");
}

/// After the first openings no buffer is made.
#[test]
fn buffers_are_reused() {
    let mut rng = rng(75);
    let case = Case::new(&mut rng, params(3, 8, 1, 3, &[20, 10]), vec![Shape::plain(11, 7, true), Shape::plain(3, 4, false)]);
    let device = case.device(gpus()[0], WgpuOptions::default());
    let stats: Vec<_> = (0..4).map(|_| case.opened(&device).unwrap().1).collect();
    assert!(stats[1..].iter().all(|stats| stats.allocations == 0), "{stats:?}");
    assert!(stats[3].waits() == stats[0].waits() && stats[3].waits() < 12, "{stats:?}");
}

/// Rounds that the parameters have no variables for, and no round at all, are errors; the device goes on.
#[test]
fn parameters_without_a_proof_are_refused() {
    let mut rng = rng(76);
    let shapes = || vec![Shape::plain(6, 4, true)];
    for (queries, k) in [(&[3, 3, 3][..], 3), (&[], 2)] {
        let case = Case::new(&mut rng, params(2, 6, 1, k, queries), shapes());
        let error = case.opened(&case.device(gpus()[0], WgpuOptions::default())).expect_err("no proof");
        assert!(matches!(error, WgpuProverError::Openings(Error::Unsupported { .. }) | WgpuProverError::Cpu(_)), "{error}");
    }
    let good = Case::new(&mut rng, params(2, 6, 1, 4, &[3, 3]), shapes());
    check(&good, &[gpus()[0]], &[WgpuOptions::default()]);
}

/// Every storage access of every kernel lies within its binding: a thread that was outside once writes words that are no field elements.
#[test]
fn no_kernel_reaches_outside_its_bindings() {
    let mut rng = rng(77);
    let arrays_of_any_length = |kernel: &Kernel| ![kernels::GRIND.name, kernels::MARK.name].contains(&kernel.name);
    let gpus = FieldForm::ALL.map(|form| {
        let edit = move |kernel: &'static Kernel, source: String| if arrays_of_any_length(kernel) { fenced(&source) } else { source };
        let edit_shader = Some(EditShader(Arc::new(edit)));
        Gpu::new(GpuOptions { field_form: Some(form), known_answers: false, edit_shader, ..GpuOptions::default() }).unwrap()
    });
    for (l_skip, n_stack, k, queries) in [(3, 7, 3, &[9, 5][..]), (0, 2, 1, &[3, 3]), (9, 2, 2, &[40, 3, 1]), (1, 0, 1, &[2])] {
        let m = l_skip + n_stack;
        let shapes = vec![Shape { cached: vec![1], ..Shape::plain(m, 3, true) }, Shape::plain(m / 2, 9, true), Shape::plain(0, 5, false)];
        let case = Case::new(&mut rng, params(l_skip, n_stack, 1, k, queries), shapes);
        check(&case, &gpus.each_ref(), &[without_host(), WgpuOptions::default()]);
    }
}
