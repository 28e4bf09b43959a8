//! The stage on the kernels' Metal text.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use logup_wgpu::{FieldForm, compute::Recording};
use openvm_wgpu::{
    RecordingObserver, WgpuOptions,
    kernels::{self, stage},
};

use crate::{
    case::small,
    observers::metal::{Beside, Order},
    support::gpu,
};

/// The names of kernels that ran.
#[derive(Default)]
struct Ran(Mutex<BTreeSet<&'static str>>);

impl RecordingObserver for Ran {
    fn before(&self, recording: &Recording) {
        self.0.lock().unwrap().extend(recording.dispatches.iter().map(|dispatch| dispatch.kernel.name));
    }

    fn after(&self, _: &[u32]) {}
}

/// What the other test here compares, and the one in Dawn, has every kernel of the stage in it.
#[test]
fn every_kernel_of_the_stage_runs() {
    let (case, ran) = (small(), Arc::new(Ran::default()));
    let options = WgpuOptions { max_host_len: Some(0), ..WgpuOptions::default() };
    case.prove(&case.device(gpu(FieldForm::U64), options).observed_by(ran.clone())).unwrap();
    let of_stage = [stage::GKR, stage::FOLD, stage::MLE_ROUNDS, stage::COLUMN_OPENINGS];
    let expected = kernels::ALL.iter().filter(|kernel| of_stage.contains(&kernel.stage)).map(|kernel| kernel.name);
    let ran = ran.0.lock().unwrap();
    assert_eq!(expected.filter(|name| !ran.contains(name)).collect::<Vec<_>>(), Vec::<&str>::new());
}

/// Every recording of the stage gives on the Metal text what it gives on the device, in both forms and both orders of threads.
#[test]
fn recordings_run() {
    let case = small();
    for form in FieldForm::ALL {
        for order in [Order::Ascending, Order::Descending] {
            let observer = Beside::new(gpu(form), order, |_, source| source);
            let options = WgpuOptions { max_host_len: Some(0), ..WgpuOptions::default() };
            let device = case.device(gpu(form), options).observed_by(Arc::clone(&observer) as Arc<dyn RecordingObserver>);
            case.prove(&device).unwrap();
            let compared = observer.compared();
            assert!(compared.len() >= 8, "{}", compared.len());
            for (i, compared) in compared.into_iter().enumerate() {
                assert_eq!(compared, Ok(()), "{form:?}, {order:?}, recording {i}");
            }
        }
    }
}
