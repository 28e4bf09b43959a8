//! The stock prover as an oracle: `sumcheck_uni_round0_poly` with `EvalHelper::acc_interactions`, on AIRs as OpenVM's proving keys hold them.
#![allow(dead_code)] // each user takes its part

pub mod keccakf;
#[path = "../../openvm-wgpu/src/air.rs"]
pub mod openvm_air;

use std::collections::HashMap;

use logup_wgpu::{Air, Column, EF, F, Layout, Node, NodeId, Part, Round0Polys};
use openvm_stark_backend::{
    air_builders::symbolic::{
        SymbolicConstraints, SymbolicConstraintsDag, SymbolicExpressionDag, SymbolicExpressionNode,
        symbolic_variable::{Entry, SymbolicVariable},
    },
    keygen::types::TraceWidth,
    p3_matrix::dense::RowMajorMatrix,
    prover::{
        ColMajorMatrix, EvalHelper, StridedColMajorMatrixView,
        sumcheck::{sumcheck_round0_deg, sumcheck_uni_round0_poly},
    },
};
use p3_field::{Field, PrimeCharacteristicRing};
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
    /// Interactions and constraints.
    pub fn whole_air(&self) -> Air {
        openvm_air::from_dag(&self.name, &self.dag, &self.width, self.num_public_values, self.degree).unwrap()
    }

    /// The interactions alone: what random traces are for.
    pub fn air(&self) -> Air {
        self.whole_air().without_constraints()
    }

    /// One of ours in the stock form.
    pub fn of_air(air: &Air) -> Self {
        let degree_multiple = 0; // nothing reads it
        let variable = |entry, index| SymbolicExpressionNode::Variable(SymbolicVariable::new(entry, index));
        let place: HashMap<NodeId, usize> = air.node_ids().enumerate().map(|(i, node)| (node, i)).collect();
        let nodes = air.nodes().iter().map(|node| match *node {
            Node::Column(Column { part: Part::Preprocessed, index, next }) => variable(Entry::Preprocessed { offset: next.into() }, index),
            Node::Column(Column { part: Part::Main(part_index), index, next }) => {
                variable(Entry::Main { part_index, offset: next.into() }, index)
            }
            Node::PublicValue(index) => variable(Entry::Public, index),
            Node::Constant(value) => SymbolicExpressionNode::Constant(value),
            Node::IsFirstRow => SymbolicExpressionNode::IsFirstRow,
            Node::IsLastRow => SymbolicExpressionNode::IsLastRow,
            Node::IsTransition => SymbolicExpressionNode::IsTransition,
            Node::Add(a, b) => SymbolicExpressionNode::Add { left_idx: place[&a], right_idx: place[&b], degree_multiple },
            Node::Sub(a, b) => SymbolicExpressionNode::Sub { left_idx: place[&a], right_idx: place[&b], degree_multiple },
            Node::Mul(a, b) => SymbolicExpressionNode::Mul { left_idx: place[&a], right_idx: place[&b], degree_multiple },
            Node::Neg(a) => SymbolicExpressionNode::Neg { idx: place[&a], degree_multiple },
        });
        let interactions = air.interactions().iter().map(|interaction| openvm_stark_backend::interaction::Interaction {
            message: interaction.message.iter().map(|node| place[node]).collect(),
            count: place[&interaction.count],
            bus_index: interaction.bus_index,
            count_weight: 1,
        });
        let constraint_idx = air.constraints().iter().map(|node| place[node]).collect();
        let widths: Vec<usize> = air.main_widths().to_vec();
        let (common_main, cached_mains) = widths.split_last().map_or((0, vec![]), |(&common, cached)| (common, cached.to_vec()));
        Self {
            name: air.name().to_owned(),
            dag: SymbolicConstraintsDag {
                constraints: SymbolicExpressionDag { nodes: nodes.collect(), constraint_idx },
                interactions: interactions.collect(),
            },
            width: TraceWidth { preprocessed: air.preprocessed_width(), cached_mains, common_main },
            num_public_values: air.num_public_values(),
            degree: air.constraint_degree(),
            needs_next: true,
        }
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

    /// The stock prover's `s_p` and `s_q`, before it multiplies a lifted trace's numerator.
    pub fn round0(&self) -> Round0Polys {
        let case = self.case;
        let (mut numerator, mut denominator, zerocheck) = (vec![], vec![], vec![]);
        if !self.constraints.interactions.is_empty() {
            let (helper, parts) = (self.helper(), self.parts());
            let beta_pows: Vec<EF> = case.beta.powers().take(case.air.max_message_len() + 1).collect();
            let evaluate = |_z: F, x: usize, rows: &[Vec<F>]| {
                let [numer, denom] = helper.acc_interactions(rows, &beta_pows, &case.weights);
                [self.eq[x] * numer, self.eq[x] * denom]
            };
            let [p, q] = sumcheck_uni_round0_poly(case.l_skip, case.xi.len(), self.degree, &parts, evaluate);
            (numerator, denominator) = (p.into_coeffs(), q.into_coeffs());
        }
        Round0Polys { numerator, denominator, zerocheck, l_skip: case.l_skip }
    }

    /// The stock prover's `s'_0` of the constraints, which the trace must satisfy; nothing where that is zero for want of constraints or degree.
    pub fn zerocheck(&self) -> Vec<EF> {
        let case = self.case;
        if self.degree < 2 || self.constraints.constraints.is_empty() {
            return vec![];
        }
        let (helper, parts, num_z) = (self.helper(), self.parts(), 1usize << case.l_skip);
        let lambda_pows: Vec<EF> = case.lambda.powers().take(self.constraints.constraints.len()).collect();
        let [q] = sumcheck_uni_round0_poly(case.l_skip, case.xi.len(), self.degree - 1, &parts, |z: F, x, rows: &[Vec<F>]| {
            let zerofier = z.exp_power_of_2(case.l_skip) - F::ONE;
            [self.eq[x] * helper.acc_constraints(rows, &lambda_pows) * zerofier.inverse()]
        });
        let q = |i: usize| q.coeffs().get(i).copied().unwrap_or(EF::ZERO);
        let coefficient = |i: usize| if i < num_z { -q(i) } else { q(i - num_z) - q(i) };
        (0..=sumcheck_round0_deg(case.l_skip, self.degree)).map(coefficient).collect()
    }

    fn helper(&self) -> EvalHelper<'_, F> {
        EvalHelper {
            constraints_dag: &self.air.dag.constraints,
            interactions: self.constraints.interactions.clone(),
            public_values: self.case.public_values.clone(),
            preprocessed_trace: self.preprocessed.as_ref().map(|matrix| matrix.as_view().into()),
            needs_next: self.needs_next,
            constraint_degree: self.degree as u8,
        }
    }

    fn parts(&self) -> Vec<(StridedColMajorMatrixView<'_, F>, bool)> {
        let mut parts: Vec<(StridedColMajorMatrixView<'_, F>, bool)> = vec![(self.selectors.as_view().into(), false)];
        for matrix in self.preprocessed.iter().chain(&self.main) {
            parts.push((matrix.as_view().into(), false));
            if self.needs_next {
                parts.push((matrix.as_view().into(), true));
            }
        }
        parts
    }
}
