//! The variables that choose a device: each in a process of its own, so that tests do not see each other's.

mod support;

use logup_wgpu::{Error, Gpu, GpuOptions, wgpu};
use support::watchdog::{is_alone, passes_alone};

/// Opens a device, and compares what that says with `EXPECTED`: a part of the error, or nothing for a device.
#[test]
fn opens_as_the_environment_says() {
    let test = "opens_as_the_environment_says";
    if is_alone(test) {
        let expected = std::env::var("EXPECTED").unwrap();
        let text = match Gpu::new(GpuOptions::default()) {
            Ok(_) => String::new(),
            Err(error @ Error::Environment { .. }) => error.to_string(),
            Err(other) => format!("not the environment's error: {other}"),
        };
        assert!(text.contains(&expected) && text.is_empty() == expected.is_empty(), "{text:?}, expected {expected:?}");
        return;
    }
    let native = if cfg!(target_vendor = "apple") { "metal" } else { "vulkan" };
    for (variable, value, expected) in [
        ("WGPU_BACKEND", native, ""),
        ("WGPU_BACKEND", &format!("{native}, metal"), ""),
        ("WGPU_BACKEND", "", "WGPU_BACKEND=\"\" is not understood"),
        ("WGPU_BACKEND", "vulcan", "WGPU_BACKEND=\"vulcan\" is not understood: it takes a list of metal, vulkan"),
        ("WGPU_BACKEND", "vulkan,vulcan", "WGPU_BACKEND=\"vulkan,vulcan\""),
        ("WGPU_POWER_PREF", "low", ""),
        ("WGPU_POWER_PREF", "HIGH", ""),
        ("WGPU_POWER_PREF", "", "WGPU_POWER_PREF=\"\""),
        ("WGPU_POWER_PREF", "highest", "WGPU_POWER_PREF=\"highest\" is not understood: it takes low, high or none"),
        ("WGPU_ADAPTER_NAME", "", "WGPU_ADAPTER_NAME=\"\""),
    ] {
        passes_alone(test, &[(variable, value), ("EXPECTED", expected)]);
    }
}

/// Options that say all leave nothing to the environment.
#[test]
fn options_overrule_the_environment() {
    let test = "options_overrule_the_environment";
    if is_alone(test) {
        let backends = Some(wgpu::Backends::METAL | wgpu::Backends::VULKAN);
        let power_preference = Some(wgpu::PowerPreference::None);
        Gpu::new(GpuOptions { backends, power_preference, ..GpuOptions::default() }).unwrap();
        return;
    }
    passes_alone(test, &[("WGPU_BACKEND", "nonsense"), ("WGPU_POWER_PREF", "nonsense")]);
}
