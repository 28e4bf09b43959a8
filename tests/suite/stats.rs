//! The stats against what was recorded, the device's own counters, and the events.

use crate::support::{Case, Uploaded, gpu, rng};
use approx::assert_relative_eq;
use logup_wgpu::{
    AirBuilder, FieldForm, Gpu, GpuOptions, NodeId, Round0, Round0Options, Schedule, Strategy,
    compute::{Kernel, Recording, Resource},
    introspect::kernels,
};

/// An all-affine AIR of constraint degree 3, like OpenVM's KeccakfPermAir.
fn affine_case() -> Case {
    let mut air = AirBuilder::new("affine");
    let main = air.main_part(12);
    let fields: Vec<NodeId> = (0..12).map(|i| air.column(main, i)).collect();
    air.interaction(0, fields[1..].iter().copied(), fields[0]);
    air.constraint_degree(3);
    Case::random(air.build().unwrap(), 4, 1 << 10, (None, &[12]), 0, &mut rng(1))
}

/// One product, so a non-affine part of degree 2.
fn mixed_case() -> Case {
    let mut air = AirBuilder::new("mixed");
    let main = air.main_part(3);
    let (a, b, c) = (air.column(main, 0), air.next(main, 1), air.column(main, 2));
    let product = air.mul(a, b);
    air.interaction(0, [product, c], a);
    air.constraint_degree(3);
    Case::random(air.build().unwrap(), 2, 1 << 8, (None, &[3]), 0, &mut rng(2))
}

/// (waits, kernels, reduction kernels, allocations) of the second call.
fn second_call(cases: &[Case], strategy: Strategy, schedule: Schedule) -> [usize; 4] {
    let gpu = gpu(FieldForm::U64);
    let uploaded = Uploaded::together(gpu, cases, strategy);
    let round0 = Round0::with_schedule(gpu, schedule);
    let first = uploaded.evaluate(&round0);
    assert!(first.stats.allocations > 0);
    let stats = uploaded.evaluate(&round0).stats;
    assert_eq!(stats.submissions, stats.waits);
    [stats.waits, stats.kernels(), stats.reduction_kernels, stats.allocations]
}

/// The table of the design: what the history of this kernel cost and what it costs now.
#[test]
fn the_three_ways_cost_what_the_design_says() {
    let affine = [affine_case()];
    let num_cosets = 3;
    assert_eq!(second_call(&affine, Strategy::Direct, Schedule::PerCoset), [num_cosets, 3 * num_cosets, 2 * num_cosets, num_cosets]);
    assert_eq!(second_call(&affine, Strategy::Direct, Schedule::Batched), [1, num_cosets + 1, 1, 0]);
    assert_eq!(second_call(&affine, Strategy::Split, Schedule::Batched), [1, 2, 1, 0]);

    let mixed = [mixed_case()];
    // column sums, the generated kernel for both cosets, the reduction
    assert_eq!(second_call(&mixed, Strategy::Split, Schedule::Batched), [1, 3, 1, 0]);
    assert_eq!(second_call(&mixed, Strategy::Direct, Schedule::Batched), [1, 4, 1, 0]);

    // AIRs share every dispatch.
    let batch: Vec<Case> = (0..10).map(|i| if i % 2 == 0 { affine_case() } else { mixed_case() }).collect();
    assert_eq!(second_call(&batch, Strategy::Split, Schedule::Batched), [1, 4, 1, 0]);
    assert_eq!(second_call(&batch, Strategy::Direct, Schedule::PerCoset)[0], 10 * num_cosets);
}

#[test]
fn stats_count_the_recording() {
    let gpu = gpu(FieldForm::U64);
    let cases = [affine_case(), mixed_case()];
    for strategy in crate::support::STRATEGIES {
        for schedule in crate::support::SCHEDULES {
            let uploaded = Uploaded::together(gpu, &cases, strategy);
            let instances = uploaded.instances();
            let round0 = Round0::with_schedule(gpu, schedule);
            let recordings = round0.record(&uploaded.challenges(), &instances).unwrap().recordings;
            let stats = round0.evaluate(&uploaded.challenges(), &instances).unwrap().stats;
            let count = |kernel| recordings.iter().map(|recording| recording.num_dispatches(kernel)).sum::<usize>();
            assert_eq!(stats.submissions, recordings.len());
            assert_eq!(stats.column_kernels, count(&kernels::COLUMN_SUMS) + count(&kernels::COLUMN_SUMS_SCALAR));
            assert_eq!(stats.coset_kernels, count(&kernels::COSET_PASS) + count(&kernels::COSET_INTERPRET));
            assert_eq!(stats.reduction_kernels, count(&kernels::DUAL_REDUCE));
            assert_eq!(stats.kernels(), recordings.iter().map(|recording| recording.dispatches.len()).sum::<usize>());
            let scratch = |recording: &Recording| recording.bytes(Resource("scratch")) + recording.bytes(Resource("eq"));
            assert_eq!(stats.scratch_bytes, recordings.iter().map(scratch).max().unwrap());
            assert_eq!(stats.trace_bytes, recordings.iter().map(|recording| recording.trace_bytes).sum::<u64>());
            assert_eq!(stats.adapter, gpu.adapter());
            if schedule == Schedule::Batched {
                let bytes: u64 = cases.iter().map(|case| case.plan(strategy).scratch_bytes(case.height).unwrap()).sum();
                assert!(recordings[0].bytes(Resource("scratch")) <= bytes, "the plans' scratch bounds the call's");
            }
        }
    }
}

#[test]
fn bytes_read_are_those_of_the_used_columns() {
    let gpu = gpu(FieldForm::U64);
    let case = affine_case();
    let cells = 4 * 12 * case.height as u64;
    let bytes = |strategy| {
        let uploaded = Uploaded::together(gpu, std::slice::from_ref(&case), strategy);
        uploaded.evaluate(&Round0::new(gpu)).stats.trace_bytes
    };
    assert_eq!(bytes(Strategy::Split), cells);
    assert_eq!(bytes(Strategy::Direct), 3 * cells);
}

/// The bindings of every dispatch lie inside their buffers and trace windows, aligned.
#[test]
fn recordings_bind_what_they_declare() {
    let gpu = gpu(FieldForm::U64);
    let cases = [affine_case(), mixed_case()];
    let uploaded = Uploaded::apart(gpu, &cases, Strategy::Split);
    let (instances, round0) = (uploaded.instances(), Round0::new(gpu));
    let [recording] = &round0.record(&uploaded.challenges(), &instances).unwrap().recordings[..] else { panic!("one submission") };
    for dispatch in &recording.dispatches {
        for binding in &dispatch.bindings {
            assert!(binding.bytes.start < binding.bytes.end && binding.bytes.end <= recording.bytes(binding.resource), "{dispatch:?}");
            assert_eq!(binding.bytes.start % gpu.limits().binding_alignment, 0);
        }
        assert!(dispatch.traces.len() as u32 <= gpu.limits().max_slots());
        assert!(dispatch.grid.iter().all(|&side| side >= 1 && side <= gpu.limits().workgroups_per_dimension));
    }
    assert_eq!(recording.dispatches.last().unwrap().kernel, &kernels::DUAL_REDUCE);
}

/// wgpu's own count of live buffers does not move at steady state.
#[test]
fn the_device_sees_no_new_buffers_at_steady_state() {
    // A device of its own: other tests allocate too.
    let gpu = Gpu::new(GpuOptions::default()).unwrap();
    let buffers = || gpu.device().get_internal_counters().hal.buffers.read();
    let case = mixed_case();
    let uploaded = Uploaded::together(&gpu, std::slice::from_ref(&case), Strategy::Split);
    let round0 = Round0::new(&gpu);
    // The upload's staging memory goes once the queue has used it.
    gpu.queue().submit([]);
    gpu.device().poll(logup_wgpu::wgpu::PollType::wait_indefinitely()).unwrap();
    let before = buffers();
    let allocations = uploaded.evaluate(&round0).stats.allocations;
    let after_first = buffers();
    assert_eq!((after_first - before) as usize, allocations);
    assert!(allocations > 0);
    for _ in 0..5 {
        assert_eq!(uploaded.evaluate(&round0).stats.allocations, 0);
        assert_eq!(buffers(), after_first);
    }
}

#[test]
fn times_add_up() {
    let gpu = gpu(FieldForm::U64);
    let case = mixed_case();
    let uploaded = Uploaded::together(gpu, std::slice::from_ref(&case), Strategy::Split);
    let round0 = Round0::new(gpu);
    uploaded.evaluate(&round0);
    let stats = uploaded.evaluate(&round0).stats;
    assert!(stats.cpu <= stats.wall);
    assert!(stats.stages.is_empty(), "stage times are a mode");

    let mut options = Round0Options::default();
    options.stage_times = true;
    let staged = Round0::with_options(gpu, options);
    let stats = uploaded.evaluate(&staged).stats;
    let stages: Vec<&'static Kernel> = stats.stages.iter().map(|stage| stage.kernel).collect();
    match stats.gpu {
        Some(total) => {
            assert_eq!(stages, [&kernels::COLUMN_SUMS, &kernels::COSET_PASS, &kernels::DUAL_REDUCE]);
            let sum: f64 = stats.stages.iter().map(|stage| stage.gpu.as_secs_f64()).sum();
            assert_relative_eq!(sum, total.as_secs_f64(), max_relative = 1e-6);
            assert!(total > std::time::Duration::ZERO && total <= stats.wall, "{total:?} of {:?}", stats.wall);
        }
        None => assert!(stages.is_empty(), "no timestamps, no stages"),
    }
}

/// A service that makes an engine and plans for each request, many at a time: kernels and timestamp queries stay as many as they were.
/// Metal gives a process 32 sets of queries; wgpu answers the next by losing the device.
#[test]
fn engines_come_and_go() {
    let gpu = Gpu::new(GpuOptions::default()).unwrap();
    let cases = [mixed_case()];
    let evaluate = |engines: &mut Vec<Round0>| {
        let uploaded = Uploaded::together(&gpu, &cases, Strategy::Split); // with new plans
        engines.push(Round0::new(&gpu));
        uploaded.evaluate(engines.last().unwrap()).stats
    };
    let mut engines = Vec::new();
    let first = evaluate(&mut engines);
    let kernels = gpu.num_kernels();
    for _ in 0..40 {
        let stats = evaluate(&mut engines);
        assert_eq!((stats.gpu.is_some(), stats.known_answers), (first.gpu.is_some(), 0));
    }
    assert_eq!(gpu.num_kernels(), kernels);
    let query_sets = gpu.device().get_internal_counters().hal.query_sets.read();
    assert!(query_sets <= 1, "{query_sets} sets of queries for {} engines", engines.len());
}
