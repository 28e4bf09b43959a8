// Column sums (formula, job, bindings: shared/columns.wgsl) of column-major matrices by 16-byte loads: a thread owns four consecutive z of one
// column, so a matrix starts at a multiple of four words and has 2^l_skip >= 4 rows at each x.
//
// Grid: one workgroup per tile (chunk of x, group of 2^log_c columns, block of 4 * 2^log_z z).
// Thread bits, low to high: z, column, x. So neighbours read neighbouring words; columns share a workgroup where there are few x.
// A thread takes x, x + 2^log_x, ... of its chunk, eight at a time: the sum of eight products of centred words needs one reduction.
// Workgroup memory: 4,096 bytes (lanes). Barriers: two, reached by every thread.
//#import shared/columns

const WORKGROUP_SIZE: u32 = 64u;

var<workgroup> lanes: array<vec4<u32>, 4u * WORKGROUP_SIZE>;

// Four z at each of eight x, a step apart.
struct Block {
    x0: vec4<u32>,
    x1: vec4<u32>,
    x2: vec4<u32>,
    x3: vec4<u32>,
    x4: vec4<u32>,
    x5: vec4<u32>,
    x6: vec4<u32>,
    x7: vec4<u32>,
}

// The cells of a column at `row` of x, x + step, ..
fn cells(job: ColumnJob, base: u32, row: u32, x: u32, step: u32) -> Block {
    let first = x * job.x_rows + row;
    let rows = step * job.x_rows;
    return Block(
        trace_vec4(base + (first & job.row_mask)),
        trace_vec4(base + ((first + rows) & job.row_mask)),
        trace_vec4(base + ((first + 2u * rows) & job.row_mask)),
        trace_vec4(base + ((first + 3u * rows) & job.row_mask)),
        trace_vec4(base + ((first + 4u * rows) & job.row_mask)),
        trace_vec4(base + ((first + 5u * rows) & job.row_mask)),
        trace_vec4(base + ((first + 6u * rows) & job.row_mask)),
        trace_vec4(base + ((first + 7u * rows) & job.row_mask)),
    );
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
    let z_group = thread & ((1u << job.log_z) - 1u);
    let c = (thread >> job.log_z) & ((1u << job.log_c) - 1u);
    let log_lanes = job.log_z + job.log_c;
    let x_lane = thread >> log_lanes;
    let x_step = WORKGROUP_SIZE >> log_lanes;

    let first_z = tile.z_block << (job.log_z + 2u);
    let row = first_z + 4u * z_group + job.row_offset;
    let first_column = tile.col_group << job.log_c;
    let base = column_base(job, first_column + c);
    let begin = job.first_x + (tile.chunk << job.log_chunk);
    let end = begin + (1u << job.log_chunk);
    let eq_low = job.eq_low + (begin & ((1u << job.log_low) - 1u)) - begin;

    var sum0 = EXT_ZERO;
    var sum1 = EXT_ZERO;
    var sum2 = EXT_ZERO;
    var sum3 = EXT_ZERO;
    if 8u * x_step <= end - begin {
        var t = cells(job, base, row, begin + x_lane, x_step);
        for (var x = begin + x_lane; x < end; x += 8u * x_step) {
            let at = eq_low + x;
            let e0 = centred(eq[at]);
            let e1 = centred(eq[at + x_step]);
            let e2 = centred(eq[at + 2u * x_step]);
            let e3 = centred(eq[at + 3u * x_step]);
            let e4 = centred(eq[at + 4u * x_step]);
            let e5 = centred(eq[at + 5u * x_step]);
            let e6 = centred(eq[at + 6u * x_step]);
            let e7 = centred(eq[at + 7u * x_step]);
            let t0 = centred(t.x0);
            let t1 = centred(t.x1);
            let t2 = centred(t.x2);
            let t3 = centred(t.x3);
            let t4 = centred(t.x4);
            let t5 = centred(t.x5);
            let t6 = centred(t.x6);
            let t7 = centred(t.x7);
            // The next block is on its way while this one is multiplied; the last iteration asks for its own again.
            t = cells(job, base, row, select(x + 8u * x_step, x, x + 8u * x_step >= end), x_step);
            sum0 = ext_add(sum0, ext_dot8_centred(e0, e1, e2, e3, e4, e5, e6, e7, vec4<u32>(t0.x, t1.x, t2.x, t3.x), vec4<u32>(t4.x, t5.x, t6.x, t7.x)));
            sum1 = ext_add(sum1, ext_dot8_centred(e0, e1, e2, e3, e4, e5, e6, e7, vec4<u32>(t0.y, t1.y, t2.y, t3.y), vec4<u32>(t4.y, t5.y, t6.y, t7.y)));
            sum2 = ext_add(sum2, ext_dot8_centred(e0, e1, e2, e3, e4, e5, e6, e7, vec4<u32>(t0.z, t1.z, t2.z, t3.z), vec4<u32>(t4.z, t5.z, t6.z, t7.z)));
            sum3 = ext_add(sum3, ext_dot8_centred(e0, e1, e2, e3, e4, e5, e6, e7, vec4<u32>(t0.w, t1.w, t2.w, t3.w), vec4<u32>(t4.w, t5.w, t6.w, t7.w)));
        }
    } else {
        // At most eight x for each thread.
        for (var x = begin + x_lane; x < end; x += x_step) {
            let e = eq[eq_low + x];
            let t = trace_vec4(base + ((x * job.x_rows + row) & job.row_mask));
            sum0 = ext_add(sum0, ext_scale(e, t.x));
            sum1 = ext_add(sum1, ext_scale(e, t.y));
            sum2 = ext_add(sum2, ext_scale(e, t.z));
            sum3 = ext_add(sum3, ext_scale(e, t.w));
        }
    }

    // lanes: [x_step][columns][z]. Added up over x in two rounds: first down to as many as there are threads, then to one for each result.
    let num_results = 4u << log_lanes;
    lanes[4u * thread] = sum0;
    lanes[4u * thread + 1u] = sum1;
    lanes[4u * thread + 2u] = sum2;
    lanes[4u * thread + 3u] = sum3;
    workgroupBarrier();
    let middle = max(num_results, WORKGROUP_SIZE);
    for (var i = thread; i < middle; i += WORKGROUP_SIZE) {
        var sum = lanes[i];
        for (var j = i + middle; j < 4u * WORKGROUP_SIZE; j += middle) {
            sum = ext_add(sum, lanes[j]);
        }
        lanes[i] = sum; // only this thread reads it before the barrier
    }
    workgroupBarrier();
    let high = eq[job.eq_high + (begin >> job.log_low)];
    for (var i = thread; i < num_results; i += WORKGROUP_SIZE) {
        var sum = lanes[i];
        for (var j = i + num_results; j < middle; j += num_results) {
            sum = ext_add(sum, lanes[j]);
        }
        let column = first_column + (i >> (job.log_z + 2u));
        let z = first_z + (i & ((4u << job.log_z) - 1u));
        if column < job.num_columns {
            partials[job.partial_base + (tile.chunk * job.num_columns + column) * job.num_z + z] = ext_mul(sum, high);
        }
    }
}
