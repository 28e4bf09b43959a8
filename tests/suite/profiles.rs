//! Weaker devices than the one at hand: random AIRs under each profile, and traces larger than any binding. `openvm-wgpu`'s tests run
//! OpenVM's AIRs under each.

use crate::support::{
    Case, SCHEDULES, STRATEGIES, Uploaded, assert_same,
    random_air::{Size, random_case},
    rng,
    wide_air::wide_case,
};
use logup_wgpu::{EF, Error, FieldForm, Gpu, GpuOptions, Layout, Profile, Round0, Round0Polys, Strategy, Trace};
use p3_field::PrimeCharacteristicRing;

fn open(profile: Profile) -> Gpu {
    Gpu::new(GpuOptions { profile: Some(profile), ..GpuOptions::default() }).unwrap_or_else(|error| panic!("{profile:?}: {error}"))
}

/// Random DAGs in several skip domains, and what the reference says of them.
fn core() -> (Vec<Case>, Vec<Round0Polys>) {
    let size = Size { max_degree: 3, num_ops: 16, num_interactions: 4, max_message_len: 4 };
    let shapes = [(0, 64), (2, 512), (3, 1), (4, 2), (6, 256)];
    let random: Vec<Case> =
        shapes.iter().enumerate().map(|(i, &(l_skip, height))| random_case(&mut rng(40 + i as u64), size, l_skip, height)).collect();
    let expected = random.iter().map(Case::reference).collect();
    (random, expected)
}

#[test]
fn the_core_is_exact_under_each_profile() {
    let (cases, expected) = core();
    for profile in Profile::ALL {
        let gpu = open(profile);
        for strategy in STRATEGIES {
            for schedule in SCHEDULES {
                let output = Uploaded::together(&gpu, &cases, strategy).evaluate(&Round0::with_schedule(&gpu, schedule));
                for ((case, got), expected) in cases.iter().zip(&output.polys).zip(&expected) {
                    assert_same(got, expected, &format!("{profile:?}, {strategy:?}, {schedule:?}, l_skip {}", case.l_skip));
                }
                let has_timestamps = !matches!(profile, Profile::WebGpu | Profile::NoTimestamps | Profile::ParavirtualMac);
                assert!(has_timestamps || output.stats.gpu.is_none(), "{profile:?}");
            }
        }
    }
}

#[test]
fn a_profile_is_what_the_device_has() {
    for profile in Profile::ALL {
        let gpu = open(profile);
        // wgpu itself has no more: what the profile takes away, validation would refuse.
        let (features, limits) = (gpu.device().features(), gpu.device().limits());
        assert_eq!(profile.features(features), features, "{profile:?}");
        assert_eq!(profile.limits(limits.clone()), limits, "{profile:?}");
        if matches!(profile, Profile::WebGpu | Profile::NoInt64) {
            assert_eq!(gpu.field_form(), FieldForm::U32);
            let options = GpuOptions { profile: Some(profile), field_form: Some(FieldForm::U64), ..GpuOptions::default() };
            assert!(matches!(Gpu::new(options), Err(Error::MissingFeature { feature: "SHADER_INT64", .. })));
        }
    }
    // A caller's device, opened with all that it has, is used as if it had less.
    let all = crate::support::gpu(FieldForm::U64);
    let options = GpuOptions { profile: Some(Profile::WebGpu), ..GpuOptions::default() };
    let less = Gpu::from_device(all.info().clone(), all.device().clone(), all.queue().clone(), &options).unwrap();
    assert_eq!((less.field_form(), less.limits().storage_buffers, less.limits().buffer_bytes), (FieldForm::U32, 8, 256 << 20));
}

/// 520 MiB and more: windows over bindings of 128 MiB, buffers of 256 MiB that matrices are cut for.
#[test]
fn half_a_gibibyte_is_read_through_windows() {
    let point = EF::from_u32(1_000_003);
    for (layout, profile, product) in [(Layout::ColMajor, Profile::WebGpu, true), (Layout::RowMajor, Profile::SmallBindings, false)] {
        let case = [wide_case(130, 1 << 20, layout, product)];
        assert!(case[0].matrices().iter().map(|matrix| 4 * matrix.values.len()).sum::<usize>() >= 512 << 20);
        let gpu = open(profile);
        let output = Uploaded::together(&gpu, &case, Strategy::Split).evaluate(&Round0::new(&gpu));
        assert_eq!(output.polys[0].at(point), case[0].reference_at(point), "{profile:?}, {layout:?}");
        if layout == Layout::RowMajor {
            let error = Trace::new(&open(Profile::WebGpu), case[0].matrices()[0]).unwrap_err();
            assert!(matches!(error, Error::DeviceLimit { kernel: "upload", .. }), "no buffer holds it: {error}");
        }
    }
}
