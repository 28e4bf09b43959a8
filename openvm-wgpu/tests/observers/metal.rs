//! The kernels' Metal text, which `tests/support/msl` compiles as C++ and runs on the CPU: each recording, before the device runs it, with what lies on the
//! device; the results are the device's.

#[path = "../../../tests/support/msl/mod.rs"]
mod msl;

use std::sync::{Arc, Mutex};

use logup_wgpu::{
    FieldForm, Gpu,
    compute::{Kernel, Recording},
};
use openvm_wgpu::RecordingObserver;

use self::msl::Machine;
pub use self::msl::Order;
use super::compare::compare;

/// Runs on the CPU what a device is about to run.
pub struct Beside {
    pub gpu: Gpu,
    form: FieldForm,
    order: Order,
    edit: Box<dyn Fn(&'static Kernel, String) -> String + Send + Sync>,
    /// What the Metal text gave for the recording that the device is running.
    expected: Mutex<Result<Vec<u32>, String>>,
    compared: Mutex<Vec<Result<(), String>>>,
}

impl Beside {
    pub fn new(gpu: &Gpu, order: Order, edit: impl Fn(&'static Kernel, String) -> String + Send + Sync + 'static) -> Arc<Self> {
        let (expected, compared) = (Mutex::new(Err("nothing ran".into())), Mutex::default());
        Arc::new(Self { gpu: gpu.clone(), form: gpu.field_form(), order, edit: Box::new(edit), expected, compared })
    }

    /// Whether the text gave what the device gave, recording by recording, since the last time.
    pub fn compared(&self) -> Vec<Result<(), String>> {
        std::mem::take(&mut self.compared.lock().unwrap())
    }
}

impl RecordingObserver for Beside {
    fn before(&self, recording: &Recording) {
        let machine = Machine { edit: &*self.edit, ..Machine::new(self.form, self.order) };
        let ran = machine.run_all(&self.gpu, std::slice::from_ref(recording));
        *self.expected.lock().unwrap() = ran.map(|(mut results, _)| results.remove(0));
    }

    fn after(&self, results: &[u32]) {
        let expected = self.expected.lock().unwrap();
        let compared = expected.as_ref().map_err(String::clone).and_then(|words| compare(words, results, msl::poison(self.order)));
        self.compared.lock().unwrap().push(compared);
    }
}
