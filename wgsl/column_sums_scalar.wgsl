// Column sums (formula, job, bindings: shared/columns.wgsl) by word loads: row-major matrices, and those that column_sums.wgsl cannot take.
//
// Grid: one workgroup per tile (chunk of x, group of 4 * 2^log_c columns, block of 2^log_z z).
// Thread bits, low to high, column-major: z, x. Row-major: column, z, x. So neighbours read neighbouring words in both layouts.
// A thread owns 4 columns, c, c + 2^log_c, ... and adds up x, x + 2^log_x, ... four at a time.
// Workgroup memory: 4,096 bytes (lanes). Barriers: in sum_lanes, reached by every thread.
//#import shared/columns
//#import shared/lanes

const WORKGROUP_SIZE: u32 = 256u;

fn cells(base: u32, rows: vec4<u32>) -> vec4<u32> {
    return vec4<u32>(trace_word(base + rows.x), trace_word(base + rows.y), trace_word(base + rows.z), trace_word(base + rows.w));
}

@compute @workgroup_size(WORKGROUP_SIZE)
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

    let c_step = 1u << job.log_c;
    let c0 = tile.col_group * (4u * c_step) + c_lane;
    let base0 = column_base(job, c0);
    let base1 = column_base(job, c0 + c_step);
    let base2 = column_base(job, c0 + 2u * c_step);
    let base3 = column_base(job, c0 + 3u * c_step);

    var sum0: ExtAcc;
    var sum1: ExtAcc;
    var sum2: ExtAcc;
    var sum3: ExtAcc;
    let begin = job.first_x + (tile.chunk << job.log_chunk);
    let end = begin + (1u << job.log_chunk);
    let eq_low = job.eq_low + (begin & ((1u << job.log_low) - 1u)) - begin;
    let row = z + job.row_offset;
    var x0 = begin + x_lane;
    for (; x0 + 3u * x_step < end; x0 += 4u * x_step) {
        let e0 = eq[eq_low + x0];
        let e1 = eq[eq_low + x0 + x_step];
        let e2 = eq[eq_low + x0 + 2u * x_step];
        let e3 = eq[eq_low + x0 + 3u * x_step];
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
        let e = eq[eq_low + x0];
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
        let high = eq[job.eq_high + (begin >> job.log_low)];
        let out = job.partial_base + tile.chunk * job.num_columns * job.num_z + z;
        if c0 < job.num_columns {
            partials[out + c0 * job.num_z] = ext_mul(total0, high);
        }
        if c0 + c_step < job.num_columns {
            partials[out + (c0 + c_step) * job.num_z] = ext_mul(total1, high);
        }
        if c0 + 2u * c_step < job.num_columns {
            partials[out + (c0 + 2u * c_step) * job.num_z] = ext_mul(total2, high);
        }
        if c0 + 3u * c_step < job.num_columns {
            partials[out + (c0 + 3u * c_step) * job.num_z] = ext_mul(total3, high);
        }
    }
}
