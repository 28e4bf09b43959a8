//! A device that is lost: every call says so, nothing panics, and another device can be opened.

use crate::support::{
    Case, Uploaded, assert_same,
    random_air::{Size, random_case},
    rng,
};
use logup_wgpu::{
    Error, Gpu, GpuOptions, Layout, Matrix, Round0, Strategy, Trace,
    introspect::{FieldOp, FieldOps},
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
    let instances = uploaded.instances();
    let plans: Vec<_> = uploaded.plans.iter().collect();
    for _ in 0..2 {
        is_lost("evaluate", round0.evaluate(&uploaded.challenges(), &instances));
        is_lost("submit", round0.submit(&uploaded.challenges(), &instances).map(|_| ()));
        is_lost("evaluate with a new engine", Round0::new(gpu).evaluate(&uploaded.challenges(), &instances));
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
    use super::*;
    use crate::support::faulty::{Fault, Faulty};

    /// The engine's wait, and the wait for a call in flight.
    #[test]
    fn the_wait_is_an_error_and_no_panic() {
        let Some(driver) = Faulty::driver("lost::in_the_wait::the_wait_is_an_error_and_no_panic") else { return };
        let gpu = Gpu::new(GpuOptions::default()).unwrap();
        let cases = [case()];
        let uploaded = Uploaded::together(&gpu, &cases, Strategy::Split);
        let round0 = Round0::new(&gpu);
        assert_same(&uploaded.evaluate(&round0).polys[0], &cases[0].reference(), "before the loss");
        let instances = uploaded.instances();
        let in_flight = round0.submit(&uploaded.challenges(), &instances).unwrap();
        driver.is(Fault::Lose);
        is_lost("wait", in_flight.wait());
        driver.is_well();
        // The driver is well again; the device is not.
        all_calls_say_lost(&gpu, &round0, &uploaded);
        let other = Gpu::new(GpuOptions::default()).unwrap();
        let uploaded = Uploaded::together(&other, &cases, Strategy::Split);
        let round0 = Round0::new(&other);
        assert_same(&uploaded.evaluate(&round0).polys[0], &cases[0].reference(), "on another device");
        driver.is(Fault::Lose);
        is_lost("evaluate", round0.evaluate(&uploaded.challenges(), &uploaded.instances()));
        driver.is_well();
    }
}
