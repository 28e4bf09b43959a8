//! Pipelines, compiled at their first use.

use std::{collections::HashMap, time::Instant};

use super::Gpu;
use crate::{
    error::Result,
    shaders::{Kernel, Variant},
};

#[derive(Debug)]
pub(crate) struct Pipelines {
    gpu: Gpu,
    by_variant: HashMap<(Kernel, u32), wgpu::ComputePipeline>,
}

impl Pipelines {
    pub fn new(gpu: &Gpu) -> Self {
        Self { gpu: gpu.clone(), by_variant: HashMap::new() }
    }

    /// A pipeline that `get` has compiled.
    pub fn compiled(&self, kernel: Kernel, slots: u32) -> &wgpu::ComputePipeline {
        &self.by_variant[&(kernel, slots)]
    }

    /// The pipeline of a kernel with a number of trace windows. Compiles it at its first use and says at debug how long that took.
    pub fn get(&mut self, kernel: Kernel, slots: u32) -> Result<&wgpu::ComputePipeline> {
        let gpu = &self.gpu;
        match self.by_variant.entry((kernel, slots)) {
            std::collections::hash_map::Entry::Occupied(entry) => Ok(entry.into_mut()),
            std::collections::hash_map::Entry::Vacant(entry) => {
                let start = Instant::now();
                let pipeline = compile(gpu, Variant { kernel, form: gpu.field_form(), slots })?;
                let milliseconds = start.elapsed().as_secs_f64() * 1e3;
                tracing::debug!(kernel = kernel.name(), slots, milliseconds, "compiled a kernel");
                Ok(entry.insert(pipeline))
            }
        }
    }
}

fn compile(gpu: &Gpu, variant: Variant) -> Result<wgpu::ComputePipeline> {
    let name = variant.kernel.name();
    gpu.checked("a kernel", || {
        let descriptor = wgpu::ShaderModuleDescriptor { label: Some(name), source: wgpu::ShaderSource::Wgsl(variant.source().into()) };
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
