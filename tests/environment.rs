//! The variables that choose a device: each in a process of its own, so that tests do not see each other's.

mod support;

use logup_wgpu::{AdapterChoice, Error, Gpu, GpuOptions, Round0, Strategy, wgpu};
use support::{
    Uploaded, assert_same,
    random_air::{Size, random_case},
    rng,
    watchdog::{is_alone, passes_alone},
};

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
        ("LOGUP_WGPU_ADAPTER", "0", ""),
        ("LOGUP_WGPU_ADAPTER", "first", "LOGUP_WGPU_ADAPTER=\"first\" is not understood: it takes an adapter's index or its PCI id"),
        ("LOGUP_WGPU_ADAPTER", "-1", "LOGUP_WGPU_ADAPTER=\"-1\""),
    ] {
        passes_alone(test, &[(variable, value), ("EXPECTED", expected)]);
    }
}

/// Every adapter of the list can be chosen by its place and by its PCI id, and engines on two of them work side by side; what is not in the
/// list is an error that shows it.
#[test]
fn adapters_are_listed_and_chosen() {
    let options = GpuOptions::default();
    let adapters = Gpu::adapters(&options).unwrap();
    let opened: Vec<Gpu> = adapters
        .iter()
        .flat_map(|adapter| {
            let by_id = adapter.pci_id.clone().map(AdapterChoice::PciId);
            [Some(AdapterChoice::Index(adapter.index)), by_id].into_iter().flatten().map(move |choice| (adapter, choice))
        })
        .map(|(adapter, choice)| {
            let gpu = Gpu::new(GpuOptions { adapter: Some(choice), ..options.clone() }).unwrap();
            assert_eq!((&gpu.info().name, gpu.info().backend), (&adapter.name, adapter.backend), "{adapter}");
            gpu
        })
        .collect();
    assert!(!opened.is_empty(), "no adapter");
    let more = Gpu::new(GpuOptions { adapter: Some(AdapterChoice::Index(0)), ..options.clone() }).unwrap();
    let cases = [random_case(&mut rng(1), Size { max_degree: 2, num_ops: 8, num_interactions: 2, max_message_len: 2 }, 2, 32)];
    std::thread::scope(|scope| {
        for gpu in opened.iter().chain([&more]) {
            let cases = &cases;
            scope.spawn(move || {
                let polys = Uploaded::together(gpu, cases, Strategy::Split).evaluate(&Round0::new(gpu)).polys;
                assert_same(&polys[0], &cases[0].reference(), &gpu.adapter());
            });
        }
    });
    for choice in [AdapterChoice::Index(999), AdapterChoice::PciId("ffff:ff:1f.7".into()), AdapterChoice::Name("no such device".into())] {
        let error = Gpu::new(GpuOptions { adapter: Some(choice), ..options.clone() }).unwrap_err();
        assert!(matches!(error, Error::NoAdapter { .. }) && error.to_string().contains(&adapters[0].to_string()), "{error}");
    }
}

/// `LOGUP_WGPU_DUMP` has the text of every kernel that is compiled; a folder that cannot be written is an error.
#[test]
fn kernels_are_dumped_where_asked() {
    let test = "kernels_are_dumped_where_asked";
    let cases = [random_case(&mut rng(1), Size { max_degree: 2, num_ops: 8, num_interactions: 2, max_message_len: 2 }, 2, 32)];
    if is_alone(test) {
        let gpu = Gpu::new(GpuOptions { known_answers: false, ..GpuOptions::default() }).unwrap();
        let uploaded = Uploaded::together(&gpu, &cases, Strategy::Direct);
        let result = Round0::new(&gpu).evaluate(&uploaded.challenges(), &uploaded.instances());
        match std::env::var("EXPECTED").unwrap().as_str() {
            "" => _ = result.unwrap(),
            expected => assert!(result.unwrap_err().to_string().contains(expected)),
        }
        return;
    }
    let folder = std::env::temp_dir().join(format!("logup-wgpu-dump-{}", std::process::id()));
    passes_alone(test, &[("LOGUP_WGPU_DUMP", folder.to_str().unwrap()), ("EXPECTED", "")]);
    let mut names: Vec<String> = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    assert!(names.len() == 2 && names[0].starts_with("coset_interpret-") && names[1].starts_with("dual_reduce-"), "{names:?}");
    assert!(std::fs::read_to_string(folder.join(&names[1])).unwrap().contains("// ======== dual_reduce.wgsl ========"));
    std::fs::remove_dir_all(&folder).unwrap();
    passes_alone(test, &[("LOGUP_WGPU_DUMP", "/dev/null/nowhere"), ("EXPECTED", "LOGUP_WGPU_DUMP")]);
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
