//! The AIRs that fixed kernels are asked about.

use p3_field::PrimeCharacteristicRing;

use crate::{
    air::{Air, AirBuilder, NodeId, Part},
    error::Result,
    field::F,
};

/// Affine messages over 19 columns of so many parts, seven of the columns rotated, with constants and selectors.
pub fn sums(num_parts: usize) -> Result<Air> {
    let mut air = AirBuilder::new("known answer: sums");
    let num_parts = num_parts.max(1);
    let parts: Vec<Part> = (0..num_parts).map(|part| air.main_part((19 - part).div_ceil(num_parts))).collect();
    let cell = |i: usize| (parts[i % num_parts], i / num_parts);
    let mut fields: Vec<NodeId> = (0..19).map(|i| air.column(cell(i).0, cell(i).1)).collect();
    for (i, field) in fields.iter_mut().enumerate().take(7) {
        let (part, column) = cell(2 * i + 3);
        let next = air.next(part, column);
        let scale = air.constant(F::from_usize(i + 2));
        let scaled = air.mul(scale, next);
        *field = air.sub(*field, scaled);
    }
    let (first, transition) = (air.is_first_row(), air.is_transition());
    fields[17] = air.add(fields[17], first);
    air.interaction(5, fields.iter().copied(), transition);
    air.interaction(0, fields[..3].iter().copied(), fields[18]);
    air.build()
}

/// One product, for a generated kernel that is compiled soon.
pub fn product() -> Result<Air> {
    let mut air = AirBuilder::new("known answer: product");
    let main = air.main_part(2);
    let (a, b) = (air.column(main, 0), air.next(main, 1));
    let product = air.mul(a, b);
    air.interaction(1, [product], product);
    air.build()
}

/// Every operation of a program, degree 3.
pub fn products() -> Result<Air> {
    let mut air = AirBuilder::new("known answer: products");
    let main = air.main_part(18);
    air.public_values(1);
    let cells: Vec<NodeId> = (0..18).map(|i| if i % 5 == 4 { air.next(main, i) } else { air.column(main, i) }).collect();
    let (public, first) = (air.public_value(0), air.is_first_row());
    let (last, transition) = (air.is_last_row(), air.is_transition());
    let mut sum = air.mul(first, public);
    for pair in cells.chunks_exact(2) {
        let product = air.mul(pair[0], pair[1]);
        let negated = air.neg(product);
        let gated = air.mul(negated, transition);
        sum = air.sub(sum, gated);
    }
    let difference = air.sub(cells[3], last);
    air.interaction(7, [sum, difference, public], cells[0]);
    air.build()
}

/// Selectors and constants alone.
pub fn selectors() -> Result<Air> {
    let mut air = AirBuilder::new("known answer: selectors");
    let (first, last, transition) = (air.is_first_row(), air.is_last_row(), air.is_transition());
    let three = air.constant(F::from_u32(3));
    let scaled = air.mul(three, last);
    let product = air.mul(scaled, transition);
    air.interaction(2, [first, product], transition);
    air.build()
}
