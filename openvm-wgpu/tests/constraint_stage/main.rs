//! The constraint stage on the device beside the stock CPU device's: GKR, round 0 and the rounds after it, value by value.

#[path = "../../../tests/support/mod.rs"]
mod support;

#[path = "../observers/mod.rs"]
mod observers;

mod air;
mod case;
mod layouts;
mod memory;
mod metal;
mod portable;
mod recorded;
mod trust;
mod whole;
