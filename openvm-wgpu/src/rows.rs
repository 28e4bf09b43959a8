//! An AIR's rows: what is in them, and reading them out of OpenVM's row-major matrices.

use logup_wgpu::{Error, F, Result};
use openvm_cpu_backend::CpuBackend;
use openvm_stark_backend::{
    keygen::types::StarkVerifyingParams,
    prover::{AirProvingContext, DeviceStarkProvingKey},
};
use p3_matrix::dense::RowMajorMatrix;

use crate::SC;

/// What a row of an AIR is made of.
///
/// Parts are matrices, in OpenVM's order: preprocessed where there is one, cached mains, common main.
#[derive(Debug)]
pub(crate) struct RowShape {
    /// Columns of each part.
    pub widths: Vec<usize>,
    pub needs_next: bool,
    num_public_values: usize,
}

impl RowShape {
    /// One part, with next rows.
    pub fn of_main(width: usize, num_public_values: usize) -> Self {
        Self { widths: vec![width], needs_next: true, num_public_values }
    }

    pub fn new(params: &StarkVerifyingParams) -> Self {
        let width = &params.width;
        let widths = width.preprocessed.iter().chain(&width.cached_mains).chain([&width.common_main]).copied().collect();
        Self { widths, needs_next: params.need_rot, num_public_values: params.num_public_values }
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
}
