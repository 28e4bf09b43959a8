// A layer of GKR's tree at challenges for the lowest log_window variables of its points; left and right children stay apart:
//     folded[2 (to_first + y) + child] = sum_b w_b nodes[2 (2^log_window y + b) + child]        y < num, b < 2^log_window
//
// Grid: threads take y in turn.
// | binding   | shape and element                                                      |
// | job       | FoldFractionsJob                                                       |
// | constants | [1 + 16] EF: what padding has for q; w_0, w_1, .., which add up to 1    |
// | nodes     | [p, q][4][stride / 2] 2 u32: shared/fractions                           |
// | folded    | [p, q][4][to_stride / 2] 2 u32                                          |
// Workgroup memory: none. Barriers: none.
//#import shared/fractions
//#import shared/tile

const WORKGROUP_SIZE: u32 = 256u;

struct FoldFractionsJob {
    first: u32,  // even
    len: u32,
    stride: u32, // even
    to_first: u32,
    to_stride: u32, // even
    num: u32,
    log_window: u32, // 1 to 4
}

@group(0) @binding(0) var<uniform> job: FoldFractionsJob;
@group(0) @binding(1) var<uniform> constants: array<vec4<u32>, 17>;
@group(0) @binding(2) var<storage, read> nodes: array<vec2<u32>>;
@group(0) @binding(3) var<storage, read_write> folded: array<vec2<u32>>;

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
    var p0 = EXT_ZERO;
    var q0 = EXT_ZERO;
    var p1 = EXT_ZERO;
    var q1 = EXT_ZERO;
    for (var b = 0u; b < (1u << job.log_window); b++) {
        let weight = constants[1u + b];
        let pair = pair_at((y << job.log_window) + b);
        p0 = ext_add(p0, ext_mul(pair.p0, weight));
        q0 = ext_add(q0, ext_mul(pair.q0, weight));
        p1 = ext_add(p1, ext_mul(pair.p1, weight));
        q1 = ext_add(q1, ext_mul(pair.q1, weight));
    }
    let n = job.to_stride / 2u;
    let to = job.to_first + y;
    folded[to] = vec2<u32>(p0.x, p1.x);
    folded[n + to] = vec2<u32>(p0.y, p1.y);
    folded[2u * n + to] = vec2<u32>(p0.z, p1.z);
    folded[3u * n + to] = vec2<u32>(p0.w, p1.w);
    folded[4u * n + to] = vec2<u32>(q0.x, q1.x);
    folded[5u * n + to] = vec2<u32>(q0.y, q1.y);
    folded[6u * n + to] = vec2<u32>(q0.z, q1.z);
    folded[7u * n + to] = vec2<u32>(q0.w, q1.w);
}
