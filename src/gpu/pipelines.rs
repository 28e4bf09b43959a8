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

/// What a pipeline is compiled from: kernel, number of trace windows, generated program.
type Key = (Kernel, u32, Option<Arc<str>>);

/// The pipelines of one device.
#[derive(Debug, Default)]
pub(crate) struct Pipelines(Mutex<HashMap<Key, wgpu::ComputePipeline>>);

impl Gpu {
    /// The pipeline of a kernel with a number of trace windows. Compiles it at its first use and says at debug how long that took.
    pub(crate) fn pipeline(&self, kernel: Kernel, slots: u32, program: Option<&Arc<str>>) -> Result<wgpu::ComputePipeline> {
        let key = (kernel, slots, program.cloned());
        let mut pipelines = self.pipelines().0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(pipeline) = pipelines.get(&key) {
            return Ok(pipeline.clone());
        }
        let start = Instant::now();
        let pipeline = compile(self, Variant { kernel, form: self.field_form(), slots }, program)?;
        let milliseconds = start.elapsed().as_secs_f64() * 1e3;
        tracing::debug!(kernel = kernel.name(), slots, milliseconds, "compiled a kernel");
        pipelines.insert(key, pipeline.clone());
        Ok(pipeline)
    }
}

fn compile(gpu: &Gpu, variant: Variant, program: Option<&Arc<str>>) -> Result<wgpu::ComputePipeline> {
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
        let log_window = [("LOG_WINDOW", f64::from(gpu.limits().log_window()))];
        gpu.device().create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(name),
            layout: None,
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: if variant.slots > 1 { &log_window } else { &[] },
                // `lanes` is written before it is read.
                zero_initialize_workgroup_memory: false,
            },
            cache: None,
        })
    })
}
