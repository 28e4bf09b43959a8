//! Packed fields: as many elements as the CPU computes with at once, one in each lane.

use logup_wgpu::{EF, F};
use p3_field::{BasedVectorSpace, ExtensionField, Field, PackedFieldExtension, PackedValue};

/// Base field elements.
pub(crate) type P = <F as Field>::Packing;
/// Extension field elements.
pub(crate) type EP = <EF as ExtensionField<F>>::ExtensionPacking;

/// An element for each lane.
pub(crate) fn pack(element: impl Fn(usize) -> EF) -> EP {
    let elements: [EF; P::WIDTH] = std::array::from_fn(element);
    EP::from_ext_slice(&elements)
}

/// The sum over lanes.
pub(crate) fn sum_of_lanes(packed: EP) -> EF {
    let coefficients: &[P] = packed.as_basis_coefficients_slice();
    EF::from_basis_coefficients_fn(|i| coefficients[i].as_slice().iter().copied().sum::<F>())
}
