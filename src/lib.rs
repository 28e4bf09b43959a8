//! Round 0 of OpenVM's constraint sumcheck on the GPU, through [wgpu], exact to the bit: LogUp and the plain constraints.
//!
//! OpenVM's SWIRL prover turns an AIR's bus interactions into a sum of fractions (LogUp) and proves that sum by a sumcheck whose round 0
//! is a *univariate skip*: instead of one bit, it binds a whole subgroup `D` of `2^l_skip` points at once. This crate computes that
//! round's polynomials from the traces, the interactions, the constraints and the challenges:
//!
//! ```text
//! s_p(Z) = sum_x eq(x) * sum_i w_i * m_i(Z, x)
//! s_q(Z) = sum_x eq(x) * sum_i w_i * ( sum_j beta^j * f_ij(Z, x) + beta^len_i * (b_i + 1) )
//! ```
//!
//! `m_i` is the count of interaction `i`, `f_ij` its message fields, `b_i` its bus, `w_i = eq_3bs[i]` its weight and `eq(x) = eq(xi, x)`.
//! A trace column `T` of `height = 2^(l_skip + n)` rows is the function `T(omega^z, x)` of its row `x * 2^l_skip + z`, for `x` in the
//! cube `H_n`, and of degree below `2^l_skip` in `Z`. The next row of row `r` is `(r + 1) mod height`. If `height < 2^l_skip`, there is
//! one `x`, and rows repeat.
//!
//! An AIR's plain constraints `c_i`, expressions that are zero on every row, have their polynomial in the same round and the same call:
//!
//! ```text
//! s_zc(Z) = sum_x eq(x) * sum_i lambda^i * c_i(Z, x)
//! ```
//!
//! The result equals, coefficient by coefficient, what `sumcheck_uni_round0_poly` with `EvalHelper::acc_interactions`, and for the constraints
//! `EvalHelper::acc_constraints`, of `openvm-stark-backend` 2.0.1 gives.
//!
//! # Example
//! ```
//! use logup_wgpu::{AirBuilder, Challenges, EF, F, Gpu, GpuOptions, Instance, Matrix, Round0, Round0Plan, Strategy, Trace};
//! use p3_field::PrimeCharacteristicRing;
//!
//! // An AIR that sends (a, b) on bus 7, a * b times.
//! let mut air = AirBuilder::new("products");
//! let main = air.main_part(2);
//! let (a, b) = (air.column(main, 0), air.column(main, 1));
//! let ab = air.mul(a, b);
//! air.interaction(7, [a, b], ab);
//! let plan = Round0Plan::new(air.build()?, 2, Strategy::Split)?; // a skip domain of 4 points
//!
//! let gpu = Gpu::new(GpuOptions::default())?; // Metal on a Mac, Vulkan elsewhere
//! let cells: Vec<F> = (0..2 * 8).map(F::from_u32).collect(); // 8 rows
//! let trace = Trace::new(&gpu, Matrix::row_major(&cells, 2))?;
//!
//! // 8 / 4 = 2 points x, so one challenge xi.
//! let challenges = Challenges { xi: &[EF::from_u32(5)], beta: EF::from_u32(1_000), lambda: EF::ONE };
//! let instance = Instance::new(&plan).main([&trace]).weights(&[EF::ONE]);
//! let output = Round0::new(&gpu).evaluate(&challenges, &[instance])?;
//! assert_eq!(output.polys[0].numerator.len(), 2 * 4); // degree 2 times 4 points
//! assert_eq!((output.stats.submissions, output.stats.waits), (1, 1));
//! # Ok::<(), logup_wgpu::Error>(())
//! ```
//!
//! # How it is fast
//! An affine expression commutes with interpolation in `Z`, so the affine part of every message and count follows from *column sums* on
//! `D` alone: one read of each used column, no transform, no coset. Only products of two trace expressions need the textbook coset
//! evaluation, over few columns, on as many cosets as their own degree ([`Strategy::Split`]). All passes of all AIRs and one reduction
//! for numerator and denominator go into one command encoder, submitted once, with one wait ([`Schedule::Batched`]).
//! The page [`design`] has the whole story.
//!
//! # Where to read
//! [`Air`] and [`AirBuilder`] (interactions as data), [`Round0Plan`] (what is decided once per AIR), [`Gpu`] and [`Trace`] (the
//! device), [`Round0`] (the one call) with [`Challenges`] and [`Instance`] (its inputs), [`Round0Stats`] (what it did),
//! [`reference`](mod@reference) (the oracle).
//!
//! # With OpenVM
//! The crate `openvm-wgpu` has a prover engine on top of this one, and translates OpenVM's AIRs and matrices.

#![deny(unsafe_code)] // docs/safety.md lists the exceptions
#![warn(missing_docs)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod air;
mod error;
mod field;
mod gpu;
mod kernel;
mod kernels;
mod limits;
mod matrix;
mod plan;
mod recording;
pub mod reference;
mod round0;
mod stats;

pub use self::{
    air::{Air, AirBuilder, Column, Interaction, MAX_DEGREE, Node, NodeId, Part},
    error::{Error, Result, Source, Subject},
    field::{EF, F, P},
    gpu::{AdapterChoice, AdapterEntry, BufferColumns, BufferMatrix, Gpu, GpuOptions, Profile, Trace},
    kernel::FieldForm,
    limits::DeviceLimits,
    matrix::{ColumnsOf, Layout, Matrix},
    plan::{Estimate, MAX_L_SKIP, Rates, Round0Plan, Strategy},
    round0::{
        Challenges, ConstraintCheck, FailingConstraint, Frac, InFlight, Instance, RecordedCall, RecordedCheck, Round0, Round0Options,
        Round0Output, Round0Polys, Schedule, WarmUp, WarmUpProgress, numerator_scale,
    },
    stats::{Round0Stats, StageTime},
};

/// Kernels, recordings, buffers and words: what a crate with further kernels builds on.
pub mod compute {
    pub use crate::{
        field::{EXT_WORDS, copy_words, ext_from_words, ext_words, from_word, word},
        gpu::{Buffer, BufferPool, Executor, Input, Once, PlacedColumns, RunReport, Submission},
        kernel::{Access, Argument, Kernel, Library, Needs, ProgramText, StructLayout, Variant},
        kernels::{INSTRUCTIONS, SHARED},
        plan::{RowForm, RowProgram},
        recording::{Binding, BufferUse, Dispatch, KeptBuffer, Recording, Resource, TraceWindow},
    };
}

/// What exists for tests, benches and the curious: this crate's kernels one by one, and its field arithmetic alone.
pub mod introspect {
    #[doc(hidden)]
    pub use crate::gpu::EditShader;
    pub use crate::gpu::{FieldOp, FieldOps};

    /// This crate's kernels, and what Rust and they share.
    pub mod kernels {
        pub use crate::kernels::*;
    }
}

pub use p3_baby_bear;
pub use p3_field;
pub use p3_matrix;
pub use wgpu;

#[doc = include_str!("../docs/design.md")]
pub mod design {}

/// The README's example is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
