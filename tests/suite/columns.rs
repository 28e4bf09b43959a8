//! Columns of row-major matrices come to the device as they are asked for: any columns, in any order, whatever the shapes.

use std::sync::Arc;

use logup_wgpu::{ColumnsOf, Error, F, FieldForm, Gpu, GpuOptions, Trace, introspect::EditShader, wgpu};
use p3_field::{PrimeCharacteristicRing, PrimeField32};
use rand::Rng;

use crate::support::{fence::fenced, gpu_of_my_own, read_buffer, rng};

fn transposing(edit: Option<EditShader>) -> GpuOptions {
    GpuOptions { transpose_on_device: Some(true), edit_shader: edit, ..GpuOptions::default() }
}

/// Random matrices with random columns, some chosen twice.
fn matrices(seed: u64, num: usize, max_log_height: usize) -> Vec<(Vec<F>, usize, Vec<usize>)> {
    let mut rng = rng(seed);
    (0..num)
        .map(|i| {
            let (width, height) = (1 + (i * 37) % 120, 1 << rng.random_range(0..=max_log_height));
            let cells = (0..width * height).map(|_| F::from_u32(rng.random())).collect();
            (cells, width, (0..rng.random_range(0..=width)).map(|_| rng.random_range(0..width)).collect())
        })
        .collect()
}

fn columns_of(matrices: &[(Vec<F>, usize, Vec<usize>)]) -> Vec<ColumnsOf<'_>> {
    matrices.iter().map(|(rows, width, columns)| ColumnsOf { rows, width: *width, columns }).collect()
}

/// Whether each trace has the columns that were asked for; of short ones, stored up to four rows.
fn check(gpu: &Gpu, matrices: &[ColumnsOf<'_>], traces: &[Trace]) -> bool {
    assert_eq!(matrices.len(), traces.len());
    matrices.iter().zip(traces).all(|(matrix, trace)| {
        let height = matrix.rows.len() / matrix.width;
        assert_eq!((trace.width(), trace.height()), (matrix.columns.len(), if matrix.columns.is_empty() { 1 } else { height }));
        matrix.columns.iter().enumerate().all(|(i, &column)| {
            let (buffer, first_word) = trace.location(i);
            let words = read_buffer(gpu, buffer);
            (0..height.max(4))
                .all(|row| words[first_word as usize + row] == matrix.rows[row % height * matrix.width + column].to_unique_u32())
        })
    })
}

#[test]
fn chosen_columns_are_transposed() {
    for on_device in [true, false] {
        let gpu = Gpu::new(GpuOptions { transpose_on_device: Some(on_device), ..GpuOptions::default() }).unwrap();
        for seed in 0..4 {
            let matrices = matrices(seed, 12, 7);
            let columns = columns_of(&matrices);
            assert!(check(&gpu, &columns, &Trace::upload_columns(&gpu, &columns).unwrap()), "seed {seed}, on the device: {on_device}");
        }
        assert!(Trace::upload_columns(&gpu, &[]).unwrap().is_empty());
    }
}

/// More rows than one piece of staging memory holds, several times: pieces are used again.
#[test]
fn rows_come_in_pieces() {
    let gpu = Gpu::new(transposing(None)).unwrap();
    let (width, height) = (37, 1 << 19); // 78 MB
    let rows: Vec<F> = (0..(width * height) as u32).map(F::new).collect();
    let columns = [36, 0, 17];
    for _ in 0..3 {
        let matrix = ColumnsOf { rows: &rows, width, columns: &columns };
        let traces = Trace::upload_columns(&gpu, &[matrix]).unwrap();
        let (buffer, first_word) = traces[0].location(1);
        let words = &read_buffer(&gpu, buffer)[first_word as usize..];
        assert!((0..height).all(|row| words[row] == rows[row * width].to_unique_u32()));
        assert!(words[height..].iter().zip(0..height).all(|(&word, row)| word == rows[row * width + 17].to_unique_u32()));
    }
}

/// Small buffers and bindings: pieces are smaller, matrices are cut between columns, and what no binding holds the host transposes.
#[test]
fn small_devices_get_their_columns() {
    for (buffer_bytes, binding_bytes) in [(1 << 20, 1 << 20), (64 << 10, 64 << 10), (1 << 20, 4 << 10)] {
        let gpu = gpu_of_my_own(transposing(None), |limits| wgpu::Limits {
            max_buffer_size: buffer_bytes,
            max_storage_buffer_binding_size: binding_bytes,
            ..limits
        });
        let matrices = matrices(9, 12, 6);
        let columns = columns_of(&matrices);
        assert!(check(&gpu, &columns, &Trace::upload_columns(&gpu, &columns).unwrap()), "{buffer_bytes}, {binding_bytes}");
    }
}

#[test]
fn bad_columns_are_refused() {
    let gpu = Gpu::new(transposing(None)).unwrap();
    let cells = [F::ONE; 12];
    let refused = |rows, width, columns: &[usize]| Trace::upload_columns(&gpu, &[ColumnsOf { rows, width, columns }]).unwrap_err();
    assert!(matches!(refused(&cells[..8], 2, &[1, 2]), Error::Index { got: 2, len: 2, .. }));
    assert!(matches!(refused(&cells[..7], 2, &[1]), Error::Length { .. }));
    assert!(matches!(refused(&cells[..6], 2, &[1]), Error::Height { got: 3, .. }));
    assert!(matches!(refused(&[], 0, &[0]), Error::Index { .. }));
}

/// A kernel that transposes wrongly is caught before it does so for anyone, and none reaches outside its bindings.
#[test]
fn the_kernel_is_fenced_and_asked() {
    let matrices = matrices(3, 12, 8);
    let columns = columns_of(&matrices);
    for form in FieldForm::ALL {
        let edit = EditShader(Arc::new(|_, source| fenced(&source)));
        let options = GpuOptions { known_answers: false, field_form: Some(form), ..transposing(Some(edit)) };
        let gpu = Gpu::new(options).unwrap();
        assert!(check(&gpu, &columns, &Trace::upload_columns(&gpu, &columns).unwrap()), "fenced");
    }
    for (from, to) in [
        ("(first_row + low) * job.row_stride", "low * job.row_stride"),
        ("* job.row_stride", "* 1u"),
        ("job.column_words / job.copies", "job.num_rows - 1u"),
        ("copy < job.copies", "copy < 1u"),
        ("columns[job.columns_base + first_column + low]", "columns[job.columns_base + low]"),
        ("(first_column + column) * job.column_words", "column * job.column_words"),
        ("row += LANES", "row += 2u * LANES"),
    ] {
        let edit = EditShader(Arc::new(
            move |kernel: &logup_wgpu::compute::Kernel, source: String| {
                if kernel.name == "transpose" { source.replace(from, to) } else { source }
            },
        ));
        let gpu = Gpu::new(transposing(Some(edit))).unwrap();
        let error = Trace::upload_columns(&gpu, &columns).unwrap_err();
        assert!(matches!(error, Error::WrongAnswer { kernel: "transpose", .. }), "{from}: {error}");
    }
}
