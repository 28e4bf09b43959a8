//! Kernels made ready before the first call.

use std::{
    collections::HashSet,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use rayon::prelude::*;

use super::{
    Round0, known_answers,
    record::{COLUMN_VEC4_ROWS, COSET_VEC4_ROWS, VEC4_LOADS},
};
#[cfg(doc)]
use crate::{error::Error, gpu::Gpu};
use crate::{
    error::Result,
    gpu::Key,
    kernels::{COLUMN_SUMS, COLUMN_SUMS_SCALAR, DUAL_REDUCE},
    matrix::Layout,
    plan::Round0Plan,
};

/// What [`Round0::warm_up`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WarmUp {
    /// Kernels that calls with the plans need.
    pub kernels: usize,
    /// Of them, those that gave their known answer now; the others had given it before, or [`GpuOptions`](crate::GpuOptions) switch it off.
    pub known_answers: usize,
    /// Time of compiling.
    pub compile: Duration,
    /// Time of the known answers.
    pub answer: Duration,
}

/// How far a warm-up has come; see [`Round0::warm_up_with`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WarmUpProgress {
    /// The kernel that is ready now.
    pub kernel: &'static str,
    /// How long it was compiled for; nothing if it was before.
    pub compile: Duration,
    /// How many are ready.
    pub ready: usize,
    /// How many there are.
    pub kernels: usize,
}

impl Round0 {
    /// Compiles the kernels that calls with these plans need when their traces have this layout and share a buffer, and has each give a
    /// known answer, so that the first call does not. Kernels for traces spread over several buffers, and those for traces of fewer than
    /// `2^l_skip` rows where they differ, are compiled and asked at their first use. Compiled kernels belong to the [`Gpu`].
    ///
    /// Known answers: the fixed kernels evaluate AIRs of this crate, the generated ones the plans at two points `x`, on random traces; the
    /// result is compared at a random point with [`reference`](mod@crate::reference). Drivers' compilers make mistakes, and a device that
    /// makes one is caught here.
    ///
    /// # Errors
    /// [`Error::Device`] if the driver refuses a kernel, [`Error::DeviceLimit`] if the device has no room for one;
    /// [`Error::WrongAnswer`]; [`Error::OutOfMemory`], [`Error::DeviceLost`], [`Error::Deadline`]; [`Error::Environment`] where `LOGUP_WGPU_DUMP`
    /// names no folder.
    pub fn warm_up(&self, plans: &[&Round0Plan], layout: Layout) -> Result<WarmUp> {
        self.warm_up_with(plans, layout, &|_| {})
    }

    /// [`warm_up`](Self::warm_up), telling `progress` of each kernel that is compiled; several threads do. Each is a debug event too.
    ///
    /// # Errors
    /// As `warm_up`.
    pub fn warm_up_with(&self, plans: &[&Round0Plan], layout: Layout, progress: &(dyn Fn(WarmUpProgress) + Sync)) -> Result<WarmUp> {
        self.gpu.usable()?;
        let start = Instant::now();
        let mut keys: Vec<Key> = plans.iter().flat_map(|plan| keys(plan, layout)).collect();
        if !keys.is_empty() {
            keys.push(Key::fixed(&DUAL_REDUCE, 0));
        }
        let mut known = HashSet::new();
        keys.retain(|key| known.insert(key.clone()));
        // Side by side: a driver takes up to seconds for each.
        let (num_ready, dispatch) = (AtomicUsize::new(0), tracing::dispatcher::get_default(Clone::clone));
        let kernel = |key: &Key| {
            let (kernel, compile) = self.gpu.kernel_and_time(key)?;
            let ready = 1 + num_ready.fetch_add(1, Ordering::Relaxed);
            let (kernels, milliseconds) = (keys.len(), compile.as_secs_f64() * 1e3);
            tracing::debug!(kernel = key.kernel.name, milliseconds, ready, kernels, "kernel ready");
            progress(WarmUpProgress { kernel: key.kernel.name, compile, ready, kernels });
            Ok(kernel)
        };
        let kernels =
            keys.par_iter().map(|key| tracing::dispatcher::with_default(&dispatch, || kernel(key))).collect::<Result<Vec<_>>>()?;
        self.gpu.save_kernels();
        let compile = start.elapsed();
        let known_answers = known_answers::ensure(&self.gpu, plans, &keys, &kernels)?;
        Ok(WarmUp { kernels: keys.len(), known_answers, compile, answer: start.elapsed() - compile })
    }
}

/// What runs a plan on traces of this layout that share a buffer, beside the reduction.
fn keys(plan: &Round0Plan, layout: Layout) -> Vec<Key> {
    let allows_vec4 = |rows: u32| layout == Layout::ColMajor && (1 << plan.l_skip()) >= rows;
    let column_sums = if allows_vec4(COLUMN_VEC4_ROWS) { &COLUMN_SUMS } else { &COLUMN_SUMS_SCALAR };
    let affine = (!plan.affine.matrices.is_empty()).then(|| Key::fixed(column_sums, 1));
    let programs = plan.programs().map(|planned| {
        let slots = u32::from(planned.program.cells().next().is_some());
        let Some(generated) = &planned.generated else { return Key::fixed(planned.kernel(), slots) };
        let constants = vec![(VEC4_LOADS, u32::from(slots > 0 && allows_vec4(COSET_VEC4_ROWS)))];
        Key { program: Some(generated.source.clone()), constants, ..Key::fixed(planned.kernel(), slots) }
    });
    affine.into_iter().chain(programs).collect()
}
