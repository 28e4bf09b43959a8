// A layer of GKR's tree out of the one below:
//     sums[to_first + y] = nodes[2 y] + nodes[2 y + 1] = (p0 q1 + p1 q0) / (q0 q1)        y < num
//
// Grid: threads take y in turn.
// | binding   | shape and element                            |
// | job       | AddJob                                       |
// | constants | [1] EF: what padding has for q               |
// | nodes     | [p, q][4][stride / 2] 2 u32: shared/fractions |
// | sums      | [p, q][4][to_stride] u32                      |
// Workgroup memory: none. Barriers: none.
//#import shared/fractions
//#import shared/tile

const WORKGROUP_SIZE: u32 = 256u;

struct AddJob {
    first: u32, // even
    len: u32,
    stride: u32, // even
    to_first: u32,
    to_stride: u32,
    num: u32,
}

@group(0) @binding(0) var<uniform> job: AddJob;
@group(0) @binding(1) var<uniform> constants: array<vec4<u32>, 1>;
@group(0) @binding(2) var<storage, read> nodes: array<vec2<u32>>;
@group(0) @binding(3) var<storage, read_write> sums: array<u32>;

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
    let p = ext_add(ext_mul(pair.p0, pair.q1), ext_mul(pair.p1, pair.q0));
    let q = ext_mul(pair.q0, pair.q1);
    let n = job.to_stride;
    let to = job.to_first + y;
    sums[to] = p.x;
    sums[n + to] = p.y;
    sums[2u * n + to] = p.z;
    sums[3u * n + to] = p.w;
    sums[4u * n + to] = q.x;
    sums[5u * n + to] = q.y;
    sums[6u * n + to] = q.z;
    sums[7u * n + to] = q.w;
}
