//! A baseline, kept to measure against: how this kernel was driven where it comes from. For each AIR and coset the host allocates scratch,
//! expands `eq`, reduces numerator and denominator apart, and waits. All that only this schedule needs is here.

use p3_field::PrimeCharacteristicRing;

use super::{
    prepared::{Prepared, PreparedCall},
    record::{Block, EqOf, EqTables, Step, Work},
};
use crate::{field::EF, kernels::Sides};

const NUMERATOR_THEN_DENOMINATOR: [Sides; 2] = [Sides::new(true, false), Sides::new(false, true)];

/// One AIR on one coset.
#[derive(Debug)]
pub(super) struct Coset {
    work: Vec<Work>,
    /// Whether the AIR's `eq` is still on the device, from its first coset.
    eq_is_resident: bool,
}

/// The AIRs and cosets of a call, in order. A pair's affine part goes with its first coset.
pub(super) fn cosets(call: &PreparedCall<'_>) -> Vec<Coset> {
    let all = Work::all(call);
    let of_instance = all.chunk_by(|a, b| a.instance == b.instance);
    let cosets = of_instance.flat_map(|work| {
        let groups = work.chunk_by(|one, next| one.pair == next.pair && one.block == Block::Affine);
        groups.enumerate().map(|(i, group)| Coset { work: group.to_vec(), eq_is_resident: i > 0 })
    });
    cosets.collect()
}

impl Coset {
    /// What is waited for.
    pub fn step(self, call: &PreparedCall<'_>) -> Step {
        let eq = self.eq(&call.instances);
        Step { work: self.work, eq, reductions: &NUMERATOR_THEN_DENOMINATOR, fresh_scratch: true }
    }

    /// All evaluations of the AIR's `eq`.
    fn eq(&self, instances: &[Prepared<'_>]) -> EqTables {
        let instance = self.work[0].instance;
        let prepared = &instances[instance];
        let mut tables = EqTables { of: vec![EqOf::default(); instances.len()], ..EqTables::default() };
        if self.eq_is_resident {
            tables.num_elements = 1 + u64::from(prepared.num_x);
        } else {
            tables.add(&[EF::ONE]);
            tables.add(&prepared.eq.to_evals());
        }
        tables.of[instance] = EqOf { high: 0, low: 1, log_low: prepared.num_x.ilog2() };
        tables
    }
}
