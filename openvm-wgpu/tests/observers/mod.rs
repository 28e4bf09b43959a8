//! Who is told of a device's recordings, and runs them elsewhere beside it.

mod compare;
pub mod dawn;
pub mod metal;
