//! Devices that have less than a kernel needs: an error that says what is missing and how much, from this crate and before wgpu's own.

use crate::support::{
    Case, Uploaded, assert_same, gpu_of_my_own,
    random_air::{Size, random_case},
    rng,
};
use logup_wgpu::{Error, F, FieldForm, GpuOptions, Layout, Matrix, Round0, Strategy, Trace, wgpu};
use p3_field::PrimeCharacteristicRing;

fn case() -> Case {
    let size = Size { max_degree: 2, num_ops: 12, num_interactions: 3, max_message_len: 3 };
    Case { layout: Layout::ColMajor, ..random_case(&mut rng(3), size, 4, 128) }
}

/// What a call says on a device with these limits, for both strategies, and what compiling ahead says.
fn errors(limits: impl Fn(wgpu::Limits) -> wgpu::Limits) -> Vec<Error> {
    let gpu = gpu_of_my_own(GpuOptions::default(), limits);
    let round0 = Round0::new(&gpu);
    let case = case();
    let mut errors = Vec::new();
    for strategy in crate::support::STRATEGIES {
        let uploaded = Uploaded::together(&gpu, std::slice::from_ref(&case), strategy);
        errors.push(round0.evaluate(&uploaded.challenges(), &uploaded.instances()).unwrap_err());
        errors.push(round0.warm_up(&[&uploaded.plans[0]], Layout::ColMajor).unwrap_err());
    }
    errors
}

#[test]
fn what_a_kernel_needs_is_checked_before_it_is_compiled() {
    let with = |change: fn(&mut wgpu::Limits)| {
        move |mut limits: wgpu::Limits| {
            change(&mut limits);
            limits
        }
    };
    type Change = fn(&mut wgpu::Limits);
    let cases: [(&str, u64, Change); 5] = [
        ("storage buffers", 4, |limits| limits.max_storage_buffers_per_shader_stage = 4),
        ("bind groups", 1, |limits| limits.max_bind_groups = 1),
        ("bindings in one group", 3, |limits| limits.max_bindings_per_bind_group = 3),
        ("threads in one workgroup", 32, |limits| limits.max_compute_invocations_per_workgroup = 32),
        ("bytes of workgroup memory", 1024, |limits| limits.max_compute_workgroup_storage_size = 1024),
    ];
    for (missing, there, change) in cases {
        for error in errors(with(change)) {
            let Error::DeviceLimit { what, requested, limit, .. } = &error else { panic!("{missing}: {error}") };
            assert_eq!((*what, *limit), (missing, there), "{error}");
            assert!(requested > limit, "{error}");
        }
    }
    for error in errors(with(|limits| limits.max_compute_workgroup_size_x = 16)) {
        assert!(matches!(error, Error::DeviceLimit { what: "threads in one workgroup", limit: 16, .. }), "{error}");
    }
    for error in errors(with(|limits| limits.max_compute_workgroups_per_dimension = 0)).into_iter().step_by(2) {
        assert!(matches!(error, Error::DeviceLimit { what: "workgroups", limit: 0, .. }), "{error}");
    }
}

/// Options for devices with buffers smaller than the traces of the known answers, 1.3 MB: no real device has such.
fn small_buffers(form: FieldForm) -> GpuOptions {
    GpuOptions { field_form: Some(form), known_answers: false, ..GpuOptions::default() }
}

/// 2^31 - 1 bytes is what many drivers give one buffer: no power of two, and no multiple of four.
#[test]
fn buffers_grow_to_odd_limits() {
    for limit in [(1 << 20) - 1, (1 << 20) + 7] {
        let gpu = gpu_of_my_own(small_buffers(FieldForm::U64), |limits| wgpu::Limits { max_buffer_size: limit, ..limits });
        assert_eq!(gpu.limits().buffer_bytes, limit / 16 * 16);
        let size = Size { max_degree: 2, num_ops: 8, num_interactions: 2, max_message_len: 2 };
        // eq given: 2^15 elements are half a MiB, which grows to the limit.
        let case = random_case(&mut rng(1), size, 0, 1 << 15);
        let uploaded = Uploaded::apart(&gpu, std::slice::from_ref(&case), Strategy::Split);
        let evals = case.eq_evals();
        let instances = [uploaded.instances().remove(0).eq(&evals)];
        let output = Round0::new(&gpu).evaluate(&uploaded.challenges(), &instances).unwrap();
        assert_same(&output.polys[0], &case.reference(), &format!("limit {limit}"));
    }
}

/// Traces of more than a buffer's bytes, together and some alone: as many buffers as it takes, a matrix cut between columns.
#[test]
fn traces_are_spread_over_buffers() {
    let size = Size { max_degree: 3, num_ops: 14, num_interactions: 3, max_message_len: 4 };
    // A column is 64 KiB, and a buffer has four.
    let cases: Vec<Case> = (0..4).map(|seed| Case { layout: Layout::ColMajor, ..random_case(&mut rng(seed), size, 4, 1 << 14) }).collect();
    assert!(cases.iter().flat_map(Case::matrices).any(|matrix| matrix.width > 4), "a matrix that no buffer holds");
    let expected: Vec<_> = cases.iter().map(Case::reference).collect();
    for form in FieldForm::ALL {
        let gpu = gpu_of_my_own(small_buffers(form), |limits| wgpu::Limits { max_buffer_size: 256 << 10, ..limits });
        for strategy in crate::support::STRATEGIES {
            let output = Uploaded::together(&gpu, &cases, strategy).evaluate(&Round0::new(&gpu));
            for (i, expected) in expected.iter().enumerate() {
                assert_same(&output.polys[i], expected, &format!("{form:?}, {strategy:?}, case {i}"));
            }
        }
    }
    let gpu = gpu_of_my_own(GpuOptions::default(), |limits| wgpu::Limits { max_buffer_size: 256 << 10, ..limits });
    let cells = vec![F::ONE; 5 << 14];
    let error = Trace::new(&gpu, Matrix::row_major(&cells, 5)).unwrap_err();
    assert!(matches!(error, Error::DeviceLimit { kernel: "upload", requested: 327680, limit: 262144, .. }), "{error}");
}
