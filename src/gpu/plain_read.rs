//! How fast the device reads memory: the floor of every kernel here.

use super::{Gpu, context::is_software, once::Input};
use crate::{
    error::{Error, Result, Subject},
    kernels::{PLAIN_READ, READ_PER_WORKGROUP},
};

/// Bytes that a workgroup reads.
const BYTES_PER_WORKGROUP: u64 = 16 * READ_PER_WORKGROUP as u64;

impl Gpu {
    /// Measured bytes per second of a kernel that only reads, the best of several runs over up to 1 GiB: GPU time where the adapter
    /// has timestamps, else wall time.
    ///
    /// # Errors
    /// [`Error::DeviceLimit`] on a device without room for a reading of 256 KiB; and as [`Gpu::run_once`].
    pub fn plain_read_rate(&self) -> Result<f64> {
        let limit = self.limits().binding_bytes.min(self.limits().buffer_bytes);
        let wanted: u64 = if is_software(self.info()) { 64 << 20 } else { 1 << 30 };
        let num_workgroups = (wanted.min(limit) / BYTES_PER_WORKGROUP).min(self.limits().workgroups_per_dimension.into());
        if num_workgroups == 0 {
            let (subject, kernel, what) = (Subject::Kernel(PLAIN_READ.name), PLAIN_READ.name, "bytes of one binding");
            return Err(Error::DeviceLimit { subject, kernel, what, requested: BYTES_PER_WORKGROUP, limit });
        }
        let bytes = num_workgroups * BYTES_PER_WORKGROUP;
        let once = self.run_once(&PLAIN_READ, &[Input::Any(bytes)], 16 * num_workgroups, num_workgroups as u32, 6)?;
        Ok(bytes as f64 / once.fastest.as_secs_f64())
    }
}
