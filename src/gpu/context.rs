//! Adapter and device.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{Arc, OnceLock},
    time::Instant,
};

use super::{GpuOptions, adapters, pipeline_cache::PipelineCache, pipelines::Pipelines, staging::StagingPool, timestamps::Timestamps};
use crate::{
    error::{Error, Result},
    kernel::FieldForm,
    limits::DeviceLimits,
    plan::budget::Budget,
};

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
    /// Of those that the device was opened with, the ones that the profile leaves.
    features: wgpu::Features,
    limits: DeviceLimits,
    budget: Option<Budget>,
    field_form: FieldForm,
    options: GpuOptions,
    /// Why the device was lost.
    lost: Arc<OnceLock<String>>,
    /// The kernel that computed wrongly, and how that was seen.
    wrong: OnceLock<(&'static str, String)>,
    timestamps: OnceLock<Option<Timestamps>>,
    pipelines: Pipelines,
    staging: StagingPool,
    pipeline_cache: Option<PipelineCache>,
}

impl Gpu {
    /// Opens an adapter: Metal on a Mac, Vulkan elsewhere. `WGPU_BACKEND`, `LOGUP_WGPU_ADAPTER` (a place in [`Gpu::adapters`] or a PCI id),
    /// `WGPU_ADAPTER_NAME` (a part of the name) and `WGPU_POWER_PREF` (low, high, none) choose otherwise. All limits of the adapter are
    /// requested, or what a [`Profile`](crate::Profile) leaves of them.
    ///
    /// Says once, at INFO, which adapter, backend and driver run, whether it is software, and which field arithmetic is used.
    ///
    /// # Errors
    /// [`Error::Environment`] for a variable whose value means nothing; [`Error::NoAdapter`], [`Error::NoDevice`];
    /// [`Error::MissingFeature`] if 64-bit products are asked for and missing.
    pub async fn request(options: GpuOptions) -> Result<Self> {
        let adapter = adapters::choose(&options).await?;
        let mut wanted = wgpu::Features::SHADER_INT64 | wgpu::Features::TIMESTAMP_QUERY;
        if has_one_memory(&adapter.get_info()) {
            // Traces are written where they are read.
            wanted |= wgpu::Features::MAPPABLE_PRIMARY_BUFFERS;
        }
        if options.pipeline_cache.is_some() {
            wanted |= wgpu::Features::PIPELINE_CACHE;
        }
        let (device, queue) = adapter
            .request_device(&wgpu::DeviceDescriptor {
                label: Some("logup-wgpu"),
                required_features: options.features(adapter.features()) & wanted,
                required_limits: options.limits(adapter.limits()),
                memory_hints: wgpu::MemoryHints::Performance,
                ..wgpu::DeviceDescriptor::default()
            })
            .await
            .map_err(|error| Error::NoDevice { adapter: adapter.get_info().name, source: error.into() })?;
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
    /// are used where the device was opened with them, and its limits are taken as they are, but for what `options.profile` takes away. The
    /// device's lost-callback is set by this.
    ///
    /// # Errors
    /// [`Error::MissingFeature`] if `options.field_form` asks for 64-bit products and the device has none.
    pub fn from_device(info: wgpu::AdapterInfo, device: wgpu::Device, queue: wgpu::Queue, options: &GpuOptions) -> Result<Self> {
        let features = options.features(device.features());
        let int64 = features.contains(wgpu::Features::SHADER_INT64);
        let field_form = match options.field_form {
            Some(FieldForm::U64) if !int64 => {
                return Err(Error::MissingFeature { adapter: info.name, feature: "SHADER_INT64" });
            }
            Some(form) => form,
            None if int64 => FieldForm::U64,
            None => FieldForm::U32,
        };
        let lost = Arc::new(OnceLock::new());
        let on_lost = Arc::clone(&lost);
        device.set_device_lost_callback(move |reason, message| {
            let _ = on_lost.set(format!("{reason:?}: {message}")); // the first reason stands
        });
        let software = is_software(&info);
        tracing::info!(
            adapter = info.name,
            backend = %info.backend,
            driver = driver(&info),
            software,
            field_form = ?field_form,
            timestamps = features.contains(wgpu::Features::TIMESTAMP_QUERY),
            subgroup_size = format!("{}..={}", info.subgroup_min_size, info.subgroup_max_size),
            "logup-wgpu device{}",
            if software { " (software: kernels run on the CPU)" } else { "" },
        );
        let folder = options.pipeline_cache.as_deref().filter(|_| features.contains(wgpu::Features::PIPELINE_CACHE));
        let pipeline_cache = folder.and_then(|folder| PipelineCache::open(&device, &info, folder));
        let limits = DeviceLimits::of(&options.limits(device.limits()));
        let inner = Inner {
            device,
            queue,
            features,
            limits,
            budget: Budget::new(info.device_type, info.backend, options.submission_budget),
            info,
            field_form,
            options: options.clone(),
            lost,
            wrong: OnceLock::new(),
            timestamps: OnceLock::new(),
            pipelines: Pipelines::default(),
            staging: StagingPool::default(),
            pipeline_cache,
        };
        Ok(Self { inner: Arc::new(inner) })
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
        let software = if is_software(info) { ", software" } else { "" };
        format!("{} ({}, {}{software})", info.name, info.backend, driver(info))
    }

    /// Whether kernels run on the CPU.
    pub fn is_software(&self) -> bool {
        is_software(self.info())
    }

    /// The device's limits, as plans check them.
    pub fn limits(&self) -> DeviceLimits {
        self.inner.limits
    }

    /// The field arithmetic in use.
    pub fn field_form(&self) -> FieldForm {
        self.inner.field_form
    }

    /// How long submissions may take.
    pub(crate) fn budget(&self) -> Option<Budget> {
        self.inner.budget
    }

    /// 32 by 32 bit products that one submission may take; `None` for no bound. See [`GpuOptions::submission_budget`].
    pub fn products_per_submission(&self) -> Option<u64> {
        self.budget().map(|budget| budget.products())
    }

    /// Whether the device has a feature that is to be used.
    pub(crate) fn has(&self, feature: wgpu::Features) -> bool {
        self.inner.features.contains(feature)
    }

    pub(crate) fn pipelines(&self) -> &Pipelines {
        &self.inner.pipelines
    }

    pub(super) fn pipeline_cache(&self) -> Option<&PipelineCache> {
        self.inner.pipeline_cache.as_ref()
    }

    /// Writes the driver's compiled kernels to their file, if there is one. That it can't be written is no error of the caller's.
    pub(crate) fn save_kernels(&self) {
        if let Some(Err(error)) = self.pipeline_cache().map(PipelineCache::save) {
            tracing::warn!(%error, "compiled kernels not kept");
        }
    }

    pub(super) fn staging(&self) -> &StagingPool {
        &self.inner.staging
    }

    pub(crate) fn options(&self) -> &GpuOptions {
        &self.inner.options
    }

    /// Whether kernels give known answers before they are used.
    pub fn known_answers(&self) -> bool {
        self.inner.options.known_answers
    }

    /// A range of `num` queries that no other submission of the last few uses, and the set that it is in; `None` where the device has no
    /// timestamps. One set for all engines, made when first asked for: Metal has 32 at a time for a process (gpuweb/gpuweb#3652), and wgpu
    /// answers the next by losing the device.
    pub(crate) fn timestamps(&self, num: u32) -> Option<(&wgpu::QuerySet, u32)> {
        let timestamps = self.inner.timestamps.get_or_init(|| Timestamps::new(self).ok());
        timestamps.as_ref()?.range(num)
    }

    /// Whether a trace's buffer can be written by the host and read by kernels at full speed: one memory for both.
    pub(crate) fn writes_in_place(&self) -> bool {
        has_one_memory(self.info()) && self.has(wgpu::Features::MAPPABLE_PRIMARY_BUFFERS)
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// Why the device was lost, if it was.
    pub fn lost(&self) -> Option<&str> {
        self.inner.lost.get().map(String::as_str)
    }

    /// Refuses a device that is lost or that computed wrongly.
    ///
    /// # Errors
    /// [`Error::DeviceLost`], [`Error::WrongAnswer`].
    pub fn usable(&self) -> Result<()> {
        if let Some(reason) = self.lost() {
            return Err(Error::DeviceLost { reason: reason.into() });
        }
        match self.inner.wrong.get() {
            None => Ok(()),
            Some((kernel, reason)) => Err(Error::WrongAnswer { kernel, adapter: self.adapter(), reason: reason.clone() }),
        }
    }

    /// Remembers that a kernel computed wrongly; from now on the device is refused.
    pub fn distrust(&self, kernel: &'static str, reason: String) -> Error {
        let (kernel, reason) = self.inner.wrong.get_or_init(|| (kernel, reason));
        let error = Error::WrongAnswer { kernel, adapter: self.adapter(), reason: reason.clone() };
        tracing::error!(%error);
        error
    }

    /// `otherwise`, unless a lost device is behind it. A loss shows in no error scope, and wgpu tells of it when it is polled.
    pub(crate) fn lost_or(&self, otherwise: Error) -> Error {
        let polled = self.poll(wgpu::PollType::Poll);
        match self.lost() {
            Some(reason) => Error::DeviceLost { reason: reason.into() },
            None => polled.err().unwrap_or(otherwise),
        }
    }

    /// Lets wgpu run callbacks, and waits where `poll` says so.
    ///
    /// # Errors
    /// [`Error::DeviceLost`]; [`Error::Deadline`] where the time ran out that `poll` gives.
    pub(crate) fn poll(&self, poll: wgpu::PollType) -> Result<()> {
        let start = Instant::now();
        // wgpu 30 panics where it finds the device lost while it waits (`handle_error_fatal`), with no lock of its own held. Other panics are
        // those of callers' callbacks.
        let reason = match catch_unwind(AssertUnwindSafe(|| self.device().poll(poll))) {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(wgpu::PollError::Timeout)) if self.lost().is_none() => return Err(Error::Deadline { waited: start.elapsed() }),
            Ok(Err(error)) => self.lost().map_or_else(|| error.to_string(), str::to_owned),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().filter(|text| text.starts_with("Error in Device::poll"));
                let Some(text) = text.map(|text| text.trim().to_owned()) else { resume_unwind(panic) };
                self.inner.lost.get_or_init(|| text).clone()
            }
        };
        Err(Error::DeviceLost { reason })
    }

    /// Runs `work` and turns wgpu's validation and internal errors into [`Error::Device`], those of memory into [`Error::OutOfMemory`], and a
    /// loss into [`Error::DeviceLost`].
    pub(crate) fn checked<T>(&self, what: &str, work: impl FnOnce() -> T) -> Result<T> {
        self.usable()?;
        let filters = [wgpu::ErrorFilter::Validation, wgpu::ErrorFilter::OutOfMemory, wgpu::ErrorFilter::Internal];
        let scopes = filters.map(|filter| self.device().push_error_scope(filter));
        let result = work();
        let mut first = None;
        for scope in scopes.into_iter().rev() {
            // On native backends the future is ready at once.
            first = pollster::block_on(scope.pop()).or(first);
        }
        match first {
            None => self.lost().map_or(Ok(result), |reason| Err(Error::DeviceLost { reason: reason.into() })),
            Some(error @ wgpu::Error::OutOfMemory { .. }) => {
                Err(self.lost_or(Error::OutOfMemory { what: what.into(), source: error.into() }))
            }
            Some(error) => Err(self.lost_or(Error::Device { what: what.into(), source: error.into() })),
        }
    }
}

/// Driver and version, as far as the backend tells.
pub(super) fn driver(info: &wgpu::AdapterInfo) -> String {
    [info.driver.trim(), info.driver_info.trim()].join(" ").trim().to_owned()
}

/// Whether kernels run on the CPU.
pub(super) fn is_software(info: &wgpu::AdapterInfo) -> bool {
    info.device_type == wgpu::DeviceType::Cpu
}

/// Whether host and device share their memory.
fn has_one_memory(info: &wgpu::AdapterInfo) -> bool {
    matches!(info.device_type, wgpu::DeviceType::IntegratedGpu | wgpu::DeviceType::Cpu)
}
