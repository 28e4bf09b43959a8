//! Weaker devices than the one at hand, for tests and for users who want to know what theirs would do.

use wgpu::{Features, Limits};

/// A named device that has less: the adapter's features and limits are cut down to it before the device is opened. What the adapter itself
/// lacks stays missing.
///
/// ```
/// use logup_wgpu::{Gpu, GpuOptions, Profile};
///
/// let gpu = Gpu::new(GpuOptions { profile: Some(Profile::WebGpu), ..GpuOptions::default() })?;
/// assert_eq!(gpu.limits().storage_buffers, 8);
/// # Ok::<(), logup_wgpu::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Profile {
    /// What every WebGPU device has: 8 storage buffers, 128 MiB bindings, 256 MiB buffers, 16 KiB of workgroup memory, offsets aligned to
    /// 256, and none of wgpu's features.
    WebGpu,
    /// No 64-bit integers in shaders.
    NoInt64,
    /// No timestamps: calls say nothing of their GPU time.
    NoTimestamps,
    /// No mappable primary buffers: traces reach the device by copies, as on a discrete device.
    NoMappableBuffers,
    /// Storage bindings of 128 MiB, WebGPU's least: larger traces are read in windows.
    SmallBindings,
    /// Buffers of 2 GiB less one byte, which many drivers give.
    SmallBuffers,
    /// The Apple Paravirtual device of public macOS runners, as wgpu 30's Metal backend would report it: GPU family Apple 5, buffers of
    /// 3.5 GiB, 29 storage buffers, 64-bit integers, no timestamps. Inferred from wgpu's source and others' reports.
    ParavirtualMac,
}

impl Profile {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::WebGpu,
        Self::NoInt64,
        Self::NoTimestamps,
        Self::NoMappableBuffers,
        Self::SmallBindings,
        Self::SmallBuffers,
        Self::ParavirtualMac,
    ];

    /// What is left of an adapter's features.
    pub fn features(self, features: Features) -> Features {
        match self {
            Self::WebGpu => Features::empty(),
            Self::NoInt64 => features - Features::SHADER_INT64,
            Self::NoTimestamps | Self::ParavirtualMac => features - Features::TIMESTAMP_QUERY,
            Self::NoMappableBuffers => features - Features::MAPPABLE_PRIMARY_BUFFERS,
            Self::SmallBindings | Self::SmallBuffers => features,
        }
    }

    /// What is left of an adapter's limits.
    pub fn limits(self, limits: Limits) -> Limits {
        match self {
            Self::WebGpu => limits.or_worse_values_from(&Limits::default()),
            Self::SmallBindings => {
                let least = Limits::default().max_storage_buffer_binding_size;
                Limits { max_storage_buffer_binding_size: least.min(limits.max_storage_buffer_binding_size), ..limits }
            }
            Self::SmallBuffers => Limits { max_buffer_size: limits.max_buffer_size.min((1 << 31) - 1), ..limits },
            Self::ParavirtualMac => {
                let buffer = limits.max_buffer_size.min(7 << 29);
                Limits {
                    max_buffer_size: buffer,
                    max_storage_buffer_binding_size: limits.max_storage_buffer_binding_size.min(buffer),
                    max_storage_buffers_per_shader_stage: limits.max_storage_buffers_per_shader_stage.min(29),
                    max_compute_invocations_per_workgroup: limits.max_compute_invocations_per_workgroup.min(1024),
                    max_compute_workgroup_size_x: limits.max_compute_workgroup_size_x.min(1024),
                    max_compute_workgroup_storage_size: limits.max_compute_workgroup_storage_size.min(32 << 10),
                    max_compute_workgroups_per_dimension: limits.max_compute_workgroups_per_dimension.min(65_535),
                    min_storage_buffer_offset_alignment: limits.min_storage_buffer_offset_alignment.max(32),
                    ..limits
                }
            }
            Self::NoInt64 | Self::NoTimestamps | Self::NoMappableBuffers => limits,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An adapter with everything and the best of limits.
    #[test]
    fn profiles_take_away_and_never_add() {
        let all = Features::all();
        let best = Limits {
            max_storage_buffer_binding_size: 1 << 40,
            max_buffer_size: 1 << 40,
            max_storage_buffers_per_shader_stage: 1 << 20,
            max_compute_invocations_per_workgroup: 2048,
            max_compute_workgroup_size_x: 2048,
            max_compute_workgroup_storage_size: 1 << 20,
            min_storage_buffer_offset_alignment: 4,
            ..Limits::default()
        };
        for profile in Profile::ALL {
            let (features, limits) = (profile.features(all), profile.limits(best.clone()));
            assert!(features != all || limits != best, "{profile:?} takes nothing away");
            assert_eq!(limits, limits.clone().or_worse_values_from(&best), "{profile:?} adds nothing");
            assert_eq!(profile.features(Features::empty()), Features::empty(), "{profile:?}");
            assert_eq!(profile.limits(limits.clone()), limits, "{profile:?} of itself");
        }
        assert_eq!(Profile::WebGpu.limits(best.clone()), Limits::default());
        assert_eq!(Profile::SmallBuffers.limits(best.clone()).max_buffer_size, (1 << 31) - 1);
        assert_eq!(Profile::SmallBindings.limits(best.clone()).max_storage_buffer_binding_size, 128 << 20);
        assert_eq!(Profile::ParavirtualMac.limits(best).max_storage_buffer_binding_size, 7 << 29);
    }
}
