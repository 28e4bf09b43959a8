// For one coset g^c D: partial[chunk][p | q][z] = sum_{x in chunk} eq[x] * sum_{root r} weight_{p|q}[r] * value_r(g^c omega^z, x)
//
// The frame around a program that plan/codegen.rs writes for each AIR, `fn program(job, at) -> Weighted`: straight-line code, each column
// taken to the coset once, temporaries in registers.
//
// Grid, bindings: see shared/coset.wgsl. weights: EF in the order in which the program adds them.
// Workgroup memory: 4,096 bytes (lanes). Barriers: in sum_lanes, reached by every thread.

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
    let num_z = min(1u << job.l_skip, WORKGROUP_SIZE);
    let z = tile.z_block * WORKGROUP_SIZE + (thread & (num_z - 1u));
    let x_step = WORKGROUP_SIZE / num_z;
    let end = min((tile.chunk + 1u) * job.chunk_x, job.num_x);

    var at = Point(0u, z);
    var sum_p: ExtAcc;
    var sum_q: ExtAcc;
    for (var x = tile.chunk * job.chunk_x + thread / num_z; x < end; x += x_step) {
        at.x = x;
        let weighted = program(job, at);
        let eq_x = eq[job.eq_base + x];
        let eq_11 = ext_times_11(eq_x);
        sum_p = ext_acc_mul(sum_p, weighted.p, eq_x, eq_11);
        sum_q = ext_acc_mul(sum_q, weighted.q, eq_x, eq_11);
    }
    store_partials(job, tile, thread, z, ext_acc_value(sum_p), ext_acc_value(sum_q));
}

// sum_r weight_{p|q}[r] * value_r at a point.
struct Weighted {
    p: vec4<u32>,
    q: vec4<u32>,
}

fn weight(job: CosetJob, i: u32) -> vec4<u32> {
    return ext_word(job.weights_base + 4u * i);
}

// The row of D's point z at the thread's x.
fn row(job: CosetJob, at: Point, z: u32) -> u32 {
    return ((at.x << job.l_skip) + z) & job.row_mask;
}

fn rows4(job: CosetJob, at: Point, z: u32) -> vec4<u32> {
    return vec4<u32>(row(job, at, z), row(job, at, z + 1u), row(job, at, z + 2u), row(job, at, z + 3u));
}

// The Lagrange polynomials of D's points z .. z + 3 at the thread's point; zero past the end of a D of fewer than four.
fn lagrange_row(job: CosetJob, at: Point, z: u32) -> vec4<u32> {
    let l = lagrange4(job, at.z, z);
    let size = 1u << job.l_skip;
    return vec4<u32>(l.x, select(0u, l.y, size > 1u), select(0u, l.z, size > 2u), select(0u, l.w, size > 2u));
}

// A column of the program: flat word index of row 0, words per row.
fn descriptor(job: CosetJob, column: u32) -> vec2<u32> {
    let at = job.columns_base + 3u * column;
    return vec2<u32>(words[at], words[at + 1u]);
}

fn cell(column: vec2<u32>, row: u32) -> u32 {
    return trace_word(column.x + row * column.y);
}

fn cells(column: vec2<u32>, rows: vec4<u32>) -> vec4<u32> {
    let at = vec4<u32>(column.x) + rows * column.y;
    return vec4<u32>(trace_word(at.x), trace_word(at.y), trace_word(at.z), trace_word(at.w));
}
