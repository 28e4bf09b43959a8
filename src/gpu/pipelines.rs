//! Kernels, compiled at their first use and shared by everything that runs on a device.

use std::{
    collections::HashMap,
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use super::{Gpu, pipeline_cache::PipelineCache};
use crate::{
    error::{Error, Result},
    kernel::{Access, Kernel, ProgramText, Variant},
    recording::Dispatch,
};

/// Generated kernels that a device keeps. Where a process meets more programs than that, those used longest ago are compiled anew.
const MAX_GENERATED: usize = 1024;

/// What a kernel is compiled from, on one device.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub kernel: &'static Kernel,
    /// Trace windows.
    pub slots: u32,
    /// The generated part of a kernel.
    pub program: Option<ProgramText>,
    /// Pipeline constants, beside the size of a trace window.
    pub constants: Vec<(&'static str, u32)>,
}

impl Key {
    /// A kernel that is not generated.
    pub fn fixed(kernel: &'static Kernel, slots: u32) -> Self {
        Self { kernel, slots, program: None, constants: vec![] }
    }

    /// The kernel of a dispatch.
    pub fn of(dispatch: &Dispatch) -> Self {
        Self {
            kernel: dispatch.kernel,
            slots: dispatch.traces.len() as u32,
            program: dispatch.program.clone(),
            constants: dispatch.constants.clone(),
        }
    }
}

/// A compiled kernel.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub pipeline: wgpu::ComputePipeline,
    /// Of its bind groups, the second without trace windows empty. Equal ones are one, so that dispatches of different kernels share bind groups.
    pub layouts: [wgpu::BindGroupLayout; 2],
    answered: AtomicBool,
}

impl Compiled {
    /// Whether it gave its known answer.
    pub fn answered(&self) -> bool {
        self.answered.load(Ordering::Acquire)
    }

    /// Notes that it did.
    pub fn set_answered(&self) {
        self.answered.store(true, Ordering::Release);
    }
}

/// The kernels of one device.
#[derive(Debug, Default)]
pub(crate) struct Pipelines {
    known: Mutex<Known>,
    /// By how each buffer is accessed.
    layouts: Mutex<HashMap<Vec<Access>, wgpu::BindGroupLayout>>,
}

#[derive(Debug, Default)]
struct Known {
    kernels: HashMap<Key, Entry>,
    num_generated: usize,
    /// Counts look-ups.
    clock: u64,
}

#[derive(Debug, Default)]
struct Entry {
    /// Empty until it is compiled. This lock spans the compilation, the cache's does not: who wants another kernel does not wait, and
    /// nothing that wants this one can run on the compiling thread.
    kernel: Arc<Mutex<Option<Arc<Compiled>>>>,
    last_used: u64,
}

impl Known {
    fn entry(&mut self, key: &Key) -> &mut Entry {
        self.clock += 1;
        if !self.kernels.contains_key(key) {
            if key.program.is_some() {
                self.num_generated += 1;
                if self.num_generated > MAX_GENERATED {
                    self.forget_oldest();
                }
            }
            self.kernels.insert(key.clone(), Entry::default());
        }
        let entry = self.kernels.get_mut(key).expect("just there");
        entry.last_used = self.clock;
        entry
    }

    fn forget_oldest(&mut self) {
        let generated = self.kernels.iter().filter(|(key, _)| key.program.is_some());
        if let Some(oldest) = generated.min_by_key(|(_, entry)| entry.last_used).map(|(key, _)| key.clone()) {
            self.kernels.remove(&oldest);
            self.num_generated -= 1;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner) // what is guarded is valid at all times
}

impl Gpu {
    /// A kernel. Compiles it at its first use and says at debug how long that took.
    ///
    /// # Errors
    /// [`Error::DeviceLimit`](crate::Error::DeviceLimit) for a kernel that the device has no room for; [`Error::Device`](crate::Error::Device)
    /// if the driver refuses it; [`Error::DeviceLost`](crate::Error::DeviceLost).
    pub(crate) fn kernel(&self, key: &Key) -> Result<Arc<Compiled>> {
        self.kernel_and_time(key).map(|(kernel, _)| kernel)
    }

    /// The same, and how long it was compiled for now; nothing if it was before.
    ///
    /// # Errors
    /// As [`kernel`](Self::kernel).
    pub(crate) fn kernel_and_time(&self, key: &Key) -> Result<(Arc<Compiled>, Duration)> {
        let slot = Arc::clone(&lock(&self.pipelines().known).entry(key).kernel);
        let mut kernel = lock(&slot);
        if let Some(kernel) = &*kernel {
            return Ok((Arc::clone(kernel), Duration::ZERO));
        }
        let variant = Variant { kernel: key.kernel, form: self.field_form(), slots: key.slots };
        self.limits().check_kernel(variant)?;
        let start = Instant::now();
        let layouts = bind_group_layouts(self, variant)?;
        let pipeline = compile(self, variant, key, &layouts)?;
        let time = start.elapsed();
        let milliseconds = time.as_secs_f64() * 1e3;
        tracing::debug!(kernel = variant.kernel.name, slots = key.slots, milliseconds, "compiled a kernel");
        Ok((Arc::clone(kernel.insert(Arc::new(Compiled { pipeline, layouts, answered: AtomicBool::new(false) }))), time))
    }

    /// Kernels that are kept.
    #[doc(hidden)]
    pub fn num_kernels(&self) -> usize {
        lock(&self.pipelines().known).kernels.len()
    }
}

/// The layouts of a kernel's arguments and of its trace windows.
fn bind_group_layouts(gpu: &Gpu, variant: Variant) -> Result<[wgpu::BindGroupLayout; 2]> {
    let arguments: Vec<Access> = variant.kernel.arguments.iter().map(|argument| argument.access).collect();
    let windows = vec![Access::Read; variant.slots as usize];
    gpu.checked("bind group layouts", || {
        let mut known = lock(&gpu.pipelines().layouts);
        [arguments, windows].map(|accesses| known.entry(accesses).or_insert_with_key(|accesses| bind_group_layout(gpu, accesses)).clone())
    })
}

fn bind_group_layout(gpu: &Gpu, accesses: &[Access]) -> wgpu::BindGroupLayout {
    let entry = |(i, access): (usize, &Access)| wgpu::BindGroupLayoutEntry {
        binding: i as u32,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer {
            ty: match access {
                Access::Uniform => wgpu::BufferBindingType::Uniform,
                Access::Read => wgpu::BufferBindingType::Storage { read_only: true },
                Access::ReadWrite => wgpu::BufferBindingType::Storage { read_only: false },
            },
            has_dynamic_offset: false,
            min_binding_size: None,
        },
        count: None,
    };
    let entries: Vec<_> = accesses.iter().enumerate().map(entry).collect();
    gpu.device().create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: None, entries: &entries })
}

#[expect(unsafe_code, reason = "a caller can ask for kernels without wgpu's checks")]
fn compile(gpu: &Gpu, variant: Variant, key: &Key, layouts: &[wgpu::BindGroupLayout; 2]) -> Result<wgpu::ComputePipeline> {
    let name = variant.kernel.name;
    let mut source = key.program.as_ref().map_or_else(|| variant.source(), |program| variant.source_with(program));
    if let Some(EditShader(edit)) = &gpu.options().edit_shader {
        source = edit(variant.kernel, source);
    }
    dump(variant, key, &source)?;
    gpu.checked(&format!("kernel {name}"), || {
        let descriptor = wgpu::ShaderModuleDescriptor { label: Some(name), source: wgpu::ShaderSource::Wgsl(source.into()) };
        let module = if gpu.options().shader_checks {
            gpu.device().create_shader_module(descriptor)
        } else {
            // SAFETY: every index is derived from tables that `round0` builds and checks against the bound ranges. `tests/suite/fence.rs` runs
            // every kernel with each storage access compared with its binding's length, and all loops are counted in `plan::steps`.
            unsafe { gpu.device().create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked()) }
        };
        let groups = layouts.each_ref().map(Some);
        let groups = if variant.slots > 0 { &groups[..] } else { &groups[..1] };
        let layout = wgpu::PipelineLayoutDescriptor { label: Some(name), bind_group_layouts: groups, ..Default::default() };
        let layout = gpu.device().create_pipeline_layout(&layout);
        gpu.device().create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(name),
            layout: Some(&layout),
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &variant.constants(gpu.limits().log_window(), &key.constants),
                // `lanes` is written before it is read.
                zero_initialize_workgroup_memory: false,
            },
            cache: gpu.pipeline_cache().map(PipelineCache::get),
        })
    })
}

/// Writes a kernel's text into the folder that `LOGUP_WGPU_DUMP` names, if it does: `coset_pass-u64-1-<hash>.wgsl`.
///
/// # Errors
/// [`Error::Environment`] if the folder cannot be made or written.
fn dump(variant: Variant, key: &Key, source: &str) -> Result<()> {
    let variable = "LOGUP_WGPU_DUMP";
    let Some(folder) = std::env::var_os(variable) else { return Ok(()) };
    let Variant { kernel, form, slots } = variant;
    let mut hasher = DefaultHasher::new();
    (&key.program, &key.constants).hash(&mut hasher);
    let file = format!("{}-{form:?}-{slots}-{:016x}.wgsl", kernel.name, hasher.finish()).to_lowercase();
    let folder = PathBuf::from(folder);
    let written = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(folder.join(file), source));
    let expected = "a folder that can be written";
    written.map_err(|_| Error::Environment { variable, value: folder.to_string_lossy().into(), expected })
}

/// A change of a kernel's text.
#[doc(hidden)]
#[derive(Clone)]
pub struct EditShader(pub Arc<dyn Fn(&'static Kernel, String) -> String + Send + Sync>);

impl fmt::Debug for EditShader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EditShader(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels;

    /// Texts that come again are found, whoever made them; of others, the latest are kept.
    #[test]
    fn the_cache_is_bounded_and_knows_texts() {
        let mut known = Known::default();
        let key = |i: usize| {
            let program = Some(ProgramText::new(format!("program {i}")));
            Key { kernel: &kernels::COSET_PASS, slots: 1, program, constants: vec![] }
        };
        known.entry(&Key::fixed(&kernels::DUAL_REDUCE, 0));
        for i in 0..3 * MAX_GENERATED {
            let first = Arc::clone(&known.entry(&key(i)).kernel);
            assert!(Arc::ptr_eq(&first, &known.entry(&key(i)).kernel));
            known.entry(&key(0));
        }
        assert_eq!(known.kernels.len(), 1 + MAX_GENERATED);
        assert!(known.kernels.contains_key(&key(0)) && !known.kernels.contains_key(&key(1)));
        assert!(known.kernels.contains_key(&Key::fixed(&kernels::DUAL_REDUCE, 0)));
    }
}
