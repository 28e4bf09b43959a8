//! Where the device at hand ends a thread's loops, and that `plan::steps` stays well below: programs that grow until their result is wrong.
//!
//! lavapipe has such an edge, at 65,535 loop iterations; other devices may have none.

use p3_field::{BasedVectorSpace, PrimeCharacteristicRing};

use super::{Challenges, Instance, Round0, prepared::eq_evals};
use crate::{
    EF, Error, F, Gpu, GpuOptions, Matrix, Round0Plan, Strategy, Trace,
    air::{Air, AirBuilder, NodeId},
    introspect::{FieldOp, FieldOps},
    plan::{
        program::Program,
        steps::{self, MAX_STEPS},
    },
    reference::{self, ReferenceInstance},
};

fn gpu() -> Gpu {
    Gpu::new(GpuOptions { known_answers: false, ..GpuOptions::default() }).unwrap()
}

fn elements(num: usize) -> Vec<F> {
    (0..num).map(|i| F::from_usize(i * i * 7 + 3 * i + 5).exp_u64(5)).collect()
}

/// A root, `first * sum_i c_i * (i + 2)`, of so many terms over the columns of a part.
fn long_root(air: &mut AirBuilder, terms: usize, width: usize) -> NodeId {
    let main = air.main_part(width);
    let mut sum = air.is_first_row();
    for i in 0..terms {
        let (column, scale) = (air.column(main, i % width), air.constant(F::from_usize(i + 2)));
        let term = air.mul(column, scale);
        sum = air.add(sum, term);
    }
    let last = air.is_last_row();
    air.mul(sum, last)
}

fn air_of(terms: usize, width: usize) -> (Air, NodeId) {
    let mut air = AirBuilder::new("edge");
    let root = long_root(&mut air, terms, width);
    air.interaction(0, [root], root);
    (air.build().unwrap(), root)
}

/// Whether a plan's result on a trace of two points `x` is right at a point.
fn is_right(gpu: &Gpu, plan: &Round0Plan, width: usize) -> Result<bool, Error> {
    let cells = elements(width << (plan.l_skip() + 1));
    let matrix = Matrix::col_major(&cells, width);
    let trace = Trace::new(gpu, matrix)?;
    let ext = |i: u32| EF::from_basis_coefficients_fn(|k| F::from_u32(i + 77 * k as u32).exp_u64(3));
    let (xi, beta, weights) = ([ext(3)], ext(4), vec![ext(5); plan.air().interactions().len()]);
    let instance = Instance::new(plan).main([trace]).weights(&weights);
    let output = Round0::new(gpu).evaluate(&Challenges { xi: &xi, beta, lambda: EF::ONE }, &[instance])?;
    let point = ext(6);
    let expected = reference::round0_at(
        &ReferenceInstance {
            air: plan.air(),
            l_skip: plan.l_skip(),
            preprocessed: None,
            main: &[matrix],
            public_values: &[],
            eq: &eq_evals(&xi),
            beta,
            lambda: EF::ONE,
            weights: &weights,
        },
        point,
    );
    Ok(output.polys[0].at(point) == expected.logup)
}

/// About the least number between a right and a wrong one that is wrong: at most a twentieth too large.
fn first_wrong(mut right: usize, mut wrong: usize, is_right: impl Fn(usize) -> bool) -> usize {
    while wrong - right > right / 20 {
        let middle = right.midpoint(wrong);
        *(if is_right(middle) { &mut right } else { &mut wrong }) = middle;
    }
    wrong
}

/// Searches for the first of a growing series of programs that comes out wrong, and compares its steps with `MAX_STEPS`.
fn search(what: &str, step_count: impl Fn(usize) -> u64, is_right: impl Fn(usize) -> bool) {
    let allowed = (0..).map(|log| 1usize << log).take_while(|&size| step_count(size) <= MAX_STEPS).last().unwrap();
    assert!(is_right(allowed), "{what}: wrong at {} steps, which are allowed", step_count(allowed));
    let beyond = 4 * allowed;
    assert!(step_count(beyond) > 2 * MAX_STEPS);
    if is_right(beyond) {
        println!("{what}: no edge up to {} steps", step_count(beyond));
        return;
    }
    let edge = first_wrong(allowed, beyond, is_right);
    println!("{what}: wrong from {} counted steps on, {MAX_STEPS} are allowed", step_count(edge));
    assert!(step_count(edge) >= MAX_STEPS / 4 * 7, "{what}: wrong at {} counted steps: too near", step_count(edge));
}

#[test]
fn interpreted_programs_stay_below_the_edge() {
    let gpu = gpu();
    let program = |terms, width| {
        let (air, root) = air_of(terms, width);
        (Program::new(&air, &[(root, [true; 2])]), air)
    };
    // Operations alone; a column for each, with a loop by sixteens and with a long one.
    for (l_skip, few_columns) in [(2, true), (4, false), (8, false)] {
        let width = |terms: usize| if few_columns { 3 } else { terms };
        let count = |terms| steps::interpreted_thread(&program(terms, width(terms)).0, l_skip);
        let right = |terms| {
            let (program, air) = program(terms, width(terms));
            is_right(&gpu, &Round0Plan::of_program(air, l_skip, program), width(terms)).unwrap()
        };
        search(&format!("coset_interpret, l_skip {l_skip}, {} columns", if few_columns { "3" } else { "as many" }), count, right);
    }
}

#[test]
fn field_op_rounds_stay_below_the_edge() {
    let gpu = gpu();
    let ops = FieldOps::new(&gpu);
    let (a, b) = ([EF::from_u32(7)], [EF::from_u32(3)]);
    let right = |rounds: usize| {
        let got = ops.run(FieldOp::ExtAcc, rounds as u32, &a, &b, 1).unwrap()[0];
        // 3 a (b_0 + 0 + 0 + 0), each round
        got == a[0] * EF::from_u32(9).exp_u64(rounds as u64)
    };
    search("field_ops", |rounds| rounds as u64 * steps::FIELD_OPS_ROUND, right);
    let limit = (MAX_STEPS / steps::FIELD_OPS_ROUND) as u32;
    assert!(ops.apply(FieldOp::Add, limit, &a, &b).is_ok());
    let error = ops.apply(FieldOp::Add, limit + 1, &a, &b).unwrap_err();
    assert!(matches!(error, Error::DeviceLimit { kernel: "field_ops", limit: MAX_STEPS, .. }), "{error}");
}

/// More programs of one AIR than `dual_reduce` could go through one by one: their partial sums follow each other, so that it has one run for all.
#[test]
fn reductions_stay_below_the_edge() {
    let gpu = gpu();
    let plan = |num: usize| {
        let mut plan = Round0Plan::new(air_of(1, 1).0, 2, Strategy::Direct).unwrap();
        let program = plan.pairs[0].programs[0].clone();
        plan.pairs[0].programs = vec![program; num];
        plan
    };
    // Equal programs add up to the first one times their number.
    let evaluate = |num: usize| -> Result<Vec<EF>, Error> {
        let plan = plan(num);
        let cells = elements(8);
        let trace = Trace::new(&gpu, Matrix::col_major(&cells, 1))?;
        let challenges = Challenges { xi: &[EF::from_u32(3)], beta: EF::from_u32(4), lambda: EF::ONE };
        let instance = Instance::new(&plan).main([trace]).weights(&[EF::ONE]);
        Round0::new(&gpu).evaluate(&challenges, &[instance]).map(|output| output.polys[0].numerator.clone())
    };
    let one = evaluate(1).unwrap();
    let run = steps::reduce_run(1, 2, 256 >> 2);
    let limit = (MAX_STEPS / run) as usize;
    for num in [limit - limit / 50, 2 * limit] {
        let scaled: Vec<EF> = one.iter().map(|&coeff| coeff * F::from_usize(num)).collect();
        assert_eq!(evaluate(num).unwrap(), scaled, "{num} programs");
    }
}
