// Sums over cells, row by row, at a point of the skip domain's variable:
//     folded[to_first + x] = sum_z lagrange[z] q[N x + z]        in EF, z < N = 2^log_skip, x < num
//
// Grid: threads take x in turn.
// | binding  | shape and element                    |
// | job      | FoldSumsJob                          |
// | lagrange | [N, up to a multiple of 4] EF        |
// | nodes    | [p, q][4][stride] u32: fractions     |
// | folded   | [..] EF                              |
// Workgroup memory: none. Barriers: none.
//#import shared/ext4
//#import shared/tile

const WORKGROUP_SIZE: u32 = 256u;

struct FoldSumsJob {
    log_skip: u32,
    num: u32,
    stride: u32,
    to_first: u32,
}

@group(0) @binding(0) var<uniform> job: FoldSumsJob;
@group(0) @binding(1) var<storage, read> lagrange: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> nodes: array<u32>;
@group(0) @binding(3) var<storage, read_write> folded: array<vec4<u32>>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let x = tile_index(workgroup, grid) * WORKGROUP_SIZE + thread;
    if x >= job.num {
        return;
    }
    let n = job.stride;
    var sum = EXT_ZERO;
    for (var z = 0u; z < (1u << job.log_skip); z++) {
        let at = (x << job.log_skip) + z;
        sum = ext_add(sum, ext_mul(lagrange[z], vec4<u32>(nodes[4u * n + at], nodes[5u * n + at], nodes[6u * n + at], nodes[7u * n + at])));
    }
    folded[job.to_first + x] = sum;
}
