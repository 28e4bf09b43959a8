//! The values of an AIR's degree-0 nodes: most are the same for every call.

use std::borrow::Cow;

use crate::{air::Air, field::F};

/// The values, known once for AIRs without public values.
#[derive(Clone, Debug)]
pub(crate) struct DegreeZeroValues {
    /// As [`Air::degree_zero_values`] gives them where public values are zero.
    values: Vec<F>,
    depends_on_public: bool,
}

impl DegreeZeroValues {
    pub fn new(air: &Air) -> Self {
        Self { values: air.degree_zero_values_of_zeros(), depends_on_public: air.num_public_values() > 0 }
    }

    /// Those of a call.
    pub fn of_call(&self, air: &Air, public_values: &[F]) -> Cow<'_, [F]> {
        if self.depends_on_public { Cow::Owned(air.degree_zero_values(public_values)) } else { Cow::Borrowed(&self.values) }
    }
}
