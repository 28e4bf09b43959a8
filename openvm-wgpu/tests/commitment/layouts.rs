//! Commitments to traces of all shapes, in both field forms.

use logup_wgpu::{F, FieldForm, Gpu};
use openvm_cpu_backend::{CpuBackend, CpuDevice};
use openvm_stark_backend::{
    SystemParams,
    prover::{ProverBackend, TraceCommitter},
    test_utils::test_system_params_small,
};
use openvm_stark_sdk::config::baby_bear_poseidon2::{BabyBearPoseidon2Config, Digest};
use openvm_wgpu::WgpuDevice;
use p3_matrix::dense::RowMajorMatrix;
use rand::{Rng, rngs::StdRng};

use crate::support::{random_f, rng};

type SC = BabyBearPoseidon2Config;
type PcsData = <CpuBackend<SC> as ProverBackend>::PcsData;

/// Both devices, with one configuration.
struct Devices {
    stock: CpuDevice<SC>,
    ours: Vec<WgpuDevice>,
}

impl Devices {
    fn new(params: SystemParams, gpus: &[&Gpu]) -> Self {
        let config = SC::default_from_params(params);
        let ours = gpus.iter().map(|gpu| WgpuDevice::new(config.clone(), gpu).unwrap()).collect();
        Self { stock: CpuDevice::new(config), ours }
    }

    fn assert_same(&self, traces: &[RowMajorMatrix<F>]) {
        let traces: Vec<&RowMajorMatrix<F>> = traces.iter().collect();
        let shapes: Vec<(usize, usize)> = traces.iter().map(|trace| (trace.width, trace.values.len() / trace.width)).collect();
        let expected = TraceCommitter::<CpuBackend<SC>>::commit(&self.stock, &traces).unwrap();
        for ours in &self.ours {
            let how = format!("{:?}, {:?}, (width, height) {shapes:?}", ours.gpu().field_form(), self.stock.params());
            assert_equal(&TraceCommitter::commit(ours, &traces).unwrap(), &expected, &how);
        }
    }
}

fn assert_equal((root, data): &(Digest, PcsData), (expected_root, expected): &(Digest, PcsData), how: &str) {
    assert!(data.matrix.values == expected.matrix.values, "stacked matrix: {how}");
    let (rows, expected_rows) = (data.tree.backing_matrix(), expected.tree.backing_matrix());
    assert_eq!(rows.width, expected_rows.width, "{how}");
    let differing = rows.values.iter().zip(&expected_rows.values).filter(|(a, b)| a != b).count();
    assert_eq!((differing, rows.values.len()), (0, expected_rows.values.len()), "words of the codeword: {how}");
    let layers = data.tree.digest_layers();
    assert_eq!(layers.len(), expected.tree.digest_layers().len(), "{how}");
    for (i, (layer, expected)) in layers.iter().zip(expected.tree.digest_layers()).enumerate() {
        assert!(layer == expected, "layer {i}: {how}");
    }
    assert_eq!((root, data.tree.rows_per_query()), (expected_root, expected.tree.rows_per_query()), "{how}");
}

fn trace(rng: &mut StdRng, width: usize, log_height: usize) -> RowMajorMatrix<F> {
    RowMajorMatrix::new(random_f(rng, width << log_height), width)
}

fn gpus() -> [&'static Gpu; 2] {
    FieldForm::ALL.map(crate::support::gpu)
}

/// Every l_skip and stacked height that there is up to 2^14, rates and rows of a query; traces above, at and below 2^l_skip.
#[test]
fn small_commitments_are_the_stock_ones() {
    let mut rng = rng(31);
    for log_height in 1..=14 {
        for l_skip in 0..=log_height.min(12) {
            if log_height > 9 && (l_skip + log_height) % 5 != 0 {
                continue;
            }
            let log_blowup = 1 + (l_skip + log_height) % 4;
            let k = 1 + (l_skip + 2 * log_height) % 6;
            if k > log_height {
                continue;
            }
            let mut params = test_system_params_small(l_skip, log_height - l_skip, k.min(log_height));
            params.log_blowup = log_blowup;
            let devices = Devices::new(params, &gpus());
            let mut heights: Vec<usize> = (0..3).map(|_| rng.random_range(0..=log_height)).collect();
            heights.sort_unstable_by(|a, b| b.cmp(a));
            let traces: Vec<_> = heights.into_iter().map(|height| trace(&mut rng, height % 5 + 1, height)).collect();
            devices.assert_same(&traces);
        }
    }
}
