// What both column kernels share: the job and the bindings.
//
//     partial[chunk][column][z] = sum_{x in chunk} eq[x] * T_column[(x * x_rows + z + row_offset) mod height]
//
// They compute the affine part of round 0: one read of every column that an affine expression uses serves numerator and denominator.
// A job is one matrix. A rotated column's sums are its column's one z further on, but for the last z; that one comes from a second, small job
// (x_rows = row_offset = 2^l_skip), whose first z it is.
//
// eq is a split table, eq[x] = low[x mod 2^log_low] * high[x >> log_low]. A chunk lies within one run of 2^log_low, so that the loop multiplies
// by `low` and each result once by `high`.
// | binding    | shape and element                                              | form       |
// | tiles      | [num_tiles] Tile                                                | integers   |
// | jobs       | [num_jobs] ColumnJob                                            | integers   |
// | words      | [num_columns] u32 at columns_base: column indices               | integers   |
// | eq         | EF: low at eq_low + x mod 2^log_low, high at eq_high + x >> log_low | Montgomery |
// | partials   | [num_chunks][num_columns][num_z] EF at partial_base             | Montgomery |
// | trace_*    | words of the matrix, see trace.wgsl                     | Montgomery |
//#import shared/ext4
//#import shared/tile
//#import shared/trace
//#import shared/words

struct ColumnJob {
    trace_base: u32, // flat word index of row 0, column 0
    row_stride: u32,
    col_stride: u32,
    row_mask: u32,   // height - 1
    x_rows: u32,     // rows between x and x + 1: 2^l_skip
    row_offset: u32,
    first_x: u32,
    log_chunk: u32,  // log2 of the x per chunk
    num_z: u32,
    log_c: u32,      // thread bits for columns
    log_z: u32,      // thread bits for z; of four z each in column_sums
    row_major: u32,  // 0 or 1
    num_columns: u32,
    columns_base: u32,
    eq_low: u32,
    eq_high: u32,
    log_low: u32,
    partial_base: u32,
}

@group(0) @binding(0) var<storage, read> tiles: array<Tile>;
@group(0) @binding(1) var<storage, read> jobs: array<ColumnJob>;
@group(0) @binding(2) var<storage, read> words: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> eq: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read_write> partials: array<vec4<u32>>;

// Flat word index of row 0 of the job's column `i`; past the end, that of the last.
fn column_base(job: ColumnJob, i: u32) -> u32 {
    return job.trace_base + word(job.columns_base + min(i, job.num_columns - 1u)) * job.col_stride;
}
