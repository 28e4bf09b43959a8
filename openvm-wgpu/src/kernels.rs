//! This crate's kernels: the one place in which each is registered, with what Rust writes for it.

use bytemuck::{Pod, Zeroable};
use logup_wgpu::compute::{Argument, INSTRUCTIONS, Kernel, Library, SHARED, StructLayout, Variant};

macro_rules! wgsl {
    ($name:literal) => {
        include_str!(concat!("../wgsl/", $name, ".wgsl"))
    };
}

/// What the kernels share, on top of what `logup-wgpu`'s share.
pub static LIBRARY: Library = Library {
    files: &[
        ("shared/bits", wgsl!("shared/bits")),
        ("shared/cells", wgsl!("shared/cells")),
        ("shared/elements", wgsl!("shared/elements")),
        ("shared/entries", wgsl!("shared/entries")),
        ("shared/eq", wgsl!("shared/eq")),
        ("shared/fractions", wgsl!("shared/fractions")),
        ("shared/poseidon2", wgsl!("shared/poseidon2")),
        ("shared/radix16", wgsl!("shared/radix16")),
        ("shared/roots", wgsl!("shared/roots")),
        ("shared/stages", wgsl!("shared/stages")),
        ("shared/tile4096", wgsl!("shared/tile4096")),
    ],
    parent: Some(&SHARED),
};

/// Stages, by which statistics add up dispatches and times.
pub mod stage {
    /// From the stacked matrix to the codeword.
    pub const CODE: &str = "rs_code_matrix";
    /// From the codeword to the root.
    pub const TREE: &str = "merkle_tree";
    /// LogUp's sum of fractions, from the traces to the claims of its leaves; its tables are of the openings' kernels.
    pub const GKR: &str = "logup_gkr";
    /// From the traces to their rows at round 0's challenge.
    pub const FOLD: &str = "fold_ple_evals";
    /// The rounds after round 0.
    pub const MLE_ROUNDS: &str = "mle_rounds";
    /// The trace columns at the point that those leave; the sums that it needs are of the openings' kernels.
    pub const COLUMN_OPENINGS: &str = "column_openings";
    /// From the openings of trace columns to those of stacked ones.
    pub const STACKED_REDUCTION: &str = "stacked_reduction";
    /// From the openings of stacked columns to a polynomial; its codes and trees are stages of their own.
    pub const WHIR: &str = "whir";
    /// Of a proof of work.
    pub const PROOF_OF_WORK: &str = "proof_of_work";
    /// What the host needs of it.
    pub const READBACK: &str = "readback";
}

const NONE: Kernel = Kernel {
    name: "",
    source: "",
    library: &LIBRARY,
    stage: "",
    workgroup_size: 256,
    workgroup_bytes: 0,
    arguments: &[],
    windows: &[0],
    constants: &[],
    stub: None,
};

const JOB: Argument = Argument::uniform("job");
const POSEIDON2: Argument = Argument::uniform("poseidon2");
const COLUMNS: Argument = Argument::read("columns");
const ROOTS: Argument = Argument::read("roots");
const CODE: Argument = Argument::read_write("code");
const FACTORS: Argument = Argument::read("factors");
const ELEMENTS: Argument = Argument::read_write("elements");
const PARTIALS: Argument = Argument::read_write("partials");
const CONSTANTS_OF_CALL: Argument = Argument::uniform("constants");
const NODES: Argument = Argument::read("nodes");

/// Declares kernels as statics, and the table of all. `name` is the file; what is left out is `NONE`'s.
macro_rules! kernels {
    ($($(#[$doc:meta])* $static:ident = $name:literal { $($field:ident: $value:expr),+ $(,)? })+) => {
        $($(#[$doc])*
        pub static $static: Kernel = Kernel { name: $name, source: wgsl!($name), $($field: $value,)+ ..NONE };)+

        /// Every kernel.
        pub static ALL: &[&Kernel] = &[$(&$static),+];
    };
}

kernels! {
    /// Values on a hyperprism to coefficients.
    INTERPOLATE = "interpolate" {
        stage: stage::CODE,
        workgroup_bytes: 16384,
        arguments: &[JOB, ROOTS, Argument::read("values"), CODE],
    }
    /// A pass of the transform from coefficients to codewords.
    CODE_PASS = "code_pass" {
        stage: stage::CODE,
        workgroup_bytes: 16384,
        arguments: &[JOB, ROOTS, CODE],
    }
    /// Rows to their digests, and those of a query to one.
    ROW_HASH = "row_hash" {
        stage: stage::TREE,
        workgroup_bytes: 8192,
        arguments: &[JOB, POSEIDON2, COLUMNS, Argument::read_write("states"), Argument::read_write("digests")],
        windows: &[1, 2, 4, 8],
    }
    /// Layers of a binary tree.
    MERKLE_LAYERS = "merkle_layers" {
        stage: stage::TREE,
        workgroup_bytes: 8192,
        arguments: &[JOB, POSEIDON2, Argument::read_write("nodes")],
    }
    /// Rows of a codeword, for the host.
    CODE_ROWS = "code_rows" {
        stage: stage::READBACK,
        arguments: &[JOB, COLUMNS, Argument::read("queries"), Argument::read_write("rows")],
        windows: &[1, 2, 4, 8],
    }
    /// Nodes of trees, for the host.
    GATHER_DIGESTS = "gather_digests" {
        stage: stage::READBACK,
        arguments: &[JOB, NODES, Argument::read_write("digests")],
        windows: &[1],
    }
    /// Expressions that are not affine, row by row.
    ROW_PRODUCTS = "row_products" {
        stage: stage::GKR,
        arguments: &[
            JOB,
            Argument::read("instructions"),
            Argument::read("cells"),
            Argument::read("values"),
            Argument::read_write("temps"),
            Argument::read_write("products"),
        ],
        windows: &[1, 2, 4, 8],
    }
    /// LogUp's fractions out of traces.
    FRACTIONS = "fractions" {
        stage: stage::GKR,
        workgroup_bytes: 4096,
        arguments: &[JOB, Argument::read("slices"), Argument::read("terms"), Argument::read_write("nodes")],
        windows: &[1, 2, 4, 8],
    }
    /// Pairs of fractions added up.
    ADD_FRACTIONS = "add_fractions" {
        stage: stage::GKR,
        arguments: &[JOB, CONSTANTS_OF_CALL, NODES, Argument::read_write("sums")],
    }
    /// Fractions at challenges for the lowest variables.
    FOLD_FRACTIONS = "fold_fractions" {
        stage: stage::GKR,
        arguments: &[JOB, CONSTANTS_OF_CALL, NODES, Argument::read_write("folded")],
    }
    /// A layer's sumcheck as an inner product.
    GKR_FACTORS = "gkr_factors" {
        stage: stage::GKR,
        arguments: &[JOB, CONSTANTS_OF_CALL, Argument::read("eq"), NODES, Argument::read_write("a"), Argument::read_write("b")],
    }
    /// Cells at a point of the skip domain's variable.
    FOLD_CELLS = "fold_cells" {
        stage: stage::FOLD,
        arguments: &[JOB, Argument::read("columns"), Argument::read("lagrange"), Argument::read_write("folded")],
        windows: &[1, 2, 4, 8],
    }
    /// Affine expressions of folded cells, as further columns.
    FOLD_FORMS = "fold_forms" {
        stage: stage::FOLD,
        arguments: &[JOB, Argument::read("forms"), Argument::read("terms"), Argument::read_write("folded")],
    }
    /// Sums over cells, row by row, at a point of the skip domain's variable.
    FOLD_SUMS = "fold_sums" {
        stage: stage::FOLD,
        arguments: &[JOB, Argument::read("lagrange"), NODES, Argument::read_write("folded")],
    }
    /// Pairs of elements at a challenge.
    FOLD_PAIRS = "fold_pairs" {
        stage: stage::MLE_ROUNDS,
        arguments: &[JOB, CONSTANTS_OF_CALL, Argument::read("a"), Argument::read_write("folded")],
    }
    /// A round of the constraint stage's sumcheck.
    MLE_ROUND = "mle_round" {
        stage: stage::MLE_ROUNDS,
        workgroup_size: PAIRS_PER_TASK,
        workgroup_bytes: 1024,
        arguments: &[
            JOB,
            Argument::read("entries"),
            Argument::read("instructions"),
            Argument::read("tables"),
            Argument::read("eq"),
            Argument::read("cells"),
            Argument::read("affine"),
            Argument::read_write("temps"),
            PARTIALS,
        ],
    }
    /// Sums of elements that follow each other.
    SUM_SEGMENTS = "sum_segments" {
        stage: stage::MLE_ROUNDS,
        workgroup_bytes: 4096,
        arguments: &[JOB, Argument::read("segments"), Argument::read("rows"), Argument::read_write("sums")],
    }
    /// Trace columns at the constraint stage's point.
    COLUMN_VALUES = "column_values" {
        stage: stage::COLUMN_OPENINGS,
        workgroup_bytes: 4096,
        arguments: &[JOB, Argument::read("columns"), Argument::read("tasks"), Argument::read("lagrange"), Argument::read("sums"), Argument::read_write("values")],
    }
    /// A tensor product of two tables.
    TENSOR = "tensor" {
        stage: stage::WHIR,
        arguments: &[JOB, FACTORS, ELEMENTS],
    }
    /// Four variables of an inner product at 0, 1 and infinity.
    IP_TABLE = "ip_table" {
        stage: stage::WHIR,
        workgroup_bytes: 4096,
        arguments: &[JOB, Argument::read("a"), Argument::read("b"), PARTIALS],
    }
    /// An array at challenges for its lowest variables.
    IP_FOLD = "ip_fold" {
        stage: stage::WHIR,
        arguments: &[JOB, Argument::uniform("weights"), Argument::read("a"), ELEMENTS],
    }
    /// Sums over workgroups.
    SUM_ROWS = "sum_rows" {
        stage: stage::WHIR,
        workgroup_bytes: 4096,
        arguments: &[JOB, Argument::read("rows"), Argument::read_write("sums")],
    }
    /// One column of the extension field out of all stacked ones.
    BATCH_COLUMNS = "batch_columns" {
        stage: stage::WHIR,
        arguments: &[JOB, COLUMNS, Argument::read("weights"), ELEMENTS],
        windows: &[1, 2, 4, 8],
    }
    /// A polynomial's value at a point outside of the code's domain.
    EVALUATE = "evaluate" {
        stage: stage::WHIR,
        workgroup_bytes: 4096,
        arguments: &[JOB, FACTORS, Argument::read("a"), PARTIALS],
    }
    /// The claims of a round of WHIR, added to the weight of the next.
    MOMENTS = "moments" {
        stage: stage::WHIR,
        arguments: &[JOB, FACTORS, Argument::read("queries"), ROOTS, ELEMENTS],
    }
    /// Plain and rotated columns over the cube, for each point of the skip domain.
    OPENING_SUMS = "opening_sums" {
        stage: stage::STACKED_REDUCTION,
        workgroup_bytes: 8192,
        arguments: &[JOB, Argument::read("tasks"), Argument::read("eq"), Argument::read_write("sums")],
        windows: &[1, 2, 4, 8],
    }
    /// Those sums with their columns' weights.
    WEIGH_SUMS = "weigh_sums" {
        stage: stage::STACKED_REDUCTION,
        workgroup_bytes: 12288,
        arguments: &[JOB, Argument::read("weights"), Argument::read("sums"), PARTIALS],
    }
    /// Stacked columns at a point of the skip domain's variable.
    FOLD_COLUMNS = "fold_columns" {
        stage: stage::STACKED_REDUCTION,
        arguments: &[JOB, COLUMNS, Argument::read("lagrange"), ELEMENTS],
        windows: &[1, 2, 4, 8],
    }
    /// The weights of the stacked columns' values.
    STACK_WEIGHTS = "stack_weights" {
        stage: stage::STACKED_REDUCTION,
        arguments: &[
            JOB,
            Argument::read("starts"),
            Argument::read("slices"),
            Argument::read("sizes"),
            Argument::read("eq"),
            ELEMENTS,
        ],
    }
    /// Words of a buffer that stays, for the host.
    COPY_WORDS = "copy_words" {
        stage: stage::READBACK,
        arguments: &[JOB, Argument::read("source"), Argument::read_write("copies")],
    }
    /// The least witness of a proof of work.
    GRIND = "grind" {
        stage: stage::PROOF_OF_WORK,
        arguments: &[JOB, POSEIDON2, Argument::read_write("least")],
    }
    /// The end of a submission.
    MARK = "mark" {
        stage: stage::READBACK,
        workgroup_size: 64,
        arguments: &[JOB, Argument::read_write("results")],
    }
}

/// Every shader of this crate that a device can be asked to compile.
pub fn variants() -> impl Iterator<Item = Variant> {
    ALL.iter().flat_map(|kernel| kernel.variants())
}

/// Declares structs of `u32` fields, or arrays of them, that a kernel reads, and their layouts for the tests.
macro_rules! shader_structs {
    ($($(#[$doc:meta])* struct $name:ident { $($field:ident: $type:ty),+ $(,)? })+) => {
        $($(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
        #[repr(C)]
        pub(crate) struct $name { $(pub $field: $type),+ })+

        /// Every struct that Rust writes and a kernel reads.
        pub const LAYOUTS: &[StructLayout] =
            &[$((stringify!($name), size_of::<$name>(), &[$((stringify!($field), std::mem::offset_of!($name, $field))),+])),+];
    };
}

shader_structs! {
    /// `wgsl/shared/stages.wgsl`
    struct StageJob {
        stages: [[u32; 4]; MAX_STAGES], num_stages: u32, log_tile: u32, log_digit: u32, low_bit: u32, log_column: u32, log_blowup: u32,
        log_block: u32, scale: u32, from_base: u32, to_base: u32, num_tiles: u32, coset: u32,
    }
    /// `wgsl/row_hash.wgsl`
    struct RowHashJob {
        log_rows: u32, log_query: u32, first_position: u32, num_positions: u32, num_columns: u32, is_first: u32, is_last: u32,
    }
    /// `wgsl/merkle_layers.wgsl`
    struct MerkleJob { num_nodes: u32, num_layers: u32 }
    /// `wgsl/code_rows.wgsl`
    struct CodeRowsJob {
        log_rows: u32, log_query: u32, num_queries: u32, first_column: u32, num_columns: u32, width: u32,
    }
    /// `wgsl/gather_digests.wgsl`
    struct GatherJob { num_digests: u32 }
    /// `wgsl/row_products.wgsl`
    struct RowProductsJob { num_segments: u32, first_row: u32, num_rows: u32, row_mask: u32, first_word: u32 }
    /// `wgsl/fractions.wgsl`
    struct FractionsJob { begin: u32, num: u32, to_first: u32, stride: u32, num_slices: u32, adds: u32, log_lanes: u32 }
    /// `wgsl/add_fractions.wgsl`
    struct AddJob { first: u32, len: u32, stride: u32, to_first: u32, to_stride: u32, num: u32 }
    /// `wgsl/fold_fractions.wgsl`
    struct FoldFractionsJob {
        first: u32, len: u32, stride: u32, to_first: u32, to_stride: u32, num: u32, log_window: u32,
    }
    /// `wgsl/gkr_factors.wgsl`
    struct GkrFactorsJob {
        first: u32, len: u32, stride: u32, num: u32, log_low: u32, first_block: u32,
    }
    /// `wgsl/fold_cells.wgsl`
    struct FoldCellsJob { begin: u32, num: u32, num_columns: u32, log_skip: u32 }
    /// `wgsl/fold_forms.wgsl`
    struct FoldFormsJob { num: u32, num_forms: u32 }
    /// `wgsl/fold_sums.wgsl`
    struct FoldSumsJob { log_skip: u32, num: u32, stride: u32, to_first: u32 }
    /// `wgsl/fold_pairs.wgsl`
    struct FoldPairsJob { num: u32 }
    /// `wgsl/mle_round.wgsl`
    struct MleRoundJob { first_task: u32, num_tasks: u32, first_entry: u32, end_entry: u32, eq_high: u32 }
    /// `wgsl/sum_segments.wgsl`
    struct SumSegmentsJob { num_segments: u32 }
    /// `wgsl/column_values.wgsl`
    struct ColumnValuesJob { num_columns: u32, log_skip: u32, to_first: u32 }
    /// `wgsl/tensor.wgsl`
    struct TensorJob { first: u32, begin: u32, len: u32, stride: u32, log_low: u32 }
    /// `wgsl/ip_table.wgsl`
    struct TableJob { num_quads: u32, form_a: u32, form_b: u32, first_partial: u32 }
    /// `wgsl/ip_fold.wgsl`
    struct FoldJob { log_window: u32, num_quads: u32, first: u32, len: u32, num: u32, stride: u32 }
    /// `wgsl/sum_rows.wgsl`
    struct SumJob { num_rows: u32, width: u32 }
    /// `wgsl/batch_columns.wgsl`
    struct BatchJob { begin: u32, num_rows: u32, stride: u32, num_columns: u32, is_first: u32 }
    /// `wgsl/evaluate.wgsl`
    struct EvaluateJob { len: u32, stride: u32, log_low: u32 }
    /// `wgsl/moments.wgsl`
    struct MomentsJob { len: u32, stride: u32, log_low: u32, num_queries: u32, log_order: u32 }
    /// `wgsl/opening_sums.wgsl`
    struct OpeningSumsJob { num_tasks: u32, log_skip: u32, eq_stride: u32 }
    /// `wgsl/weigh_sums.wgsl`
    struct WeighJob { num_tasks: u32, log_skip: u32, first_partial: u32 }
    /// `wgsl/fold_columns.wgsl`
    struct FoldColumnsJob { log_skip: u32, log_cube: u32, begin: u32, len: u32, first: u32, stride: u32 }
    /// `wgsl/stack_weights.wgsl`
    struct StackWeightsJob { num_slices: u32, begin: u32, stride: u32, eq_stride: u32 }
    /// `wgsl/copy_words.wgsl`
    struct CopyJob { first: u32, num_words: u32 }
    /// `wgsl/grind.wgsl`
    struct GrindJob { state: [u32; 16], absorb: u32, mask: u32, first: u32, num_witnesses: u32 }
    /// `wgsl/mark.wgsl`
    struct MarkJob { at: u32, nonce: u32 }
}

/// Stages of a pass over tiles.
pub(crate) const MAX_STAGES: usize = 3;
/// log2 of the words of a tile.
pub(crate) const LOG_TILE: u32 = 12;
/// log2 of the entries of the first table of roots.
pub(crate) const LOG_ROOTS: u32 = 11;
/// Columns that a permutation absorbs.
pub(crate) const RATE: usize = 8;
/// Elements of a permutation's state.
pub(crate) const WIDTH: usize = 16;
/// Rows that a workgroup hashes: a query's rows are in one.
pub(crate) const ROWS_PER_WORKGROUP: u32 = 256;
/// Nodes of the layer below that a workgroup of `merkle_layers` takes.
pub(crate) const NODES_PER_WORKGROUP: u32 = 512;
/// Layers that a dispatch of `merkle_layers` makes at most: a workgroup's share of the last is one node.
pub(crate) const LAYERS_PER_DISPATCH: u32 = 9;

/// Variables of an inner product that a table has at 0, 1 and infinity.
pub(crate) const TABLE_VARIABLES: usize = 4;
/// Entries of a table: 3 to the number of its variables.
pub(crate) const TABLE_LEN: usize = 81;
/// Blocks of 16 elements that a workgroup of `ip_table` takes at a time.
pub(crate) const BLOCKS_PER_WORKGROUP: u32 = 28;
/// Tasks that a workgroup of `weigh_sums` takes.
pub(crate) const TASKS_PER_WORKGROUP: u32 = 64;
/// What `shared/cells` calls cells, beside those of this row: 0.
pub(crate) const NEXT_CELL: u32 = 1;
pub(crate) const FIRST_ROW: u32 = 2;
pub(crate) const LAST_ROW: u32 = 3;
/// Threads of a workgroup of `mle_round`: each has a pair of rows.
pub(crate) const PAIRS_PER_TASK: u32 = 64;
/// Variables of eq that one of its tables is over; the other is over those behind.
pub(crate) const LOG_EQ: u32 = 10;
/// Elements of a digest.
pub(crate) const DIGEST_WORDS: usize = 8;

const CELLS: &[(&str, u32)] = &[("NEXT_CELL", NEXT_CELL), ("FIRST_ROW", FIRST_ROW), ("LAST_ROW", LAST_ROW)];
/// Constants of a kernel's text that Rust names too, by the kernel.
pub const CONSTANTS: &[(&Kernel, &[(&str, u32)])] = &[
    (&CODE_PASS, &[("TILE_WORDS", 1 << LOG_TILE), ("LOG_ROOTS", LOG_ROOTS), ("MAX_STAGES", MAX_STAGES as u32)]),
    (&ROW_HASH, &[("RATE", RATE as u32), ("WORKGROUP_SIZE", ROWS_PER_WORKGROUP)]),
    (&MERKLE_LAYERS, &[("WORKGROUP_SIZE", NODES_PER_WORKGROUP / 2)]),
    (&IP_TABLE, &[("BLOCKS", BLOCKS_PER_WORKGROUP)]),
    (&FRACTIONS, CELLS),
    (&ROW_PRODUCTS, INSTRUCTIONS),
    (&MLE_ROUND, INSTRUCTIONS),
    (&MLE_ROUND, &[("WORKGROUP_SIZE", PAIRS_PER_TASK), ("LOG_EQ", LOG_EQ), ("NONE", u32::MAX)]),
    (&WEIGH_SUMS, &[("TASKS", TASKS_PER_WORKGROUP)]),
    (&GATHER_DIGESTS, &[("DIGEST_WORDS", DIGEST_WORDS as u32)]),
    (&MOMENTS, &[("LOG_ROOTS", LOG_ROOTS)]),
];
