//! The stage in Dawn.

use std::sync::Arc;

use openvm_wgpu::{RecordingObserver, WgpuOptions};

use crate::{case::small, observers::dawn::ForDawn, support::portable::webgpu};

#[test]
#[ignore = "runs in Dawn: make check-portable"]
fn recordings_are_the_devices() {
    let (gpu, case) = (webgpu(|_| {}), small());
    let observer = ForDawn::new(&gpu, "gkr");
    let options = WgpuOptions { max_host_len: Some(0), ..WgpuOptions::default() };
    let device = case.device(&gpu, options).observed_by(Arc::clone(&observer) as Arc<dyn RecordingObserver>);
    case.prove(&device).unwrap();
    observer.assert_same();
}
