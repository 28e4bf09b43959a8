//! `WgpuEngine`, in one program: conformance, concurrency, endurance, loss of the default device.

#[path = "../fixtures/mod.rs"]
mod fixtures;
#[path = "../../../tests/stock/mod.rs"]
mod stock;
#[path = "../../../tests/support/mod.rs"]
mod support;

mod checks;
mod concurrency;
mod conformance;
mod endurance;
#[cfg(target_os = "linux")]
mod lost;
