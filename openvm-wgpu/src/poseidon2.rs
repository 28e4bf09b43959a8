//! The permutation's constants, as p3 has them, for `wgsl/shared/poseidon2.wgsl`.

use std::array;

use logup_wgpu::{F, compute::word};
use p3_baby_bear::{
    BABYBEAR_RC16_EXTERNAL_FINAL, BABYBEAR_RC16_EXTERNAL_INITIAL, BABYBEAR_RC16_INTERNAL, GenericPoseidon2LinearLayersBabyBear,
};
use p3_field::PrimeCharacteristicRing;
use p3_poseidon2::GenericPoseidon2LinearLayers;

use crate::kernels::WIDTH;

/// 32 by 32 bit products of one permutation, three for each of the field's: 8 rounds of 16 S-boxes, 13 of one and the diagonal.
pub(crate) const PRODUCTS: u64 = 3 * (8 * 16 * 4 + 13 * (4 + 16));

/// `[4 initial rounds][16]`, `[4 terminal rounds][16]`, the internal matrix's diagonal less 1 `[16]`, `[13 internal rounds][4]` with a constant and three
/// zeros.
pub(crate) fn constants() -> Vec<u32> {
    let external = BABYBEAR_RC16_EXTERNAL_INITIAL.iter().chain(&BABYBEAR_RC16_EXTERNAL_FINAL).flatten().copied();
    let internal = BABYBEAR_RC16_INTERNAL.iter().flat_map(|&constant| [constant, F::ZERO, F::ZERO, F::ZERO]);
    external.chain(diagonal()).chain(internal).map(word).collect()
}

/// The internal matrix is all ones plus this diagonal: what it makes of the unit vectors says which.
fn diagonal() -> [F; WIDTH] {
    array::from_fn(|i| {
        let mut unit: [F; WIDTH] = array::from_fn(|j| F::from_bool(i == j));
        GenericPoseidon2LinearLayersBabyBear::internal_linear_layer(&mut unit);
        unit[i] - F::ONE
    })
}
