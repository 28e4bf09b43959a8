//! A commitment that is known: asked of a device's kernels before any other.

use logup_wgpu::{Error, F, Result};
use openvm_cpu_backend::{CpuBackend, CpuDevice};
use openvm_stark_backend::{StarkProtocolConfig, prover::TraceCommitter};
use openvm_stark_sdk::config::baby_bear_poseidon2::BabyBearPoseidon2Config;
use p3_field::PrimeCharacteristicRing;
use p3_matrix::dense::RowMajorMatrix;
use tracing::subscriber::NoSubscriber;

use super::Committer;
use crate::{
    SC,
    kernels::{CODE_PASS, ROW_HASH},
};

/// log2 of the stacked height: a pass over strided words, one over consecutive ones.
const LOG_HEIGHT: usize = 13;
/// Columns and log2 of the rows of each trace: a sponge of two blocks, a trace that is spread out.
const TRACES: [(usize, usize); 3] = [(9, 13), (4, 9), (3, 1)];

impl Committer {
    /// Has the kernels commit to known traces with this configuration's skip domain, rate and queries. The answer is the stock CPU device's.
    ///
    /// # Errors
    /// [`Error::WrongAnswer`], as of all that the device is asked from then on.
    pub fn ask(&self, config: &SC) -> Result<()> {
        // No proof's spans and events.
        tracing::subscriber::with_default(NoSubscriber::default(), || self.ask_for(config))
    }

    fn ask_for(&self, config: &SC) -> Result<()> {
        let gpu = &self.compute.gpu;
        let mut params = config.params().clone();
        params.n_stack = LOG_HEIGHT - params.l_skip.min(LOG_HEIGHT);
        let config = BabyBearPoseidon2Config::default_from_params(params);
        let traces = TRACES.map(|(width, log_height)| {
            let mut state = F::from_usize(width + 5);
            let cells = (0..width << log_height).map(|i| {
                state = state.square() + F::from_usize(i);
                state
            });
            RowMajorMatrix::new(cells.collect(), width)
        });
        let traces = traces.each_ref();
        let Ok((expected_root, expected)) = TraceCommitter::<CpuBackend<SC>>::commit(&CpuDevice::new(config.clone()), &traces) else {
            return Ok(()); // a configuration that there is no commitment with
        };
        let (root, data, ..) = match self.compute_commitment(&config, &traces, true) {
            // Less room than a megabyte: not asked.
            Err(Error::DeviceLimit { .. }) => return Ok(()),
            answer => answer?,
        };
        let reason = || "the known answer of traces of this crate".to_owned();
        if data.tree.backing_matrix() != expected.tree.backing_matrix() {
            return Err(gpu.distrust(CODE_PASS.name, reason()));
        }
        if root != expected_root || data.tree.digest_layers() != expected.tree.digest_layers() {
            return Err(gpu.distrust(ROW_HASH.name, reason()));
        }
        Ok(())
    }
}
