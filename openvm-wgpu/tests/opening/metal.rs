//! The openings on the kernels' Metal text.

use std::sync::Arc;

use logup_wgpu::{FieldForm, compute::Kernel};
use openvm_wgpu::{RecordingObserver, WgpuOptions, kernels};

use crate::{
    case::{Case, Shape, params},
    observers::metal::{Beside, Order},
    support::{gpu, mutant::Mutant, rng},
};

fn case(seed: u64) -> Case {
    let shapes = vec![
        Shape { cached: vec![2], ..Shape::plain(9, 5, true) },
        Shape { preprocessed: Some(3), ..Shape::plain(7, 2, false) },
        Shape::plain(2, 3, true),
    ];
    Case::new(&mut rng(seed), params(3, 6, 1, 3, &[9, 5]), shapes)
}

fn beside(case: &Case, observer: &Arc<Beside>) -> Vec<Result<(), String>> {
    let options = WgpuOptions { max_host_len: Some(0), ..WgpuOptions::default() };
    let device = case.device(&observer.gpu, options).observed_by(Arc::clone(observer) as Arc<dyn RecordingObserver>);
    case.opened(&device).unwrap();
    observer.compared()
}

/// Every recording of an opening gives on the Metal text what it gives on the device, in both forms and both orders of threads.
#[test]
fn openings_run() {
    let case = case(81);
    for form in FieldForm::ALL {
        for order in [Order::Ascending, Order::Descending] {
            let compared = beside(&case, &Beside::new(gpu(form), order, |_, source| source));
            assert!(compared.len() >= 8, "{}", compared.len());
            for (i, compared) in compared.into_iter().enumerate() {
                assert_eq!(compared, Ok(()), "{form:?}, {order:?}, recording {i}");
            }
        }
    }
}

/// A dropped barrier shows in some order of threads.
#[test]
fn barriers_are_needed() {
    let case = case(82);
    // The first of sum_lanes is for a sum before, of which there is none.
    for (kernel, barriers) in [
        (&kernels::IP_TABLE, 0..2),
        (&kernels::SUM_ROWS, 1..2),
        (&kernels::EVALUATE, 1..3),
        (&kernels::OPENING_SUMS, 0..1),
        (&kernels::WEIGH_SUMS, 0..1),
    ] {
        for i in barriers {
            let mutant = Mutant::without_barrier(kernel, i);
            let noticed = [Order::Ascending, Order::Descending].into_iter().any(|order| {
                let edit = move |edited: &'static Kernel, source: String| mutant.apply(edited, source);
                beside(&case, &Beside::new(gpu(FieldForm::U64), order, edit)).iter().any(Result::is_err)
            });
            assert!(noticed, "{}, barrier {i}", kernel.name);
        }
    }
}
