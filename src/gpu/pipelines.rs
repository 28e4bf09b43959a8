//! Pipelines, compiled at their first use and shared by everything that runs on a device.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Instant,
};

use super::Gpu;
use crate::{
    error::Result,
    shaders::{Kernel, Variant},
};

/// What a pipeline is compiled from: kernel, number of trace windows, generated program and whether that reads traces by 16-byte loads.
type Key = (Kernel, u32, Option<Arc<str>>, bool);

/// The same with the program's address in place of its text; a clone of the program is kept with it, so that the address stays its own.
type AddressKey = (Kernel, u32, usize, bool);

/// The pipelines of one device.
#[derive(Debug, Default)]
pub(crate) struct Pipelines(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    by_text: HashMap<Key, wgpu::ComputePipeline>,
    /// The same without hashing a text.
    by_address: HashMap<AddressKey, (Option<Arc<str>>, wgpu::ComputePipeline)>,
}

impl Gpu {
    /// The pipeline of a kernel with a number of trace windows. Compiles it at its first use and says at debug how long that took.
    pub(crate) fn pipeline(&self, kernel: Kernel, slots: u32, program: Option<&Arc<str>>, quads: bool) -> Result<wgpu::ComputePipeline> {
        let address = (kernel, slots, program.map_or(0, |program| program.as_ptr().addr()), quads);
        let mut pipelines = self.pipelines().0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some((_, pipeline)) = pipelines.by_address.get(&address) {
            return Ok(pipeline.clone());
        }
        let key = (kernel, slots, program.cloned(), quads);
        let pipeline = match pipelines.by_text.get(&key) {
            Some(pipeline) => pipeline.clone(),
            None => {
                let start = Instant::now();
                let pipeline = compile(self, Variant { kernel, form: self.field_form(), slots }, program, quads)?;
                let milliseconds = start.elapsed().as_secs_f64() * 1e3;
                tracing::debug!(kernel = kernel.name(), slots, milliseconds, "compiled a kernel");
                pipelines.by_text.insert(key, pipeline.clone());
                pipeline
            }
        };
        pipelines.by_address.insert(address, (program.cloned(), pipeline.clone()));
        Ok(pipeline)
    }
}

fn compile(gpu: &Gpu, variant: Variant, program: Option<&Arc<str>>, quads: bool) -> Result<wgpu::ComputePipeline> {
    let name = variant.kernel.name();
    let source = program.map_or_else(|| variant.source(), |program| variant.source_with(program));
    gpu.checked("a kernel", || {
        let descriptor = wgpu::ShaderModuleDescriptor { label: Some(name), source: wgpu::ShaderSource::Wgsl(source.into()) };
        let module = if gpu.shader_checks() {
            gpu.device().create_shader_module(descriptor)
        } else {
            // SAFETY: every index is derived from tables that `round0` builds and checks against the bound ranges; the whole test
            // suite also runs with the checks on.
            unsafe { gpu.device().create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked()) }
        };
        let mut constants = vec![];
        if variant.slots > 1 {
            constants.push(("LOG_WINDOW", f64::from(gpu.limits().log_window())));
        }
        if variant.kernel == Kernel::CosetPass {
            constants.push(("QUADS", f64::from(u8::from(quads))));
        }
        gpu.device().create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(name),
            layout: None,
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &constants,
                // `lanes` is written before it is read.
                zero_initialize_workgroup_memory: false,
            },
            cache: None,
        })
    })
}
