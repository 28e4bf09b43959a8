//! One AIR's inputs, and their check against the plan.

use p3_field::PrimeCharacteristicRing;

use crate::{
    air::Part,
    error::{Error, Result},
    field::{self, EF, EXT_WORDS, F},
    gpu::{Gpu, Trace},
    plan::{
        Round0Plan, Strategy,
        affine::{Weights, degree_zero_values},
    },
};

/// `eq(xi, x)` for `x` in the cube `H_n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eq<'a> {
    /// The challenges `xi_0, .., xi_{n-1}`; `xi_i` belongs to bit `i` of `x` (`xi[l_skip..l_skip + n]` of the stock prover). The
    /// device expands them.
    Challenges(&'a [EF]),
    /// `num_x` evaluations, `x` ascending.
    Evals(&'a [EF]),
}

/// One AIR's inputs of round 0.
#[derive(Clone, Copy, Debug)]
pub struct Instance<'a> {
    /// What to run.
    pub plan: &'a Round0Plan,
    /// The preprocessed trace, where the AIR has one.
    pub preprocessed: Option<&'a Trace>,
    /// The main trace parts: cached mains, then the common main. All matrices have the same height, a power of two; a height below
    /// `2^l_skip` is a lifted trace, whose rows repeat.
    pub main: &'a [&'a Trace],
    /// The AIR's public values.
    pub public_values: &'a [F],
    /// `eq(xi, .)` over the cube of `num_x = max(1, height / 2^l_skip)` points.
    pub eq: Eq<'a>,
    /// `beta^0, beta^1, ..`, at least one more than the longest message has fields.
    pub beta_pows: &'a [EF],
    /// The weight of each interaction.
    pub eq_3bs: &'a [EF],
}

/// An instance that fits its plan, with what the host computes for it.
#[derive(Debug)]
pub(crate) struct Prepared<'a> {
    pub plan: &'a Round0Plan,
    /// In the order of `Air::parts`.
    pub traces: Vec<&'a Trace>,
    pub height: usize,
    pub num_x: u32,
    pub eq: Eq<'a>,
    /// `sum_x eq(x)`, `eq(0)` and `eq(num_x - 1)`.
    pub eq_sum: EF,
    pub eq_first: EF,
    pub eq_last: EF,
    pub weights: Weights,
    /// For each of the plan's affine matrices.
    pub matrices: Vec<MatrixWeights>,
    /// For each of the plan's programs.
    pub programs: Vec<ProgramInputs>,
}

/// The words of the weights of a matrix's columns, weight in p and weight in q for each: `[num_columns][2]` EF.
#[derive(Debug)]
pub(crate) struct MatrixWeights {
    pub current: Vec<u32>,
    /// Of the next-row cells, for the columns that have one.
    pub next: Vec<u32>,
}

/// The words that a program reads beside its columns.
#[derive(Debug)]
pub(crate) struct ProgramInputs {
    /// Of the degree-0 nodes, in the program's order.
    pub values: Vec<u32>,
    /// EF, in the order in which the kernel adds them; for the interpreter `[num_roots][2]`.
    pub weights: Vec<u32>,
}

impl<'a> Prepared<'a> {
    pub fn new(instance: &'a Instance<'a>, gpu: &Gpu) -> Result<Self> {
        let plan = instance.plan;
        let air = plan.air();
        let name = || air.name().to_owned();
        let exactly = |what, requested: usize, limit: usize| {
            if requested == limit { Ok(()) } else { Err(Error::Length { air: name(), what, requested, limit }) }
        };
        exactly("preprocessed trace", usize::from(instance.preprocessed.is_some()), usize::from(air.preprocessed_width.is_some()))?;
        exactly("main trace parts", instance.main.len(), air.main_widths.len())?;
        let traces: Vec<&Trace> = instance.preprocessed.into_iter().chain(instance.main.iter().copied()).collect();
        let mut height = None;
        for (&trace, (part, width)) in traces.iter().zip(air.parts()) {
            let what = match part {
                Part::Preprocessed => "preprocessed trace",
                Part::Main(_) => "main trace part",
            };
            if !trace.gpu().is_same(gpu) {
                return Err(Error::OtherDevice { air: name(), what });
            }
            exactly("columns of a trace", trace.width(), width)?;
            if width > 0 {
                exactly("rows of a trace", trace.height(), *height.get_or_insert(trace.height()))?;
            }
        }
        let height = height.unwrap_or(1);
        let num_x = plan.num_x(height);
        let (eq_sum, eq_first, eq_last) = match instance.eq {
            Eq::Challenges(xi) => {
                exactly("eq challenges", xi.len(), num_x.ilog2() as usize)?;
                (EF::ONE, xi.iter().map(|&xi| EF::ONE - xi).product(), xi.iter().copied().product())
            }
            Eq::Evals(evals) => {
                exactly("eq evaluations", evals.len(), num_x as usize)?;
                (evals.iter().copied().sum(), evals[0], evals[num_x as usize - 1])
            }
        };
        exactly("public values", instance.public_values.len(), air.num_public_values)?;
        exactly("eq_3bs", instance.eq_3bs.len(), air.interactions().len())?;
        let num_betas = if air.interactions().is_empty() { 0 } else { air.max_message_len() + 1 };
        if instance.beta_pows.len() < num_betas {
            return Err(Error::TooFew { air: name(), what: "beta_pows", requested: instance.beta_pows.len(), limit: num_betas });
        }
        let values = degree_zero_values(air, instance.public_values);
        let mut weights = Weights::of_interactions(air, instance.beta_pows, instance.eq_3bs);
        if plan.strategy() == Strategy::Split {
            weights.flow_back(air, &values);
        }
        let matrices = plan.affine.matrices.iter().map(|matrix| MatrixWeights {
            current: ext_words(matrix.columns.iter().flat_map(|column| weights.of(column.current))),
            next: ext_words(matrix.columns[..matrix.num_next].iter().flat_map(|column| weights.of(column.next))),
        });
        let programs = plan.programs.iter().map(|planned| ProgramInputs {
            values: planned.program.values.iter().map(|node| field::word(values[node.index()])).collect(),
            weights: match &planned.generated {
                Some(generated) => ext_words(generated.weights.iter().map(|entry| match *entry {
                    Some((root, part)) => weights.of(Some(root))[part],
                    None => EF::ZERO,
                })),
                None => ext_words(planned.program.roots.iter().flat_map(|&root| weights.of(Some(root)))),
            },
        });
        let (matrices, programs) = (matrices.collect(), programs.collect());
        weights.nodes = Vec::new(); // read; many AIRs' would fill the caches
        Ok(Self { plan, traces, height, num_x, eq: instance.eq, eq_sum, eq_first, eq_last, weights, matrices, programs })
    }

    /// Points of the skip domain.
    pub fn num_z(&self) -> u32 {
        1 << self.plan.l_skip()
    }
}

fn ext_words(elements: impl Iterator<Item = EF>) -> Vec<u32> {
    let mut words = Vec::with_capacity(EXT_WORDS * elements.size_hint().0);
    elements.for_each(|element| words.extend_from_slice(&field::ext_words(element)));
    words
}

impl Eq<'_> {
    /// `eq(xi, x)` for `x` ascending, on the host.
    pub(crate) fn to_evals(self) -> Vec<EF> {
        match self {
            Eq::Challenges(xi) => eq_evals(xi),
            Eq::Evals(evals) => evals.to_vec(),
        }
    }
}

/// `prod_i (x_i xi_i + (1 - x_i)(1 - xi_i))` for `x` in `0..2^xi.len()`.
pub(crate) fn eq_evals(xi: &[EF]) -> Vec<EF> {
    let mut evals = Vec::with_capacity(1 << xi.len());
    evals.push(EF::ONE);
    for &xi in xi {
        for i in 0..evals.len() {
            let high = evals[i] * xi;
            evals.push(high);
            evals[i] -= high;
        }
    }
    evals
}
