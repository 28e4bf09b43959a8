//! Commitments that stay on the device, by the root of their commitment and their shapes: traces of other shapes can be the same stacked matrix.

use std::sync::Mutex;

use openvm_stark_backend::prover::stacked_pcs::StackedLayout;

use super::{Committed, Encoded};
use crate::{Digest, lock};

/// Traces that proofs, or keys, have committed to.
#[derive(Debug, Default)]
pub(super) struct Resident(Mutex<Vec<Entry>>);

/// Width and log2 of the height of each trace of a layout.
pub(super) fn shapes_of(layout: &StackedLayout) -> Vec<(usize, usize)> {
    let mut shapes: Vec<(usize, usize)> = vec![(0, 0); layout.mat_starts.len()];
    for (trace, _, slice) in &layout.sorted_cols {
        shapes[*trace] = (shapes[*trace].0 + 1, slice.log_height());
    }
    shapes
}

#[derive(Debug)]
struct Entry {
    root: Digest,
    shapes: Vec<(usize, usize)>,
    committed: Committed,
    /// Commitments to these traces whose proofs have not released them.
    uses: usize,
}

impl Entry {
    fn is_of(&self, root: &Digest, shapes: &[(usize, usize)]) -> bool {
        self.root == *root && self.shapes == shapes
    }
}

impl Resident {
    /// The traces of a commitment.
    pub fn find(&self, root: &Digest, shapes: &[(usize, usize)]) -> Option<Committed> {
        let mut entries = lock(&self.0);
        let found = entries.iter().position(|entry| entry.is_of(root, shapes))?;
        // Those used last come first.
        entries[..=found].rotate_right(1);
        Some(entries[0].committed.clone())
    }

    /// Whether the traces of a commitment are here.
    pub fn knows(&self, root: &Digest, shapes: &[(usize, usize)]) -> bool {
        lock(&self.0).iter().any(|entry| entry.is_of(root, shapes))
    }

    /// Keeps traces that were committed to; of equal ones, those that are there already.
    pub fn keep(&self, root: Digest, committed: Committed) -> Committed {
        let shapes = shapes_of(&committed.stack.plan.layout);
        let mut entries = lock(&self.0);
        match entries.iter().position(|entry| entry.is_of(&root, &shapes)) {
            Some(found) => {
                entries[..=found].rotate_right(1);
                entries[0].uses += 1;
                entries[0].committed.encoded = entries[0].committed.encoded.take().or(committed.encoded);
            }
            None => entries.insert(0, Entry { root, shapes, committed, uses: 1 }),
        }
        entries[0].committed.clone()
    }

    /// Forgets traces, if nobody else has committed to the same. Whoever reads them meanwhile still does.
    pub fn release(&self, root: &Digest, shapes: &[(usize, usize)]) {
        let mut entries = lock(&self.0);
        if let Some(found) = entries.iter().position(|entry| entry.is_of(root, shapes)) {
            entries[found].uses -= 1;
            if entries[found].uses == 0 {
                entries.remove(found);
            }
        }
    }

    /// Keeps codeword and tree of traces that are kept.
    pub fn keep_encoded(&self, root: &Digest, shapes: &[(usize, usize)], encoded: &Encoded) {
        let mut entries = lock(&self.0);
        if let Some(entry) = entries.iter_mut().find(|entry| entry.is_of(root, shapes)) {
            entry.committed.encoded = Some(encoded.clone());
        }
    }

    /// Forgets the codeword of those traces that were used longest ago, of those that have one; false where there are none.
    pub fn forget_codeword(&self) -> bool {
        let mut entries = lock(&self.0);
        let mut codewords = entries.iter_mut().rev().filter_map(|entry| entry.committed.encoded.as_mut()?.codeword.take());
        codewords.next().is_some()
    }

    /// Forgets those traces that were used longest ago; false where there are none.
    pub fn forget_one(&self) -> bool {
        lock(&self.0).pop().is_some()
    }

    /// Bytes of the largest.
    pub fn most_bytes(&self) -> u64 {
        lock(&self.0).iter().map(|entry| entry.committed.bytes()).max().unwrap_or(0)
    }

    /// Bytes of all.
    pub fn bytes(&self) -> u64 {
        lock(&self.0).iter().map(|entry| entry.committed.bytes()).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use logup_wgpu::{F, Gpu, GpuOptions};
    use openvm_stark_backend::{StarkProtocolConfig, test_utils::test_system_params_small};
    use p3_field::PrimeCharacteristicRing;
    use p3_matrix::dense::RowMajorMatrix;

    use crate::{SC, commit::Committer, compute::Compute};

    /// Zeros are one stacked matrix whatever the traces: their shapes tell them apart.
    #[test]
    fn traces_of_one_root_are_told_apart() {
        let committer = Committer::new(&Arc::new(Compute::new(&Gpu::new(GpuOptions::default()).unwrap(), None)), false);
        let config = SC::default_from_params(test_system_params_small(2, 6, 3));
        let zeros = |width: usize| RowMajorMatrix::new(F::zero_vec(8 * width), width);
        let (one, two, three) = (zeros(1), zeros(2), zeros(3));
        let (root, data, _) = committer.commit(&config, &[&three]).unwrap();
        assert_eq!(committer.commit(&config, &[&two, &one]).unwrap().0, root);
        let brought = |traces: &[&RowMajorMatrix<F>]| committer.stack(config.params(), &root, traces).unwrap().1;
        assert_eq!([brought(&[&three]), brought(&[&two, &one]), brought(&[&one, &two])], [0, 0, 96]);
        committer.release(&root, &data.layout);
        assert_eq!([brought(&[&two, &one]), brought(&[&three])], [0, 96]);
    }
}
