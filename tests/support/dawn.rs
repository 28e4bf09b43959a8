//! Another WebGPU: Dawn, whose compiler Tint shares nothing with naga. What is to run is written to files as plain buffers, kernels and
//! bindings; `scripts/portable/replay.mjs` runs it in a process of its own and writes the result words.
//!
//! `submissions.json`: `limits` of the device beyond WebGPU's defaults, and `submissions` in order, each with
//! - `buffers`: `bytes`; the file whose `words` it starts with, if any; the word that `fill`s the rest;
//! - `dispatches`: a kernel's `text` and pipeline `constants`, the `groups` of its bindings (`buffer`, `offset`, `size`), the `grid`;
//! - `result`: the buffer that is written `to` a file afterwards.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    ops::Range,
    path::PathBuf,
    process::{Command, Stdio},
    sync::Arc,
};

use logup_wgpu::{
    FieldForm, Gpu,
    compute::{Buffer, Recording, Resource, Variant},
};
use serde_json::{Value, json};

use super::{read_buffer, root};

/// Where `scripts/check-portable` has installed Dawn.
fn installed() -> PathBuf {
    root().join("target/portable")
}

/// A word that is no field element: what nothing has written yet.
const POISON: u32 = u32::MAX;

/// Submissions for Dawn, all with the portable field form.
pub struct Dawn {
    folder: PathBuf,
    storage_buffers: u32,
    edit: Box<dyn Fn(String) -> String + Send>,
    submissions: Vec<Value>,
    num_files: usize,
    /// The file of each text.
    texts: HashMap<String, String>,
    /// The file of each trace buffer's words.
    traces: HashMap<Buffer, String>,
    /// Texts and the constants that they were compiled with.
    kernels: BTreeSet<String>,
    variants: BTreeSet<(&'static str, u32)>,
}

/// What Dawn gave.
pub struct Ran {
    pub adapter: String,
    pub num_kernels: usize,
    /// What ran, as kernel name and number of trace windows.
    pub variants: BTreeSet<(&'static str, u32)>,
    /// Of each submission.
    pub results: Vec<Vec<u32>>,
}

impl Ran {
    pub fn num_words(&self) -> usize {
        self.results.iter().map(Vec::len).sum()
    }
}

impl Dawn {
    /// On a device with so many storage buffers; WebGPU has 8 everywhere. The folder must be no other's.
    pub fn new(folder: &str, storage_buffers: u32) -> Self {
        let folder = installed().join("submissions").join(folder);
        let _ = fs::remove_dir_all(&folder); // results of a run before would be taken for this one's
        fs::create_dir_all(&folder).unwrap();
        Self {
            folder,
            storage_buffers,
            edit: Box::new(|text| text),
            submissions: vec![],
            num_files: 0,
            texts: HashMap::new(),
            traces: HashMap::new(),
            kernels: BTreeSet::new(),
            variants: BTreeSet::new(),
        }
    }

    /// The same with kernels that are changed before they are written.
    pub fn edited(folder: &str, edit: impl Fn(String) -> String + Send + 'static) -> Self {
        Self { edit: Box::new(edit), ..Self::new(folder, 8) }
    }

    /// Adds a call's submissions: which they are. The traces are read back from the device that they lie on.
    pub fn call(&mut self, gpu: &Gpu, recordings: &[Recording]) -> Range<usize> {
        let first = self.submissions.len();
        // Buffers keep what an earlier recording put into them.
        let mut contents: HashMap<Resource, String> = HashMap::new();
        for recording in recordings {
            for used in recording.buffers.iter().filter(|used| !used.content.is_empty()) {
                let file = self.words(&used.content);
                contents.insert(used.resource, file);
            }
            self.recording(gpu, recording, &contents);
        }
        first..self.submissions.len()
    }

    /// What lies on the device may have changed: it is read again.
    pub fn forget_traces(&mut self) {
        self.traces.clear();
    }

    /// Adds one: its buffers, then the traces.
    fn recording(&mut self, gpu: &Gpu, recording: &Recording, contents: &HashMap<Resource, String>) {
        let num_own = recording.buffers.len();
        // What lies on the device: a buffer that has several names is one.
        let mut outside: Vec<&Arc<Buffer>> = vec![];
        for buffer in recording.trace_buffers.iter().chain(recording.kept.iter().map(|kept| &kept.buffer)) {
            if !outside.contains(&buffer) {
                outside.push(buffer);
            }
        }
        let place = |buffer| num_own + outside.iter().position(|other| *other == buffer).expect("one of them");
        let index = |resource| {
            let own = || recording.buffers.iter().position(|used| used.resource == resource).expect("a buffer that is bound");
            let kept = recording.kept.iter().find(|kept| kept.resource == resource);
            kept.map_or_else(own, |kept| place(&kept.buffer))
        };
        let own = recording.buffers.iter().map(|used| buffer(used.bytes, contents.get(&used.resource).map(String::as_str)));
        let mut buffers: Vec<Value> = own.collect();
        for &trace in &outside {
            if !self.traces.contains_key(&**trace) {
                let file = self.words(&read_buffer(gpu, trace));
                self.traces.insert((**trace).clone(), file);
            }
            buffers.push(buffer(trace.size(), Some(&self.traces[&**trace])));
        }
        let bind = |buffer: usize, bytes: &Range<u64>| json!({ "buffer": buffer, "offset": bytes.start, "size": bytes.end - bytes.start });
        let dispatches = recording.dispatches.iter().map(|dispatch| {
            let own = dispatch.bindings.iter().map(|binding| bind(index(binding.resource), &binding.bytes)).collect();
            let traces: Vec<Value> =
                dispatch.traces.iter().map(|window| bind(place(&recording.trace_buffers[window.buffer]), &window.bytes)).collect();
            let groups = if traces.is_empty() { vec![own] } else { vec![own, traces] };
            let variant = dispatch.variant(FieldForm::U32);
            let constants = variant.constants(recording.log_window, &dispatch.constants);
            self.dispatch(variant, dispatch.source(FieldForm::U32), &constants, groups, dispatch.grid)
        });
        let dispatches = dispatches.collect();
        self.submit(buffers, dispatches, index(recording.results));
    }

    /// Adds a kernel of its own: result words are those of the last buffer, which starts poisoned.
    pub fn kernel(&mut self, variant: Variant, inputs: &[&[u32]], result_words: usize, grid: [u32; 2]) {
        let mut buffers: Vec<Value> = inputs.iter().map(|words| buffer(4 * words.len() as u64, Some(&self.words(words)))).collect();
        buffers.push(buffer(4 * result_words as u64, None));
        let bindings = buffers.iter().enumerate().map(|(i, buffer)| json!({ "buffer": i, "offset": 0, "size": buffer["bytes"] })).collect();
        let dispatch = self.dispatch(variant, variant.source(), &[], vec![bindings], grid);
        self.submit(buffers, vec![dispatch], inputs.len());
    }

    /// Runs them all.
    pub fn run(self) -> Ran {
        let submissions = json!({
            "limits": { "maxStorageBuffersPerShaderStage": self.storage_buffers },
            "submissions": self.submissions,
        });
        fs::write(self.folder.join("submissions.json"), submissions.to_string()).unwrap();
        let is_there = installed().join("node_modules/webgpu").exists();
        assert!(is_there, "Dawn is not installed; `make check-portable` installs it and runs this");
        let output = Command::new("node")
            .arg(root().join("scripts/portable/replay.mjs"))
            .arg(&self.folder)
            .current_dir(installed())
            .stderr(Stdio::inherit())
            .output()
            .expect("node starts");
        assert!(output.status.success(), "Dawn: {}", output.status);
        let adapter = String::from_utf8(output.stdout).unwrap().trim().to_owned();
        let result = |i| bytemuck::pod_collect_to_vec(&fs::read(self.folder.join(result_file(i))).unwrap());
        Ran {
            adapter,
            num_kernels: self.kernels.len(),
            variants: self.variants,
            results: (0..self.submissions.len()).map(result).collect(),
        }
    }

    fn submit(&mut self, buffers: Vec<Value>, dispatches: Vec<Value>, result: usize) {
        let to = result_file(self.submissions.len());
        self.submissions.push(json!({ "buffers": buffers, "dispatches": dispatches, "result": result, "to": to }));
    }

    fn dispatch(
        &mut self,
        variant: Variant,
        source: String,
        constants: &[(&'static str, f64)],
        groups: Vec<Vec<Value>>,
        grid: [u32; 2],
    ) -> Value {
        let source = (self.edit)(source);
        let text = self.texts.get(&source).cloned().unwrap_or_else(|| {
            let file = format!("{}-{}.wgsl", variant.kernel.name, self.texts.len());
            fs::write(self.folder.join(&file), &source).unwrap();
            self.texts.insert(source, file.clone());
            file
        });
        let constants: HashMap<_, _> = constants.iter().copied().collect();
        self.variants.insert((variant.kernel.name, variant.slots));
        self.kernels.insert(json!([text, constants]).to_string());
        json!({ "text": text, "constants": constants, "groups": groups, "grid": grid })
    }

    /// The name of a new file of words.
    fn words(&mut self, words: &[u32]) -> String {
        let file = format!("words-{}", self.num_files);
        self.num_files += 1;
        fs::write(self.folder.join(&file), bytemuck::cast_slice(words)).unwrap();
        file
    }
}

fn buffer(bytes: u64, words: Option<&str>) -> Value {
    json!({ "bytes": bytes.max(16), "words": words, "fill": POISON })
}

fn result_file(submission: usize) -> String {
    format!("result-{submission}")
}
