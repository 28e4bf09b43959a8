//! The kernels in Dawn, through a second WGSL compiler: see `tests/portable.rs` of the repository. Each recording, before the device runs it, with what lies on
//! the device; the results are the device's.

use std::sync::{Arc, Mutex};

use logup_wgpu::{Gpu, compute::Recording};
use openvm_wgpu::RecordingObserver;

use super::compare::compare;
use crate::support::dawn::Dawn;

/// Keeps recordings for Dawn, and their results here.
pub struct ForDawn {
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

impl ForDawn {
    /// For recordings under this name.
    pub fn new(gpu: &Gpu, name: &str) -> Arc<Self> {
        Arc::new(Self { gpu: gpu.clone(), dawn: Mutex::new(Some(Dawn::new(name, 8))), results: Mutex::default() })
    }

    /// Runs what was recorded in Dawn.
    pub fn assert_same(&self) {
        let ran = self.dawn.lock().unwrap().take().expect("not run yet").run();
        let expected = self.results.lock().unwrap();
        assert_eq!(ran.results.len(), expected.len());
        for (i, (words, expected)) in ran.results.iter().zip(&*expected).enumerate() {
            let compared = compare(words, expected, u32::MAX);
            assert_eq!(compared, Ok(()), "recording {i}, on {}", ran.adapter);
        }
        println!("{} recordings, {} kernels, {} words compared on {}", ran.results.len(), ran.num_kernels, ran.num_words(), ran.adapter);
    }
}
