//! The stock prover as an oracle: `sumcheck_uni_round0_poly` with `EvalHelper::acc_interactions`, on AIRs as OpenVM's proving keys hold them.
#![allow(dead_code)] // each user takes its part

pub mod keccakf;
#[path = "../../openvm-wgpu/src/air.rs"]
pub mod openvm_air;

use logup_wgpu::{Air, EF, F, Layout, Round0Polys};
use openvm_stark_backend::{
    air_builders::symbolic::{SymbolicConstraints, SymbolicConstraintsDag},
    keygen::types::TraceWidth,
    p3_matrix::dense::RowMajorMatrix,
    prover::{ColMajorMatrix, EvalHelper, StridedColMajorMatrixView, sumcheck::sumcheck_uni_round0_poly},
};
use p3_field::PrimeCharacteristicRing;
use rand::rngs::StdRng;

use crate::support::Case;

/// An AIR as the stock proving key holds it.
#[derive(Clone)]
pub struct StockAir {
    pub name: String,
    pub dag: SymbolicConstraintsDag<F>,
    pub width: TraceWidth,
    pub num_public_values: usize,
    pub degree: usize,
    pub needs_next: bool,
}

impl StockAir {
    pub fn air(&self) -> Air {
        openvm_air::from_dag(&self.name, &self.dag, &self.width, self.num_public_values, self.degree).unwrap()
    }

    pub fn random_case(&self, l_skip: usize, height: usize, rng: &mut StdRng) -> Case {
        let widths = (self.width.preprocessed, &*self.width.main_widths());
        Case::random(self.air(), l_skip, height, widths, self.num_public_values, rng)
    }
}

/// A stock AIR's inputs in the stock prover's form.
pub struct StockInstance<'a> {
    case: &'a Case,
    needs_next: bool,
    degree: usize,
    preprocessed: Option<ColMajorMatrix<F>>,
    main: Vec<ColMajorMatrix<F>>,
    selectors: ColMajorMatrix<F>,
    eq: Vec<EF>,
    air: &'a StockAir,
    constraints: SymbolicConstraints<F>,
}

impl<'a> StockInstance<'a> {
    pub fn new(air: &'a StockAir, case: &'a Case) -> Self {
        let matrix = |(values, width): &(Vec<F>, usize)| match case.layout {
            Layout::ColMajor => ColMajorMatrix::new(values.clone(), *width),
            Layout::RowMajor => ColMajorMatrix::from_row_major(&RowMajorMatrix::new(values.clone(), *width)),
        };
        // [is_first, is_transition, is_last] of the lifted trace, as LogupZerocheckCpu lays them out
        let lifted = case.height.max(1 << case.l_skip);
        let mut selectors = F::zero_vec(3 * lifted);
        for row in 0..lifted {
            selectors[row] = F::from_bool(row % case.height == 0);
            selectors[lifted + row] = F::from_bool(row % case.height != case.height - 1);
            selectors[2 * lifted + row] = F::from_bool(row % case.height == case.height - 1);
        }
        Self {
            case,
            needs_next: air.needs_next,
            degree: air.degree,
            preprocessed: case.preprocessed.as_ref().map(matrix),
            main: case.main.iter().map(matrix).collect(),
            selectors: ColMajorMatrix::new(selectors, 3),
            eq: case.eq_evals(),
            air,
            constraints: SymbolicConstraints::from(&air.dag),
        }
    }

    /// The stock prover's result, before it multiplies a lifted trace's numerator.
    pub fn round0(&self) -> Round0Polys {
        let case = self.case;
        let helper = EvalHelper {
            constraints_dag: &self.air.dag.constraints,
            interactions: self.constraints.interactions.clone(),
            public_values: case.public_values.clone(),
            preprocessed_trace: self.preprocessed.as_ref().map(|matrix| matrix.as_view().into()),
            needs_next: self.needs_next,
            constraint_degree: self.degree as u8,
        };
        let mut parts: Vec<(StridedColMajorMatrixView<'_, F>, bool)> = vec![(self.selectors.as_view().into(), false)];
        for matrix in self.preprocessed.iter().chain(&self.main) {
            parts.push((matrix.as_view().into(), false));
            if self.needs_next {
                parts.push((matrix.as_view().into(), true));
            }
        }
        let beta_pows: Vec<EF> = case.beta.powers().take(case.air.max_message_len() + 1).collect();
        let [numerator, denominator] =
            sumcheck_uni_round0_poly(case.l_skip, case.xi.len(), self.degree, &parts, |_z: F, x, rows: &[Vec<F>]| {
                let [numer, denom] = helper.acc_interactions(rows, &beta_pows, &case.weights);
                [self.eq[x] * numer, self.eq[x] * denom]
            });
        Round0Polys { numerator: numerator.into_coeffs(), denominator: denominator.into_coeffs(), l_skip: case.l_skip }
    }
}
