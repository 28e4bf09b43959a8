//! What a device allows, as plans and recordings check it. No device: plain numbers.

use crate::{
    error::{Error, Result, Subject},
    kernel::Variant,
    kernels::BUFFERS_BESIDE_WINDOWS,
};

/// What a plan needs to know of a device. All of it comes from `wgpu::Limits`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeviceLimits {
    /// Bytes of one storage binding, at most 4 GiB less 16: naga's buffer sizes are words, and bounds checks clamp to them in silence.
    pub binding_bytes: u64,
    /// Bytes of one buffer, a multiple of 16.
    pub buffer_bytes: u64,
    /// Storage buffers that one kernel may bind.
    pub storage_buffers: u32,
    /// Bind groups of one kernel.
    pub bind_groups: u32,
    /// Bindings of one group.
    pub bindings_per_group: u32,
    /// Threads of one workgroup.
    pub workgroup_threads: u32,
    /// Bytes of one workgroup's memory.
    pub workgroup_bytes: u32,
    /// Workgroups in one dimension of a grid.
    pub workgroups_per_dimension: u32,
    /// Alignment of a storage binding's offset in bytes.
    pub binding_alignment: u64,
}

impl DeviceLimits {
    /// The limits that matter, out of a device's.
    pub fn of(limits: &wgpu::Limits) -> Self {
        let whole = |bytes: u64| bytes / 16 * 16;
        Self {
            binding_bytes: whole(limits.max_storage_buffer_binding_size.min(u64::from(u32::MAX))),
            buffer_bytes: whole(limits.max_buffer_size),
            storage_buffers: limits.max_storage_buffers_per_shader_stage,
            bind_groups: limits.max_bind_groups,
            bindings_per_group: limits.max_bindings_per_bind_group,
            workgroup_threads: limits.max_compute_invocations_per_workgroup.min(limits.max_compute_workgroup_size_x),
            workgroup_bytes: limits.max_compute_workgroup_storage_size,
            workgroups_per_dimension: limits.max_compute_workgroups_per_dimension,
            binding_alignment: u64::from(limits.min_storage_buffer_offset_alignment),
        }
    }

    /// Refuses a kernel that needs more than the device gives any kernel.
    pub(crate) fn check_kernel(&self, variant: Variant) -> Result<()> {
        let needs = variant.needs();
        let pairs = [
            ("storage buffers", needs.storage_buffers, self.storage_buffers),
            ("bind groups", needs.bind_groups, self.bind_groups),
            ("bindings in one group", needs.bindings, self.bindings_per_group),
            ("threads in one workgroup", needs.threads, self.workgroup_threads),
            ("bytes of workgroup memory", needs.workgroup_bytes, self.workgroup_bytes),
        ];
        for (what, requested, limit) in pairs {
            if requested > limit {
                let (subject, kernel) = (Subject::EveryAir, variant.kernel.name);
                return Err(Error::DeviceLimit { subject, kernel, what, requested: requested.into(), limit: limit.into() });
            }
        }
        Ok(())
    }

    /// log2 of the words of a trace window: the largest power of two that one binding holds, at most `2^29`, so that eight windows
    /// have 32-bit word indices.
    pub fn log_window(&self) -> u32 {
        ((self.binding_bytes / 4).max(1)).ilog2().min(29)
    }

    /// How many trace windows a kernel can bind beside its other buffers: 1, 2, 4 or 8.
    pub fn max_slots(&self) -> u32 {
        let left = self.storage_buffers.saturating_sub(BUFFERS_BESIDE_WINDOWS).max(1);
        1 << left.ilog2().min(3)
    }

    /// `num_tiles` workgroups as a two-dimensional grid, or the number of tiles that fit.
    pub(crate) fn grid(&self, num_tiles: u64) -> std::result::Result<[u32; 2], u64> {
        let row = u64::from(self.workgroups_per_dimension).min(32768);
        if row == 0 {
            return Err(0);
        }
        let rows = num_tiles.div_ceil(row);
        if rows > u64::from(self.workgroups_per_dimension) {
            return Err(row * u64::from(self.workgroups_per_dimension));
        }
        Ok([num_tiles.min(row) as u32, rows as u32])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: DeviceLimits = DeviceLimits {
        binding_bytes: 128 << 20,
        buffer_bytes: 1 << 31,
        storage_buffers: 32,
        bind_groups: 4,
        bindings_per_group: 1000,
        workgroup_threads: 256,
        workgroup_bytes: 16384,
        workgroups_per_dimension: 65535,
        binding_alignment: 256,
    };

    #[test]
    fn windows_and_slots_follow_the_limits() {
        assert_eq!(LIMITS.log_window(), 25);
        assert_eq!(LIMITS.max_slots(), 8);
        assert_eq!(DeviceLimits { storage_buffers: 8, ..LIMITS }.max_slots(), 2);
        assert_eq!(DeviceLimits { storage_buffers: 9, ..LIMITS }.max_slots(), 4);
        assert_eq!(DeviceLimits { binding_bytes: u64::MAX, ..LIMITS }.log_window(), 29);
    }

    #[test]
    fn grids_fold() {
        assert_eq!(LIMITS.grid(5), Ok([5, 1]));
        assert_eq!(LIMITS.grid(32769), Ok([32768, 2]));
        assert_eq!(LIMITS.grid(1 << 40), Err(32768 * 65535));
        assert_eq!(DeviceLimits { workgroups_per_dimension: 0, ..LIMITS }.grid(5), Err(0));
    }

    /// What a device says is taken down to what kernels can address: 4 GiB of a binding, whole 16 bytes of anything.
    #[test]
    fn limits_are_those_that_hold() {
        let limits = DeviceLimits::of(&wgpu::Limits {
            max_storage_buffer_binding_size: u64::MAX,
            max_buffer_size: (1 << 31) - 1,
            max_compute_invocations_per_workgroup: 512,
            max_compute_workgroup_size_x: 128,
            ..wgpu::Limits::default()
        });
        assert_eq!((limits.binding_bytes, limits.log_window()), ((1 << 32) - 16, 29));
        assert_eq!(limits.buffer_bytes, (1 << 31) - 16);
        assert_eq!(limits.workgroup_threads, 128);
    }
}
