//! Known answers: what a kernel computes before it computes for a caller.
//!
//! Drivers' compilers make mistakes. So a compiled kernel first evaluates something whose result is known: a fixed kernel AIRs of this file, a
//! generated one a plan that it was generated for, on random traces, in the number of trace windows that it was compiled for (spread over
//! as many buffers, as far as there are columns or row-major matrices for them). The result is compared at a random point with [`reference::round0_at`]. A device that gives a wrong one is not used any more.

mod airs;

use std::{borrow::Cow, sync::Arc};

use p3_field::{BasedVectorSpace, PrimeCharacteristicRing, PrimeField32};
use rand::{Rng, SeedableRng, rngs::SmallRng};
use rayon::prelude::*;

use self::airs::{product, products, selectors, sums};
use super::{
    Challenges, Instance, Round0, Round0Options, check,
    prepared::eq_evals,
    record::{COSET_VEC4_ROWS, VEC4_LOADS},
};
use crate::{
    air::{Air, Part},
    error::{Error, Result, Subject},
    field::{EF, F},
    gpu::{Compiled, Gpu, Key, Trace},
    kernel::Kernel,
    kernels,
    matrix::{Layout, Matrix},
    plan::{Round0Plan, Strategy},
    recording::{Dispatch, Recording},
    reference::{self, ReferenceInstance, Round0At},
};

/// What an engine is asked while it gives known answers.
#[derive(Debug)]
pub(super) struct Asked {
    /// The kernels: their dispatches bind as many windows as the key says.
    pub keys: Vec<Key>,
    /// Whether the fixed kernels that come with them are to be asked first.
    pub fixed_first: bool,
}

impl Asked {
    /// Binds windows once more until there are as many as the kernel's variant has.
    ///
    /// # Errors
    /// [`Error::DeviceLimit`] if a trace needs more windows, so that another variant would give the answer.
    pub fn widen(&self, recording: &mut Recording) -> Result<()> {
        for dispatch in &mut recording.dispatches {
            let key = self.keys.iter().find(|key| is_of(dispatch, key) && key.slots as usize > dispatch.traces.len());
            if let (Some(key), Some(last)) = (key, dispatch.traces.last().cloned()) {
                dispatch.traces.resize(key.slots as usize, last);
            }
        }
        for key in &self.keys {
            let windows = || recording.dispatches.iter().filter(|dispatch| is_of(dispatch, key)).map(|dispatch| dispatch.traces.len());
            if !windows().any(|windows| windows == key.slots as usize) {
                let what = "trace windows of a known answer";
                let (requested, limit) = (windows().max().unwrap_or(0) as u64, key.slots.into());
                return Err(Error::DeviceLimit { subject: Subject::Call, kernel: key.kernel.name, what, requested, limit });
            }
        }
        Ok(())
    }

    /// Asks the fixed kernels of the recording, if they are to be asked first.
    pub fn fixed_first(&self, gpu: &Gpu, recording: &Recording, kernels: &[Arc<Compiled>]) -> Result<()> {
        if !self.fixed_first {
            return Ok(());
        }
        let fixed = recording.dispatches.iter().map(Key::of).zip(kernels).filter(|(key, _)| key.program.is_none());
        let (keys, kernels): (Vec<Key>, Vec<Arc<Compiled>>) = fixed.map(|(key, kernel)| (key, Arc::clone(kernel))).unzip();
        ensure(gpu, &[], &keys, &kernels).map(|_| ())
    }
}

fn is_of(dispatch: &Dispatch, key: &Key) -> bool {
    dispatch.kernel == key.kernel && dispatch.constants == key.constants && dispatch.program == key.program
}

/// Has every kernel of a recording that has not done so give its known answer. How many did.
///
/// # Errors
/// [`Error::WrongAnswer`], and what a call can fail with.
pub(super) fn ensure_for<'a>(
    gpu: &Gpu,
    plans: impl Iterator<Item = &'a Round0Plan>,
    recording: &Recording,
    kernels: &[Arc<Compiled>],
) -> Result<usize> {
    if !gpu.known_answers() || kernels.iter().all(|kernel| kernel.answered()) {
        return Ok(0);
    }
    let keys: Vec<Key> = recording.dispatches.iter().map(Key::of).collect();
    ensure(gpu, &plans.collect::<Vec<_>>(), &keys, kernels)
}

/// The same of the kernels with these keys; the generated ones' programs are in `plans`.
pub(super) fn ensure(gpu: &Gpu, plans: &[&Round0Plan], keys: &[Key], kernels: &[Arc<Compiled>]) -> Result<usize> {
    if !gpu.known_answers() {
        return Ok(0);
    }
    let mut open: Vec<(&Key, &Arc<Compiled>)> = Vec::new();
    for (key, kernel) in keys.iter().zip(kernels) {
        if !kernel.answered() && open.iter().all(|(known, _)| *known != key) {
            open.push((key, kernel));
        }
    }
    let (generated, mut fixed): (Vec<_>, Vec<_>) = open.iter().copied().partition(|(key, _)| key.program.is_some());
    // Every answer goes through dual_reduce, and its own through other kernels: these first. A check's needs nothing but its nonce.
    fixed.sort_by_key(|(key, _)| (key.kernel == &kernels::CHECK_CONSTRAINTS, key.kernel == &kernels::DUAL_REDUCE));
    for (key, kernel) in fixed {
        if !ask_fixed(gpu, key)? {
            return Err(gpu.distrust(blame(gpu, key.kernel).name, "the known answer of an AIR of this crate".into()));
        }
        kernel.set_answered();
    }
    // Programs that read the same way and bind as many windows are asked together.
    let mut rest = generated;
    while let Some(&(first, _)) = rest.first() {
        let (now, later): (Vec<_>, Vec<_>) =
            rest.into_iter().partition(|(key, _)| (key.slots, &key.constants) == (first.slots, &first.constants));
        rest = later;
        let keys: Vec<Key> = now.iter().map(|&(key, _)| key.clone()).collect();
        ask_plans(gpu, plans, keys)?;
        now.iter().for_each(|(_, kernel)| kernel.set_answered());
    }
    Ok(open.len())
}

/// Asks generated kernels that bind as many windows and read the same way.
fn ask_plans(gpu: &Gpu, plans: &[&Round0Plan], keys: Vec<Key>) -> Result<()> {
    let mut open = keys.clone();
    let (vec4_loads, slots) = (keys[0].constants.contains(&(VEC4_LOADS, 1)), keys[0].slots);
    let mut questions: Vec<Question<'_>> = Vec::new();
    for &plan in plans {
        let programs = || plan.programs().filter_map(|planned| planned.generated.as_ref()).map(|generated| &generated.source);
        // A trace that is not read by 16-byte loads although it could be is row-major.
        let layout = if vec4_loads || (1 << plan.l_skip()) < COSET_VEC4_ROWS { Layout::ColMajor } else { Layout::RowMajor };
        let num_open = open.len();
        open.retain(|key| programs().all(|program| key.program.as_ref() != Some(program)));
        if open.len() < num_open {
            questions.push(Question { plan: Cow::Borrowed(plan), layout, num_x: 2 });
        }
    }
    let right = ask(gpu, &questions, slots, Asked { keys, fixed_first: true })?;
    match right.iter().position(|right| !right) {
        None => Ok(()),
        Some(wrong) => {
            let air = questions[wrong].plan.air().name();
            Err(gpu.distrust(blame(gpu, &kernels::COSET_PASS).name, format!("the known answer of AIR {air:?}")))
        }
    }
}

/// Asks a fixed kernel: whether its answer is right.
fn ask_fixed(gpu: &Gpu, key: &Key) -> Result<bool> {
    if key.kernel == &kernels::CHECK_CONSTRAINTS {
        return check::known_answer(gpu, key);
    }
    let question = |air: Air, l_skip, strategy, layout, num_x| -> Result<Question<'static>> {
        Ok(Question { plan: Cow::Owned(Round0Plan::new(air, l_skip, strategy)?), layout, num_x })
    };
    // Several chunks of x and runs of eq's low table; one x; several blocks of z: every loop and every index of the kernel.
    let questions: Vec<Question<'_>> = if key.kernel == &kernels::DUAL_REDUCE {
        vec![question(product()?, 2, Strategy::Split, Layout::ColMajor, 1024)?]
    } else if key.kernel == &kernels::COSET_INTERPRET && key.slots == 0 {
        vec![question(selectors()?, 2, Strategy::Direct, Layout::ColMajor, 1)?]
    } else if key.kernel == &kernels::COSET_INTERPRET {
        let shapes = [(2, 1024), (4, 1), (9, 2)].into_iter();
        shapes.map(|(l_skip, num_x)| question(products()?, l_skip, Strategy::Direct, Layout::ColMajor, num_x)).collect::<Result<_>>()?
    } else {
        let layout = if key.kernel == &kernels::COLUMN_SUMS_SCALAR { Layout::RowMajor } else { Layout::ColMajor };
        let shapes = [(2, 4096), (4, 1), (9, 2)].into_iter();
        shapes.map(|(l_skip, num_x)| question(sums(key.slots as usize)?, l_skip, Strategy::Split, layout, num_x)).collect::<Result<_>>()?
    };
    let right = ask(gpu, &questions, key.slots, Asked { keys: vec![key.clone()], fixed_first: false })?;
    Ok(right.iter().all(|&right| right))
}

/// Which kernel's answer was wrong where `asked` and dual_reduce gave one together: dual_reduce, if another kernel whose partial sums it adds
/// up in the same way is wrong with it too.
fn blame(gpu: &Gpu, asked: &'static Kernel) -> &'static Kernel {
    if asked == &kernels::CHECK_CONSTRAINTS {
        return asked; // dual_reduce has answered before it
    }
    let pairs: [(&'static Kernel, &'static Kernel); 3] = [
        (&kernels::COLUMN_SUMS, &kernels::COLUMN_SUMS_SCALAR),
        (&kernels::COLUMN_SUMS_SCALAR, &kernels::COLUMN_SUMS),
        (&kernels::COSET_INTERPRET, &kernels::DUAL_REDUCE),
    ];
    // dual_reduce is asked through a generated kernel.
    let (suspect, witness) =
        pairs.into_iter().find(|(kernel, _)| *kernel == asked).unwrap_or((&kernels::COSET_PASS, &kernels::COSET_INTERPRET));
    let slots = u32::from(witness != &kernels::DUAL_REDUCE);
    if ask_fixed(gpu, &Key::fixed(witness, slots)).unwrap_or(true) { suspect } else { &kernels::DUAL_REDUCE }
}

/// A plan to be evaluated on a random trace.
struct Question<'a> {
    plan: Cow<'a, Round0Plan>,
    layout: Layout,
    num_x: usize,
}

/// The inputs of a question: random, but of columns that the constraints say are boolean.
struct Inputs {
    matrices: Vec<(Vec<F>, usize)>,
    public_values: Vec<F>,
    xi: Vec<EF>,
    beta: EF,
    lambda: EF,
    weights: Vec<EF>,
    point: EF,
}

impl Inputs {
    /// The same for the same question, so that a wrong answer can be had again.
    fn new(question: &Question<'_>, seed: u64) -> Self {
        let (plan, mut rng) = (&question.plan, SmallRng::seed_from_u64(seed));
        let air = plan.air();
        let height = question.num_x << plan.l_skip();
        let element = |rng: &mut SmallRng| -> F { rng.random() };
        let ext = |rng: &mut SmallRng| EF::from_basis_coefficients_fn(|_| element(rng));
        let elements = |rng: &mut SmallRng, num: usize| (0..num).map(|_| element(rng)).collect::<Vec<F>>();
        let exts = |rng: &mut SmallRng, num: usize| (0..num).map(|_| ext(rng)).collect::<Vec<EF>>();
        // An AIR without columns has height 1, and so one x.
        let num_x = if air.parts().any(|(_, width)| width > 0) { question.num_x } else { 1 };
        let booleans = air.boolean_columns();
        let with_bits = |part: Part, mut values: Vec<F>, width: usize| {
            for column in (0..width).filter(|&column| booleans.contains(&(part, column))) {
                for row in 0..height {
                    let cell = &mut values[match question.layout {
                        Layout::ColMajor => column * height + row,
                        Layout::RowMajor => row * width + column,
                    }];
                    *cell = F::from_bool(cell.as_canonical_u32() & 1 == 1);
                }
            }
            (values, width)
        };
        Self {
            matrices: air.parts().map(|(part, width)| with_bits(part, elements(&mut rng, width * height), width)).collect(),
            public_values: elements(&mut rng, air.num_public_values),
            xi: exts(&mut rng, num_x.ilog2() as usize),
            beta: ext(&mut rng),
            lambda: ext(&mut rng),
            weights: exts(&mut rng, air.interactions().len()),
            point: ext(&mut rng),
        }
    }

    fn matrices(&self, layout: Layout) -> Vec<Matrix<'_>> {
        self.matrices.iter().map(|(values, width)| Matrix { values, width: *width, layout }).collect()
    }

    /// The polynomials at the inputs' point, by the reference.
    fn expected(&self, question: &Question<'_>) -> Round0At {
        let matrices = self.matrices(question.layout);
        let (preprocessed, main) = matrices.split_at(num_preprocessed(&question.plan));
        reference::round0_at(
            &ReferenceInstance {
                air: question.plan.air(),
                l_skip: question.plan.l_skip(),
                preprocessed: preprocessed.first().copied(),
                main,
                public_values: &self.public_values,
                eq: &eq_evals(&self.xi),
                beta: self.beta,
                lambda: self.lambda,
                weights: &self.weights,
            },
            self.point,
        )
    }
}

fn num_preprocessed(plan: &Round0Plan) -> usize {
    plan.air().parts().filter(|(part, _)| *part == Part::Preprocessed).count()
}

/// Cells of random traces on the device at a time, where one question has no more.
const MAX_CELLS: usize = 1 << 22;
/// Cells of one question's traces: a plan over more columns than any trace has is not tried.
const MAX_QUESTION: usize = 1 << 28;

/// Evaluates the questions, their traces dealt out to so many buffers: whether each answer is right.
fn ask(gpu: &Gpu, questions: &[Question<'_>], num_buffers: u32, asked: Asked) -> Result<Vec<bool>> {
    let engine = Round0 { asked: Some(asked), ..Round0::with_options(gpu, Round0Options::default()) };
    let mut right = Vec::with_capacity(questions.len());
    let mut rest = questions;
    while !rest.is_empty() {
        let cells = |question: &Question<'_>| {
            let widths = question.plan.air().parts().map(|(_, width)| width);
            widths.fold(0, usize::saturating_add).saturating_mul(question.num_x << question.plan.l_skip())
        };
        if cells(&rest[0]) > MAX_QUESTION {
            let (subject, what) = (rest[0].plan.air().name().into(), "cells of a known answer's traces");
            let (requested, limit) = (cells(&rest[0]) as u64, MAX_QUESTION as u64);
            return Err(Error::DeviceLimit { subject, kernel: "upload", what, requested, limit });
        }
        let mut total = 0usize;
        let fits = |question: &&Question<'_>| {
            total = total.saturating_add(cells(question));
            total <= MAX_CELLS
        };
        let num = rest.iter().take_while(fits).count().max(1);
        let now = rest.split_off(..num).expect("at most all");
        right.extend(ask_together(gpu, &engine, now, num_buffers.max(1))?);
    }
    Ok(right)
}

fn ask_together(gpu: &Gpu, engine: &Round0, questions: &[Question<'_>], num_buffers: u32) -> Result<Vec<bool>> {
    let mut inputs: Vec<Inputs> = questions.par_iter().enumerate().map(|(i, question)| Inputs::new(question, i as u64)).collect();
    // One call has one set of challenges; each question takes as many as it needs.
    let xi = inputs.iter().map(|inputs| &inputs.xi).max_by_key(|xi| xi.len()).cloned().unwrap_or_default();
    let (beta, lambda) = inputs.first().map_or((EF::ONE, EF::ONE), |inputs| (inputs.beta, inputs.lambda));
    for inputs in &mut inputs {
        (inputs.xi, inputs.beta, inputs.lambda) = (xi[..inputs.xi.len()].to_vec(), beta, lambda);
    }
    let matrices: Vec<Matrix<'_>> = questions.iter().zip(&inputs).flat_map(|(question, inputs)| inputs.matrices(question.layout)).collect();
    let mut traces = &Trace::scatter(gpu, &matrices, num_buffers)?[..];
    let mut instances: Vec<Instance<'_>> = Vec::with_capacity(questions.len());
    for (question, inputs) in questions.iter().zip(&inputs) {
        let traces = traces.split_off(..inputs.matrices.len()).expect("a trace for each matrix");
        let instance = Instance::new(&question.plan).traces(traces);
        instances.push(instance.public_values(&inputs.public_values).weights(&inputs.weights));
    }
    let challenges = Challenges { xi: &xi, beta, lambda };
    let Some(output) = answered(gpu, || engine.evaluate(&challenges, &instances))? else { return Ok(vec![false; questions.len()]) };
    let each = questions.par_iter().zip(&inputs).zip(&output.polys);
    Ok(each
        .map(|((question, inputs), polys)| {
            let got = Round0At { logup: polys.at(inputs.point), zerocheck: polys.zerocheck_at(inputs.point) };
            got == inputs.expected(question)
        })
        .collect())
}

/// What a call gives; `None` where its results are no field elements, or not there. These are wrong ones unless the device is gone; but a
/// watchdog's kill gets a second chance.
pub(super) fn answered<T>(gpu: &Gpu, call: impl Fn() -> Result<T>) -> Result<Option<T>> {
    let is_wrong = |error: &Error| matches!(error, Error::DeviceLost { .. }) && gpu.lost().is_none();
    let result = match call() {
        Err(error) if is_wrong(&error) => call(),
        result => result,
    };
    match result {
        Err(error) if is_wrong(&error) => Ok(None),
        result => result.map(Some),
    }
}
