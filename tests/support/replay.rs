//! The stock transcript with its proofs of work written down, so that two provers can be compared byte for byte, and timed without the luck
//! of the search: the stock grinder takes whichever witness a thread finds first.

use std::sync::{Arc, Mutex};

use logup_wgpu::{EF, F};
use openvm_stark_backend::{FiatShamirTranscript, StarkProtocolConfig};
use openvm_stark_sdk::config::baby_bear_poseidon2::{BabyBearPoseidon2Config, CpuTranscript};
use p3_baby_bear::{Poseidon2BabyBear, default_babybear_poseidon2_16};

/// The transcript of a prover that searches each witness, or of one that takes those of another.
#[derive(Clone)]
pub struct ReplayTranscript {
    inner: CpuTranscript,
    witnesses: Witnesses,
}

#[derive(Clone)]
enum Witnesses {
    /// Searched and written down.
    Found(Arc<Mutex<Vec<F>>>),
    /// Taken from here, in reverse order.
    Given(Vec<F>),
}

impl From<Poseidon2BabyBear<16>> for ReplayTranscript {
    fn from(permutation: Poseidon2BabyBear<16>) -> Self {
        Self { inner: permutation.into(), witnesses: Witnesses::Found(Arc::default()) }
    }
}

impl ReplayTranscript {
    /// A transcript that searches.
    pub fn searching() -> Self {
        default_babybear_poseidon2_16().into()
    }

    /// A transcript that takes, from its start, what this one and its clones have found.
    pub fn replay(&self) -> Self {
        let Witnesses::Found(found) = &self.witnesses else { panic!("only a search can be replayed") };
        let mut given = found.lock().unwrap().clone();
        given.reverse();
        Self { inner: default_babybear_poseidon2_16().into(), witnesses: Witnesses::Given(given) }
    }
}

impl FiatShamirTranscript<BabyBearPoseidon2Config> for ReplayTranscript {
    fn observe(&mut self, value: F) {
        self.inner.observe(value);
    }

    fn sample(&mut self) -> F {
        self.inner.sample()
    }

    fn observe_commit(&mut self, digest: <BabyBearPoseidon2Config as StarkProtocolConfig>::Digest) {
        self.inner.observe_commit(digest);
    }

    fn observe_ext(&mut self, value: EF) {
        self.inner.observe_ext(value);
    }

    fn grind(&mut self, bits: usize) -> F {
        match &mut self.witnesses {
            Witnesses::Found(found) => {
                let witness = self.inner.grind(bits);
                found.lock().unwrap().push(witness);
                witness
            }
            Witnesses::Given(given) => {
                let witness = given.pop().expect("as many witnesses as in the search");
                assert!(self.inner.check_witness(bits, witness), "the transcripts differ before a proof of work");
                witness
            }
        }
    }
}
