//! Stacked traces that stay on the device, by the root of their commitment.

use std::sync::Mutex;

use super::stack::Stack;
use crate::{Digest, lock};

/// Traces that proofs, or keys, have committed to.
#[derive(Debug, Default)]
pub(super) struct Resident(Mutex<Vec<Entry>>);

#[derive(Debug)]
struct Entry {
    root: Digest,
    stack: Stack,
    /// Commitments to these traces whose proofs have not released them.
    uses: usize,
}

impl Resident {
    /// The traces of a commitment.
    pub fn find(&self, root: &Digest) -> Option<Stack> {
        let mut entries = lock(&self.0);
        let found = entries.iter().position(|entry| entry.root == *root)?;
        // Those used last come first.
        entries[..=found].rotate_right(1);
        Some(entries[0].stack.clone())
    }

    /// Keeps traces that were committed to; of equal ones, those that are there already.
    pub fn keep(&self, root: Digest, stack: Stack) -> Stack {
        let mut entries = lock(&self.0);
        match entries.iter().position(|entry| entry.root == root) {
            Some(found) => {
                entries[..=found].rotate_right(1);
                entries[0].uses += 1;
            }
            None => entries.insert(0, Entry { root, stack, uses: 1 }),
        }
        entries[0].stack.clone()
    }

    /// Forgets traces, if nobody else has committed to the same. Whoever reads them meanwhile still does.
    pub fn release(&self, root: &Digest) {
        let mut entries = lock(&self.0);
        if let Some(found) = entries.iter().position(|entry| entry.root == *root) {
            entries[found].uses -= 1;
            if entries[found].uses == 0 {
                entries.remove(found);
            }
        }
    }

    /// Forgets those traces that were used longest ago; false where there are none.
    pub fn forget_one(&self) -> bool {
        lock(&self.0).pop().is_some()
    }

    /// Bytes of all.
    pub fn bytes(&self) -> u64 {
        lock(&self.0).iter().map(|entry| entry.stack.bytes()).sum()
    }
}
