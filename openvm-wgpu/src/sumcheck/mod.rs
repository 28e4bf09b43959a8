//! What every stage's sumchecks on the device are made of: arrays of the extension field, tensor products, tables of several rounds, and recordings that
//! run one after the other.

pub(crate) mod array;
pub(crate) mod inner_product;
pub(crate) mod session;
pub(crate) mod table;
pub(crate) mod tensor;
