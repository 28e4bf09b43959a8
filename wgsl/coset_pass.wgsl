// For one coset g^c D: partial[chunk][p | q][z] = sum_{x in chunk} eq[x] * sum_{root r} weight_{p|q}[r] * value_r(g^c omega^z, x)
//
// The textbook way through an expression: every column that the program reads is taken to the coset once, where its load stands, then
// the nodes are evaluated point by point. On D itself (c = 0) a column's value is a cell. On another coset it is
//     T(g^c omega^z, x) = sum_{z'} L[(z - z') mod 2^l_skip] * T[x * 2^l_skip + z'],   L[j] = (y^N - 1) / (N (y - 1)), y = g^c omega^j, N = 2^l_skip.
//
// Grid: one workgroup per tile (chunk of x, block of 256 z). Thread bits, low to high: z, x. A thread takes x, x + 2^log_x, ... of its chunk.
// | binding | shape and element                                                      | form       |
// | tiles   | [num_tiles] Tile                                                        |            |
// | jobs    | [num_jobs] CosetJob                                                     |            |
// | words   | program, columns, values, weights, lagrange: see the fields of CosetJob | Montgomery |
// | eq      | [num_x] EF at eq_base                                                   | Montgomery |
// | scratch | [num_chunks][2][2^l_skip] EF at word partial_base; temporaries          | Montgomery |
// |         | [num_temps][num_threads] u32 at word temps_base                         |            |
// | trace_* | words of the matrices, see trace_<slots>.wgsl                           | Montgomery |
// Workgroup memory: 4,096 bytes (lanes). Barriers: in sum_lanes, reached by every thread.

struct CosetJob {
    program_base: u32,  // [num_instructions][4] u32: op, destination, a, b
    num_instructions: u32,
    columns_base: u32,  // [..][3] u32: flat word index of row 0, words per row, 1 for the next row
    values_base: u32,   // [..] u32: degree-0 nodes, known at the call
    weights_base: u32,  // [num_roots][2] EF: weight in p, weight in q
    lagrange_base: u32, // [2^l_skip] u32: L of this coset
    identity: u32,      // 1 on D itself
    l_skip: u32,
    row_mask: u32,      // height - 1
    num_x: u32,
    chunk_x: u32,       // x per chunk
    eq_base: u32,       // EF index
    partial_base: u32,  // word index, a multiple of 4
    temps_base: u32,    // word index
    num_threads: u32,   // of the job, in all its tiles
    first_tile: u32,    // the job's first tile
}

const OP_LOAD: u32 = 0u;       // destination <- column a
const OP_ADD: u32 = 1u;
const OP_SUB: u32 = 2u;
const OP_MUL: u32 = 3u;
const OP_NEG: u32 = 4u;
const OP_FIRST: u32 = 5u;      // destination <- is_first
const OP_LAST: u32 = 6u;       // destination <- is_last
const OP_TRANSITION: u32 = 7u; // destination <- 1 - is_last
const OP_ROOT: u32 = 8u;       // (p, q) += weights[b] * a

const OPERAND_VALUE: u32 = 0x80000000u; // an operand with this bit is an index into the values, without it a temporary

const ONE: u32 = 0x0ffffffeu; // 2^32 mod P

@group(0) @binding(0) var<storage, read> tiles: array<Tile>;
@group(0) @binding(1) var<storage, read> jobs: array<CosetJob>;
@group(0) @binding(2) var<storage, read> words: array<u32>;
@group(0) @binding(3) var<storage, read> eq: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read_write> scratch: array<u32>;

fn ext_word(i: u32) -> vec4<u32> {
    return vec4<u32>(words[i], words[i + 1u], words[i + 2u], words[i + 3u]);
}

// The Lagrange polynomial of D's point z' at this coset's point z.
fn lagrange(job: CosetJob, z: u32, z_prime: u32) -> u32 {
    let mask = (1u << job.l_skip) - 1u;
    if job.identity == 1u {
        return select(0u, ONE, ((z ^ z_prime) & mask) == 0u);
    }
    return words[job.lagrange_base + ((z - z_prime) & mask)];
}

// Off D: the Lagrange polynomials of four neighbouring points, and the cells of four neighbouring rows.
fn lagrange4(job: CosetJob, z: u32, z_prime: u32) -> vec4<u32> {
    let mask = (1u << job.l_skip) - 1u;
    let at = z - z_prime;
    let base = job.lagrange_base;
    return vec4<u32>(words[base + (at & mask)], words[base + ((at - 1u) & mask)], words[base + ((at - 2u) & mask)], words[base + ((at - 3u) & mask)]);
}

fn cells4(job: CosetJob, base: u32, row: u32, row_stride: u32) -> vec4<u32> {
    return vec4<u32>(
        trace_word(base + (row & job.row_mask) * row_stride),
        trace_word(base + ((row + 1u) & job.row_mask) * row_stride),
        trace_word(base + ((row + 2u) & job.row_mask) * row_stride),
        trace_word(base + ((row + 3u) & job.row_mask) * row_stride),
    );
}

// The column's value at (g^c omega^z, x). 2^l_skip products off D.
fn load_column(job: CosetJob, column: u32, x: u32, z: u32) -> u32 {
    let at = job.columns_base + 3u * column;
    let base = words[at];
    let row_stride = words[at + 1u];
    let row = (x << job.l_skip) + words[at + 2u];
    if job.identity == 1u {
        return trace_word(base + ((row + z) & job.row_mask) * row_stride);
    }
    var value = 0u;
    let size = 1u << job.l_skip;
    if size < 16u {
        for (var z_prime = 0u; z_prime < size; z_prime++) {
            let cell = trace_word(base + ((row + z_prime) & job.row_mask) * row_stride);
            value = f_add(value, f_mul(lagrange(job, z, z_prime), cell));
        }
        return value;
    }
    // Sixteen at a time: unrolled, and few loop iterations (see MAX_STEPS in plan/launch.rs).
    for (var z_prime = 0u; z_prime < size; z_prime += 16u) {
        let low = f_add(
            f_dot4(lagrange4(job, z, z_prime), cells4(job, base, row + z_prime, row_stride)),
            f_dot4(lagrange4(job, z, z_prime + 4u), cells4(job, base, row + z_prime + 4u, row_stride)),
        );
        let high = f_add(
            f_dot4(lagrange4(job, z, z_prime + 8u), cells4(job, base, row + z_prime + 8u, row_stride)),
            f_dot4(lagrange4(job, z, z_prime + 12u), cells4(job, base, row + z_prime + 12u, row_stride)),
        );
        value = f_add(value, f_add(low, high));
    }
    return value;
}

// The selector that is 1 on the rows z' = offset mod height of D at one x, as a polynomial in Z. One term unless the trace is lifted.
fn selector(job: CosetJob, z: u32, offset: u32) -> u32 {
    var value = 0u;
    let size = 1u << job.l_skip;
    let height = min(job.row_mask + 1u, size);
    for (var z_prime = offset & (height - 1u); z_prime < size; z_prime += height) {
        value = f_add(value, lagrange(job, z, z_prime));
    }
    return value;
}

fn is_first(job: CosetJob, x: u32, z: u32) -> u32 {
    if x != 0u {
        return 0u;
    }
    return selector(job, z, 0u);
}

fn is_last(job: CosetJob, x: u32, z: u32) -> u32 {
    if x + 1u != job.num_x {
        return 0u;
    }
    return selector(job, z, job.row_mask);
}

// Temporary `slot` of thread `lane` of the job.
fn temp_at(job: CosetJob, slot: u32, lane: u32) -> u32 {
    return job.temps_base + slot * job.num_threads + lane;
}

fn operand(job: CosetJob, a: u32, lane: u32) -> u32 {
    if (a & OPERAND_VALUE) != 0u {
        return words[job.values_base + (a & ~OPERAND_VALUE)];
    }
    return scratch[temp_at(job, a, lane)];
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
    let lane = (index - job.first_tile) * WORKGROUP_SIZE + thread;

    let num_z = min(1u << job.l_skip, WORKGROUP_SIZE);
    let z = tile.z_block * WORKGROUP_SIZE + (thread & (num_z - 1u));
    let x_step = WORKGROUP_SIZE / num_z;
    let end = min((tile.chunk + 1u) * job.chunk_x, job.num_x);

    var sum_p = EXT_ZERO;
    var sum_q = EXT_ZERO;
    for (var x = tile.chunk * job.chunk_x + thread / num_z; x < end; x += x_step) {
        var p = EXT_ZERO;
        var q = EXT_ZERO;
        for (var i = 0u; i < job.num_instructions; i++) {
            let at = job.program_base + 4u * i;
            let op = words[at];
            let destination = temp_at(job, words[at + 1u], lane);
            let a = words[at + 2u];
            let b = words[at + 3u];
            switch op {
                case OP_LOAD: { scratch[destination] = load_column(job, a, x, z); }
                case OP_ADD: { scratch[destination] = f_add(operand(job, a, lane), operand(job, b, lane)); }
                case OP_SUB: { scratch[destination] = f_sub(operand(job, a, lane), operand(job, b, lane)); }
                case OP_MUL: { scratch[destination] = f_mul(operand(job, a, lane), operand(job, b, lane)); }
                case OP_NEG: { scratch[destination] = f_sub(0u, operand(job, a, lane)); }
                case OP_FIRST: { scratch[destination] = is_first(job, x, z); }
                case OP_LAST: { scratch[destination] = is_last(job, x, z); }
                case OP_TRANSITION: { scratch[destination] = f_sub(ONE, is_last(job, x, z)); }
                default: {
                    let value = operand(job, a, lane);
                    let weights = job.weights_base + 8u * b;
                    p = ext_add(p, ext_scale(ext_word(weights), value));
                    q = ext_add(q, ext_scale(ext_word(weights + 4u), value));
                }
            }
        }
        let eq_x = eq[job.eq_base + x];
        sum_p = ext_add(sum_p, ext_mul(eq_x, p));
        sum_q = ext_add(sum_q, ext_mul(eq_x, q));
    }

    let total_p = sum_lanes(sum_p, thread, num_z);
    let total_q = sum_lanes(sum_q, thread, num_z);
    if thread < num_z {
        let size = 1u << job.l_skip;
        let out_p = job.partial_base + 4u * (2u * tile.chunk * size + z);
        let out_q = out_p + 4u * size;
        scratch[out_p] = total_p.x;
        scratch[out_p + 1u] = total_p.y;
        scratch[out_p + 2u] = total_p.z;
        scratch[out_p + 3u] = total_p.w;
        scratch[out_q] = total_q.x;
        scratch[out_q + 1u] = total_q.y;
        scratch[out_q + 2u] = total_q.z;
        scratch[out_q + 3u] = total_q.w;
    }
}
