//! Calls that come again: what was recorded of the first serves the others, with their own traces, challenges and public values.

use logup_wgpu::{Challenges, EF, FieldForm, Instance, Round0, Round0Output, Round0Plan, Strategy, Trace};

use crate::support::{
    Case, assert_same, gpu,
    random_air::{Size, random_case},
    random_ef, random_f, rng,
    satisfying::{self, satisfying_case},
};

/// AIRs with their plans, which calls with different inputs share.
struct Shared {
    plans: Vec<Round0Plan>,
    cases: Vec<Case>,
}

impl Shared {
    /// Interactions over random traces of these heights, and an AIR with constraints.
    fn new(seed: u64, log_heights: [usize; 2]) -> Self {
        let size = Size { max_degree: 2, num_ops: 12, num_interactions: 3, max_message_len: 3 };
        let mut cases: Vec<Case> = log_heights.iter().map(|&log| random_case(&mut rng(seed), size, 3, 1 << log)).collect();
        let size = satisfying::Size { max_degree: 3, num_columns: 6, num_ops: 4, num_interactions: 1 };
        cases.push(satisfying_case(&mut rng(seed), size, 3, 1 << log_heights[0]));
        assert!(cases.iter().any(|case| !case.public_values.is_empty()), "public values change too");
        let plans = cases.iter().map(|case| case.plan(Strategy::Split)).collect();
        Self { plans, cases }
    }

    /// The cases with other challenges; those without constraints with other traces and public values too.
    fn others(&self, seed: u64) -> Vec<Case> {
        let rng = &mut rng(seed);
        let longest = self.cases.iter().map(|case| case.xi.len()).max().unwrap();
        let (xi, beta_lambda) = (random_ef(rng, longest), random_ef(rng, 2));
        let other = |case: &Case| {
            let mut other = Case { xi: xi[..case.xi.len()].to_vec(), beta: beta_lambda[0], lambda: beta_lambda[1], ..case.clone() };
            other.weights = random_ef(rng, case.weights.len());
            if case.air.constraints().is_empty() {
                other.preprocessed.iter_mut().chain(&mut other.main).for_each(|(values, _)| *values = random_f(rng, values.len()));
                other.public_values = random_f(rng, case.public_values.len());
            }
            other
        };
        self.cases.iter().map(other).collect()
    }

    fn traces(cases: &[Case]) -> Vec<Trace> {
        Trace::upload(gpu(FieldForm::U64), &cases.iter().flat_map(Case::matrices).collect::<Vec<_>>()).unwrap()
    }

    fn instances<'a>(&'a self, cases: &'a [Case], mut traces: &'a [Trace]) -> Vec<Instance<'a>> {
        let instance = |(plan, case): (&'a Round0Plan, &'a Case)| {
            let own = traces.split_off(..case.matrices().len()).unwrap();
            Instance::new(plan).traces(own).public_values(&case.public_values).weights(&case.weights)
        };
        self.plans.iter().zip(cases).map(instance).collect()
    }

    /// Evaluates them, with what comes out compared with the reference: how many recordings were made.
    fn evaluate(&self, round0: &Round0, cases: &[Case]) -> usize {
        let traces = Self::traces(cases);
        let output = round0.evaluate(&challenges(cases), &self.instances(cases, &traces)).unwrap();
        assert_exact(&output, cases);
        output.stats.recordings
    }
}

fn challenges(cases: &[Case]) -> Challenges<'_> {
    let longest = cases.iter().max_by_key(|case| case.xi.len()).unwrap();
    Challenges { xi: &longest.xi, beta: longest.beta, lambda: longest.lambda }
}

fn assert_exact(output: &Round0Output, cases: &[Case]) {
    for (polys, case) in output.polys.iter().zip(cases) {
        assert_same(polys, &case.reference(), case.air.name());
    }
}

#[test]
fn calls_of_the_same_shapes_are_recorded_once() {
    let round0 = Round0::new(gpu(FieldForm::U64));
    let (one, other) = (Shared::new(1, [5, 9]), Shared::new(1, [6, 9]));
    assert_eq!(one.evaluate(&round0, &one.cases), 1);
    for seed in 10..13 {
        assert_eq!(one.evaluate(&round0, &one.others(seed)), 0, "other challenges and traces");
    }
    assert_eq!(other.evaluate(&round0, &other.cases), 1, "other heights");
    assert_eq!((one.evaluate(&round0, &one.others(13)), other.evaluate(&round0, &other.others(14))), (0, 0), "both are known");
    // Equal AIRs that were planned again are others; of three calls the latest two are kept.
    let again = Shared::new(1, [5, 9]);
    assert_eq!(again.evaluate(&round0, &one.cases), 1);
    assert_eq!((other.evaluate(&round0, &other.cases), one.evaluate(&round0, &one.cases)), (0, 1));
    // The order of instances, and a part of them.
    let reversed = Shared { plans: one.plans.iter().rev().cloned().collect(), cases: one.cases.iter().rev().cloned().collect() };
    assert_eq!(reversed.evaluate(&round0, &reversed.cases), 1);
    let part = Shared { plans: one.plans[1..].to_vec(), cases: one.cases[1..].to_vec() };
    assert_eq!((part.evaluate(&round0, &part.cases), part.evaluate(&round0, &part.others(15))), (1, 0));
}

/// Traces that lie elsewhere in their buffer, or in buffers of other sizes, are other calls; so is a row-major one.
#[test]
fn places_of_traces_are_part_of_a_call() {
    let round0 = Round0::new(gpu(FieldForm::U64));
    let shared = Shared::new(2, [5, 7]);
    let apart = |cases: &[Case]| -> Vec<Trace> {
        cases.iter().flat_map(Case::matrices).map(|matrix| Trace::new(gpu(FieldForm::U64), matrix).unwrap()).collect()
    };
    let evaluate = |traces: &[Trace]| {
        let output = round0.evaluate(&challenges(&shared.cases), &shared.instances(&shared.cases, traces)).unwrap();
        assert_exact(&output, &shared.cases);
        output.stats.recordings
    };
    assert_eq!(evaluate(&Shared::traces(&shared.cases)), 1);
    assert_eq!(evaluate(&apart(&shared.cases)), 1);
    assert_eq!((evaluate(&apart(&shared.cases)), evaluate(&Shared::traces(&shared.cases))), (0, 0));
    let mut behind = vec![shared.cases[1].clone()];
    behind.extend(shared.cases.iter().cloned());
    let traces = Shared::traces(&behind);
    assert_eq!(evaluate(&traces[shared.cases[1].matrices().len()..]), 1);
}

/// Given evaluations of `eq` are recorded with the call, so it is not kept; nor is what was recorded before it lost.
#[test]
fn calls_with_given_eq_are_recorded_each_time() {
    let round0 = Round0::new(gpu(FieldForm::U64));
    let shared = Shared::new(3, [5, 8]);
    assert_eq!(shared.evaluate(&round0, &shared.cases), 1);
    let traces = Shared::traces(&shared.cases);
    let eq: Vec<Vec<EF>> = shared.cases.iter().map(Case::eq_evals).collect();
    let instances: Vec<_> = shared.instances(&shared.cases, &traces).into_iter().zip(&eq).map(|(instance, eq)| instance.eq(eq)).collect();
    for _ in 0..2 {
        let output = round0.evaluate(&challenges(&shared.cases), &instances).unwrap();
        assert_exact(&output, &shared.cases);
        assert_eq!(output.stats.recordings, 1);
    }
    assert_eq!(shared.evaluate(&round0, &shared.others(20)), 0);
}

/// Calls in flight at the same time have buffers and recordings of their own; one that is dropped leaves what it knew.
#[test]
fn calls_in_flight_do_not_share_a_recording() {
    let round0 = Round0::new(gpu(FieldForm::U64));
    let shared = Shared::new(4, [5, 8]);
    let all: Vec<Vec<Case>> = (30..33).map(|seed| shared.others(seed)).collect();
    for round in 0..3 {
        let traces: Vec<Vec<Trace>> = all.iter().map(|cases| Shared::traces(cases)).collect();
        let instances: Vec<_> = all.iter().zip(&traces).map(|(cases, traces)| shared.instances(cases, traces)).collect();
        let challenges: Vec<_> = all.iter().map(|cases| challenges(cases)).collect();
        let mut in_flight: Vec<_> =
            challenges.iter().zip(&instances).map(|(challenges, instances)| round0.submit(challenges, instances).unwrap()).collect();
        if round == 1 {
            drop(in_flight.remove(0));
        }
        for (call, cases) in in_flight.into_iter().zip(&all[usize::from(round == 1)..]) {
            let output = call.wait().unwrap();
            assert_exact(&output, cases);
            assert_eq!(output.stats.recordings, usize::from(round == 0));
        }
    }
}
