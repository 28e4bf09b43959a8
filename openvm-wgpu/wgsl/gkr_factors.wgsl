// A layer's sumcheck as an inner product: with eq over the variables behind the next four,
//     sum_y eq(y / 16) (p0 q1 + p1 q0 + lambda q0 q1)(y) = sum_y ((p0 + lambda q0) (eq q1) + q0 (eq p1))(y) = sum_i a[i] b[i]
// where a and b have two halves, of num elements each:
//     a = [p0 + lambda q0 | q0]        b = [eq q1 | eq p1]
// ip_table then has the next four variables at 0, 1 and infinity. Where fewer are left, those that there are not take the value 0: points behind those that there
// are do not count.
//
// Grid: threads take y in turn.
// | binding   | shape and element                                                               |
// | job       | GkrFactorsJob                                                                   |
// | constants | [2] EF: what padding has for q; lambda                                          |
// | eq        | [2^log_low] EF, then high: EF; eq(i) = low[i mod 2^log_low] high[i / 2^log_low] |
// | nodes     | [p, q][4][stride / 2] 2 u32: shared/fractions                                   |
// | a         | [4][2 num] u32: coefficient by coefficient                                      |
// | b         | as a                                                                            |
// Workgroup memory: none. Barriers: none.
//#import shared/fractions
//#import shared/tile

const WORKGROUP_SIZE: u32 = 256u;

struct GkrFactorsJob {
    first: u32,  // even
    len: u32,
    stride: u32, // even
    num: u32,    // a multiple of 16
    log_low: u32,
    first_block: u32, // eq's index of the first 16 points
}

@group(0) @binding(0) var<uniform> job: GkrFactorsJob;
@group(0) @binding(1) var<uniform> constants: array<vec4<u32>, 2>;
@group(0) @binding(2) var<storage, read> eq: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> nodes: array<vec2<u32>>;
@group(0) @binding(4) var<storage, read_write> a: array<u32>;
@group(0) @binding(5) var<storage, read_write> b: array<u32>;

fn set_a(i: u32, value: vec4<u32>) {
    let n = 2u * job.num;
    a[i] = value.x;
    a[n + i] = value.y;
    a[2u * n + i] = value.z;
    a[3u * n + i] = value.w;
}

fn set_b(i: u32, value: vec4<u32>) {
    let n = 2u * job.num;
    b[i] = value.x;
    b[n + i] = value.y;
    b[2u * n + i] = value.z;
    b[3u * n + i] = value.w;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let y = tile_index(workgroup, grid) * WORKGROUP_SIZE + thread;
    if y >= job.num {
        return;
    }
    let pair = pair_at(y);
    let block = job.first_block + (y >> 4u);
    let factor = ext_mul(eq[block & ((1u << job.log_low) - 1u)], eq[(1u << job.log_low) + (block >> job.log_low)]);
    set_a(y, ext_add(pair.p0, ext_mul(constants[1], pair.q0)));
    set_a(job.num + y, pair.q0);
    set_b(y, ext_mul(factor, pair.q1));
    set_b(job.num + y, ext_mul(factor, pair.p1));
}
