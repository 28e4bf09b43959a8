//! Adapter and device.

use std::sync::{Arc, Mutex};

use super::pipelines::Pipelines;
use crate::{
    error::{Error, Result},
    plan::DeviceLimits,
    shaders::FieldForm,
};

/// How to choose and open the device.
#[derive(Clone, Debug)]
pub struct GpuOptions {
    /// Backends to try. Metal on a Mac and Vulkan elsewhere, or what `WGPU_BACKEND` says.
    pub backends: wgpu::Backends,
    /// Which adapter to prefer. High performance, or what `WGPU_POWER_PREF` says.
    pub power_preference: wgpu::PowerPreference,
    /// The field arithmetic; `None` takes 64-bit products where the device has them.
    pub field_form: Option<FieldForm>,
    /// Whether to compile the kernels with wgpu's bounds checks and loop bounds. On by default.
    pub shader_checks: bool,
}

impl Default for GpuOptions {
    fn default() -> Self {
        let native = if cfg!(target_vendor = "apple") { wgpu::Backends::METAL } else { wgpu::Backends::VULKAN };
        Self {
            backends: wgpu::Backends::from_env().unwrap_or(native),
            power_preference: wgpu::PowerPreference::from_env().unwrap_or(wgpu::PowerPreference::HighPerformance),
            field_form: None,
            shader_checks: true,
        }
    }
}

/// An open device. Clones share it.
#[derive(Clone, Debug)]
pub struct Gpu {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    device: wgpu::Device,
    queue: wgpu::Queue,
    info: wgpu::AdapterInfo,
    limits: DeviceLimits,
    field_form: FieldForm,
    shader_checks: bool,
    lost: Arc<Mutex<Option<String>>>,
    pipelines: Pipelines,
}

impl Gpu {
    /// Opens an adapter: Metal on a Mac, Vulkan elsewhere. `WGPU_BACKEND`, `WGPU_ADAPTER_NAME` (a part of the name) and
    /// `WGPU_POWER_PREF` choose otherwise. All limits of the adapter are requested.
    ///
    /// Says once, at INFO, which adapter, backend and driver run, whether it is software, and which field arithmetic is used.
    ///
    /// # Errors
    /// [`Error::NoAdapter`], [`Error::NoDevice`]; [`Error::MissingFeature`] if 64-bit products are asked for and missing.
    pub async fn request(options: GpuOptions) -> Result<Self> {
        let no_adapter = |reason: String| Error::NoAdapter { backends: format!("{:?}", options.backends), reason };
        let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
        descriptor.backends = options.backends;
        let instance = wgpu::Instance::new(descriptor);
        let adapter = match std::env::var("WGPU_ADAPTER_NAME") {
            Ok(wanted) => {
                let adapters = instance.enumerate_adapters(options.backends).await;
                let names: Vec<String> = adapters.iter().map(|adapter| adapter.get_info().name).collect();
                let matches = |name: &String| name.to_lowercase().contains(&wanted.to_lowercase());
                let position = names.iter().position(matches);
                let position = position.ok_or_else(|| no_adapter(format!("none of {names:?} is WGPU_ADAPTER_NAME={wanted:?}")))?;
                adapters.into_iter().nth(position).expect("position of an adapter")
            }
            Err(_) => instance
                .request_adapter(&wgpu::RequestAdapterOptions {
                    power_preference: options.power_preference,
                    ..wgpu::RequestAdapterOptions::default()
                })
                .await
                .map_err(|error| no_adapter(error.to_string()))?,
        };
        let mut wanted = wgpu::Features::SHADER_INT64 | wgpu::Features::TIMESTAMP_QUERY;
        if matches!(adapter.get_info().device_type, wgpu::DeviceType::IntegratedGpu | wgpu::DeviceType::Cpu) {
            // One memory for host and device: traces are written where they are read.
            wanted |= wgpu::Features::MAPPABLE_PRIMARY_BUFFERS;
        }
        let (device, queue) = adapter
            .request_device(&wgpu::DeviceDescriptor {
                label: Some("logup-wgpu"),
                required_features: adapter.features() & wanted,
                required_limits: adapter.limits(),
                memory_hints: wgpu::MemoryHints::Performance,
                ..wgpu::DeviceDescriptor::default()
            })
            .await
            .map_err(|error| Error::NoDevice { adapter: adapter.get_info().name, reason: error.to_string() })?;
        Self::from_device(adapter.get_info(), device, queue, &options)
    }

    /// [`Gpu::request`], blocking.
    ///
    /// # Errors
    /// As [`Gpu::request`].
    pub fn new(options: GpuOptions) -> Result<Self> {
        pollster::block_on(Self::request(options))
    }

    /// Runs on a caller's device. `SHADER_INT64`, `TIMESTAMP_QUERY` and, on integrated and software devices, `MAPPABLE_PRIMARY_BUFFERS`
    /// are used where the device was opened with them; its limits are taken as they are. The device's lost-callback is set by this.
    ///
    /// # Errors
    /// [`Error::MissingFeature`] if `options.field_form` asks for 64-bit products and the device has none.
    pub fn from_device(info: wgpu::AdapterInfo, device: wgpu::Device, queue: wgpu::Queue, options: &GpuOptions) -> Result<Self> {
        let int64 = device.features().contains(wgpu::Features::SHADER_INT64);
        let field_form = match options.field_form {
            Some(FieldForm::U64) if !int64 => {
                return Err(Error::MissingFeature { adapter: info.name, feature: "SHADER_INT64" });
            }
            Some(form) => form,
            None if int64 => FieldForm::U64,
            None => FieldForm::U32,
        };
        let lost = Arc::new(Mutex::new(None));
        let on_lost = Arc::clone(&lost);
        device.set_device_lost_callback(move |reason, message| {
            *on_lost.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(format!("{reason:?}: {message}"));
        });
        let software = info.device_type == wgpu::DeviceType::Cpu;
        tracing::info!(
            adapter = info.name,
            backend = %info.backend,
            driver = format!("{} {}", info.driver, info.driver_info).trim(),
            software,
            field_form = ?field_form,
            timestamps = device.features().contains(wgpu::Features::TIMESTAMP_QUERY),
            subgroup_size = format!("{}..={}", info.subgroup_min_size, info.subgroup_max_size),
            "logup-wgpu device{}",
            if software { " (software: kernels run on the CPU)" } else { "" },
        );
        let limits = DeviceLimits::of(&device.limits());
        let shader_checks = options.shader_checks;
        Ok(Self {
            inner: Arc::new(Inner { device, queue, info, limits, field_form, shader_checks, lost, pipelines: Pipelines::default() }),
        })
    }

    /// The wgpu device.
    pub fn device(&self) -> &wgpu::Device {
        &self.inner.device
    }

    /// The wgpu queue.
    pub fn queue(&self) -> &wgpu::Queue {
        &self.inner.queue
    }

    /// What wgpu knows of the adapter.
    pub fn info(&self) -> &wgpu::AdapterInfo {
        &self.inner.info
    }

    /// The adapter's name, backend and driver, and whether it is software, as stats and tables print it.
    pub fn adapter(&self) -> String {
        let info = self.info();
        let software = if info.device_type == wgpu::DeviceType::Cpu { ", software" } else { "" };
        let driver = [info.driver.trim(), info.driver_info.trim()].join(" ");
        format!("{} ({}, {}{software})", info.name, info.backend, driver.trim())
    }

    /// The device's limits, as plans check them.
    pub fn limits(&self) -> DeviceLimits {
        self.inner.limits
    }

    /// The field arithmetic in use.
    pub fn field_form(&self) -> FieldForm {
        self.inner.field_form
    }

    pub(crate) fn pipelines(&self) -> &Pipelines {
        &self.inner.pipelines
    }

    pub(crate) fn shader_checks(&self) -> bool {
        self.inner.shader_checks
    }

    pub(crate) fn has_timestamps(&self) -> bool {
        self.device().features().contains(wgpu::Features::TIMESTAMP_QUERY)
    }

    /// Whether a trace's buffer can be written by the host and read by kernels at full speed: one memory for both.
    pub(crate) fn writes_in_place(&self) -> bool {
        let unified = matches!(self.info().device_type, wgpu::DeviceType::IntegratedGpu | wgpu::DeviceType::Cpu);
        unified && self.device().features().contains(wgpu::Features::MAPPABLE_PRIMARY_BUFFERS)
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// Why the device was lost, if it was.
    pub(crate) fn lost(&self) -> Option<String> {
        self.inner.lost.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    /// Runs `work` and turns wgpu's validation, memory and internal errors into [`Error::Device`].
    pub(crate) fn checked<T>(&self, what: &'static str, work: impl FnOnce() -> T) -> Result<T> {
        let filters = [wgpu::ErrorFilter::Validation, wgpu::ErrorFilter::OutOfMemory, wgpu::ErrorFilter::Internal];
        let scopes = filters.map(|filter| self.device().push_error_scope(filter));
        let result = work();
        let mut first = None;
        for scope in scopes.into_iter().rev() {
            // On native backends the future is ready at once.
            first = pollster::block_on(scope.pop()).or(first);
        }
        match first {
            None => Ok(result),
            Some(error) => Err(Error::Device { what, reason: error.to_string() }),
        }
    }
}
