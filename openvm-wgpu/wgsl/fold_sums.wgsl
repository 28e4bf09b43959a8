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

// A coefficient of four nodes from `at` on; of fewer, where Lagrange polynomials behind the last are zero, whatever is there.
fn coefficients(row: u32, at: u32) -> vec4<u32> {
    let first = row * job.stride;
    let last = job.stride - 1u;
    return vec4<u32>(nodes[first + at], nodes[first + min(at + 1u, last)], nodes[first + min(at + 2u, last)], nodes[first + min(at + 3u, last)]);
}

// X^4 = 11.
fn times_x(a: vec4<u32>) -> vec4<u32> {
    return vec4<u32>(f_mul(a.w, ELEVEN), a.x, a.y, a.z);
}

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
    // By the powers of X in q, four z at a time. (A product of two extension elements for each z was found to cost llvmpipe 0.4 MB a dispatch for good.)
    var by_1 = EXT_ZERO;
    var by_x = EXT_ZERO;
    var by_x2 = EXT_ZERO;
    var by_x3 = EXT_ZERO;
    for (var z = 0u; z < (1u << job.log_skip); z += 4u) {
        let at = (x << job.log_skip) + z;
        let l0 = lagrange[z];
        let l1 = lagrange[z + 1u];
        let l2 = lagrange[z + 2u];
        let l3 = lagrange[z + 3u];
        by_1 = ext_add(by_1, ext_dot4(l0, l1, l2, l3, coefficients(4u, at)));
        by_x = ext_add(by_x, ext_dot4(l0, l1, l2, l3, coefficients(5u, at)));
        by_x2 = ext_add(by_x2, ext_dot4(l0, l1, l2, l3, coefficients(6u, at)));
        by_x3 = ext_add(by_x3, ext_dot4(l0, l1, l2, l3, coefficients(7u, at)));
    }
    folded[job.to_first + x] = ext_add(ext_add(by_1, times_x(by_x)), times_x(times_x(ext_add(by_x2, times_x(by_x3)))));
}
