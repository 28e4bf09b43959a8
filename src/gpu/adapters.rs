//! Which adapters there are, and which is opened.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
};

use super::{Gpu, GpuOptions, context::driver, options::chosen_by};
use crate::error::{Error, Result};

/// The process's instance for these backends. It is never dropped, so that drivers stay loaded: NVIDIA's (580.159, with libglvnd) was seen to
/// crash where it was unloaded while a thread that had used it ended.
fn instance(backends: wgpu::Backends) -> wgpu::Instance {
    static INSTANCES: Mutex<Vec<(wgpu::Backends, wgpu::Instance)>> = Mutex::new(vec![]);
    let mut instances = INSTANCES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, instance)) = instances.iter().find(|(known, _)| *known == backends) {
        return instance.clone();
    }
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
    descriptor.backends = backends;
    let instance = wgpu::Instance::new(descriptor);
    instances.push((backends, instance.clone()));
    instance
}

/// An adapter that could be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AdapterEntry {
    /// Its place among those of the same backends.
    pub index: usize,
    /// Its name; equal devices have equal names.
    pub name: String,
    /// What drives it.
    pub backend: wgpu::Backend,
    /// Driver and version, as far as the backend tells.
    pub driver: String,
    /// Discrete, integrated, software, ..
    pub device_type: wgpu::DeviceType,
    /// Where it is on the PCI bus (`0000:65:00.0`), where the backend tells.
    pub pci_id: Option<String>,
}

impl AdapterEntry {
    fn new(index: usize, info: wgpu::AdapterInfo) -> Self {
        let driver = driver(&info);
        let pci_id = (!info.device_pci_bus_id.is_empty()).then_some(info.device_pci_bus_id);
        Self { index, name: info.name, backend: info.backend, driver, device_type: info.device_type, pci_id }
    }
}

impl fmt::Display for AdapterEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({}, {}, {:?}", self.index, self.name, self.backend, self.driver, self.device_type)?;
        match &self.pci_id {
            Some(id) => write!(f, ", {id})"),
            None => write!(f, ")"),
        }
    }
}

/// Which adapter to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdapterChoice {
    /// The one at this place in [`Gpu::adapters`].
    Index(usize),
    /// The one with this PCI id: of several equal devices, the same one on every start.
    PciId(String),
    /// The first whose name contains this, in whatever case.
    Name(String),
}

impl AdapterChoice {
    fn is(&self, entry: &AdapterEntry) -> bool {
        match self {
            Self::Index(index) => entry.index == *index,
            Self::PciId(id) => entry.pci_id.as_ref().is_some_and(|own| own.eq_ignore_ascii_case(id)),
            Self::Name(name) => entry.name.to_lowercase().contains(&name.to_lowercase()),
        }
    }

    /// What the environment chooses.
    fn from_env() -> Result<Option<Self>> {
        let index_or_id = chosen_by("LOGUP_WGPU_ADAPTER", "an adapter's index or its PCI id", |value| match value.parse() {
            Ok(index) => Some(Self::Index(index)),
            Err(_) => value.contains(':').then(|| Self::PciId(value.to_owned())),
        })?;
        let name = || {
            chosen_by("WGPU_ADAPTER_NAME", "a part of an adapter's name", |name| (!name.is_empty()).then(|| Self::Name(name.to_owned())))
        };
        index_or_id.map_or_else(name, |choice| Ok(Some(choice)))
    }
}

impl Gpu {
    /// The adapters of the backends that these options, or the environment, choose. None is opened.
    ///
    /// ```
    /// # use logup_wgpu::{Gpu, GpuOptions};
    /// for adapter in Gpu::adapters(&GpuOptions::default())? {
    ///     println!("{adapter}"); // 0: NVIDIA H200 (vulkan, NVIDIA 580.159.04, DiscreteGpu, 0000:65:00.0)
    /// }
    /// # Ok::<(), logup_wgpu::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Environment`] for a variable whose value means nothing.
    pub fn adapters(options: &GpuOptions) -> Result<Vec<AdapterEntry>> {
        let found = pollster::block_on(enumerate(options.backends()?));
        Ok(found.into_iter().map(|(entry, _)| entry).collect())
    }
}

async fn enumerate(backends: wgpu::Backends) -> Vec<(AdapterEntry, wgpu::Adapter)> {
    let adapters = instance(backends).enumerate_adapters(backends).await.into_iter().enumerate();
    adapters.map(|(index, adapter)| (AdapterEntry::new(index, adapter.get_info()), adapter)).collect()
}

/// The adapter that the options, or the environment, choose.
///
/// # Errors
/// [`Error::Environment`], [`Error::NoAdapter`].
pub(super) async fn choose(options: &GpuOptions) -> Result<wgpu::Adapter> {
    let (backends, power_preference) = (options.backends()?, options.power_preference()?);
    let no_adapter = |reason: String| Error::NoAdapter { backends: format!("{backends:?}"), reason };
    let choice = options.adapter.clone().map_or_else(AdapterChoice::from_env, |choice| Ok(Some(choice)))?;
    let Some(choice) = choice else {
        let request = wgpu::RequestAdapterOptions { power_preference, ..wgpu::RequestAdapterOptions::default() };
        return instance(backends).request_adapter(&request).await.map_err(|error| no_adapter(error.to_string()));
    };
    let found = enumerate(backends).await;
    let there = found.iter().map(|(entry, _)| entry.to_string()).collect::<Vec<_>>().join("; ");
    let chosen = found.into_iter().find(|(entry, _)| choice.is(entry));
    chosen.map(|(_, adapter)| adapter).ok_or_else(|| no_adapter(format!("{choice:?} is none of: {there}")))
}
