//! Memory stays flat over 10,000 calls and over 500 engines.

use crate::support::{
    Case, SCHEDULES, Uploaded,
    flat::is_flat,
    gpu,
    random_air::{Size, random_case},
    rng,
};
use logup_wgpu::{FieldForm, Gpu, GpuOptions, Round0, Strategy};

fn case() -> Case {
    let size = Size { max_degree: 3, num_ops: 12, num_interactions: 3, max_message_len: 3 };
    random_case(&mut rng(3), size, 3, 64)
}

#[test]
fn calls() {
    let cases = [case()];
    let mut engine = None;
    is_flat(
        "endurance::calls",
        || gpu(FieldForm::U64).clone(),
        10_000,
        "calls",
        |gpu, i| {
            let (engine, uploaded) = engine.get_or_insert_with(|| (Round0::new(gpu), Uploaded::together(gpu, &cases, Strategy::Split)));
            let instances = uploaded.instances();
            match i % 10 {
                0 => drop(engine.submit(&uploaded.challenges(), &instances).unwrap()),
                1 => assert!(engine.evaluate(&uploaded.challenges(), &instances[..0]).unwrap().polys.is_empty()),
                2 => assert!(engine.evaluate(&uploaded.challenges(), &[instances[0].clone().weights(&[])]).is_err()),
                _ => _ = engine.evaluate(&uploaded.challenges(), &instances).unwrap(),
            }
        },
    );
}

#[test]
fn engines() {
    let cases = [case()];
    is_flat(
        "endurance::engines",
        || Gpu::new(GpuOptions::default()).unwrap(),
        500,
        "engines",
        |gpu, i| {
            let uploaded = Uploaded::apart(gpu, &cases, Strategy::Split);
            let _ = uploaded.evaluate(&Round0::with_schedule(gpu, SCHEDULES[i % 2]));
        },
    );
}
