//! A device that is lost: every call says so, nothing panics, and another device can be opened.

mod support;

use logup_wgpu::{Error, FieldOp, FieldOps, Gpu, GpuOptions, Layout, Matrix, Round0, Strategy, Trace};
use support::{
    Case, Uploaded, assert_same,
    random_air::{Size, random_case},
    rng,
};

fn case() -> Case {
    let size = Size { max_degree: 2, num_ops: 12, num_interactions: 3, max_message_len: 3 };
    Case { layout: Layout::ColMajor, ..random_case(&mut rng(3), size, 3, 64) }
}

fn is_lost<T>(what: &str, result: Result<T, Error>) {
    match result {
        Ok(_) => panic!("{what} worked on a lost device"),
        Err(Error::DeviceLost { reason }) => assert!(!reason.is_empty(), "{what}"),
        Err(other) => panic!("{what}: {other}"),
    }
}

/// All that needs a device, on one that is lost.
fn all_calls_say_lost(gpu: &Gpu, round0: &Round0, uploaded: &Uploaded<'_>) {
    let mains = uploaded.mains();
    let instances = uploaded.instances(&mains);
    let plans: Vec<_> = uploaded.plans.iter().collect();
    for _ in 0..2 {
        is_lost("evaluate", round0.evaluate(&instances));
        is_lost("submit", round0.submit(&instances).map(|_| ()));
        is_lost("evaluate with a new engine", Round0::new(gpu).evaluate(&instances));
        is_lost("warm_up", round0.warm_up(&plans, Layout::RowMajor));
        is_lost("an upload", Trace::new(gpu, Matrix::col_major(&uploaded.cases[0].main[0].0, uploaded.cases[0].main[0].1)));
        is_lost("field_ops", FieldOps::new(gpu).apply(FieldOp::Add, 1, &[logup_wgpu::EF::default()], &[logup_wgpu::EF::default()]));
        is_lost("plain_read", gpu.plain_read_rate());
    }
}

#[test]
fn a_destroyed_device_is_a_lost_one() {
    let gpu = Gpu::new(GpuOptions::default()).unwrap();
    let cases = [case()];
    let uploaded = Uploaded::together(&gpu, &cases, Strategy::Split);
    let round0 = Round0::new(&gpu);
    let expected = cases[0].reference();
    assert_same(&uploaded.evaluate(&round0).polys[0], &expected, "before the loss");
    gpu.device().destroy();
    all_calls_say_lost(&gpu, &round0, &uploaded);

    let other = Gpu::new(GpuOptions::default()).unwrap();
    let uploaded = Uploaded::together(&other, &cases, Strategy::Split);
    assert_same(&uploaded.evaluate(&Round0::new(&other)).polys[0], &expected, "on another device");
}

/// A driver that reports the loss while the host waits, as Vulkan's do: a layer between wgpu and the driver says VK_ERROR_DEVICE_LOST.
#[cfg(target_os = "linux")]
mod in_the_wait {
    use std::{path::PathBuf, process::Command, sync::OnceLock};

    use super::*;
    use crate::support::watchdog::{is_alone, passes_alone};

    /// Compiles the layer and writes its manifest; the folder that holds both. Once: other tests' processes have it loaded.
    fn layer() -> PathBuf {
        static LAYER: OnceLock<PathBuf> = OnceLock::new();
        LAYER.get_or_init(compile_layer).clone()
    }

    fn compile_layer() -> PathBuf {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("lost_layer");
        std::fs::create_dir_all(&folder).unwrap();
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/lost_layer.c");
        let library = folder.join("liblost_layer.so");
        let cc = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", source, "-o"]).arg(&library).output().unwrap();
        assert!(cc.status.success(), "{}", String::from_utf8_lossy(&cc.stderr));
        let manifest = format!(
            r#"{{"file_format_version": "1.1.2", "layer": {{"name": "VK_LAYER_LOGUP_lost", "type": "GLOBAL", "library_path": {:?},
            "api_version": "1.3.0", "implementation_version": "1", "description": "loses the device when told to"}}}}"#,
            library.to_str().unwrap()
        );
        std::fs::write(folder.join("lost_layer.json"), manifest).unwrap();
        folder
    }

    /// Runs a test in a process of its own with the layer between; there, the file that loses the device while it exists.
    fn under_the_layer(test: &str) -> Option<String> {
        if is_alone(test) {
            return Some(std::env::var("LOGUP_LOSE_WHEN_THERE").unwrap());
        }
        let folder = layer();
        let switch = folder.join(format!("lose_in_{}", test.replace(':', "_")));
        let _ = std::fs::remove_file(&switch);
        let variables = [
            ("VK_LAYER_PATH", folder.to_str().unwrap()),
            ("VK_INSTANCE_LAYERS", "VK_LAYER_LOGUP_lost"),
            ("LOGUP_LOSE_WHEN_THERE", switch.to_str().unwrap()),
        ];
        passes_alone(test, &variables);
        None
    }

    /// The engine's wait, and the wait for a call in flight.
    #[test]
    fn the_wait_is_an_error_and_no_panic() {
        let Some(switch) = under_the_layer("in_the_wait::the_wait_is_an_error_and_no_panic") else { return };
        let gpu = Gpu::new(GpuOptions::default()).unwrap();
        let cases = [case()];
        let uploaded = Uploaded::together(&gpu, &cases, Strategy::Split);
        let round0 = Round0::new(&gpu);
        assert_same(&uploaded.evaluate(&round0).polys[0], &cases[0].reference(), "before the loss");
        let mains = uploaded.mains();
        let instances = uploaded.instances(&mains);
        let in_flight = round0.submit(&instances).unwrap();
        std::fs::write(&switch, "").unwrap();
        is_lost("wait", in_flight.wait());
        std::fs::remove_file(&switch).unwrap();
        // The driver is well again; the device is not.
        all_calls_say_lost(&gpu, &round0, &uploaded);
        let other = Gpu::new(GpuOptions::default()).unwrap();
        let uploaded = Uploaded::together(&other, &cases, Strategy::Split);
        let mains = uploaded.mains();
        let round0 = Round0::new(&other);
        assert_same(&uploaded.evaluate(&round0).polys[0], &cases[0].reference(), "on another device");
        std::fs::write(&switch, "").unwrap();
        is_lost("evaluate", round0.evaluate(&uploaded.instances(&mains)));
        std::fs::remove_file(&switch).unwrap();
    }

    /// OpenVM's engines on the process's default device: the next engine opens another.
    #[cfg(feature = "openvm")]
    #[test]
    fn the_default_device_is_opened_anew() {
        use logup_wgpu::openvm::{WgpuDevice, WgpuEngine, WgpuProverError};
        use openvm_stark_backend::{
            StarkEngine,
            prover::DeviceDataTransporter,
            test_utils::{TestFixture, test_system_params_small},
        };
        use openvm_stark_sdk::config::baby_bear_poseidon2::{BabyBearPoseidon2Config, CpuTranscript};

        use crate::support::pair_air::{PairAir, PairFixture};

        let Some(switch) = under_the_layer("in_the_wait::the_default_device_is_opened_anew") else { return };
        let params = test_system_params_small(2, 8, 3);
        let fixture = PairFixture(vec![PairAir::plain(4, 16)]);
        let engine = WgpuEngine::<CpuTranscript>::try_new(params.clone()).unwrap();
        let (pk, vk) = fixture.keygen(&engine);
        let prove = |engine: &WgpuEngine<CpuTranscript>| {
            let device = engine.device();
            let context = device.transport_proving_ctx_to_device(&fixture.generate_proving_ctx());
            engine.prove(&device.transport_pk_to_device(&pk), context)
        };
        engine.verify(&vk, &prove(&engine).unwrap()).unwrap();
        std::fs::write(&switch, "").unwrap();
        let is_lost = |error: WgpuProverError| {
            let WgpuProverError::Round0 { source: Error::DeviceLost { .. }, .. } = &error else { panic!("{error}") };
        };
        is_lost(prove(&engine).err().unwrap());
        std::fs::remove_file(&switch).unwrap();
        is_lost(prove(&engine).err().unwrap());
        let config = BabyBearPoseidon2Config::default_from_params(params.clone());
        let on_the_dead_one = WgpuDevice::new(config, engine.device().gpu());
        assert!(matches!(on_the_dead_one.err(), Some(Error::DeviceLost { .. })));
        let next = WgpuEngine::<CpuTranscript>::try_new(params).unwrap();
        next.verify(&vk, &prove(&next).unwrap()).unwrap();
    }
}
