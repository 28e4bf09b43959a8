//! The driver's compiled kernels in a file, where wgpu gives access to them: a second process finds them.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The cache of one adapter.
#[derive(Debug)]
pub(super) struct PipelineCache {
    cache: wgpu::PipelineCache,
    file: PathBuf,
}

impl PipelineCache {
    /// The cache that lies in this folder, or an empty one. `None` where wgpu has none for the adapter: only Vulkan has; Metal keeps its own.
    #[expect(unsafe_code, reason = "wgpu takes a cache's bytes at the caller's word")]
    pub fn open(device: &wgpu::Device, info: &wgpu::AdapterInfo, folder: &Path) -> Option<Self> {
        let file = folder.join(wgpu::util::pipeline_cache_key(info)?);
        let data = fs::read(&file).ok();
        let descriptor = wgpu::PipelineCacheDescriptor { label: Some("logup-wgpu"), data: data.as_deref(), fallback: true };
        // SAFETY: the file was written by `save`, from what wgpu gave for an adapter with this key; `GpuOptions::pipeline_cache` asks for a folder
        // that nobody else writes. wgpu checks the header, and the driver that the bytes are its own.
        let cache = unsafe { device.create_pipeline_cache(&descriptor) };
        Some(Self { cache, file })
    }

    pub fn get(&self) -> &wgpu::PipelineCache {
        &self.cache
    }

    /// Writes it to its file, in one step, so that no other process reads half of it.
    pub fn save(&self) -> io::Result<()> {
        let Some(data) = self.cache.get_data() else { return Ok(()) };
        if let Some(folder) = self.file.parent() {
            fs::create_dir_all(folder)?;
        }
        let unique = self.file.with_extension(format!("{}.new", std::process::id()));
        fs::write(&unique, data)?;
        fs::rename(unique, &self.file)
    }
}
