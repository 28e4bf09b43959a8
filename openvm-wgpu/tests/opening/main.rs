//! The openings on the device beside the stock CPU device's: the same stacked reduction, the same WHIR, value by value.

#[path = "../../../tests/support/mod.rs"]
mod support;

#[path = "../observers/mod.rs"]
mod observers;

mod case;
mod layouts;
mod metal;
mod portable;
mod recorded;
mod trust;
