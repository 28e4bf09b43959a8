//! A second executor: runs recordings with the kernels' Metal text, on the CPU and with nothing of wgpu.
//!
//! naga writes the text as it does for wgpu's Metal backend, clang++ compiles it as C++, and every threadgroup runs with real barriers.
//! Scratch and threadgroup memory hold words that are no field elements before they are written. Indices that a bounds check would have had
//! to move are counted, and are a failure as a wrong result is.
#![allow(dead_code)] // each user takes its part

pub mod check;
mod kernel;
mod threadgroup;

use std::{
    cell::UnsafeCell,
    collections::HashMap,
    ops::Range,
    sync::{Arc, LazyLock, Mutex, OnceLock},
};

use logup_wgpu::{
    ConstraintCheck, FieldForm, Gpu, Round0, Round0Polys, Schedule,
    compute::{self, Dispatch, Recording, Resource, Variant},
};
use rayon::prelude::*;

use self::kernel::{Call, Kernel};
pub use self::{kernel::Build, threadgroup::Order};
use crate::support::{
    Uploaded, read_buffer,
    translate::{self, MslOptions},
};

/// Words of a line of device memory; bindings are aligned to lines.
const LINE: usize = 64;

#[repr(C, align(256))]
struct Line(UnsafeCell<[u32; LINE]>);

/// A device buffer. Kernels write it while it is shared.
pub struct Buffer(Vec<Line>);

impl Buffer {
    /// At least so many bytes, each word being this.
    pub fn filled(bytes: u64, word: u32) -> Self {
        Self((0..(bytes as usize).div_ceil(4 * LINE).max(1)).map(|_| Line(UnsafeCell::new([word; LINE]))).collect())
    }

    pub fn of_words(words: &[u32]) -> Self {
        let mut buffer = Self::filled(4 * words.len() as u64, 0);
        for (line, words) in buffer.0.iter_mut().zip(words.chunks(LINE)) {
            line.0.get_mut()[..words.len()].copy_from_slice(words);
        }
        buffer
    }

    pub fn words(&mut self) -> Vec<u32> {
        self.0.iter_mut().flat_map(|line| *line.0.get_mut()).collect()
    }

    fn bytes(&self) -> u64 {
        4 * (LINE * self.0.len()) as u64
    }
}

/// How the executor runs.
#[derive(Clone, Copy)]
pub struct Machine<'a> {
    pub form: FieldForm,
    pub order: Order,
    pub build: Build,
    /// With wgpu's runtime checks in the text. Without them, indices are not counted.
    pub checked: bool,
    /// Changes a kernel's text before it is translated: how tests break kernels.
    pub edit: &'a (dyn Fn(&'static compute::Kernel, String) -> String + Sync),
}

/// What an executor did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub submissions: usize,
    pub dispatches: usize,
    pub threads: u64,
    pub words: usize,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.submissions += other.submissions;
        self.dispatches += other.dispatches;
        self.threads += other.threads;
        self.words += other.words;
    }
}

/// A word that is no field element. Different by order, so that what depends on it differs too.
pub fn poison(order: Order) -> u32 {
    match order {
        Order::Ascending => 0xffff_ffff,
        Order::Descending => 0xa5a5_a5a5,
    }
}

impl Machine<'_> {
    pub fn new(form: FieldForm, order: Order) -> Self {
        Self { form, order, build: Build::Plain, checked: true, edit: &|_, source| source }
    }

    /// What `Round0::evaluate` would give, recorded for `gpu` and run here.
    ///
    /// # Errors
    /// What went wrong: a barrier that not all threads reach, an index outside, undefined behaviour, a result that is no field element.
    pub fn evaluate(&self, gpu: &Gpu, uploaded: &Uploaded<'_>, schedule: Schedule) -> Result<(Vec<Round0Polys>, Counts), String> {
        let (engine, instances) = (Round0::with_schedule(gpu, schedule), uploaded.instances());
        let call = engine.record(&uploaded.challenges(), &instances).map_err(|error| error.to_string())?;
        let (results, counts) = self.run_all(gpu, &call.recordings)?;
        Ok((call.polys(results).map_err(|error| error.to_string())?, counts))
    }

    /// What `Round0::check_constraints` would find, recorded for `gpu` and run here.
    ///
    /// # Errors
    /// As [`evaluate`](Self::evaluate).
    pub fn check_constraints(&self, gpu: &Gpu, uploaded: &Uploaded<'_>) -> Result<(ConstraintCheck, Counts), String> {
        let instances = uploaded.instances();
        let check = Round0::new(gpu).record_check(&instances).map_err(|error| error.to_string())?;
        let (mut results, counts) = self.run_all(gpu, check.recording.as_slice())?;
        let found = check.found(&instances, results.pop().unwrap_or_default());
        Ok((found.map_err(|error| error.to_string())?, counts))
    }

    /// The results of each recording, run one after another.
    pub fn run_all(&self, gpu: &Gpu, recordings: &[Recording]) -> Result<(Vec<Vec<u32>>, Counts), String> {
        // Buffers keep what an earlier recording put into them; what none has written is poison.
        let (mut kept, mut results, mut counts) = (HashMap::new(), Vec::new(), Counts::default());
        for recording in recordings {
            for used in &recording.buffers {
                if !used.content.is_empty() {
                    let mut words = used.content.clone();
                    words.resize(words.len().max(used.bytes as usize / 4), poison(self.order));
                    kept.insert(used.resource, Buffer::of_words(&words));
                } else if !kept.contains_key(&used.resource) || used.resource == Resource("scratch") {
                    kept.insert(used.resource, Buffer::filled(used.bytes, poison(self.order)));
                }
            }
            results.push(self.run(gpu, recording, &mut kept)?);
            counts += Counts {
                submissions: 1,
                dispatches: recording.dispatches.len(),
                threads: recording.dispatches.iter().map(|dispatch| num_threads(dispatch, self.form)).sum(),
                words: recording.result_words(),
            };
        }
        Ok((results, counts))
    }

    fn run(&self, gpu: &Gpu, recording: &Recording, buffers: &mut HashMap<Resource, Buffer>) -> Result<Vec<u32>, String> {
        // What lies on the device: a buffer that has several names is one.
        let outside = recording.trace_buffers.iter().chain(recording.kept.iter().map(|kept| &kept.buffer));
        let mut held: Vec<(&Arc<compute::Buffer>, Buffer)> = vec![];
        for buffer in outside {
            if !held.iter().any(|(known, _)| Arc::ptr_eq(known, buffer)) {
                held.push((buffer, Buffer::of_words(&read_buffer(gpu, buffer))));
            }
        }
        let hold = |buffer: &Arc<compute::Buffer>| &held.iter().find(|(known, _)| Arc::ptr_eq(known, buffer)).expect("held").1;
        let named = |resource| recording.kept.iter().find(|kept| kept.resource == resource).map(|kept| hold(&kept.buffer));
        // In parallel: clang++ is what takes long.
        let kernels: Vec<Arc<Kernel>> = recording.dispatches.par_iter().map(|dispatch| self.kernel(recording, dispatch)).collect();
        for (dispatch, kernel) in recording.dispatches.iter().zip(&kernels) {
            let bound = |resource| named(resource).unwrap_or_else(|| &buffers[&resource]);
            let own = dispatch.bindings.iter().map(|binding| (bound(binding.resource), binding.bytes.clone()));
            let windows = dispatch.traces.iter().map(|window| (hold(&recording.trace_buffers[window.buffer]), window.bytes.clone()));
            let bindings: Vec<_> = own.chain(windows).collect();
            let [x, y] = dispatch.grid;
            self.dispatch(kernel, &bindings, [x, y, 1]).map_err(|error| format!("{}: {error}", dispatch.kernel.name))?;
        }
        let mut words = buffers.get_mut(&recording.results).expect("the results").words();
        words.truncate(recording.result_words());
        Ok(words)
    }

    fn kernel(&self, recording: &Recording, dispatch: &Dispatch) -> Arc<Kernel> {
        let variant = dispatch.variant(self.form);
        self.load(variant, dispatch.source(self.form), &variant.constants(recording.log_window, &dispatch.constants))
    }

    /// Translates and compiles a text, or finds that done.
    pub fn load(&self, variant: Variant, source: String, constants: &[(&'static str, f64)]) -> Arc<Kernel> {
        type Key = (Variant, String, Vec<u64>, bool, Build);
        type Slot = Arc<OnceLock<Arc<Kernel>>>;
        static LOADED: LazyLock<Mutex<HashMap<Key, Slot>>> = LazyLock::new(Mutex::default);
        let source = (self.edit)(variant.kernel, source);
        let values = constants.iter().map(|(_, value)| value.to_bits()).collect();
        let key = (variant, source.clone(), values, self.checked, self.build);
        let slot = Arc::clone(LOADED.lock().unwrap().entry(key).or_default());
        let kernel = slot.get_or_init(|| {
            let options = MslOptions { lang_version: (3, 1), checked: self.checked };
            let msl = translate::to_msl(variant, &source, constants, options);
            Arc::new(Kernel::load(&msl, self.build, threadgroup::barrier))
        });
        Arc::clone(kernel)
    }

    /// Runs a grid of threadgroups over bindings, in the order of their slots.
    pub fn dispatch(&self, kernel: &Kernel, bindings: &[(&Buffer, Range<u64>)], grid: [u32; 3]) -> Result<(), String> {
        let before = kernel.counts();
        // What a kernel writes it writes through these: nobody else looks at the buffers while the dispatch runs.
        let pointer = |(buffer, bytes): &(&Buffer, Range<u64>)| {
            assert!(bytes.end <= buffer.bytes() && bytes.start.is_multiple_of(16), "{bytes:?}");
            buffer.0.as_ptr() as usize + bytes.start as usize
        };
        let pointers: Vec<usize> = bindings.iter().map(pointer).collect();
        let bytes = |&slot: &usize| (bindings[slot].1.end - bindings[slot].1.start) as u32;
        let sizes: Vec<u32> = kernel.sized.iter().map(bytes).collect();
        (0..grid.iter().product::<u32>()).into_par_iter().try_for_each(|index| {
            let memory = Buffer::filled(kernel.threadgroup_bytes as u64, poison(self.order));
            let call = |thread| Call {
                buffers: pointers.as_ptr().cast(),
                sizes: sizes.as_ptr(),
                threadgroup_memory: memory.0.as_ptr().cast_mut().cast(),
                group: [index % grid[0], index / grid[0] % grid[1], index / grid[0] / grid[1]],
                grid,
                thread_idx: thread,
                num_threads: kernel.num_threads,
            };
            threadgroup::run(kernel, call, self.order)
        })?;
        match kernel.counts() {
            counts if counts == before => Ok(()),
            [outside, findings] => Err(format!("{} indices outside, {} findings", outside - before[0], findings - before[1])),
        }
    }
}

fn num_threads(dispatch: &Dispatch, form: FieldForm) -> u64 {
    u64::from(dispatch.grid[0]) * u64::from(dispatch.grid[1]) * u64::from(dispatch.variant(form).needs().threads)
}
