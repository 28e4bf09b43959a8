//! Traces larger than a storage binding, on a device opened with small limits: windows, slots, and jobs that are cut.

use crate::support::{Case, Uploaded, assert_same, wide_air::wide_case};
use logup_wgpu::{DeviceLimits, Error, FieldForm, Gpu, GpuOptions, Layout, Round0, Schedule, Strategy, wgpu};

/// A device whose storage bindings hold `binding_bytes` and whose kernels bind `storage_buffers` of them.
fn small_gpu(binding_bytes: u64, storage_buffers: u32, form: FieldForm) -> Gpu {
    // Known answers need more than the 64 KiB of a binding here; no real device has so little.
    let options = GpuOptions { field_form: Some(form), known_answers: false, ..GpuOptions::default() };
    crate::support::gpu_of_my_own(options, |limits| wgpu::Limits {
        max_storage_buffer_binding_size: binding_bytes,
        max_storage_buffers_per_shader_stage: storage_buffers,
        ..limits
    })
}

fn evaluate(gpu: &Gpu, case: &Case, strategy: Strategy) -> Result<logup_wgpu::Round0Output, Error> {
    let uploaded = Uploaded::together(gpu, std::slice::from_ref(case), strategy);
    Round0::new(gpu).evaluate(&uploaded.challenges(), &uploaded.instances())
}

const BINDING: u64 = 64 << 10; // windows of 2^14 words

#[test]
fn columns_and_rows_are_walked_in_windows() {
    // Of 2^12 rows, four columns fill a window: 20 columns need 5 windows, 60 need 15, more than a dispatch binds. One column of 2^17
    // rows needs 8.
    for (width, height, product) in [(20, 1 << 12, true), (60, 1 << 12, false), (2, 1 << 17, false)] {
        for layout in [Layout::ColMajor, Layout::RowMajor] {
            let mut case = wide_case(width, height, layout, product);
            if height == 1 << 17 {
                // fewer x: partial sums have to fit a binding of this size too
                case.l_skip = 5;
                case.xi.truncate(12);
            }
            let expected = case.reference();
            for (storage_buffers, slots) in [(32, 8), (9, 4), (8, 2)] {
                for form in FieldForm::ALL {
                    let gpu = small_gpu(BINDING, storage_buffers, form);
                    assert_eq!((gpu.limits().max_slots(), gpu.limits().log_window()), (slots, 14));
                    let windows = ((width * height) as u32).div_ceil(1 << 14);
                    let needs_all = product && layout == Layout::RowMajor;
                    match evaluate(&gpu, &case, Strategy::Split) {
                        Ok(output) => {
                            assert!(!needs_all || windows <= slots);
                            assert_same(&output.polys[0], &expected, &format!("{width} columns, {layout:?}, {slots} slots, {form:?}"));
                            assert_eq!((output.stats.submissions, output.stats.reduction_kernels), (1, 1));
                            assert_eq!(output.stats.column_kernels > 1, windows > slots);
                        }
                        // A coset pass over a row-major trace needs all of it; that is more than a kernel binds here.
                        Err(Error::DeviceLimit { kernel: "coset_pass", requested, limit, .. }) => {
                            assert!(needs_all && windows > slots);
                            assert_eq!((requested, limit), (windows.into(), slots.into()));
                        }
                        Err(other) => panic!("{other}"),
                    }
                }
            }
        }
    }
}

#[test]
fn direct_evaluates_over_eight_windows() {
    let gpu = small_gpu(BINDING, 32, FieldForm::U64);
    for layout in [Layout::ColMajor, Layout::RowMajor] {
        let case = wide_case(30, 1 << 12, layout, true); // 7.5 windows
        let output = evaluate(&gpu, &case, Strategy::Direct).unwrap();
        assert_same(&output.polys[0], &case.reference(), &format!("{layout:?}"));
        assert_eq!(output.stats.coset_kernels, 2);
    }
}

/// Temporaries of interpreted AIRs that do not fit a binding together: several dispatches use the same.
#[test]
fn temporaries_are_used_again() {
    let gpu = small_gpu(BINDING, 32, FieldForm::U64);
    let cases: Vec<Case> = (0..6).map(|i| wide_case(20 + i, 1 << 11, Layout::ColMajor, true)).collect();
    for (num, dispatches) in [(1, 2), (6, 4)] {
        let uploaded = Uploaded::together(&gpu, &cases[..num], Strategy::Direct);
        let output = Round0::new(&gpu).evaluate(&uploaded.challenges(), &uploaded.instances()).unwrap();
        for (case, polys) in cases.iter().zip(&output.polys) {
            assert_same(polys, &case.reference(), case.air.name());
        }
        assert!(output.stats.coset_kernels >= dispatches, "{}", output.stats);
    }
}

#[test]
fn limits_of_scratch_are_errors_before_the_device_is_touched() {
    let gpu = small_gpu(BINDING, 32, FieldForm::U64);
    // 2^16 evaluations of eq, and the 1 that stands for a high table, are a MiB and 16 bytes.
    let case = wide_case(2, 1 << 18, Layout::RowMajor, false);
    let uploaded = Uploaded::together(&gpu, std::slice::from_ref(&case), Strategy::Split);
    let error = Round0::with_schedule(&gpu, Schedule::PerCoset).evaluate(&uploaded.challenges(), &uploaded.instances()).unwrap_err();
    let Error::DeviceLimit { subject, kernel, requested, limit, .. } = &error else { panic!("{error}") };
    assert_eq!((subject, *kernel, *requested, *limit), (&case.air.name().into(), "eq", (1 << 20) + 16, BINDING));
    // The device is fine.
    let case = wide_case(3, 1 << 6, Layout::ColMajor, true);
    assert_same(&evaluate(&gpu, &case, Strategy::Split).unwrap().polys[0], &case.reference(), "after an error");
}

#[test]
fn limits_come_from_the_device() {
    let gpu = small_gpu(BINDING, 9, FieldForm::U32);
    assert_eq!((gpu.limits().binding_bytes, gpu.limits().storage_buffers), (BINDING, 9));
    assert_eq!(gpu.limits(), DeviceLimits::of(&gpu.device().limits()));
}
