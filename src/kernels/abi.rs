//! What Rust writes and WGSL reads: structs and constants. The tests compare each with naga's reflection of the kernels.

use super::{CHECK_CONSTRAINTS, COSET_INTERPRET, COSET_PASS, DUAL_REDUCE, PLAIN_READ, TRANSPOSE};
use crate::kernel::{Kernel, shader_structs};

shader_structs! {
    /// `wgsl/shared/tile.wgsl`
    pub(crate) struct Tile { job, chunk, col_group, z_block }
    /// `wgsl/shared/columns.wgsl`
    pub(crate) struct ColumnJob {
        trace_base, row_stride, col_stride, row_mask, x_rows, row_offset, first_x, log_chunk, num_z, log_c, log_z, row_major, num_columns,
        columns_base, eq_low, eq_high, log_low, partial_base,
    }
    /// `wgsl/shared/coset.wgsl`
    pub(crate) struct CosetJob {
        program_base, num_segments, columns_base, values_base, weights_base, lagrange_base, identity, l_skip, row_mask, num_x,
        log_chunk, eq_low, eq_high, log_low, partial_base, temps_base, num_temps, first_tile,
    }
    /// `wgsl/check_constraints.wgsl`
    pub(crate) struct CheckJob {
        program_base, num_segments, columns_base, values_base, row_mask, log_rows, temps_base, num_temps, first_tile, results_base,
    }
    /// `wgsl/dual_reduce.wgsl`
    pub(crate) struct ReduceJob { num_z, log_z, result_base, first_run, num_runs, sides, nonce }
    /// `wgsl/dual_reduce.wgsl`
    pub(crate) struct ReduceRun { kind, partial_base, num_chunks, num_columns, num_stored, stored_z, weights_base, sides }
    /// `wgsl/transpose.wgsl`
    pub(crate) struct TransposeJob { rows_base, width, num_rows, columns_base, num_columns, out_base, column_words, row_stride, copies }
    /// `wgsl/field_ops.wgsl`
    pub(crate) struct FieldOpsParams { op, rounds }
}

/// Declares an enum whose cases are constants of a kernel, and lists them.
macro_rules! shader_enum {
    ($(#[$doc:meta])* $vis:vis enum $name:ident as $all:ident { $($(#[$case_doc:meta])* $case:ident = $value:literal as $constant:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        $vis enum $name { $($(#[$case_doc])* $case = $value),+ }

        const $all: &[(&str, u32)] = &[$(($constant, $value)),+];
    };
}

/// An operation of a program: `wgsl/shared/instructions.wgsl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Op {
    /// In a segment's list of loads, where interpreters do not look at the operation.
    Load = 0,
    Add = 1,
    Sub = 2,
    Mul = 3,
    Neg = 4,
    First = 5,
    Last = 6,
    Transition = 7,
    /// In a segment's list of roots, likewise.
    Root = 8,
}

shader_enum! {
    /// What partial sums a run of the reduction adds up.
    pub(crate) enum RunKind as RUN_KINDS {
        /// Columns at `z`.
        Columns = 0 as "RUN_COLUMNS",
        /// Columns at `z + 1`, for every `z` but the last.
        Next = 1 as "RUN_NEXT",
        /// The last `z`'s columns at `z + 1`.
        Wrap = 2 as "RUN_WRAP",
        /// Numerator and denominator, already weighted.
        Pairs = 3 as "RUN_PAIRS",
    }
}

/// Numerator, denominator or both, as bits 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sides(u32);

impl Sides {
    pub const BOTH: Self = Self::new(true, true);

    pub const fn new(numerator: bool, denominator: bool) -> Self {
        Self(numerator as u32 | (denominator as u32) << 1)
    }

    pub fn bits(self) -> u32 {
        self.0
    }

    pub fn count(self) -> u32 {
        self.0.count_ones()
    }
}

/// Says of an operand that it is an index into the values and not a temporary.
pub(crate) const OPERAND_VALUE: u32 = 1 << 31;

/// Says of an operand of a `RowProgram` that it is a leaf.
pub(crate) const OPERAND_LEAF: u32 = 1 << 30;

/// The operations and operands of programs as data, which kernels of other crates interpret too.
pub const INSTRUCTIONS: &[(&str, u32)] = &[
    ("OP_ADD", Op::Add as u32),
    ("OP_SUB", Op::Sub as u32),
    ("OP_MUL", Op::Mul as u32),
    ("OP_NEG", Op::Neg as u32),
    ("OP_FIRST", Op::First as u32),
    ("OP_LAST", Op::Last as u32),
    ("OP_TRANSITION", Op::Transition as u32),
    ("OPERAND_VALUE", OPERAND_VALUE),
    ("OPERAND_LEAF", OPERAND_LEAF),
];

/// Forms that a workgroup of `coset_pass` takes to a coset at a time.
pub(crate) const STAGED_FORMS: u32 = 8;

/// And boolean columns.
pub(crate) const STAGED_BITS: u32 = 32;

/// Rows of each failing constraint that `check_constraints` gives.
pub(crate) const FAILING_ROWS: u32 = 8;

/// What it gives for rows that there are not.
pub(crate) const NO_ROW: u32 = u32::MAX;

/// Rows and columns of a tile of `transpose`.
pub(crate) const TRANSPOSE_SIDE: u32 = 32;

/// Elements of 16 bytes that a workgroup of `plain_read` reads.
pub(crate) const READ_PER_WORKGROUP: u32 = 16384;

/// Constants that Rust and a kernel both name.
pub const CONSTANTS: &[(&Kernel, &[(&str, u32)])] = &[
    (&COSET_INTERPRET, INSTRUCTIONS),
    (&CHECK_CONSTRAINTS, INSTRUCTIONS),
    (&CHECK_CONSTRAINTS, &[("FAILING_ROWS", FAILING_ROWS), ("NO_ROW", NO_ROW)]),
    (&COSET_PASS, &[("STAGED_FORMS", STAGED_FORMS), ("STAGED_BITS", STAGED_BITS)]),
    (&DUAL_REDUCE, RUN_KINDS),
    (&TRANSPOSE, &[("SIDE", TRANSPOSE_SIDE)]),
    (&PLAIN_READ, &[("READ_PER_WORKGROUP", READ_PER_WORKGROUP)]),
];
