//! Bad input gets a typed error that names the AIR and gives requested and limit, and the next good call is right.

use std::sync::Arc;

use crate::support::{Case, Uploaded, assert_same, gpu};
use logup_wgpu::{
    AirBuilder, BufferMatrix, Challenges, EF, Error, F, FieldForm, Gpu, GpuOptions, Instance, Layout, Matrix, P, Part, Round0, Round0Plan,
    Strategy, Subject, Trace, compute::Buffer, wgpu,
};
use p3_field::PrimeCharacteristicRing;

/// An AIR with a preprocessed trace, two main parts and two public values, at 16 rows with a skip domain of 4.
fn good_case() -> Case {
    let mut air = AirBuilder::new("the AIR");
    let preprocessed = air.preprocessed_part(1);
    let (cached, common) = (air.main_part(2), air.main_part(3));
    air.public_values(2);
    let (a, b, c) = (air.column(preprocessed, 0), air.column(cached, 1), air.next(common, 2));
    let public = air.public_value(1);
    let product = air.mul(b, c);
    air.interaction(0, [a, product], c);
    air.interaction(1, [public], a);
    Case::random(air.build().unwrap(), 2, 16, (Some(1), &[2, 3]), 2, &mut crate::support::rng(5))
}

/// Breaks a good instance, expects an error whose message names the AIR and both numbers, then evaluates the good one.
fn expect(what: &str, requested: u64, limit: u64, break_it: impl FnOnce(Instance<'_>, &mut dyn FnMut(Instance<'_>))) {
    let case = good_case();
    let uploaded = Uploaded::together(gpu(FieldForm::U64), std::slice::from_ref(&case), Strategy::Split);
    let [good] = uploaded.instances().try_into().unwrap();
    let (round0, challenges) = (Round0::new(gpu(FieldForm::U64)), uploaded.challenges());
    let mut error = None;
    break_it(good.clone(), &mut |bad| error = Some(round0.evaluate(&challenges, &[good.clone(), bad]).unwrap_err()));
    let error = error.expect("the case was evaluated");
    let message = error.to_string();
    match error {
        Error::Length { what: got, got: r, expected: l, .. } | Error::TooFew { what: got, got: r, needed: l, .. } => {
            assert_eq!((got, r as u64, l as u64), (what, requested, limit), "{message}");
        }
        other => panic!("{other}"),
    }
    for part in ["the AIR", what, &requested.to_string(), &limit.to_string()] {
        assert!(message.contains(part), "{message:?} names {part:?}");
    }
    let output = round0.evaluate(&challenges, &[good]).unwrap();
    assert_same(&output.polys[0], &case.reference(), "after an error");
}

#[test]
fn wrong_lengths() {
    let some = [EF::TWO; 8];
    let elements = [F::ONE; 8];
    expect("eq evaluations", 5, 4, |good, run| run(good.eq(&some[..5])));
    expect("weights", 3, 2, |good, run| run(good.weights(&some[..3])));
    expect("public values", 1, 2, |good, run| run(good.public_values(&elements[..1])));
    expect("main trace parts", 1, 2, |good, run| run(good.clone().main(&good.main[..1])));
    expect("main trace parts", 0, 2, |good, run| run(good.main([] as [&Trace; 0])));
    expect("columns", 3, 2, |good, run| run(good.clone().main([&good.main[1], &good.main[0]])));
    expect("preprocessed traces", 0, 1, |mut good, run| {
        good.preprocessed = None;
        run(good);
    });
    expect("rows", 8, 16, |good, run| {
        let short = Trace::new(gpu(FieldForm::U64), Matrix::col_major(&[F::ONE; 24], 3)).unwrap();
        run(good.clone().main([&good.main[0], &short]));
    });
}

/// One sumcheck's challenges serve AIRs of any height: each takes its first ones.
#[test]
fn challenges_are_as_many_as_the_tallest_air_needs() {
    let case = good_case();
    let uploaded = Uploaded::together(gpu(FieldForm::U64), std::slice::from_ref(&case), Strategy::Split);
    let (round0, instances) = (Round0::new(gpu(FieldForm::U64)), uploaded.instances());
    let more = Challenges { xi: crate::support::challenges().xi, beta: case.beta, lambda: case.lambda };
    assert!(more.xi.len() > case.xi.len());
    assert_same(&round0.evaluate(&more, &instances).unwrap().polys[0], &case.reference(), "more challenges");
    let error = round0.evaluate(&Challenges { xi: &case.xi[..1], beta: case.beta, lambda: case.lambda }, &instances).unwrap_err();
    assert!(
        matches!(&error, Error::TooFew { subject, what: "challenges xi", got: 1, needed: 2 } if *subject == Subject::from("the AIR")),
        "{error}"
    );
}

#[test]
fn heights_and_widths() {
    let gpu = gpu(FieldForm::U64);
    let upload = |len: usize, width| Trace::upload(gpu, &[Matrix::col_major(&[F::ONE], 1), Matrix::row_major(&vec![F::ONE; len], width)]);
    assert!(matches!(upload(24, 2).unwrap_err(), Error::Height { subject: Subject::Matrix(1), got: 12 }));
    assert!(matches!(upload(0, 2).unwrap_err(), Error::Height { got: 0, .. }));
    assert!(matches!(upload(7, 2).unwrap_err(), Error::Length { got: 7, expected: 8, .. }));
    assert!(matches!(upload(1, 0).unwrap_err(), Error::Length { got: 1, expected: 0, .. }));
    assert_eq!(upload(16, 2).unwrap()[1].height(), 8);
    assert_eq!(upload(0, 0).unwrap()[1].height(), 1);
}

#[test]
fn words_are_checked_when_asked_for() {
    let gpu = gpu(FieldForm::U64);
    let mut words = [P - 1; 8];
    assert_eq!(Trace::from_words(gpu, &words, 2, Layout::RowMajor).unwrap().height(), 4);
    words[5] = P;
    let error = Trace::from_words(gpu, &words, 2, Layout::RowMajor).unwrap_err();
    assert!(matches!(error, Error::NotAFieldElement { index: 5, got: P, limit: P, .. }));
    assert!(error.to_string().contains("word 5 is 0x78000001"), "{error}");
}

#[test]
fn callers_buffers_are_checked() {
    let gpu = gpu(FieldForm::U64);
    let buffer = |usage| {
        let descriptor = wgpu::BufferDescriptor { label: None, size: 64, usage, mapped_at_creation: false };
        Arc::new(Buffer::from(gpu.device().create_buffer(&descriptor)))
    };
    let storage = buffer(wgpu::BufferUsages::STORAGE);
    let from = |buffer: &Arc<Buffer>, first, width, height| {
        let (buffer, layout) = (Arc::clone(buffer), Layout::ColMajor);
        Trace::from_buffer(gpu, BufferMatrix { buffer, first_word: first, width, height, layout })
    };
    assert!(from(&storage, 0, 2, 8).is_ok());
    assert!(matches!(from(&storage, 1, 2, 8), Err(Error::TooFew { got: 16, needed: 17, .. })));
    assert!(matches!(from(&storage, 0, 2, 3), Err(Error::Height { got: 3, .. })));
    assert!(matches!(from(&storage, 0, 2, 0), Err(Error::Height { got: 0, .. })));
    assert!(matches!(from(&buffer(wgpu::BufferUsages::COPY_DST), 0, 2, 8), Err(Error::Unsupported { .. })));
    // Sizes whose sums and products wrap.
    for (first, width, height) in [(u64::MAX - 3, 2, 8), (u64::MAX, usize::MAX >> 32, 1 << 31), (0, u32::MAX as usize, 1 << 31)] {
        assert!(matches!(from(&storage, first, width, height), Err(Error::TooFew { got: 16, needed: 17.., .. })), "{first}");
    }
    assert!(
        matches!(from(&storage, 0, 1 << 33, 1 << 31), Err(Error::DeviceLimit { what: "columns", requested, .. }) if requested == 1 << 33)
    );
    assert!(matches!(from(&storage, 0, 2, 1 << 63), Err(Error::Height { .. })));
    assert!(matches!(from(&storage, 0, 0, 1 << 32), Err(Error::Height { .. })));
}

#[test]
fn uploads_past_a_buffer_are_refused() {
    let small = crate::support::limited_gpu(FieldForm::U32, |limits| wgpu::Limits {
        max_buffer_size: 1 << 20,
        max_storage_buffer_binding_size: 1 << 20,
        ..limits
    });
    let error = Trace::new(&small, Matrix::col_major(&vec![F::ONE; 1 << 19], 1)).unwrap_err();
    assert!(matches!(error, Error::DeviceLimit { kernel: "upload", requested, limit, .. } if (requested, limit) == (1 << 21, 1 << 20)));
    assert!(Trace::new(&small, Matrix::col_major(&vec![F::ONE; 1 << 18], 1)).is_ok());
}

#[test]
fn field_forms_that_the_device_lacks_are_refused() {
    // Opened without 64-bit integers.
    let gpu = crate::support::limited_gpu(FieldForm::U32, |limits| limits);
    let (info, device, queue) = (gpu.info().clone(), gpu.device().clone(), gpu.queue().clone());
    let options = GpuOptions { field_form: Some(FieldForm::U64), ..GpuOptions::default() };
    let error = Gpu::from_device(info.clone(), device.clone(), queue.clone(), &options).unwrap_err();
    assert!(matches!(error, Error::MissingFeature { feature: "SHADER_INT64", .. }), "{error}");
    let fallback = Gpu::from_device(info, device, queue, &GpuOptions::default()).unwrap();
    assert_eq!(fallback.field_form(), FieldForm::U32);
}

#[test]
fn traces_stay_on_their_device() {
    let case = good_case();
    let here = Uploaded::together(gpu(FieldForm::U64), std::slice::from_ref(&case), Strategy::Split);
    let elsewhere = Uploaded::together(gpu(FieldForm::U32), std::slice::from_ref(&case), Strategy::Split);
    let [good] = here.instances().try_into().unwrap();
    let challenges = here.challenges();
    let round0 = Round0::new(gpu(FieldForm::U64));
    let foreign = good.clone().main(&elsewhere.instances()[0].main);
    let error = round0.evaluate(&challenges, &[foreign]).unwrap_err();
    assert!(matches!(&error, Error::OtherDevice { subject: Subject::Part { air, part: Part::Main(0) } } if air == "the AIR"), "{error}");
    assert_same(&round0.evaluate(&challenges, &[good]).unwrap().polys[0], &case.reference(), "after an error");
}

/// A recording's results come from another executor: too few, or of one that did not run to its end.
#[test]
fn results_of_recordings_are_checked() {
    let case = good_case();
    let uploaded = Uploaded::together(gpu(FieldForm::U64), std::slice::from_ref(&case), Strategy::Split);
    let round0 = Round0::new(gpu(FieldForm::U64));
    let instances = uploaded.instances();
    let call = round0.record(&uploaded.challenges(), &instances).unwrap();
    let [recording] = &call.recordings[..] else { panic!("one submission") };
    let num_words = recording.result_words();
    assert!(matches!(call.polys(vec![]), Err(Error::Length { got: 0, expected: 1, .. })));
    let short = call.polys(vec![vec![0; num_words - 1]]);
    assert!(matches!(short, Err(Error::Length { got, expected, .. }) if (got, expected) == (num_words - 1, num_words)));
    // No nonce; the nonce, and results that were not written; both there.
    let mut words = vec![u32::MAX; num_words];
    assert!(matches!(call.polys(vec![words.clone()]), Err(Error::DeviceLost { .. })));
    words[num_words - 4] = recording.nonce;
    assert!(matches!(call.polys(vec![words.clone()]), Err(Error::DeviceLost { .. })));
    words[..num_words - 4].fill(0);
    assert!(call.polys(vec![words]).unwrap()[0].numerator.iter().all(|&coeff| coeff == EF::ZERO));
}

#[test]
fn skip_domains_past_4096_points() {
    let air = good_case().air;
    let error = Round0Plan::new(air, 13, Strategy::Direct).unwrap_err();
    assert_eq!(error.to_string(), "AIR \"the AIR\": l_skip = 13 is outside 0..=12");
}

#[test]
fn no_adapter_is_an_error_that_says_what_to_do() {
    let options = GpuOptions { backends: Some(wgpu::Backends::empty()), ..GpuOptions::default() };
    let error = Gpu::new(options).unwrap_err();
    assert!(matches!(error, Error::NoAdapter { .. }), "{error}");
    assert!(error.to_string().contains("mesa-vulkan-drivers"), "{error}");
}

#[test]
fn openvm_expressions_that_round_0_has_no_meaning_for() {
    use crate::stock::openvm_air;
    use openvm_stark_backend::{
        air_builders::symbolic::{
            SymbolicConstraints, SymbolicConstraintsDag,
            symbolic_expression::SymbolicExpression,
            symbolic_variable::{Entry, SymbolicVariable},
        },
        interaction::Interaction,
        keygen::types::TraceWidth,
    };

    let from = |entry, index| {
        let count: SymbolicExpression<F> = SymbolicVariable::new(entry, index).into();
        let interactions = vec![Interaction { message: vec![], count, bus_index: 0, count_weight: 1 }];
        let dag = SymbolicConstraintsDag::from(SymbolicConstraints { constraints: vec![], interactions });
        let width = TraceWidth { preprocessed: None, cached_mains: vec![], common_main: 2 };
        openvm_air::from_dag("from openvm", &dag, &width, 1, 1)
    };
    assert!(from(Entry::Main { part_index: 0, offset: 1 }, 1).is_ok());
    assert!(matches!(from(Entry::Challenge, 0), Err(Error::Unsupported { .. })));
    assert!(matches!(from(Entry::Main { part_index: 0, offset: 2 }, 0), Err(Error::Unsupported { .. })));
    assert!(matches!(from(Entry::Main { part_index: 0, offset: 0 }, 2), Err(Error::Index { got: 2, len: 2, .. })));
    assert!(matches!(from(Entry::Main { part_index: 1, offset: 0 }, 0), Err(Error::Index { what: "main part", .. })));
    assert!(matches!(from(Entry::Preprocessed { offset: 0 }, 0), Err(Error::Index { len: 0, .. })));
    assert!(matches!(from(Entry::Public, 1), Err(Error::Index { what: "public value", .. })));
}
