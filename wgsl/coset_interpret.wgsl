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

// Temporary `slot` of thread `lane` of the job.
fn temp_at(job: CosetJob, slot: u32, lane: u32) -> u32 {
    return job.temps_base + temp_offset(job.num_temps, slot, lane);
}

fn operand(job: CosetJob, a: u32, lane: u32) -> u32 {
    if (a & OPERAND_VALUE) != 0u {
        return value(job, a & ~OPERAND_VALUE);
    }
    return scratch[temp_at(job, a, lane)];
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
    let lane = (index - job.first_tile) * WORKGROUP_SIZE + thread;

    let num_z = min(1u << job.l_skip, WORKGROUP_SIZE);
    let z = tile.z_block * WORKGROUP_SIZE + (thread & (num_z - 1u));
    let x_step = WORKGROUP_SIZE / num_z;
    let begin = first_x(job, tile);
    let end = begin + (1u << job.log_chunk);
    let eq_at = eq_origin(job, begin);

    var at = Point(0u, z);
    var sum_p = EXT_ZERO;
    var sum_q = EXT_ZERO;
    for (var x = begin + thread / num_z; x < end; x += x_step) {
        at.x = x;
        var p = EXT_ZERO;
        var q = EXT_ZERO;
        let first = is_first(job, at);
        let last = is_last(job, at);
        var next = job.program_base;
        for (var segment = 0u; segment < job.num_segments; segment++) {
            let header = ext_word(next);
            let loads_end = next + 4u + 4u * header.x;
            let ops_end = loads_end + 4u * header.y;
            let roots_end = ops_end + 4u * header.z;
            for (var i = next + 4u; i < loads_end; i += 4u) {
                let load = ext_word(i);
                scratch[temp_at(job, load.y, lane)] = load_column(job, at, load.z);
            }
            for (var i = loads_end; i < ops_end; i += 4u) {
                let instruction = ext_word(i);
                let a = operand(job, instruction.z, lane);
                var result = a;
                switch instruction.x {
                    case OP_ADD: { result = f_add(a, operand(job, instruction.w, lane)); }
                    case OP_SUB: { result = f_sub(a, operand(job, instruction.w, lane)); }
                    case OP_MUL: { result = f_mul(a, operand(job, instruction.w, lane)); }
                    case OP_NEG: { result = f_sub(0u, a); }
                    case OP_FIRST: { result = first; }
                    case OP_LAST: { result = last; }
                    default: { result = f_sub(ONE, last); }
                }
                scratch[temp_at(job, instruction.y, lane)] = result;
            }
            for (var i = ops_end; i < roots_end; i += 4u) {
                let root = ext_word(i);
                let a = operand(job, root.z, lane);
                let weights = job.weights_base + 8u * root.w;
                p = ext_add(p, ext_scale(ext_word(weights), a));
                q = ext_add(q, ext_scale(ext_word(weights + 4u), a));
            }
            next = roots_end;
        }
        let eq_x = eq[eq_at + x];
        sum_p = ext_add(sum_p, ext_mul(eq_x, p));
        sum_q = ext_add(sum_q, ext_mul(eq_x, q));
    }

    store_partials(job, tile, thread, num_z, z, 0u, sum_p);
    store_partials(job, tile, thread, num_z, z, 1u, sum_q);
}
