//! Columns of traces that are shorter than the skip domain, at round 0's challenge: a few cells each, on the host.

use logup_wgpu::{EF, F};
use p3_field::PrimeCharacteristicRing;
use p3_matrix::dense::RowMajorMatrix;

/// Each column at the point, plain and rotated: rows repeat over the skip domain, of which `lagrange` are the Lagrange polynomials at the point.
pub(crate) fn short_columns(trace: &RowMajorMatrix<F>, lagrange: &[EF]) -> Vec<[EF; 2]> {
    let height = trace.values.len() / trace.width.max(1);
    let row = |row: usize| &trace.values[row % height * trace.width..][..trace.width];
    let mut columns = vec![[EF::ZERO; 2]; trace.width];
    for (z, &weight) in lagrange.iter().enumerate() {
        for ((column, &here), &next) in columns.iter_mut().zip(row(z)).zip(row(z + 1)) {
            column[0] += weight * here;
            column[1] += weight * next;
        }
    }
    columns
}
