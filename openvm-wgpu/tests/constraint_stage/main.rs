//! The constraint stage on the device beside the stock CPU device's: GKR, round 0 and the rounds after it, value by value.

#[path = "../../../tests/support/mod.rs"]
mod support;

mod air;
mod case;
mod layouts;
