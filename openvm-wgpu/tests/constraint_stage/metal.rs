//! GKR on the kernels' Metal text.

use std::sync::Arc;

use logup_wgpu::FieldForm;
use openvm_wgpu::{RecordingObserver, WgpuOptions};

use crate::{
    case::small,
    observers::metal::{Beside, Order},
    support::gpu,
};

/// Every recording of GKR gives on the Metal text what it gives on the device, in both forms and both orders of threads.
#[test]
fn gkr_runs() {
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
