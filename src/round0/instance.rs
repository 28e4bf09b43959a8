//! A call's inputs.

use std::borrow::Borrow;

use crate::{
    field::{EF, F},
    gpu::Trace,
    plan::Round0Plan,
};

/// The challenges of a call, the same for all of its AIRs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Challenges<'a> {
    /// `xi_0, xi_1, ..`: `xi_i` belongs to bit `i` of `x`, and is the stock prover's `xi[l_skip + i]`. As many as the tallest AIR's cube has
    /// dimensions, or more; each AIR takes its own first ones.
    pub xi: &'a [EF],
    /// `beta`, whose powers combine a message's fields.
    pub beta: EF,
    /// `lambda`, whose powers combine an AIR's constraints.
    pub lambda: EF,
}

/// One AIR's inputs of round 0.
///
/// ```
/// # use logup_wgpu::{AirBuilder, EF, F, Gpu, GpuOptions, Instance, Matrix, Round0Plan, Strategy, Trace};
/// # use p3_field::PrimeCharacteristicRing;
/// # let mut air = AirBuilder::new("lookup");
/// # let main = air.main_part(1);
/// # let value = air.column(main, 0);
/// # air.interaction(1, [value], value);
/// # let plan = Round0Plan::new(air.build()?, 2, Strategy::Split)?;
/// # let gpu = Gpu::new(GpuOptions::default())?;
/// # let trace = Trace::new(&gpu, Matrix::col_major(&[F::TWO; 4], 1))?;
/// let instance = Instance::new(&plan).main([&trace]).weights(&[EF::ONE]);
/// # assert_eq!(instance.main.len(), 1);
/// # Ok::<(), logup_wgpu::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Instance<'a> {
    /// What to run.
    pub plan: &'a Round0Plan,
    /// The preprocessed trace, where the AIR has one.
    pub preprocessed: Option<Trace>,
    /// The main trace parts: cached mains, then the common main. All matrices have the same height, a power of two; a height below
    /// `2^l_skip` is a lifted trace, whose rows repeat.
    pub main: Vec<Trace>,
    /// The AIR's public values.
    pub public_values: &'a [F],
    /// The weight `w_i` of each interaction: the stock prover's `eq_3bs`.
    pub weights: &'a [EF],
    /// `eq` for the `num_x = max(1, height / 2^l_skip)` points of the cube, `x` ascending, where it is not `eq(xi, x)`.
    pub eq: Option<&'a [EF]>,
}

impl<'a> Instance<'a> {
    /// An instance without traces, public values and weights.
    pub fn new(plan: &'a Round0Plan) -> Self {
        Self { plan, preprocessed: None, main: vec![], public_values: &[], weights: &[], eq: None }
    }

    /// With this preprocessed trace.
    pub fn preprocessed(self, trace: &Trace) -> Self {
        Self { preprocessed: Some(trace.clone()), ..self }
    }

    /// With these main trace parts: cached mains, then the common main.
    pub fn main(self, traces: impl IntoIterator<Item = impl Borrow<Trace>>) -> Self {
        Self { main: traces.into_iter().map(|trace| trace.borrow().clone()).collect(), ..self }
    }

    /// With these matrices in the AIR's order: the preprocessed trace, if the AIR has one, then the main parts.
    pub fn traces(self, traces: impl IntoIterator<Item = impl Borrow<Trace>>) -> Self {
        let mut main: Vec<Trace> = traces.into_iter().map(|trace| trace.borrow().clone()).collect();
        let has_preprocessed = self.plan.air().preprocessed_width.is_some() && !main.is_empty();
        let preprocessed = has_preprocessed.then(|| main.remove(0));
        Self { preprocessed, main, ..self }
    }

    /// With these public values.
    pub fn public_values(self, public_values: &'a [F]) -> Self {
        Self { public_values, ..self }
    }

    /// With these weights of the interactions.
    pub fn weights(self, eq_3bs: &'a [EF]) -> Self {
        Self { weights: eq_3bs, ..self }
    }

    /// With these evaluations of `eq` instead of those that follow from `xi`.
    pub fn eq(self, evals: &'a [EF]) -> Self {
        Self { eq: Some(evals), ..self }
    }
}
