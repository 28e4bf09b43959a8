// The inner product of two multilinear functions over {0, 1}^n, with four of its variables at 0, 1 or infinity each (the leading coefficient):
//     table[k] = sum_y a(k, y) b(k, y)        k = (k_0, .., k_3), k_i in {0, 1, infinity} = {0, 1, 2}, at index k_0 + 3 k_1 + 9 k_2 + 27 k_3
// from which four rounds of a sumcheck follow. Where fewer variables are left, those that there are not take the value 0.
//
// Grid: workgroups take blocks of 16 elements in turn; a thread has two of the keys, (k_2, k_3), of 28 blocks at a time.
// | binding  | shape and element                               |
// | job      | TableJob                                        |
// | a        | [4][num_quads] 4 u32: coefficient by coefficient |
// | b        | as a                                            |
// | partials | [num_workgroups][81] EF, from first_partial on  |
// Workgroup memory: 4,096 bytes. Barriers: 18, reached by every thread.
//#import shared/ext4
//#import shared/field4
//#import shared/tile

const WORKGROUP_SIZE: u32 = 256u;
const BLOCKS: u32 = 28u;
const KEYS: u32 = 9u; // of two variables

// What an array holds of a function in each variable: its values at 0 and 1; the coefficients of 1 and X; the function's sum over {0, 1} and its
// value at 1.
const VALUES: u32 = 0u;
const COEFFICIENTS: u32 = 1u;
const MOMENTS: u32 = 2u;

struct TableJob {
    num_quads: u32, // of an array's coefficient: elements by fours
    form_a: u32,
    form_b: u32,
    first_partial: u32, // workgroups of dispatches before this one
}

@group(0) @binding(0) var<uniform> job: TableJob;
@group(0) @binding(1) var<storage, read> a: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> b: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> partials: array<vec4<u32>>;

var<workgroup> memory: array<vec4<u32>, WORKGROUP_SIZE>;

// Four elements of EF, coefficient by coefficient; or, transposed, one after the other.
struct Quad {
    x: vec4<u32>,
    y: vec4<u32>,
    z: vec4<u32>,
    w: vec4<u32>,
}

// The function at a key, from what the array holds for the variable's two places; word by word.
fn at_key(x0: vec4<u32>, x1: vec4<u32>, form: u32, key: u32) -> vec4<u32> {
    var at_zero = x0;
    var at_one = x1;
    if form == COEFFICIENTS {
        at_one = f_add4(x0, x1);
    }
    if form == MOMENTS {
        at_zero = f_sub4(x0, x1);
    }
    return select(select(at_zero, at_one, key == 1u), f_sub4(at_one, at_zero), key == 2u);
}

fn quad_at_key(q0: Quad, q1: Quad, form: u32, key: u32) -> Quad {
    return Quad(at_key(q0.x, q1.x, form, key), at_key(q0.y, q1.y, form, key), at_key(q0.z, q1.z, form, key), at_key(q0.w, q1.w, form, key));
}

fn transposed(q: Quad) -> Quad {
    return Quad(
        vec4<u32>(q.x.x, q.y.x, q.z.x, q.w.x),
        vec4<u32>(q.x.y, q.y.y, q.z.y, q.w.y),
        vec4<u32>(q.x.z, q.y.z, q.z.z, q.w.z),
        vec4<u32>(q.x.w, q.y.w, q.z.w, q.w.w),
    );
}

// Quad i of a; zero behind its end.
fn quad_a(i: u32) -> Quad {
    if i >= job.num_quads {
        return Quad(EXT_ZERO, EXT_ZERO, EXT_ZERO, EXT_ZERO);
    }
    return Quad(a[i], a[job.num_quads + i], a[2u * job.num_quads + i], a[3u * job.num_quads + i]);
}

fn quad_b(i: u32) -> Quad {
    if i >= job.num_quads {
        return Quad(EXT_ZERO, EXT_ZERO, EXT_ZERO, EXT_ZERO);
    }
    return Quad(b[i], b[job.num_quads + i], b[2u * job.num_quads + i], b[3u * job.num_quads + i]);
}

// The elements of a block at (., ., key_2, key_3), one after the other.
fn elements_a(block: u32, key_2: u32, key_3: u32) -> Quad {
    let i = 4u * block;
    let low = quad_at_key(quad_a(i), quad_a(i + 1u), job.form_a, key_2);
    let high = quad_at_key(quad_a(i + 2u), quad_a(i + 3u), job.form_a, key_2);
    return transposed(quad_at_key(low, high, job.form_a, key_3));
}

fn elements_b(block: u32, key_2: u32, key_3: u32) -> Quad {
    let i = 4u * block;
    let low = quad_at_key(quad_b(i), quad_b(i + 1u), job.form_b, key_2);
    let high = quad_at_key(quad_b(i + 2u), quad_b(i + 3u), job.form_b, key_2);
    return transposed(quad_at_key(low, high, job.form_b, key_3));
}

// Sums for k_0 = 0, 1, 2.
struct Row {
    x: vec4<u32>,
    y: vec4<u32>,
    z: vec4<u32>,
}

// sums + the products at (0, key_1), (1, key_1) and (2, key_1).
fn added(sums: Row, of_a: Quad, of_b: Quad, key_1: u32) -> Row {
    let a0 = at_key(of_a.x, of_a.z, job.form_a, key_1);
    let a1 = at_key(of_a.y, of_a.w, job.form_a, key_1);
    let b0 = at_key(of_b.x, of_b.z, job.form_b, key_1);
    let b1 = at_key(of_b.y, of_b.w, job.form_b, key_1);
    return Row(
        ext_add(sums.x, ext_mul(at_key(a0, a1, job.form_a, 0u), at_key(b0, b1, job.form_b, 0u))),
        ext_add(sums.y, ext_mul(at_key(a0, a1, job.form_a, 1u), at_key(b0, b1, job.form_b, 1u))),
        ext_add(sums.z, ext_mul(at_key(a0, a1, job.form_a, 2u), at_key(b0, b1, job.form_b, 2u))),
    );
}

// The sum over the workgroup's blocks, for its first 9 threads: those with the keys (k_2, k_3) of the first block.
fn over_blocks(thread: u32, value: vec4<u32>) -> vec4<u32> {
    workgroupBarrier(); // the memory has been read
    memory[thread] = value;
    workgroupBarrier();
    var sum = EXT_ZERO;
    if thread < KEYS {
        for (var block = 0u; block < BLOCKS; block++) {
            sum = ext_add(sum, memory[block * KEYS + thread]);
        }
    }
    return sum;
}

fn write(thread: u32, to: u32, value: vec4<u32>) {
    let sum = over_blocks(thread, value);
    if thread < KEYS {
        partials[to + KEYS * thread] = sum;
    }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let index = tile_index(workgroup, grid);
    let num_workgroups = grid.x * grid.y;
    let key_2 = (thread % KEYS) % 3u;
    let key_3 = (thread % KEYS) / 3u;
    var rows0: Row;
    var rows1: Row;
    var rows2: Row;
    if thread < BLOCKS * KEYS {
        let num_blocks = (job.num_quads + 3u) / 4u;
        for (var block = index * BLOCKS + thread / KEYS; block < num_blocks; block += num_workgroups * BLOCKS) {
            let of_a = elements_a(block, key_2, key_3);
            let of_b = elements_b(block, key_2, key_3);
            rows0 = added(rows0, of_a, of_b, 0u);
            rows1 = added(rows1, of_a, of_b, 1u);
            rows2 = added(rows2, of_a, of_b, 2u);
        }
    }
    let to = (job.first_partial + index) * KEYS * KEYS;
    write(thread, to, rows0.x);
    write(thread, to + 1u, rows0.y);
    write(thread, to + 2u, rows0.z);
    write(thread, to + 3u, rows1.x);
    write(thread, to + 4u, rows1.y);
    write(thread, to + 5u, rows1.z);
    write(thread, to + 6u, rows2.x);
    write(thread, to + 7u, rows2.y);
    write(thread, to + 8u, rows2.z);
}
