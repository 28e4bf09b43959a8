//! An AIR's rows: what is in them, and reading them out of OpenVM's row-major matrices.

use std::ops::Range;

use logup_wgpu::{Error, F, Result};
use openvm_cpu_backend::CpuBackend;
use openvm_stark_backend::{
    keygen::types::StarkVerifyingParams,
    prover::{AirProvingContext, DeviceStarkProvingKey},
};
use p3_field::PrimeCharacteristicRing;
use p3_matrix::dense::RowMajorMatrix;

use crate::SC;

/// One cell that an expression can read in a row. The order groups what lies in one matrix row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Cell {
    IsFirst,
    IsTransition,
    IsLast,
    /// A column of a part, in this row or the next.
    Column {
        part: usize,
        next: bool,
        column: usize,
    },
}

/// What a row of an AIR is made of.
///
/// Parts are matrices, in OpenVM's order: preprocessed where there is one, cached mains, common main. A *wide row* has all that
/// expressions can read: `[is_first, is_transition, is_last | part 0 | part 0, next row | part 1 | ..]`, without next rows where the
/// AIR uses none.
#[derive(Debug)]
pub(crate) struct RowShape {
    /// Columns of each part.
    pub widths: Vec<usize>,
    pub needs_next: bool,
    num_public_values: usize,
}

/// Columns of a wide row that are no part's.
pub(crate) const NUM_SELECTORS: usize = 3;

impl RowShape {
    pub fn new(params: &StarkVerifyingParams) -> Self {
        let width = &params.width;
        let widths = width.preprocessed.iter().chain(&width.cached_mains).chain([&width.common_main]).copied().collect();
        Self { widths, needs_next: params.need_rot, num_public_values: params.num_public_values }
    }

    /// Columns of a wide row.
    pub fn wide_width(&self) -> usize {
        NUM_SELECTORS + self.widths.iter().sum::<usize>() * self.rows_per_part()
    }

    /// Where a part, in this row or the next, is in a wide row.
    pub fn wide_range(&self, part: usize, next: bool) -> Range<usize> {
        debug_assert!(!next || self.needs_next);
        let before: usize = self.widths[..part].iter().sum();
        let start = NUM_SELECTORS + before * self.rows_per_part() + usize::from(next) * self.widths[part];
        start..start + self.widths[part]
    }

    /// Where a cell is in a wide row.
    pub fn wide_column(&self, cell: Cell) -> usize {
        match cell {
            Cell::IsFirst => 0,
            Cell::IsTransition => 1,
            Cell::IsLast => 2,
            Cell::Column { part, next, column } => self.wide_range(part, next).start + column,
        }
    }

    fn rows_per_part(&self) -> usize {
        1 + usize::from(self.needs_next)
    }
}

/// One AIR's matrices in a proof: all of one height, a power of two, with the widths that the shape says.
#[derive(Debug)]
pub(crate) struct Rows<'a> {
    /// In the order of [`RowShape::widths`].
    pub parts: Vec<&'a RowMajorMatrix<F>>,
    pub height: usize,
}

impl<'a> Rows<'a> {
    /// # Errors
    /// [`Error::Length`] and [`Error::Height`] for a context that does not fit the proving key.
    pub fn new(
        shape: &RowShape,
        key: &'a DeviceStarkProvingKey<CpuBackend<SC>>,
        context: &'a AirProvingContext<CpuBackend<SC>>,
    ) -> Result<Self> {
        let air = || key.air_name.clone();
        let exactly = |what, got, expected| {
            if got == expected { Ok(()) } else { Err(Error::Length { subject: air().into(), what, got, expected }) }
        };
        let preprocessed = key.preprocessed_data.iter().map(|data| &data.trace);
        let cached = context.cached_mains.iter().map(|data| &data.trace);
        let parts: Vec<_> = preprocessed.chain(cached).chain([&context.common_main]).collect();
        exactly("trace parts", parts.len(), shape.widths.len())?;
        exactly("public values", context.public_values.len(), shape.num_public_values)?;
        let height_of = |matrix: &RowMajorMatrix<F>| matrix.values.len().checked_div(matrix.width);
        let height = height_of(&context.common_main).or_else(|| parts.iter().find_map(|part| height_of(part))).unwrap_or(0);
        if !height.is_power_of_two() {
            return Err(Error::Height { subject: air().into(), got: height });
        }
        for (part, &width) in parts.iter().zip(&shape.widths) {
            exactly("columns of a trace", part.width, width)?;
            exactly("cells of a trace", part.values.len(), width * height)?;
        }
        Ok(Self { parts, height })
    }

    /// A cell in a row; rows repeat.
    pub fn get(&self, cell: Cell, row: usize) -> F {
        let row = row & (self.height - 1);
        match cell {
            Cell::IsFirst => F::from_bool(row == 0),
            Cell::IsTransition => F::from_bool(row != self.height - 1),
            Cell::IsLast => F::from_bool(row == self.height - 1),
            Cell::Column { part, next, column } => self.row(part, row + usize::from(next))[column],
        }
    }

    /// A part's row; rows repeat.
    pub fn row(&self, part: usize, row: usize) -> &'a [F] {
        let width = self.parts[part].width;
        let start = (row & (self.height - 1)) * width;
        &self.parts[part].values[start..start + width]
    }
}
