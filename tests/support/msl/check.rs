//! Whole calls on the Metal text, compared coefficient by coefficient.

use logup_wgpu::{Gpu, Round0Polys, Schedule};

use super::{Counts, Machine, Order};
use crate::support::{SCHEDULES, Uploaded, assert_same};

pub const ORDERS: [Order; 2] = [Order::Ascending, Order::Descending];

/// Replays one call and compares every coefficient.
pub fn check(machine: Machine<'_>, gpu: &Gpu, uploaded: &Uploaded<'_>, schedule: Schedule, expected: &[Round0Polys], how: &str) -> Counts {
    let how = format!("{how}, {:?}, {schedule:?}, {:?}, {:?}", machine.form, machine.order, machine.build);
    let (polys, counts) = machine.evaluate(gpu, uploaded, schedule).unwrap_or_else(|error| panic!("{how}: {error}"));
    for (i, (got, expected)) in polys.iter().zip(expected).enumerate() {
        assert_same(got, expected, &format!("{how}, {}", uploaded.cases[i].air.name()));
    }
    counts
}

/// The same in both schedules and both orders of the threads.
pub fn check_all(gpu: &Gpu, uploaded: &Uploaded<'_>, expected: &[Round0Polys], how: &str) -> Counts {
    let mut counts = Counts::default();
    for schedule in SCHEDULES {
        for order in ORDERS {
            counts += check(Machine::new(gpu.field_form(), order), gpu, uploaded, schedule, expected, how);
        }
    }
    counts
}
