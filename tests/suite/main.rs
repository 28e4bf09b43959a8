//! The tests of the crate as its users use it, in one program: it is linked once, and its tests share two cores better than twenty programs one
//! after another. Tests that need a process of their own (environment, tracing subscribers, examples) or a compiler beside it (msl, portable)
//! are beside this folder.

#[path = "../stock/mod.rs"]
mod stock;
#[path = "../support/mod.rs"]
mod support;

mod checks;
mod columns;
mod concurrency;
mod endurance;
mod errors;
mod faults;
mod fence;
mod field;
mod hostile;
mod kept;
mod known_answers;
mod limits;
mod lost;
mod profiles;
mod random_airs;
mod shaders;
mod shapes;
mod snapshots;
mod stats;
mod submissions;
mod submit;
mod windows;
mod zerocheck;
