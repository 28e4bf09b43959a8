//! Hostile input gets an answer or a typed error, in bounded time and memory. The bodies of the fuzz targets in `fuzz/` as bounded property
//! tests, what they found, and DAGs that are deep, wide, or share much. Proptest prints the bytes of a failing case.

use std::time::{Duration, Instant};

use crate::support::{Case, STRATEGIES, Uploaded, check_all, gpu, hostile, random_ef, rng, watchdog};
use logup_wgpu::{Air, AirBuilder, EF, Error, F, FieldForm, NodeId, Part, Rates, Result, Round0, Round0Plan, Strategy};
use p3_field::PrimeCharacteristicRing;
use proptest::prelude::*;

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(500))]

    #[test]
    fn any_bytes_give_a_plan_or_an_error(data in prop::collection::vec(any::<u8>(), 0..400)) {
        hostile::plan(&data);
    }
}

proptest! {
    #![proptest_config(config(300))]

    #[test]
    fn any_bytes_give_valid_kernels(data in prop::collection::vec(any::<u8>(), 0..400)) {
        hostile::wgsl(&data);
    }
}

proptest! {
    #![proptest_config(config(12))]

    #[test]
    fn any_bytes_give_the_references_polynomials(data in prop::collection::vec(any::<u8>(), 0..120)) {
        hostile::device(&data);
    }
}

/// Ends the process if the work takes more than half a minute, several times what it takes on two busy cores; says how long it took.
fn timed<T>(what: &'static str, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = watchdog::within(Duration::from_secs(30), what, work);
    println!("{what}: {:.2} s", start.elapsed().as_secs_f64());
    result
}

/// An AIR over one main part.
fn air(width: usize, build: impl FnOnce(&mut AirBuilder, Part)) -> Result<Air> {
    let mut air = AirBuilder::new("hostile");
    let main = air.main_part(width);
    build(&mut air, main);
    air.build()
}

/// The AIR's plan in one way; all that is computed from one is computed.
fn planned(air: &Air, strategy: Strategy) -> Result<Round0Plan> {
    let plan = Round0Plan::new(air.clone(), 2, strategy)?;
    plan.estimate(1 << 31, &Rates::H200)?;
    plan.scratch_bytes(1 << 31)?;
    assert!(!plan.to_string().is_empty());
    hostile::check_sources(&plan, FieldForm::U64, 1, 1);
    Ok(plan)
}

/// Evaluates the AIR on four rows, and compares with the reference at one point.
fn evaluated(air: Air, width: usize, strategy: Strategy) {
    let case = Case::random(air, 2, 4, (None, &[width]), 0, &mut rng(1));
    let gpu = gpu(FieldForm::U64);
    let uploaded = Uploaded::together(gpu, std::slice::from_ref(&case), strategy);
    let polys = uploaded.evaluate(&Round0::new(gpu)).polys.remove(0);
    let point = EF::from_u32(1_000_003);
    assert_eq!(polys.at(point), case.reference_at(point));
}

fn distinct_sources(plan: &Round0Plan) -> usize {
    let mut sources = plan.shader_sources(FieldForm::U64, 1);
    sources.sort_unstable();
    sources.dedup();
    sources.len()
}

/// That one thread has not the loop iterations for it.
fn assert_too_long(result: Result<Round0Plan>) {
    let error = result.expect_err("it is too long");
    let is_limit =
        matches!(&error, Error::DeviceLimit { subject, kernel: "coset_interpret", limit: 32_768, .. } if *subject == "hostile".into());
    assert!(is_limit, "{error}");
}

const MILLION: usize = 1_000_000;

/// A sum of sums is affine whatever its depth: an answer. The textbook way computes every node, and refuses.
#[test]
fn a_chain_of_a_million_sums() {
    let sums = air(2, |air, main| {
        let (a, b) = (air.column(main, 0), air.next(main, 1));
        let sum = (0..MILLION).fold(a, |sum, i| if i % 3 == 2 { air.sub(b, sum) } else { air.add(sum, b) });
        air.interaction(1, [sum], a);
    })
    .unwrap();
    assert!(sums.nodes().len() > MILLION);
    timed("a million sums, Direct", || assert_too_long(planned(&sums, Strategy::Direct)));
    timed("a million sums, Split", || planned(&sums, Strategy::Split).unwrap());
    timed("a million sums, evaluated", || evaluated(sums, 2, Strategy::Split));
}

/// Of products, and of sums and products in turn, the degree is the refusal.
#[test]
fn a_chain_of_a_million_products() {
    for in_turn in [false, true] {
        let error = timed("a million products", || {
            air(2, |air, main| {
                let (a, b) = (air.column(main, 0), air.column(main, 1));
                let chain = (0..MILLION).fold(a, |chain, i| if in_turn && i % 2 == 0 { air.add(chain, b) } else { air.mul(chain, b) });
                air.interaction(1, [chain], a);
            })
            .unwrap_err()
        });
        let degree = if in_turn { MILLION / 2 + 1 } else { MILLION + 1 };
        assert!(matches!(error, Error::Degree { got, limit: 255, .. } if got == degree), "{error}");
    }
    // By a public value the degree stays: an answer.
    let mut scaled = AirBuilder::new("hostile");
    let main = scaled.main_part(1);
    scaled.public_values(1);
    let (a, public) = (scaled.column(main, 0), scaled.public_value(0));
    let chain = (0..MILLION).fold(a, |chain, i| if i % 2 == 0 { scaled.add(chain, a) } else { scaled.mul(chain, public) });
    scaled.interaction(1, [chain], a);
    let scaled = scaled.build().unwrap();
    timed("a million products by a public value", || planned(&scaled, Strategy::Split).unwrap());
}

#[test]
fn a_degree_of_a_thousand() {
    let power = |degree: usize| {
        air(1, |air, main| {
            let a = air.column(main, 0);
            let power = (1..degree).fold(a, |power, _| air.mul(power, a));
            air.interaction(1, [power], a);
        })
    };
    assert!(matches!(power(1_000), Err(Error::Degree { got: 1_000, limit: 255, .. })));
    let largest = power(255).unwrap();
    timed("degree 255, planned", || STRATEGIES.map(|strategy| planned(&largest, strategy).unwrap().num_cosets()));
    timed("degree 255, evaluated", || evaluated(largest, 1, Strategy::Split));
}

/// `x + x` sixty times is a sum of 2^60 terms when it is written out, `x * x` sixty times has degree 2^60.
#[test]
fn subexpressions_that_double() {
    let doubled = air(1, |air, main| {
        let a = air.column(main, 0);
        let sum = (0..60).fold(a, |sum, _| air.add(sum, sum));
        let product = air.mul(sum, sum);
        air.interaction(1, [sum, product], a);
    })
    .unwrap();
    let case = Case::random(doubled, 2, 16, (None, &[1]), 0, &mut rng(2));
    let expected = case.reference();
    check_all(&[case], &[expected]);
    let squared = air(1, |air, main| {
        let a = air.column(main, 0);
        let power = (0..60).fold(a, |power, _| air.mul(power, power));
        air.interaction(1, [power], a);
    });
    assert!(matches!(squared, Err(Error::Degree { got, .. }) if got == 1 << 60));
}

#[test]
fn a_hundred_thousand_columns() {
    const WIDTH: usize = 100_000;
    let affine = air(WIDTH, |air, main| {
        let columns: Vec<NodeId> = (0..WIDTH).map(|i| air.column(main, i)).collect();
        air.interaction(1, columns.iter().copied(), columns[0]);
    })
    .unwrap();
    timed("10^5 affine columns, Direct", || planned(&affine, Strategy::Direct).unwrap());
    timed("10^5 affine columns, Split", || planned(&affine, Strategy::Split).unwrap());
    timed("10^5 affine columns, evaluated", || evaluated(affine, WIDTH, Strategy::Split));

    // Products of neighbours, each a field of its own: thousands of programs, nearly all of the same text.
    let products = air(WIDTH, |air, main| {
        let columns: Vec<NodeId> = (0..WIDTH).map(|i| air.column(main, i)).collect();
        let fields: Vec<NodeId> = columns.windows(2).map(|pair| air.mul(pair[0], pair[1])).collect();
        air.interaction(1, fields, columns[0]);
    })
    .unwrap();
    timed("10^5 columns in products, Direct", || planned(&products, Strategy::Direct).unwrap());
    let plan = timed("10^5 columns in products, Split", || planned(&products, Strategy::Split).unwrap());
    assert!(distinct_sources(&plan) <= 3);
    let case = Case::random(products, 2, 4, (None, &[WIDTH]), 0, &mut rng(3));
    let uploaded = Uploaded::together(gpu(FieldForm::U64), std::slice::from_ref(&case), Strategy::Split);
    let output = timed("10^5 columns in products, evaluated", || uploaded.evaluate(&Round0::new(gpu(FieldForm::U64))));
    let point = random_ef(&mut rng(4), 1)[0];
    assert_eq!(output.polys[0].at(point), case.reference_at(point), "10^5 columns in products");

    // In one sum of products: longer than one thread may take.
    let one_sum = air(WIDTH, |air, main| {
        let columns: Vec<NodeId> = (0..WIDTH).map(|i| air.column(main, i)).collect();
        let mut sum = columns[0];
        for pair in columns.windows(2) {
            let product = air.mul(pair[0], pair[1]);
            sum = air.add(sum, product);
        }
        let field = air.mul(sum, columns[1]);
        air.interaction(1, [field], columns[0]);
    })
    .unwrap();
    for strategy in STRATEGIES {
        timed("10^5 columns in one sum of products", || assert_too_long(planned(&one_sum, strategy)));
    }
}

/// Each column in a matrix of its own.
#[test]
fn a_hundred_thousand_parts() {
    let mut air = AirBuilder::new("hostile");
    let columns: Vec<NodeId> = (0..100_000)
        .map(|_| {
            let part = air.main_part(1);
            air.column(part, 0)
        })
        .collect();
    let product = air.mul(columns[0], columns[99_999]);
    air.interaction(1, columns.iter().copied().chain([product]), columns[0]);
    let air = air.build().unwrap();
    for strategy in STRATEGIES {
        timed("10^5 parts", || planned(&air, strategy).unwrap());
    }
}

#[test]
fn ten_thousand_interactions() {
    let many = air(40, |air, main| {
        let columns: Vec<NodeId> = (0..40).map(|i| air.column(main, i)).collect();
        for i in 0..10_000 {
            let weight = air.constant(F::from_usize(i + 2));
            let shifted = air.add(columns[i % 40], weight);
            let field = air.mul(shifted, columns[(i / 40) % 40]);
            air.interaction(i as u16, [field, columns[i % 7]], columns[i % 5]);
        }
    })
    .unwrap();
    for strategy in STRATEGIES {
        let plan = timed("10^4 interactions", || planned(&many, strategy).unwrap());
        assert!(plan.num_columns_used() == 40);
    }
    timed("10^4 interactions, evaluated", || evaluated(many, 40, Strategy::Direct));
}

/// Each sum of a long chain is a factor of a field of its own. To try the fields' programs one by one, each from its start, took time with the
/// square of the chain's length.
#[test]
fn roots_that_share_a_chain() {
    let shared = |num: usize| {
        air(3, |air, main| {
            let (a, b, c) = (air.column(main, 0), air.column(main, 1), air.column(main, 2));
            let mut sum = a;
            for i in 0..num {
                sum = if i % 2 == 0 { air.add(sum, b) } else { air.sub(c, sum) };
                let field = air.mul(sum, b);
                air.interaction(1, [field], a);
            }
        })
        .unwrap()
    };
    let (long, short) = (shared(300_000), shared(10_000));
    for strategy in STRATEGIES {
        timed("300,000 roots over one chain", || assert_too_long(planned(&long, strategy)));
        timed("10,000 roots over one chain", || planned(&short, strategy).unwrap());
    }
    timed("10,000 roots over one chain, evaluated", || evaluated(short, 3, Strategy::Direct));
}

/// Fields that share just less than a program holds, and have a little of their own: each would repeat what all share.
#[test]
fn programs_that_repeat_what_they_share() {
    let repeated = air(3, |air, main| {
        let (a, b, c) = (air.column(main, 0), air.column(main, 1), air.column(main, 2));
        let product = air.mul(a, b);
        let shared = (0..32_000).fold(product, |sum, i| if i % 2 == 0 { air.add(sum, b) } else { air.sub(c, sum) });
        for i in 0..2_000 {
            let start = air.constant(F::from_usize(i + 2));
            let own = (0..400).fold(start, |sum, i| if i % 2 == 0 { air.add(sum, a) } else { air.sub(b, sum) });
            let field = air.mul(shared, own);
            air.interaction(1, [field], a);
        }
    })
    .unwrap();
    for strategy in STRATEGIES {
        let error = timed("2,000 programs that share 32,000 nodes", || planned(&repeated, strategy).unwrap_err());
        let expected = matches!(error, Error::DeviceLimit { what: "instructions of one AIR's programs", limit: 16_777_216, .. });
        assert!(expected, "{error}");
    }
}

/// Fields of 80 shapes, each nearly a kernel long: 64 kernels are generated, the other fields are interpreted.
#[test]
fn kernels_of_one_air_are_bounded() {
    let shapes = air(3, |air, main| {
        let columns = [air.column(main, 0), air.column(main, 1), air.next(main, 2)];
        for i in 0..80usize {
            let mut field = air.mul(columns[0], columns[2]);
            for at in 0..60 {
                let constant = air.constant(F::from_usize(1_000 * i + at + 2));
                let term = air.add(columns[1], constant);
                field = if i >> (at % 7) & 1 == 0 { air.add(field, term) } else { air.sub(field, term) };
            }
            let field = air.mul(field, columns[2]);
            air.interaction(i as u16, [field], columns[0]);
        }
    })
    .unwrap();
    let plan = planned(&shapes, Strategy::Split).unwrap();
    assert_eq!((plan.shader_sources(FieldForm::U64, 1).len(), distinct_sources(&plan)), (64, 64));
}

/// The AIR says how many public values there are: a number, that nothing is allocated by before a call brings them.
#[test]
fn any_number_of_public_values() {
    let mut air = AirBuilder::new("hostile");
    let main = air.main_part(1);
    air.public_values(usize::MAX);
    let (a, last) = (air.column(main, 0), air.public_value(usize::MAX - 1));
    let scaled = air.mul(a, last);
    let field = air.mul(scaled, a);
    air.interaction(1, [field], a);
    air.constraint(field);
    let air = air.build().unwrap();
    for strategy in STRATEGIES {
        planned(&air, strategy).unwrap();
    }
}

/// Widths whose sum wraps, and a call whose products do not fit 64 bits.
#[test]
fn estimates_of_impossible_shapes() {
    let mut wide = AirBuilder::new("hostile");
    wide.main_part(usize::MAX);
    let second = wide.main_part(usize::MAX);
    let last = wide.next(second, usize::MAX - 1);
    let square = wide.mul(last, last);
    wide.constraint_degree(255);
    wide.interaction(0, [square], last);
    let wide = wide.build().unwrap();
    for strategy in STRATEGIES {
        let plan = Round0Plan::new(wide.clone(), 12, strategy).unwrap();
        let estimate = plan.estimate(1 << 31, &Rates::H200).unwrap();
        assert!(estimate.stock > Duration::from_secs(1 << 40), "{estimate:?}");
    }
    let columns = air(60_000, |air, main| {
        let columns: Vec<NodeId> = (0..60_000).map(|i| air.column(main, i)).collect();
        air.constraint_degree(255);
        air.interaction(0, columns.iter().copied(), columns[0]);
    })
    .unwrap();
    let plan = Round0Plan::new(columns, 12, Strategy::Direct).unwrap();
    assert_eq!(plan.estimate(1 << 31, &Rates::H200).unwrap().products, u64::MAX);
}

/// OpenVM's DAG can be read from a file, and then it need not be one: nodes that are not there, or that name themselves or later ones.
#[test]
fn openvm_dags_that_are_none() {
    use openvm_stark_backend::{
        air_builders::symbolic::{SymbolicConstraintsDag, SymbolicExpressionDag, SymbolicExpressionNode},
        interaction::Interaction,
        keygen::types::TraceWidth,
    };

    use crate::stock::openvm_air;

    let from = |node: SymbolicExpressionNode<F>, field: usize, count: usize| {
        let nodes = vec![SymbolicExpressionNode::IsFirstRow, node, SymbolicExpressionNode::IsLastRow];
        let interactions = vec![Interaction { message: vec![field], count, bus_index: 0, count_weight: 1 }];
        let dag = SymbolicConstraintsDag { constraints: SymbolicExpressionDag { nodes, constraint_idx: vec![] }, interactions };
        openvm_air::from_dag("hostile", &dag, &TraceWidth { preprocessed: None, cached_mains: vec![], common_main: 0 }, 0, 2)
    };
    let add = |left_idx, right_idx| SymbolicExpressionNode::Add { left_idx, right_idx, degree_multiple: 1 };
    let neg = |idx| SymbolicExpressionNode::Neg { idx, degree_multiple: 1 };
    assert!(from(add(0, 0), 1, 2).is_ok());
    assert!(from(neg(usize::MAX), 0, 2).is_ok(), "nothing needs it");
    for (node, field, count) in [
        (add(0, 1), 1, 0),
        (add(2, 0), 1, 0),
        (add(0, 3), 1, 0),
        (neg(1), 0, 1),
        (neg(usize::MAX), 0, 1),
        (neg(0), 3, 0),
        (neg(0), 0, usize::MAX),
    ] {
        let error = from(node.clone(), field, count).unwrap_err();
        assert!(
            matches!(&error, Error::Unsupported { subject, .. } if *subject == "hostile".into()),
            "{node:?}, {field}, {count}: {error}"
        );
    }
}
