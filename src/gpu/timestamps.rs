//! The device's timestamp queries.

use std::sync::atomic::{AtomicU32, Ordering};

use super::Gpu;
use crate::error::{Error, Result};

/// As many as wgpu and Metal's counter sample buffers hold.
const NUM_QUERIES: u32 = 4096;

/// A query set whose ranges are given out in turn: a submission's range is used again after `NUM_QUERIES` queries of later ones.
#[derive(Debug)]
pub(crate) struct Timestamps {
    queries: wgpu::QuerySet,
    next: AtomicU32,
}

impl Timestamps {
    /// # Errors
    /// [`Error::MissingFeature`]; [`Error::Device`] where the driver has no room for another set.
    pub fn new(gpu: &Gpu) -> Result<Self> {
        if !gpu.has(wgpu::Features::TIMESTAMP_QUERY) {
            return Err(Error::MissingFeature { adapter: gpu.info().name.clone(), feature: "TIMESTAMP_QUERY" });
        }
        let descriptor = wgpu::QuerySetDescriptor { label: Some("timestamps"), ty: wgpu::QueryType::Timestamp, count: NUM_QUERIES };
        let queries = gpu.checked("timestamps", || gpu.device().create_query_set(&descriptor))?;
        Ok(Self { queries, next: AtomicU32::new(0) })
    }

    /// The set and the first of `num` of its queries; `None` for more than it has.
    pub fn range(&self, num: u32) -> Option<(&wgpu::QuerySet, u32)> {
        let first = |next: u32| if next + num <= NUM_QUERIES { next } else { 0 };
        (num <= NUM_QUERIES).then(|| {
            let next = self.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next| Some(first(next) + num));
            (&self.queries, first(next.expect("always some")))
        })
    }
}
