//! Instances that fit their plans: first the check, then what the host computes for each.

use std::{ops::Range, sync::Arc};

use p3_field::{BasedVectorSpace, PrimeCharacteristicRing};
use rayon::prelude::*;

use super::instance::{Challenges, Instance};
use crate::{
    air::Air,
    error::{Error, Result, Subject},
    field::{self, EF, EXT_WORDS, F},
    gpu::{Buffer, Gpu, Trace},
    matrix::Placement,
    plan::{PlannedPair, Round0Plan, Strategy, affine::Weights, codegen::Entry, pair::Pair},
};

/// `eq` of an instance's cube.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Eq<'a> {
    /// `eq(xi, x)`.
    Challenges(&'a [EF]),
    /// Evaluations, `x` ascending.
    Evals(&'a [EF]),
}

impl Eq<'_> {
    /// The evaluations.
    pub fn to_evals(self) -> Vec<EF> {
        match self {
            Eq::Challenges(xi) => eq_evals(xi),
            Eq::Evals(evals) => evals.to_vec(),
        }
    }

    /// `eq` at the first and at the last point, and its sum.
    fn first_last_and_sum(self) -> [EF; 3] {
        match self {
            Eq::Challenges(xi) => [xi.iter().map(|&xi| EF::ONE - xi).product(), xi.iter().copied().product(), EF::ONE],
            Eq::Evals(evals) => [evals[0], evals[evals.len() - 1], evals.iter().copied().sum()],
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

/// An instance's traces, after they were checked against its plan.
#[derive(Debug)]
pub(crate) struct CheckedTraces<'a> {
    /// In the order of `Air::parts`.
    pub traces: Vec<&'a Trace>,
    pub height: usize,
}

impl<'a> CheckedTraces<'a> {
    /// # Errors
    /// [`Error::Length`] and [`Error::OtherDevice`] for traces and public values that do not fit the plan.
    pub fn new(instance: &'a Instance<'a>, gpu: &Gpu) -> Result<Self> {
        let air = instance.plan.air();
        let own = || Subject::from(air.name());
        let num_preprocessed = usize::from(air.preprocessed_width.is_some());
        exactly(&own, "preprocessed traces", usize::from(instance.preprocessed.is_some()), num_preprocessed)?;
        exactly(&own, "main trace parts", instance.main.len(), air.main_widths.len())?;
        let traces: Vec<&Trace> = instance.preprocessed.iter().chain(&instance.main).collect();
        let mut height = None;
        for (&trace, (part, width)) in traces.iter().zip(air.parts()) {
            let of_part = || Subject::Part { air: air.name().to_owned(), part };
            if !trace.gpu().is_same(gpu) {
                return Err(Error::OtherDevice { subject: of_part() });
            }
            exactly(&of_part, "columns", trace.width(), width)?;
            if width > 0 {
                exactly(&of_part, "rows", trace.height(), *height.get_or_insert(trace.height()))?;
            }
        }
        exactly(&own, "public values", instance.public_values.len(), air.num_public_values)?;
        Ok(Self { traces, height: height.unwrap_or(1) })
    }
}

fn exactly(subject: &dyn Fn() -> Subject, what: &'static str, got: usize, expected: usize) -> Result<()> {
    if got == expected { Ok(()) } else { Err(Error::Length { subject: subject(), what, got, expected }) }
}

/// An instance's shapes, after they were checked against its plan.
#[derive(Debug)]
struct Checked<'a> {
    traces: CheckedTraces<'a>,
    num_x: u32,
    eq: Eq<'a>,
}

impl<'a> Checked<'a> {
    fn new(instance: &'a Instance<'a>, xi: &'a [EF], gpu: &Gpu) -> Result<Self> {
        let (plan, air) = (instance.plan, instance.plan.air());
        let own = || Subject::from(air.name());
        let traces = CheckedTraces::new(instance, gpu)?;
        let num_x = plan.num_x(traces.height);
        let eq = match instance.eq {
            Some(evals) => {
                exactly(&own, "eq evaluations", evals.len(), num_x as usize)?;
                Eq::Evals(evals)
            }
            None => {
                let num_challenges = num_x.ilog2() as usize;
                let too_few = || Error::TooFew { subject: own(), what: "challenges xi", got: xi.len(), needed: num_challenges };
                Eq::Challenges(xi.get(..num_challenges).ok_or_else(too_few)?)
            }
        };
        exactly(&own, "weights", instance.weights.len(), air.interactions().len())?;
        Ok(Self { traces, num_x, eq })
    }
}

/// The buffers that a call's traces lie in, each once.
#[derive(Debug, Default)]
pub(crate) struct TraceBuffers(pub Vec<Arc<Buffer>>);

impl TraceBuffers {
    /// The traces' places, buffers named by their places here.
    pub fn place(&mut self, traces: &CheckedTraces<'_>) -> Vec<Placement<usize>> {
        let mut index_of = |buffer: &Arc<Buffer>| {
            self.0.iter().position(|known| Arc::ptr_eq(known, buffer)).unwrap_or_else(|| {
                self.0.push(Arc::clone(buffer));
                self.0.len() - 1
            })
        };
        traces.traces.iter().map(|trace| trace.place().map(&mut index_of)).collect()
    }
}

/// An instance that fits its plan, with what the host computes for it.
#[derive(Debug)]
pub(crate) struct Prepared<'a> {
    pub plan: &'a Round0Plan,
    /// In the order of `Air::parts`; buffers are places in [`PreparedCall::buffers`].
    pub traces: Vec<Placement<usize>>,
    pub height: usize,
    pub num_x: u32,
    pub eq: Eq<'a>,
    /// `eq` at the first and at the last point, and its sum.
    pub eq_first: EF,
    pub eq_last: EF,
    pub eq_sum: EF,
    /// For each of the plan's pairs.
    pub pairs: Vec<PairInputs>,
}

/// The weights of a pair's polynomials, where they arrive.
#[derive(Debug)]
pub(crate) struct PairInputs {
    /// Of the constant 1 and of the selectors; those of nodes are in the words below.
    pub weights: Weights,
    /// For each of the plan's affine matrices.
    pub matrices: Vec<MatrixWeights>,
    /// For each of the pair's programs.
    pub programs: Vec<ProgramInputs>,
}

/// The words of the weights of a matrix's columns, one in each polynomial: `[num_columns][2]` EF. Empty where the pair does not read the matrix.
#[derive(Debug, Default)]
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

/// Which of a call's words: those that change from call to call where plans and heights do not.
#[derive(Clone, Debug)]
pub(crate) struct InputWords {
    pub instance: usize,
    /// Which of the plan's pairs.
    pub pair: usize,
    pub of: WordsOf,
}

/// Which of a pair's.
#[derive(Clone, Debug)]
pub(crate) enum WordsOf {
    /// A program's degree-0 nodes.
    Values { program: usize },
    /// A program's weights.
    Weights { program: usize },
    /// Some columns of an affine matrix: words of their weights, or of their next-row cells'.
    Columns { matrix: usize, next: bool, words: Range<usize> },
}

impl InputWords {
    pub fn get<'a>(&self, instances: &'a [Prepared<'_>]) -> &'a [u32] {
        let pair = &instances[self.instance].pairs[self.pair];
        match &self.of {
            &WordsOf::Values { program } => &pair.programs[program].values,
            &WordsOf::Weights { program } => &pair.programs[program].weights,
            WordsOf::Columns { matrix, next, words } => {
                let weights = &pair.matrices[*matrix];
                &(if *next { &weights.next } else { &weights.current })[words.clone()]
            }
        }
    }
}

/// The powers of a call's challenges, as many as its AIRs need.
#[derive(Debug)]
struct Powers {
    beta: Vec<EF>,
    lambda: Vec<EF>,
}

impl Powers {
    fn new(challenges: &Challenges<'_>, instances: &[Instance<'_>]) -> Self {
        let airs = || instances.iter().map(|instance| instance.plan.air());
        let longest = airs().map(Air::max_message_len).max().unwrap_or(0);
        let num_constraints = airs().map(|air| air.constraints().len()).max().unwrap_or(0);
        Self {
            beta: challenges.beta.powers().take(longest + 1).collect(),
            lambda: challenges.lambda.powers().take(num_constraints).collect(),
        }
    }
}

impl PairInputs {
    /// `values` are those of the AIR's degree-0 nodes.
    fn new(planned: &PlannedPair, instance: &Instance<'_>, powers: &Powers, values: &[F]) -> Self {
        let plan = instance.plan;
        let air = plan.air();
        let nodes = &planned.weighted;
        let mut weights = match planned.pair {
            Pair::Logup => Weights::of_interactions(air, nodes, &powers.beta, instance.weights),
            Pair::Constraints { degrees } => Weights::of_constraints(air, nodes, degrees, &powers.lambda),
        };
        if plan.strategy() == Strategy::Split {
            weights.flow_back(nodes, values);
        }
        let matrices = plan.affine.matrices.iter().zip(&planned.matrices).map(|(matrix, &is_read)| match is_read {
            true => MatrixWeights {
                current: ext_words(matrix.columns.iter().flat_map(|column| weights.of(nodes, column.current))),
                next: ext_words(matrix.columns[..matrix.num_next].iter().flat_map(|column| weights.of(nodes, column.next))),
            },
            false => MatrixWeights::default(),
        });
        let programs = planned.programs.iter().map(|planned| ProgramInputs {
            values: planned.program.values.iter().map(|node| field::word(values[node.index()])).collect(),
            weights: match &planned.generated {
                Some(generated) => ext_words(generated.weights.iter().map(|entry| match *entry {
                    Entry::Root(root, side) => weights.of(nodes, Some(root))[side],
                    Entry::Coefficients(coefficients) => EF::from_basis_coefficients_fn(|i| coefficients[i]),
                    Entry::Zero => EF::ZERO,
                })),
                None => ext_words(planned.program.roots.iter().zip(&planned.program.reached).flat_map(|(&root, reached)| {
                    let weight = weights.of(nodes, Some(root));
                    [0, 1].map(|side| if reached[side] { weight[side] } else { EF::ZERO })
                })),
            },
        });
        let (matrices, programs) = (matrices.collect(), programs.collect());
        weights.forget_nodes();
        Self { weights, matrices, programs }
    }
}

impl<'a> Prepared<'a> {
    fn new(instance: &Instance<'a>, checked: &Checked<'a>, powers: &Powers) -> Self {
        let plan = instance.plan;
        let values = plan.values.of_call(plan.air(), instance.public_values);
        let pairs = plan.pairs.iter().map(|planned| PairInputs::new(planned, instance, powers, &values)).collect();
        let &Checked { ref traces, num_x, eq } = checked;
        let [eq_first, eq_last, eq_sum] = eq.first_last_and_sum();
        Self { plan, traces: vec![], height: traces.height, num_x, eq, eq_first, eq_last, eq_sum, pairs }
    }

    /// Points of the skip domain.
    pub fn num_z(&self) -> u32 {
        1 << self.plan.l_skip()
    }
}

/// All instances of a call.
#[derive(Debug)]
pub(crate) struct PreparedCall<'a> {
    pub instances: Vec<Prepared<'a>>,
    /// The challenges of which each cube has the first.
    pub xi: &'a [EF],
    /// As [`TraceBuffers`].
    pub buffers: Vec<Arc<Buffer>>,
    /// Whether constraints' sums are wanted of traces on which they need not hold, as known answers are.
    pub sums: bool,
}

impl<'a> PreparedCall<'a> {
    /// # Errors
    /// As [`Round0::evaluate`](super::Round0::evaluate), for instances that do not fit their plan.
    pub fn new(challenges: &Challenges<'a>, instances: &'a [Instance<'a>], gpu: &Gpu, sums: bool) -> Result<Self> {
        let checked: Vec<Checked<'a>> =
            instances.iter().map(|instance| Checked::new(instance, challenges.xi, gpu)).collect::<Result<_>>()?;
        let powers = Powers::new(challenges, instances);
        let mut prepared: Vec<Prepared<'a>> =
            instances.par_iter().zip(&checked).map(|(instance, checked)| Prepared::new(instance, checked, &powers)).collect();
        let mut buffers = TraceBuffers::default();
        for (prepared, checked) in prepared.iter_mut().zip(&checked) {
            prepared.traces = buffers.place(&checked.traces);
        }
        Ok(Self { instances: prepared, xi: challenges.xi, buffers: buffers.0, sums })
    }
}

fn ext_words(elements: impl Iterator<Item = EF>) -> Vec<u32> {
    let mut words = Vec::with_capacity(EXT_WORDS * elements.size_hint().0);
    elements.for_each(|element| words.extend_from_slice(&field::ext_words(element)));
    words
}
