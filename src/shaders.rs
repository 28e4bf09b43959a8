//! The WGSL kernels: which exist, in which variants, and the layout of what they share with Rust.
//!
//! A shader is a kernel file behind the shared files that it needs. [`Variant::all`] lists every one that a device can be asked to
//! compile; the tests validate each with naga and translate it to MSL with the options of wgpu's Metal backend.

use bytemuck::{Pod, Zeroable};

use crate::plan::codegen;

/// How products of two words are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FieldForm {
    /// 64-bit products: needs `SHADER_INT64`, which Metal and Vulkan devices nearly always have.
    U64,
    /// 16-bit limbs: runs everywhere.
    U32,
}

impl FieldForm {
    /// Both forms.
    pub const ALL: [Self; 2] = [Self::U64, Self::U32];
}

/// A kernel. Its name is its file name, its pipeline's label and its bench's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kernel {
    /// `wgsl/column_sums.wgsl`
    ColumnSums,
    /// `wgsl/column_sums_scalar.wgsl`
    ColumnSumsScalar,
    /// `wgsl/coset_pass.wgsl` around a generated program
    CosetPass,
    /// `wgsl/coset_interpret.wgsl`
    CosetInterpret,
    /// `wgsl/dual_reduce.wgsl`
    DualReduce,
    /// `wgsl/field_ops.wgsl`
    FieldOps,
    /// `wgsl/plain_read.wgsl`
    PlainRead,
}

impl Kernel {
    /// Every kernel.
    pub const ALL: [Self; 7] = [
        Self::ColumnSums,
        Self::ColumnSumsScalar,
        Self::CosetPass,
        Self::CosetInterpret,
        Self::DualReduce,
        Self::FieldOps,
        Self::PlainRead,
    ];

    /// Those of a call, in the order in which they are recorded.
    pub(crate) const ROUND_0: [Self; 5] =
        [Self::ColumnSums, Self::ColumnSumsScalar, Self::CosetPass, Self::CosetInterpret, Self::DualReduce];

    /// The file name without its ending.
    pub fn name(self) -> &'static str {
        match self {
            Self::ColumnSums => "column_sums",
            Self::ColumnSumsScalar => "column_sums_scalar",
            Self::CosetPass => "coset_pass",
            Self::CosetInterpret => "coset_interpret",
            Self::DualReduce => "dual_reduce",
            Self::FieldOps => "field_ops",
            Self::PlainRead => "plain_read",
        }
    }

    /// Whether it reads traces, and so exists for each number of trace windows.
    pub fn reads_traces(self) -> bool {
        matches!(self, Self::ColumnSums | Self::ColumnSumsScalar | Self::CosetPass | Self::CosetInterpret)
    }

    /// The kernel's file and the shared files before it.
    fn files(self) -> &'static [&'static str] {
        const TILE: &str = include_str!("../wgsl/shared/tile.wgsl");
        const WORDS: &str = include_str!("../wgsl/shared/words.wgsl");
        const COLUMNS: &str = include_str!("../wgsl/shared/columns.wgsl");
        const COSET: &str = include_str!("../wgsl/shared/coset.wgsl");
        const LANES: &str = include_str!("../wgsl/shared/lanes.wgsl");
        match self {
            Self::ColumnSums => &[TILE, WORDS, COLUMNS, include_str!("../wgsl/column_sums.wgsl")],
            Self::ColumnSumsScalar => &[TILE, LANES, WORDS, COLUMNS, include_str!("../wgsl/column_sums_scalar.wgsl")],
            Self::CosetPass => &[TILE, LANES, WORDS, COSET, include_str!("../wgsl/coset_pass.wgsl")],
            Self::CosetInterpret => &[TILE, LANES, WORDS, COSET, include_str!("../wgsl/coset_interpret.wgsl")],
            Self::DualReduce => &[TILE, LANES, WORDS, include_str!("../wgsl/dual_reduce.wgsl")],
            Self::FieldOps => &[include_str!("../wgsl/field_ops.wgsl")],
            Self::PlainRead => &[include_str!("../wgsl/plain_read.wgsl")],
        }
    }
}

/// One shader: a kernel, a field form and, where the kernel reads traces, a number of trace windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Variant {
    /// The kernel.
    pub kernel: Kernel,
    /// The field arithmetic.
    pub form: FieldForm,
    /// Trace windows: 1, 2, 4 or 8; 0 for a kernel that reads none, and for programs without columns.
    pub slots: u32,
}

/// What a variant needs of a device's limits. The tests compare it with naga's reflection of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// Storage buffers.
    pub storage_buffers: u32,
    /// Bind groups.
    pub bind_groups: u32,
    /// Bindings of the larger group.
    pub bindings: u32,
    /// Threads of a workgroup.
    pub threads: u32,
    /// Bytes of a workgroup's memory.
    pub workgroup_bytes: u32,
}

impl Variant {
    /// What it needs.
    pub fn needs(self) -> Needs {
        // Bindings of group 0, how many of them are uniforms, threads, bytes of workgroup memory.
        let (own, uniforms, threads, workgroup_bytes) = match self.kernel {
            Kernel::ColumnSums => (5, 0, 64, 4096),
            Kernel::ColumnSumsScalar | Kernel::CosetInterpret => (5, 0, 256, 4096),
            Kernel::CosetPass => (5, 0, 128, 2048),
            Kernel::DualReduce => (6, 0, 256, 4096),
            Kernel::FieldOps => (4, 1, 256, 0),
            Kernel::PlainRead => (2, 0, 256, 0),
        };
        Needs {
            storage_buffers: own - uniforms + self.slots,
            bind_groups: 1 + u32::from(self.slots > 0),
            bindings: own.max(self.slots),
            threads,
            workgroup_bytes,
        }
    }

    /// Every variant.
    pub fn all() -> Vec<Self> {
        let mut variants = Vec::new();
        for kernel in Kernel::ALL {
            for form in FieldForm::ALL {
                let slots: &[u32] = match kernel {
                    Kernel::CosetPass | Kernel::CosetInterpret => &[0, 1, 2, 4, 8],
                    _ if kernel.reads_traces() => &[1, 2, 4, 8],
                    _ => &[0],
                };
                variants.extend(slots.iter().map(|&slots| Self { kernel, form, slots }));
            }
        }
        variants
    }

    /// The complete WGSL text; that of `CosetPass` with a program that adds nothing.
    pub fn source(self) -> String {
        self.source_with(&if self.kernel == Kernel::CosetPass { codegen::empty() } else { String::new() })
    }

    /// Values of the text's pipeline constants: the log2 of a trace window's words, and whether a generated kernel reads all its traces by
    /// 16-byte loads.
    pub fn constants(self, log_window: u32, quads: bool) -> Vec<(&'static str, f64)> {
        let mut constants = Vec::new();
        if self.slots > 1 {
            constants.push(("LOG_WINDOW", f64::from(log_window)));
        }
        if self.kernel == Kernel::CosetPass {
            constants.push(("QUADS", f64::from(u8::from(quads))));
        }
        constants
    }

    /// The complete WGSL text with a generated program.
    pub(crate) fn source_with(self, program: &str) -> String {
        let products = match self.form {
            FieldForm::U64 => include_str!("../wgsl/shared/field_u64.wgsl"),
            FieldForm::U32 => include_str!("../wgsl/shared/field_u32.wgsl"),
        };
        let trace = match self.slots {
            0 if self.kernel.reads_traces() => include_str!("../wgsl/shared/trace_0.wgsl"),
            0 => "",
            1 => include_str!("../wgsl/shared/trace_1.wgsl"),
            2 => include_str!("../wgsl/shared/trace_2.wgsl"),
            4 => include_str!("../wgsl/shared/trace_4.wgsl"),
            _ => include_str!("../wgsl/shared/trace_8.wgsl"),
        };
        let sums = include_str!("../wgsl/shared/field.wgsl");
        let mut source = [sums, products, include_str!("../wgsl/shared/ext4.wgsl"), trace].join("\n");
        for file in self.kernel.files() {
            source.push('\n');
            source.push_str(file);
        }
        source.push_str(program);
        source
    }
}

/// Declares a struct that a kernel reads, and notes its field offsets for [`LAYOUTS`].
macro_rules! shader_structs {
    ($($(#[$doc:meta])* $vis:vis struct $name:ident { $($field:ident),+ $(,)? })+) => {
        $($(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
        #[repr(C)]
        $vis struct $name { $(pub $field: u32),+ })+

        /// Every struct that Rust writes and a kernel reads: WGSL name, size in bytes, and each member's name and offset.
        pub const LAYOUTS: &[(&str, usize, &[(&str, usize)])] =
            &[$((stringify!($name), size_of::<$name>(), &[$((stringify!($field), std::mem::offset_of!($name, $field))),+])),+];
    };
}

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
        log_chunk, eq_low, eq_high, log_low, partial_base, temps_base, num_threads, first_tile,
    }
    /// `wgsl/dual_reduce.wgsl`
    pub(crate) struct ReduceJob { num_z, log_z, result_base, first_run, num_runs, parts, nonce }
    /// `wgsl/dual_reduce.wgsl`
    pub(crate) struct ReduceRun { kind, partial_base, num_chunks, num_columns, num_stored, stored_z, weights_base, parts }
    /// `wgsl/field_ops.wgsl`
    pub(crate) struct FieldOpsParams { op, rounds }
}
