//! Commitments to traces of all shapes, in both field forms.

use std::{sync::Arc, time::Duration};

use logup_wgpu::{Error, F, FieldForm, Gpu, GpuOptions, Subject, compute::Kernel, introspect::EditShader, wgpu};
use openvm_cpu_backend::{CpuBackend, CpuDevice};
use openvm_stark_backend::{
    SystemParams,
    prover::{ProverBackend, TraceCommitter},
    test_utils::test_system_params_small,
};
use openvm_stark_sdk::config::baby_bear_poseidon2::{BabyBearPoseidon2Config, Digest};
use openvm_wgpu::{CommitStats, WgpuDevice, WgpuOptions, WgpuProverError, kernels};
use p3_matrix::dense::RowMajorMatrix;
use rand::{Rng, rngs::StdRng};

use crate::{
    Shape,
    support::{fence::fenced, limited_gpu, random_f, rng},
};

type SC = BabyBearPoseidon2Config;
type PcsData = <CpuBackend<SC> as ProverBackend>::PcsData;

/// Both devices, with one configuration.
struct Devices {
    stock: CpuDevice<SC>,
    ours: Vec<WgpuDevice>,
}

impl Devices {
    fn new(params: SystemParams, gpus: &[&Gpu]) -> Self {
        let config = SC::default_from_params(params);
        let options = WgpuOptions { host_copies: true, ..WgpuOptions::default() };
        let ours = gpus.iter().map(|gpu| WgpuDevice::with_options(config.clone(), gpu, options).unwrap()).collect();
        Self { stock: CpuDevice::new(config), ours }
    }

    fn assert_same(&self, traces: &[RowMajorMatrix<F>]) {
        let traces: Vec<&RowMajorMatrix<F>> = traces.iter().collect();
        let shapes: Vec<(usize, usize)> = traces.iter().map(|trace| (trace.width, trace.values.len() / trace.width)).collect();
        let expected = TraceCommitter::<CpuBackend<SC>>::commit(&self.stock, &traces).unwrap();
        for ours in &self.ours {
            let how = format!("{:?}, {:?}, (width, height) {shapes:?}", ours.gpu().field_form(), self.stock.params());
            assert_equal(&TraceCommitter::commit(ours, &traces).unwrap(), &expected, &how);
        }
    }
}

fn assert_equal((root, data): &(Digest, PcsData), (expected_root, expected): &(Digest, PcsData), how: &str) {
    assert!(data.matrix.values == expected.matrix.values, "stacked matrix: {how}");
    let (rows, expected_rows) = (data.tree.backing_matrix(), expected.tree.backing_matrix());
    assert_eq!(rows.width, expected_rows.width, "{how}");
    let differing = rows.values.iter().zip(&expected_rows.values).filter(|(a, b)| a != b).count();
    assert_eq!((differing, rows.values.len()), (0, expected_rows.values.len()), "words of the codeword: {how}");
    let layers = data.tree.digest_layers();
    assert_eq!(layers.len(), expected.tree.digest_layers().len(), "{how}");
    for (i, (layer, expected)) in layers.iter().zip(expected.tree.digest_layers()).enumerate() {
        assert!(layer == expected, "layer {i}: {how}");
    }
    assert_eq!((root, data.tree.rows_per_query()), (expected_root, expected.tree.rows_per_query()), "{how}");
}

fn trace(rng: &mut StdRng, width: usize, log_height: usize) -> RowMajorMatrix<F> {
    RowMajorMatrix::new(random_f(rng, width << log_height), width)
}

fn gpus() -> [&'static Gpu; 2] {
    FieldForm::ALL.map(crate::support::gpu)
}

/// Every l_skip and stacked height that there is up to 2^14, rates and rows of a query; traces above, at and below 2^l_skip.
#[test]
fn small_commitments_are_the_stock_ones() {
    let mut rng = rng(31);
    for log_height in 1..=14 {
        for l_skip in 0..=log_height.min(12) {
            if log_height > 9 && (l_skip + log_height) % 5 != 0 {
                continue;
            }
            let log_blowup = 1 + (l_skip + log_height) % 4;
            let k = 1 + (l_skip + 2 * log_height) % 6;
            if k > log_height {
                continue;
            }
            let mut params = test_system_params_small(l_skip, log_height - l_skip, k.min(log_height));
            params.log_blowup = log_blowup;
            let devices = Devices::new(params, &gpus());
            let mut heights: Vec<usize> = (0..3).map(|_| rng.random_range(0..=log_height)).collect();
            heights.sort_unstable_by(|a, b| b.cmp(a));
            let traces: Vec<_> = heights.into_iter().map(|height| trace(&mut rng, height % 5 + 1, height)).collect();
            devices.assert_same(&traces);
        }
    }
}

/// Columns by the thousand and heights from 1 to 2^18, mixed: passes over strided words, sponges over several blocks, a stack of more columns
/// than a dispatch hashes.
#[test]
fn large_commitments_are_the_stock_ones() {
    let mut rng = rng(32);
    let shapes: [Shape; 5] = [
        (4, 18, 4, &[(3, 18), (1, 17), (70, 9), (2, 4), (5, 3), (1, 0)]),
        (4, 10, 4, &[(3000, 10), (1, 10), (7, 2)]),
        (2, 13, 3, &[(9, 13), (8, 12), (33, 7), (300, 0)]),
        (9, 14, 6, &[(2, 14), (40, 9), (11, 8), (500, 1)]),
        (2, 6, 4, &[(4200, 6), (70, 3)]),
    ];
    for (l_skip, log_height, k, traces) in shapes {
        let devices = Devices::new(test_system_params_small(l_skip, log_height - l_skip, k), &gpus());
        devices.assert_same(&traces.iter().map(|&(width, height)| trace(&mut rng, width, height)).collect::<Vec<_>>());
    }
}

/// Bindings of 64 KiB, buffers of 1 MiB: columns in several buffers, rows of a codeword in several dispatches with states between them. And
/// submissions so short that each dispatch is one.
#[test]
fn windows_and_submissions_do_not_show() {
    let mut rng = rng(33);
    let limits = |limits: wgpu::Limits| wgpu::Limits { max_storage_buffer_binding_size: 64 << 10, max_buffer_size: 1 << 20, ..limits };
    let short = GpuOptions { submission_budget: Some(Duration::from_nanos(1)), ..GpuOptions::default() };
    let small = FieldForm::ALL.map(|form| limited_gpu(form, limits));
    let devices = Devices::new(test_system_params_small(2, 10, 3), &[&small[0], &small[1], &Gpu::new(short).unwrap()]);
    let shapes = [(50, 12), (9, 11), (17, 6), (3, 1)];
    devices.assert_same(&shapes.map(|(width, height)| trace(&mut rng, width, height)));
    let stats: Vec<CommitStats> = devices.ours.iter().map(|ours| ours.last_commit_stats().unwrap()).collect();
    assert!(stats[0].kernels > 2 * stats[2].kernels, "{stats:?}");
}

/// What a device refuses, it refuses before it works, and does the next good commitment.
#[test]
fn what_does_not_fit_is_refused() {
    let mut rng = rng(34);
    let config = |k| SC::default_from_params(test_system_params_small(2, 6, k));
    let gpu = gpus()[0];
    let ours = WgpuDevice::new(config(3), gpu).unwrap();
    let refused = |device: &WgpuDevice, traces: &[&RowMajorMatrix<F>]| match TraceCommitter::commit(device, traces) {
        Err(WgpuProverError::Commit(error)) => error,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("committed"),
    };
    let good = trace(&mut rng, 3, 5);
    let odd = RowMajorMatrix::new(random_f(&mut rng, 3 * 24), 3);
    assert!(matches!(refused(&ours, &[&good, &odd]), Error::Height { subject: Subject::Matrix(1), got: 24 }));
    let tall = trace(&mut rng, 1, 9);
    assert!(matches!(refused(&ours, &[&tall]), Error::Height { subject: Subject::Matrix(0), got: 512 }));
    assert!(matches!(refused(&ours, &[]), Error::Unsupported { subject: Subject::Call, .. }));
    let taller_later = [&good, &trace(&mut rng, 1, 6)];
    assert!(matches!(refused(&ours, &taller_later), Error::Unsupported { subject: Subject::Matrix(1), .. }));
    let budget = WgpuOptions { memory_budget: Some(16 << 10), ..WgpuOptions::default() };
    let poor = WgpuDevice::with_options(config(3), gpu, budget).unwrap();
    let wide = trace(&mut rng, 40, 5);
    let error = refused(&poor, &[&wide]);
    assert!(
        matches!(error, Error::DeviceLimit { what: "bytes of device memory", requested, limit: 16384, .. } if requested > 16384),
        "{error}"
    );
    for device in [&ours, &poor] {
        let _ = TraceCommitter::commit(device, &[&good]).unwrap();
    }
}

/// Traces that were committed to stay, as many as the budget has room for, and no buffer is made for what was there before.
#[test]
fn memory_is_bounded_and_reused() {
    let mut rng = rng(35);
    let config = SC::default_from_params(test_system_params_small(2, 10, 3));
    let budget = 2 << 20;
    let options = WgpuOptions { memory_budget: Some(budget), ..WgpuOptions::default() };
    let device = WgpuDevice::with_options(config, gpus()[0], options).unwrap();
    // 64 KiB of stack, 128 KiB of codeword, 64 KiB of layers: a few stay.
    for i in 0..60 {
        let _ = TraceCommitter::commit(&device, &[&trace(&mut rng, 4, 12)]).unwrap();
        let stats = device.last_commit_stats().unwrap();
        assert!(i < 30 || stats.allocations == 0, "{i}: {stats:?}");
    }
    // Beside what the budget bounds there is what comes back, the known answer's too.
    let peak = device.peak_device_bytes();
    assert!(peak > budget / 2 && peak < budget + (3 << 20), "{peak}");
}

/// A device whose kernels are wrong in any of these ways is refused before it commits to anything.
#[test]
fn wrong_kernels_are_found_out() {
    let config = SC::default_from_params(test_system_params_small(3, 7, 3));
    let mut rng = rng(36);
    let good = trace(&mut rng, 3, 5);
    for (kernel, from, to) in [
        ("interpolate", "f_mul(x.x, job.scale)", "x.x"),
        ("interpolate", "(0u - reversed(address & mask, job.log_block))", "reversed(address & mask, job.log_block)"),
        ("interpolate", "y = vec4<u32>(y.x, f_add(y.x, y.y), y.z, f_add(y.z, y.w));", "y = y;"),
        ("code_pass", "(coset << first_stage.z)", "(coset << first_stage.x)"),
        ("code_pass", "root(e << (job.log_column + job.log_blowup - stage.z - stage.y))", "root(e)"),
        ("code_pass", "    workgroupBarrier();\n    return tile_points", "    return tile_points"),
        ("code_pass", "times3(x.x0, fours.y, fours.z, fours.w)", "x.x0"),
        ("code_pass", "(middle << log_low)", "middle"),
        ("row_hash", "column += RATE", "column += 2u * RATE"),
        ("row_hash", "if left > 1u", "if left > 2u"),
        ("row_hash", "external_rounds(external_matrix(state), 0u)", "external_rounds(state, 0u)"),
        ("row_hash", "i < INTERNAL", "i < INTERNAL - 1u"),
        ("row_hash", "left + (1u << log_half)", "left + 1u"),
        ("row_hash", "let y = reversed(", "let y = max("),
        ("merkle_layers", "external_rounds(s, TERMINAL_AT)", "external_rounds(s, 0u)"),
        ("merkle_layers", "compress(Digest(low[2u * i], high[2u * i])", "compress(Digest(low[2u * i], low[2u * i])"),
        ("code_rows", "(x * job.num_queries + i)", "(i * job.num_queries + x)"),
    ] {
        let edit = move |edited: &'static Kernel, source: String| if edited.name == kernel { source.replace(from, to) } else { source };
        let known = kernels::ALL.iter().find(|known| known.name == kernel).unwrap();
        assert!(known.variants().next().unwrap().source().contains(from), "{kernel} has no {from}");
        let options = GpuOptions { edit_shader: Some(EditShader(Arc::new(edit))), ..GpuOptions::default() };
        let device = WgpuDevice::new(config.clone(), &Gpu::new(options).unwrap()).unwrap();
        match TraceCommitter::commit(&device, &[&good]) {
            Err(WgpuProverError::Commit(Error::WrongAnswer { .. })) => {}
            Err(error) => panic!("{kernel}, {from}: {error}"),
            Ok(_) => panic!("{kernel}, {from}: not noticed"),
        }
    }
}

/// Every storage access of every kernel lies within its binding: a thread that was outside once writes words that are no field elements.
#[test]
fn no_kernel_reaches_outside_its_bindings() {
    let mut rng = rng(37);
    let arrays_of_any_length = |kernel: &Kernel| ![kernels::GRIND.name, kernels::MARK.name].contains(&kernel.name);
    let gpus = FieldForm::ALL.map(|form| {
        let edit = move |kernel: &'static Kernel, source: String| if arrays_of_any_length(kernel) { fenced(&source) } else { source };
        let edit_shader = Some(EditShader(Arc::new(edit)));
        Gpu::new(GpuOptions { field_form: Some(form), known_answers: false, edit_shader, ..GpuOptions::default() }).unwrap()
    });
    let shapes: [Shape; 4] =
        [(4, 13, 4, &[(9, 13), (3, 12), (5, 2)]), (0, 1, 1, &[(2, 1), (1, 0)]), (3, 3, 2, &[(1, 3)]), (6, 12, 3, &[(17, 9), (1, 5)])];
    for (l_skip, log_height, k, traces) in shapes {
        let devices = Devices::new(test_system_params_small(l_skip, log_height - l_skip, k), &gpus.each_ref());
        devices.assert_same(&traces.iter().map(|&(width, height)| trace(&mut rng, width, height)).collect::<Vec<_>>());
    }
}
