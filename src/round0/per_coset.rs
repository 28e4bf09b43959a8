//! A baseline, kept to measure against: how this kernel was driven where it comes from. For each AIR and coset the host allocates scratch,
//! expands `eq`, reduces numerator and denominator apart, and waits. All that only this schedule needs is here.

use p3_field::PrimeCharacteristicRing;

use super::{
    prepared::{Prepared, PreparedCall},
    record::{Block, EqOf, EqTables, Step, Work},
};
use crate::{field::EF, kernels::Sides};

const NUMERATOR_THEN_DENOMINATOR: [Sides; 2] = [Sides::new(true, false), Sides::new(false, true)];

/// The steps of a call: one for each AIR and coset.
pub(super) fn steps(call: &PreparedCall<'_>) -> Vec<Step> {
    let all = Work::all(&call.instances);
    let of_instance = all.chunk_by(|a, b| a.instance == b.instance);
    of_instance.flat_map(|work| steps_of_instance(&call.instances, work)).collect()
}

fn steps_of_instance(instances: &[Prepared<'_>], work: &[Work]) -> Vec<Step> {
    // The affine part goes with the first coset: both are the identity coset's.
    let groups = work.chunk_by(|one, next| one.block == Block::Affine && next.block == Block::Coset(0));
    let step = |(i, group): (usize, &[Work])| Step {
        work: group.to_vec(),
        eq: expanded_eq(instances, work[0].instance, i > 0),
        reductions: &NUMERATOR_THEN_DENOMINATOR,
        fresh_scratch: true,
    };
    groups.enumerate().map(step).collect()
}

/// All evaluations of an instance's `eq`; those of a later coset are still on the device.
fn expanded_eq(instances: &[Prepared<'_>], instance: usize, resident: bool) -> EqTables {
    let mut tables = EqTables { of: vec![EqOf::default(); instances.len()], ..EqTables::default() };
    let prepared = &instances[instance];
    let high = tables.add(&[EF::ONE]);
    let low = tables.add(&prepared.eq.to_evals());
    tables.of[instance] = EqOf { low, high, log_low: prepared.num_x.ilog2() };
    if resident {
        tables.content.clear();
    }
    tables
}
