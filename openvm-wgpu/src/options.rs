//! What a device can be asked for.

use logup_wgpu::Round0Options;

/// Options of a [`WgpuDevice`](crate::WgpuDevice).
#[derive(Clone, Copy, Debug, Default)]
pub struct WgpuOptions {
    /// Of round 0.
    pub round0: Round0Options,
    /// The most bytes of device memory that stacked traces, codewords, trees and the arrays of the constraint stage and of the openings may take; scratch of single submissions is beside it. Codewords are given up first, then traces of other
    /// commitments, those used last at last; a proof that asks for either computes it, or brings it, again. A commitment that does not fit alone is
    /// [`Error::DeviceLimit`](logup_wgpu::Error), before any work. What comes back to the host, with [`host_copies`](Self::host_copies) in pieces of up to 64 MiB, is beside
    /// it. `None`, the default, for what the device has.
    pub memory_budget: Option<u64>,
    /// Whether a commitment's stacked matrix, codeword and layers come back, as the stock CPU device's openings read them. Without, the default, the data of a
    /// commitment knows its root alone and is good for this device's openings: **give it to no other engine**. It costs memory and time of the host's.
    pub host_copies: bool,
    /// Elements of the stacked reduction's arrays, and points of a layer of GKR, up to which the host does the rounds that are left, because a wait for the device
    /// takes longer; `None` for what was found good. The proof is the same either way.
    pub max_host_len: Option<usize>,
    /// Rounds of a layer of GKR for one wait, 1 to 4; `None` for four. The proof is the same either way.
    pub rounds_per_wait: Option<usize>,
    /// Proofs of work of so many bits and more are searched on the device; `None` for what was measured to be faster. The witness is the same either way.
    pub min_device_pow_bits: Option<usize>,
}
