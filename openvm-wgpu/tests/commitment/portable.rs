//! The commitment in Dawn, through a second WGSL compiler: see `tests/portable.rs` of the repository.

use openvm_cpu_backend::{CpuBackend, CpuDevice};
use openvm_stark_backend::{prover::TraceCommitter, test_utils::test_system_params_small};
use openvm_stark_sdk::config::baby_bear_poseidon2::BabyBearPoseidon2Config;
use openvm_wgpu::WgpuDevice;
use p3_matrix::dense::RowMajorMatrix;

use crate::{
    Shape,
    support::{dawn::Dawn, portable::webgpu, random_f, rng},
};

type SC = BabyBearPoseidon2Config;

#[test]
#[ignore = "runs in Dawn: make check-portable"]
fn commitments_are_the_stock_ones() {
    let gpu = webgpu(|_| {});
    let mut rng = rng(61);
    let shapes: [Shape; 3] = [(4, 13, 4, &[(9, 13), (3, 12), (5, 2)]), (0, 3, 1, &[(2, 3), (1, 0)]), (6, 9, 2, &[(17, 9), (1, 5)])];
    let mut dawn = Dawn::new("commitment", 8);
    let commitments = shapes.map(|(l_skip, log_height, k, shapes)| {
        let config = SC::default_from_params(test_system_params_small(l_skip, log_height - l_skip, k));
        let traces: Vec<_> = shapes.iter().map(|&(width, log)| RowMajorMatrix::new(random_f(&mut rng, width << log), width)).collect();
        let traces: Vec<&RowMajorMatrix<_>> = traces.iter().collect();
        let (_, expected) = TraceCommitter::<CpuBackend<SC>>::commit(&CpuDevice::new(config.clone()), &traces).unwrap();
        let commitment = WgpuDevice::new(config, &gpu).unwrap().record_commitment(&traces).unwrap();
        let submissions = dawn.call(&gpu, std::slice::from_ref(&commitment.recording));
        (commitment, expected, submissions)
    });
    let ran = dawn.run();
    for (commitment, expected, submissions) in commitments {
        let [words] = &ran.results[submissions] else { panic!("one recording") };
        assert!(commitment.digest_layers(words).as_ref() == Some(expected.tree.digest_layers()), "on {}", ran.adapter);
    }
    println!("{} recordings, {} kernels, {} words compared on {}", ran.results.len(), ran.num_kernels, ran.num_words(), ran.adapter);
}
