//! How to choose and open a device.

use std::{path::PathBuf, time::Duration};

use super::{AdapterChoice, Profile, pipelines::EditShader};
use crate::{
    error::{Error, Result},
    kernel::FieldForm,
};

/// How to choose and open the device.
#[derive(Clone, Debug)]
pub struct GpuOptions {
    /// Backends to try; `None` for what `WGPU_BACKEND` says, else Metal on a Mac and Vulkan elsewhere.
    pub backends: Option<wgpu::Backends>,
    /// Which adapter to open; `None` for what `LOGUP_WGPU_ADAPTER` (an index of [`Gpu::adapters`](crate::Gpu::adapters), or a PCI id) or
    /// `WGPU_ADAPTER_NAME` (a part of the name) says, else by power preference.
    pub adapter: Option<AdapterChoice>,
    /// Which adapter to prefer; `None` for what `WGPU_POWER_PREF` says, else high performance.
    pub power_preference: Option<wgpu::PowerPreference>,
    /// The field arithmetic; `None` takes 64-bit products where the device has them.
    pub field_form: Option<FieldForm>,
    /// Whether to compile the kernels with wgpu's bounds checks and loop bounds. On by default.
    pub shader_checks: bool,
    /// Whether each kernel of a call must give a known answer before it computes anything else ([`Error::WrongAnswer`]). On by default.
    pub known_answers: bool,
    /// Use no more of the device than a weaker one has; `None` for all of it.
    pub profile: Option<Profile>,
    /// How long one wait for the device may take before it is [`Error::Deadline`]; `None` for ever. Ten minutes by default.
    pub deadline: Option<Duration>,
    /// How long a wait polls the device before it sleeps: a call shorter than that comes back some 30 us sooner, for a core that is busy
    /// meanwhile. Two milliseconds by default; a software device is never polled.
    pub polling: Duration,
    /// A folder in which the driver's compiled kernels are kept from process to process, where wgpu gives access to them (Vulkan; most drivers have
    /// a cache of their own beside it, and so has Metal). Written after [`Round0::warm_up`](crate::Round0::warm_up). Nobody else may write there:
    /// drivers trust what they find. `None`, the default, for no such file.
    pub pipeline_cache: Option<PathBuf>,
    /// GPU time of one submission, estimated from bytes and products. Systems end command buffers that run for long (a Mac that drives a
    /// display, after a few hundred milliseconds), so work beyond it is cut over `x` into several submissions of the same call, for one wait;
    /// [`Round0Stats::submissions`](crate::Round0Stats) counts them. `None` for 100 ms, a second on a discrete device outside a Mac, by
    /// the rates of a small one of its kind, and no bound on a software device; [`Duration::MAX`] for no bound.
    pub submission_budget: Option<Duration>,
    /// Where [`Trace::upload_columns`](crate::Trace::upload_columns) transposes; `None` for the device, unless it is software: how tests choose.
    #[doc(hidden)]
    pub transpose_on_device: Option<bool>,
    /// Changes kernels' text before it is compiled: how tests break kernels.
    #[doc(hidden)]
    pub edit_shader: Option<EditShader>,
}

impl Default for GpuOptions {
    fn default() -> Self {
        Self {
            backends: None,
            adapter: None,
            power_preference: None,
            field_form: None,
            shader_checks: true,
            known_answers: true,
            profile: None,
            deadline: Some(Duration::from_secs(600)),
            polling: Duration::from_millis(2),
            pipeline_cache: None,
            submission_budget: None,
            transpose_on_device: None,
            edit_shader: None,
        }
    }
}

impl GpuOptions {
    /// What is used of a device's features.
    pub(super) fn features(&self, features: wgpu::Features) -> wgpu::Features {
        self.profile.map_or(features, |profile| profile.features(features))
    }

    /// What is used of a device's limits.
    pub(super) fn limits(&self, limits: wgpu::Limits) -> wgpu::Limits {
        match self.profile {
            Some(profile) => profile.limits(limits),
            None => limits,
        }
    }

    pub(super) fn backends(&self) -> Result<wgpu::Backends> {
        let expected = "a list of metal, vulkan, dx12, gl, webgpu, noop";
        let from_env = || {
            chosen_by("WGPU_BACKEND", expected, |value| {
                let each: Vec<wgpu::Backends> = value.split(',').map(wgpu::Backends::from_comma_list).collect();
                each.iter().all(|backend| !backend.is_empty()).then(|| each.into_iter().collect())
            })
        };
        let native = if cfg!(target_vendor = "apple") { wgpu::Backends::METAL } else { wgpu::Backends::VULKAN };
        Ok(self.backends.map_or_else(from_env, |backends| Ok(Some(backends)))?.unwrap_or(native))
    }

    pub(super) fn power_preference(&self) -> Result<wgpu::PowerPreference> {
        let from_env = || {
            chosen_by("WGPU_POWER_PREF", "low, high or none", |value| match &*value.to_lowercase() {
                "low" => Some(wgpu::PowerPreference::LowPower),
                "high" => Some(wgpu::PowerPreference::HighPerformance),
                "none" => Some(wgpu::PowerPreference::None),
                _ => None,
            })
        };
        let chosen = self.power_preference.map_or_else(from_env, |preference| Ok(Some(preference)))?;
        Ok(chosen.unwrap_or(wgpu::PowerPreference::HighPerformance))
    }
}

/// What an environment variable chooses, `None` if it is not set.
///
/// # Errors
/// [`Error::Environment`] if `parse` makes nothing of its value: a typing error must not end on another device.
pub(super) fn chosen_by<T>(variable: &'static str, expected: &'static str, parse: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>> {
    let Some(value) = std::env::var_os(variable) else { return Ok(None) };
    match value.to_str().and_then(parse) {
        Some(chosen) => Ok(Some(chosen)),
        None => Err(Error::Environment { variable, value: value.to_string_lossy().into(), expected }),
    }
}
