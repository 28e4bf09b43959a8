//! Words of several buffers as kernels see them: through a few windows of a power of two each.

use std::sync::Arc;

use logup_wgpu::{
    DeviceLimits,
    compute::{Buffer, TraceWindow},
};

/// The windows of a dispatch, in the making.
#[derive(Clone, Debug)]
pub(crate) struct Windows {
    log_window: u32,
    max: usize,
    /// Buffer and number of each window.
    windows: Vec<(usize, u64)>,
}

impl Windows {
    pub fn new(limits: &DeviceLimits) -> Self {
        Self { log_window: limits.log_window(), max: limits.max_slots() as usize, windows: vec![] }
    }

    /// What kernels call a word of a buffer; nothing if that takes a window too many.
    pub fn word(&mut self, buffer: usize, word: u64) -> Option<u32> {
        let window = (buffer, word >> self.log_window);
        let slot = self.windows.iter().position(|known| *known == window).unwrap_or(self.windows.len());
        if slot == self.max {
            return None;
        }
        if slot == self.windows.len() {
            self.windows.push(window);
        }
        Some((slot as u32) << self.log_window | (word & ((1 << self.log_window) - 1)) as u32)
    }

    /// Whether so many words from this one on are in one window.
    pub fn holds(&self, word: u64, num: u64) -> bool {
        num == 0 || word >> self.log_window == (word + num - 1) >> self.log_window
    }

    /// As a dispatch binds them: a power of two, one at least. `buffers` are what words were said to be of, of which there is one.
    pub fn bound(&self, buffers: &[Arc<Buffer>]) -> Vec<TraceWindow> {
        let mut windows = self.windows.clone();
        let first = windows.first().copied().unwrap_or((0, 0));
        windows.resize(windows.len().next_power_of_two(), first);
        let window = |(buffer, window): (usize, u64)| {
            let (begin, bytes) = (window * (4 << self.log_window), 4u64 << self.log_window);
            TraceWindow { buffer, bytes: begin..(begin + bytes).min(buffers[buffer].size() / 16 * 16) }
        };
        windows.into_iter().map(window).collect()
    }
}
