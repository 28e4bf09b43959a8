//! The openings in Dawn.

use std::sync::Arc;

use openvm_wgpu::{RecordingObserver, WgpuOptions};

use crate::{
    case::{Case, Shape, params},
    observers::dawn::ForDawn,
    support::{portable::webgpu, rng},
};

#[test]
#[ignore = "runs in Dawn: make check-portable"]
fn openings_are_the_devices() {
    let gpu = webgpu(|_| {});
    let shapes = vec![
        Shape { cached: vec![2], ..Shape::plain(9, 5, true) },
        Shape { preprocessed: Some(3), ..Shape::plain(7, 2, false) },
        Shape::plain(2, 3, true),
    ];
    let case = Case::new(&mut rng(101), params(3, 6, 1, 3, &[9, 5]), shapes);
    let observer = ForDawn::new(&gpu, "opening");
    let options = WgpuOptions { max_host_len: Some(0), ..WgpuOptions::default() };
    let device = case.device(&gpu, options).observed_by(Arc::clone(&observer) as Arc<dyn RecordingObserver>);
    case.opened(&device).unwrap();
    observer.assert_same();
}
