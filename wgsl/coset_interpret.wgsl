// For one coset g^c D: partial[chunk][p | q][z] = sum_{x in chunk} eq[x] * sum_{root r} weight_{p|q}[r] * value_r(g^c omega^z, x)
//
// This is the textbook evaluation of an expression, as an interpreter: the program is data, so one compiled kernel runs every AIR. Temporaries
// lie in scratch. Strategy::Direct uses it for everything, and the default for roots that are too long for a kernel of their own
// (coset_pass.wgsl).
//
// Grid, bindings: see shared/coset.wgsl. weights: [num_roots][2] EF, weight in p, weight in q.
// Workgroup memory: 4,096 bytes (lanes). Barriers: in sum_lanes, reached by every thread.
//#import shared/coset
//#import shared/instructions
//#import shared/values

const WORKGROUP_SIZE: u32 = 256u;

fn lagrange4(job: CosetJob, z: u32, z_prime: u32) -> vec4<u32> {
    let mask = (1u << job.l_skip) - 1u;
    let at = z - z_prime;
    let base = job.lagrange_base;
    return vec4<u32>(
        word(base + (at & mask)),
        word(base + ((at - 1u) & mask)),
        word(base + ((at - 2u) & mask)),
        word(base + ((at - 3u) & mask)),
    );
}

fn cells4(job: CosetJob, base: u32, row: u32, row_stride: u32) -> vec4<u32> {
    return vec4<u32>(
        trace_word(base + (row & job.row_mask) * row_stride),
        trace_word(base + ((row + 1u) & job.row_mask) * row_stride),
        trace_word(base + ((row + 2u) & job.row_mask) * row_stride),
        trace_word(base + ((row + 3u) & job.row_mask) * row_stride),
    );
}

// Column `column` of the job at the point. Off D 2^l_skip products; few loop iterations (see plan/steps.rs, which counts them).
fn load_column(job: CosetJob, at: Point, column: u32) -> u32 {
    let descriptor = job.columns_base + 3u * column;
    let base = word(descriptor);
    let row_stride = word(descriptor + 1u);
    let row = (at.x << job.l_skip) + word(descriptor + 2u);
    if job.identity == 1u {
        return trace_word(base + ((row + at.z) & job.row_mask) * row_stride);
    }
    var sum = 0u;
    let size = 1u << job.l_skip;
    if size < 16u {
        for (var z = 0u; z < size; z++) {
            let cell = trace_word(base + ((row + z) & job.row_mask) * row_stride);
            sum = f_add(sum, f_mul(lagrange(job, at.z, z), cell));
        }
        return sum;
    }
    for (var z = 0u; z < size; z += 16u) {
        let low = f_add(
            f_dot4(lagrange4(job, at.z, z), cells4(job, base, row + z, row_stride)),
            f_dot4(lagrange4(job, at.z, z + 4u), cells4(job, base, row + z + 4u, row_stride)),
        );
        let high = f_add(
            f_dot4(lagrange4(job, at.z, z + 8u), cells4(job, base, row + z + 8u, row_stride)),
            f_dot4(lagrange4(job, at.z, z + 12u), cells4(job, base, row + z + 12u, row_stride)),
        );
        sum = f_add(sum, f_add(low, high));
    }
    return sum;
}

// The thread's job, its point, its place among the job's threads, the selectors there, and the sums of weighted roots.
var<private> job: CosetJob;
var<private> at: Point;
var<private> lane: u32;
var<private> first: u32;
var<private> last: u32;
var<private> p: vec4<u32>;
var<private> q: vec4<u32>;

fn instruction(i: u32) -> vec4<u32> {
    return words[(job.program_base >> 2u) + i];
}

fn leaf_value(i: u32) -> Value {
    return load_column(job, at, i);
}

fn operand_value(i: u32) -> Value {
    if (i & OPERAND_VALUE) != 0u {
        return value(job, i & ~OPERAND_VALUE);
    }
    return scratch[job.temps_base + temp_offset(job.num_temps, i, lane)];
}

fn set_temp(i: u32, value: Value) {
    scratch[job.temps_base + temp_offset(job.num_temps, i, lane)] = value;
}

fn selector_value(op: u32) -> Value {
    if op == OP_TRANSITION {
        return f_sub(ONE, last);
    }
    return select(last, first, op == OP_FIRST);
}

fn take_root(i: u32, value: Value) {
    let weights = job.weights_base + 8u * i;
    p = ext_add(p, ext_scale(ext_word(weights), value));
    q = ext_add(q, ext_scale(ext_word(weights + 4u), value));
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
    // What decides whether barriers are reached is no private variable: those count as different in each thread.
    let own = jobs[tile.job];
    job = own;
    lane = (index - own.first_tile) * WORKGROUP_SIZE + thread;

    let num_z = min(1u << own.l_skip, WORKGROUP_SIZE);
    let z = tile.z_block * WORKGROUP_SIZE + (thread & (num_z - 1u));
    let x_step = WORKGROUP_SIZE / num_z;
    let begin = first_x(own, tile);
    let end = begin + (1u << own.log_chunk);
    let eq_at = eq_origin(own, begin);

    var sum_p = EXT_ZERO;
    var sum_q = EXT_ZERO;
    for (var x = begin + thread / num_z; x < end; x += x_step) {
        at = Point(x, z);
        first = is_first(job, at);
        last = is_last(job, at);
        p = EXT_ZERO;
        q = EXT_ZERO;
        run_program(own.num_segments);
        let eq_x = eq[eq_at + x];
        sum_p = ext_add(sum_p, ext_mul(eq_x, p));
        sum_q = ext_add(sum_q, ext_mul(eq_x, q));
    }

    store_partials(own, tile, thread, num_z, z, 0u, sum_p);
    store_partials(own, tile, thread, num_z, z, 1u, sum_q);
}
