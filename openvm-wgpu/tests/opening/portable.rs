//! The openings in Dawn, through a second WGSL compiler: see `tests/portable.rs` of the repository. Each recording, before the device runs it, with what lies on
//! the device; the results are the device's.

use std::sync::{Arc, Mutex};

use logup_wgpu::{Gpu, compute::Recording};
use openvm_wgpu::{RecordingObserver, WgpuOptions};

use crate::{
    beside::compare,
    case::{Case, Shape, params},
    support::{dawn::Dawn, portable::webgpu, rng},
};

/// Keeps recordings for Dawn, and their results here.
struct ForDawn {
    gpu: Gpu,
    dawn: Mutex<Option<Dawn>>,
    results: Mutex<Vec<Vec<u32>>>,
}

impl RecordingObserver for ForDawn {
    fn before(&self, recording: &Recording) {
        let mut dawn = self.dawn.lock().unwrap();
        let dawn = dawn.as_mut().expect("not run yet");
        dawn.forget_traces();
        dawn.call(&self.gpu, std::slice::from_ref(recording));
    }

    fn after(&self, results: &[u32]) {
        self.results.lock().unwrap().push(results.to_vec());
    }
}

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
    let observer = Arc::new(ForDawn { gpu: gpu.clone(), dawn: Mutex::new(Some(Dawn::new("opening", 8))), results: Mutex::default() });
    let options = WgpuOptions { max_host_len: Some(0), ..WgpuOptions::default() };
    let device = case.device(&gpu, options).observed_by(Arc::clone(&observer) as Arc<dyn RecordingObserver>);
    case.opened(&device).unwrap();
    let ran = observer.dawn.lock().unwrap().take().expect("not run yet").run();
    let expected = observer.results.lock().unwrap();
    assert_eq!(ran.results.len(), expected.len());
    for (i, (words, expected)) in ran.results.iter().zip(&*expected).enumerate() {
        let compared = compare(words, expected, u32::MAX);
        assert_eq!(compared, Ok(()), "recording {i}, on {}", ran.adapter);
    }
    println!("{} recordings, {} kernels, {} words compared on {}", ran.results.len(), ran.num_kernels, ran.num_words(), ran.adapter);
}
