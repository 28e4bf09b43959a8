// partial[chunk][column][z] = sum_{x in chunk} eq[x] * T_column[(x * x_rows + z + row_offset) mod height]
//
// The affine part of round 0: one read of every column that an affine expression uses, shared by the numerator and the denominator.
// A job is one matrix. A second, small job (x_rows = 2^l_skip, row_offset = 2^l_skip, num_z = 1) gives the one sum that a rotated
// column has and its column does not.
//
// Grid: one workgroup per tile (chunk of x, group of 4 * 2^log_c columns, block of 2^log_z z).
// Thread bits, low to high, column-major: z, x. Row-major: column, z, x. So neighbours read neighbouring words in both layouts.
// A thread owns 4 columns, c, c + 2^log_c, ... and adds up x, x + 2^log_x, ... four at a time.
// | binding    | shape and element                                  | form       |
// | tiles      | [num_tiles] Tile                                    |            |
// | jobs       | [num_jobs] ColumnJob                                |            |
// | words      | [num_columns] u32 at columns_base: column indices   |            |
// | eq         | EF at eq_base + x                                   | Montgomery |
// | partials   | [num_chunks][num_columns][num_z] EF at partial_base | Montgomery |
// | trace_*    | words of the matrix, see trace_<slots>.wgsl         | Montgomery |
// Workgroup memory: 4,096 bytes (lanes). Barriers: in sum_lanes, reached by every thread.

struct ColumnJob {
    trace_base: u32, // flat word index of row 0, column 0
    row_stride: u32,
    col_stride: u32,
    row_mask: u32,   // height - 1
    x_rows: u32,     // rows between x and x + 1: 2^l_skip
    row_offset: u32,
    first_x: u32,    // the job's x, begin and end
    end_x: u32,
    chunk_x: u32,    // x per chunk
    num_z: u32,
    log_c: u32,      // thread bits for columns
    log_z: u32,      // thread bits for z
    row_major: u32,  // 0 or 1
    num_columns: u32,
    columns_base: u32,
    eq_base: u32,
    partial_base: u32,
}

@group(0) @binding(0) var<storage, read> tiles: array<Tile>;
@group(0) @binding(1) var<storage, read> jobs: array<ColumnJob>;
@group(0) @binding(2) var<storage, read> words: array<u32>;
@group(0) @binding(3) var<storage, read> eq: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read_write> partials: array<vec4<u32>>;

fn cells(base: u32, rows: vec4<u32>) -> vec4<u32> {
    return vec4<u32>(trace_word(base + rows.x), trace_word(base + rows.y), trace_word(base + rows.z), trace_word(base + rows.w));
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let index = tile_index(workgroup, grid);
    if index >= arrayLength(&tiles) {
        return;
    }
    let tile = tiles[index];
    let job = jobs[tile.job];

    let c_shift = select(job.log_z, 0u, job.row_major == 1u);
    let z_shift = select(0u, job.log_c, job.row_major == 1u);
    let log_lanes = job.log_c + job.log_z;
    let c_lane = (thread >> c_shift) & ((1u << job.log_c) - 1u);
    let z = (tile.z_block << job.log_z) + ((thread >> z_shift) & ((1u << job.log_z) - 1u));
    let x_lane = thread >> log_lanes;
    let x_step = WORKGROUP_SIZE >> log_lanes;

    // Columns past the end repeat the last one; their sums are not stored.
    let c_step = 1u << job.log_c;
    let c0 = tile.col_group * (4u * c_step) + c_lane;
    let last = job.num_columns - 1u;
    let base0 = job.trace_base + words[job.columns_base + min(c0, last)] * job.col_stride;
    let base1 = job.trace_base + words[job.columns_base + min(c0 + c_step, last)] * job.col_stride;
    let base2 = job.trace_base + words[job.columns_base + min(c0 + 2u * c_step, last)] * job.col_stride;
    let base3 = job.trace_base + words[job.columns_base + min(c0 + 3u * c_step, last)] * job.col_stride;

    var sum0: ExtAcc;
    var sum1: ExtAcc;
    var sum2: ExtAcc;
    var sum3: ExtAcc;
    let begin = job.first_x + tile.chunk * job.chunk_x;
    let end = min(begin + job.chunk_x, job.end_x);
    let row = z + job.row_offset;
    var x0 = begin + x_lane;
    for (; x0 + 3u * x_step < end; x0 += 4u * x_step) {
        let e0 = eq[job.eq_base + x0];
        let e1 = eq[job.eq_base + x0 + x_step];
        let e2 = eq[job.eq_base + x0 + 2u * x_step];
        let e3 = eq[job.eq_base + x0 + 3u * x_step];
        let rows = vec4<u32>(
            (x0 * job.x_rows + row) & job.row_mask,
            ((x0 + x_step) * job.x_rows + row) & job.row_mask,
            ((x0 + 2u * x_step) * job.x_rows + row) & job.row_mask,
            ((x0 + 3u * x_step) * job.x_rows + row) & job.row_mask,
        ) * job.row_stride;
        // All loads before all products: interleaved, wide AIRs took 1.4 times as long on an H200.
        let t0 = cells(base0, rows);
        let t1 = cells(base1, rows);
        let t2 = cells(base2, rows);
        let t3 = cells(base3, rows);
        sum0 = ext_acc_mad4(sum0, e0, e1, e2, e3, t0);
        sum1 = ext_acc_mad4(sum1, e0, e1, e2, e3, t1);
        sum2 = ext_acc_mad4(sum2, e0, e1, e2, e3, t2);
        sum3 = ext_acc_mad4(sum3, e0, e1, e2, e3, t3);
    }
    // Up to three x are left, in traces of few x.
    for (; x0 < end; x0 += x_step) {
        let e = eq[job.eq_base + x0];
        let at = ((x0 * job.x_rows + row) & job.row_mask) * job.row_stride;
        sum0 = ext_acc_mad4(sum0, e, EXT_ZERO, EXT_ZERO, EXT_ZERO, vec4<u32>(trace_word(base0 + at), 0u, 0u, 0u));
        sum1 = ext_acc_mad4(sum1, e, EXT_ZERO, EXT_ZERO, EXT_ZERO, vec4<u32>(trace_word(base1 + at), 0u, 0u, 0u));
        sum2 = ext_acc_mad4(sum2, e, EXT_ZERO, EXT_ZERO, EXT_ZERO, vec4<u32>(trace_word(base2 + at), 0u, 0u, 0u));
        sum3 = ext_acc_mad4(sum3, e, EXT_ZERO, EXT_ZERO, EXT_ZERO, vec4<u32>(trace_word(base3 + at), 0u, 0u, 0u));
    }

    let stride = 1u << log_lanes;
    let total0 = sum_lanes(ext_acc_value(sum0), thread, stride);
    let total1 = sum_lanes(ext_acc_value(sum1), thread, stride);
    let total2 = sum_lanes(ext_acc_value(sum2), thread, stride);
    let total3 = sum_lanes(ext_acc_value(sum3), thread, stride);
    if thread < stride {
        let out = job.partial_base + tile.chunk * job.num_columns * job.num_z + z;
        if c0 < job.num_columns {
            partials[out + c0 * job.num_z] = total0;
        }
        if c0 + c_step < job.num_columns {
            partials[out + (c0 + c_step) * job.num_z] = total1;
        }
        if c0 + 2u * c_step < job.num_columns {
            partials[out + (c0 + 2u * c_step) * job.num_z] = total2;
        }
        if c0 + 3u * c_step < job.num_columns {
            partials[out + (c0 + 3u * c_step) * job.num_z] = total3;
        }
    }
}
