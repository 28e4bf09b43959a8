//! Kernels that are broken on purpose.

use logup_wgpu::compute::Kernel;

/// A kernel whose text says `to` at the `nth` place where it said `from`; in every kernel if none is named.
#[derive(Clone, Copy, Debug)]
pub struct Mutant {
    pub kernel: Option<&'static Kernel>,
    pub from: &'static str,
    pub nth: usize,
    pub to: &'static str,
}

impl Mutant {
    pub const fn of(kernel: &'static Kernel, from: &'static str, to: &'static str) -> Self {
        Self { kernel: Some(kernel), from, nth: 0, to }
    }

    pub const fn everywhere(from: &'static str, to: &'static str) -> Self {
        Self { kernel: None, from, nth: 0, to }
    }

    /// A kernel without one of its barriers.
    pub const fn without_barrier(kernel: &'static Kernel, nth: usize) -> Self {
        Self { kernel: Some(kernel), from: "workgroupBarrier();", nth, to: "" }
    }

    /// The text with the mistake. A named kernel's text must have the place; others are as they were.
    pub fn apply(self, kernel: &'static Kernel, source: String) -> String {
        if self.kernel.is_some_and(|mutated| mutated != kernel) {
            return source;
        }
        match source.match_indices(self.from).nth(self.nth) {
            Some((at, _)) => [&source[..at], self.to, &source[at + self.from.len()..]].concat(),
            None => {
                assert!(self.kernel.is_none(), "{self:?} changes nothing");
                source
            }
        }
    }
}
