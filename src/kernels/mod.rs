//! This crate's kernels: the one place in which each is registered. `CONTRIBUTING.md` tells how to add one.

mod abi;

pub use self::abi::{CONSTANTS, INSTRUCTIONS, LAYOUTS};
pub(crate) use self::abi::{
    CheckJob, ColumnJob, CosetJob, FAILING_ROWS, FieldOpsParams, NO_ROW, OPERAND_LEAF, OPERAND_VALUE, Op, READ_PER_WORKGROUP, ReduceJob,
    ReduceRun, RunKind, STAGED_BITS, STAGED_FORMS, Sides, TRANSPOSE_SIDE, Tile, TransposeJob,
};
use crate::kernel::{Argument, Kernel, Library, Variant};

/// The WGSL file `wgsl/<name>.wgsl`.
macro_rules! wgsl {
    ($name:literal) => {
        include_str!(concat!("../../wgsl/", $name, ".wgsl"))
    };
}

macro_rules! library {
    ($($name:literal),+ $(,)?) => {
        Library { files: &[$(($name, wgsl!($name))),+], parent: None }
    };
}

/// Declares kernels as statics, and the table of all. `name` is the file; what is left out is `NONE`'s.
macro_rules! kernels {
    ($($(#[$doc:meta])* $static:ident = $name:literal { $($field:ident: $value:expr),+ $(,)? })+) => {
        $($(#[$doc])*
        pub static $static: Kernel = Kernel { name: $name, source: wgsl!($name), $($field: $value,)+ ..NONE };)+

        /// Every kernel.
        pub static ALL: &[&Kernel] = &[$(&$static),+];
    };
}

/// What the kernels share; those of other crates can import from it too.
pub static SHARED: Library = library![
    "shared/columns",
    "shared/coset",
    "shared/ext4",
    "shared/field",
    "shared/field4",
    "shared/field_u32",
    "shared/field_u64",
    "shared/instructions",
    "shared/lanes",
    "shared/tile",
    "shared/trace",
    "shared/values",
    "shared/words",
];

/// Stages, by which statistics add up dispatches.
pub mod stage {
    /// Sums of columns over the cube, for the affine part.
    pub const COLUMN_SUMS: &str = "column_sums";
    /// The non-affine part on cosets.
    pub const COSET_PASSES: &str = "coset_passes";
    /// Constraints on the traces' own rows.
    pub const CHECKS: &str = "checks";
    /// Partial sums to evaluations of the polynomials.
    pub const REDUCTION: &str = "reduction";
    /// No part of a call.
    pub const TOOL: &str = "tool";
}

const NONE: Kernel = Kernel {
    name: "",
    source: "",
    library: &SHARED,
    stage: stage::TOOL,
    workgroup_size: 256,
    workgroup_bytes: 0,
    arguments: &[],
    windows: &[0],
    constants: &[],
    stub: None,
};

const TILES: Argument = Argument::read("tiles");
const JOBS: Argument = Argument::read("jobs");
const WORDS: Argument = Argument::read("words");
const EQ: Argument = Argument::read("eq");
const COLUMN_ARGUMENTS: &[Argument] = &[TILES, JOBS, WORDS, EQ, Argument::read_write("partials")];
const COSET_ARGUMENTS: &[Argument] = &[TILES, JOBS, WORDS, EQ, Argument::read_write("scratch")];

/// Storage buffers that a kernel which reads traces binds beside their windows.
pub(crate) const BUFFERS_BESIDE_WINDOWS: u32 = {
    assert!(COLUMN_ARGUMENTS.len() == COSET_ARGUMENTS.len());
    COSET_ARGUMENTS.len() as u32
};

kernels! {
    /// Sums of columns by 16-byte loads. 64 threads were measured against 128 and 256 on an H200 (2026-11-22): narrow AIRs 10 to 20 % faster.
    COLUMN_SUMS = "column_sums" {
        stage: stage::COLUMN_SUMS,
        workgroup_size: 64,
        workgroup_bytes: 4096,
        arguments: COLUMN_ARGUMENTS,
        windows: &[1, 2, 4, 8],
    }
    /// Sums of columns by word loads.
    COLUMN_SUMS_SCALAR = "column_sums_scalar" {
        stage: stage::COLUMN_SUMS,
        workgroup_bytes: 4096,
        arguments: COLUMN_ARGUMENTS,
        windows: &[1, 2, 4, 8],
    }
    /// A generated program on cosets. 64, 128 and 256 threads were measured on an H200 (2026-11-22).
    COSET_PASS = "coset_pass" {
        stage: stage::COSET_PASSES,
        workgroup_size: 128,
        workgroup_bytes: 10240,
        arguments: COSET_ARGUMENTS,
        windows: &[0, 1, 2, 4, 8],
        constants: &["VEC4_LOADS"],
        stub: Some(wgsl!("stub/program")),
    }
    /// A program as data on cosets.
    COSET_INTERPRET = "coset_interpret" {
        stage: stage::COSET_PASSES,
        workgroup_bytes: 4096,
        arguments: COSET_ARGUMENTS,
        windows: &[0, 1, 2, 4, 8],
    }
    /// A program as data on rows: which constraints fail, where and how often.
    CHECK_CONSTRAINTS = "check_constraints" {
        stage: stage::CHECKS,
        arguments: &[TILES, JOBS, WORDS, Argument::read_write("scratch"), Argument::read_write("results")],
        windows: &[0, 1, 2, 4, 8],
    }
    /// Partial sums to numerators and denominators.
    DUAL_REDUCE = "dual_reduce" {
        stage: stage::REDUCTION,
        workgroup_bytes: 4096,
        arguments: &[TILES, JOBS, Argument::read("runs"), WORDS, Argument::read("partials"), Argument::read_write("results")],
    }
    /// Columns of row-major matrices to column-major ones.
    TRANSPOSE = "transpose" {
        workgroup_bytes: 4224,
        arguments: &[TILES, JOBS, Argument::read("columns"), Argument::read("rows"), Argument::read_write("out")],
    }
    /// The field's operations, one by one.
    FIELD_OPS = "field_ops" {
        arguments: &[Argument::uniform("params"), Argument::read("a"), Argument::read("b"), Argument::read_write("out")],
    }
    /// A read of memory and nothing else.
    PLAIN_READ = "plain_read" {
        arguments: &[Argument::read("input"), Argument::read_write("out")],
    }
}

/// Every shader of this crate that a device can be asked to compile, but for generated programs.
pub fn variants() -> impl Iterator<Item = Variant> {
    ALL.iter().flat_map(|kernel| kernel.variants())
}
