// Trace columns at a point (r_0, r), plain and rotated, from their pieces' sums over the cube, C and C', for each point of the skip domain (opening_sums):
//     values[to_first + 2 j] = sum_z L_z C_j(z)        values[to_first + 2 j + 1] = sum_(z < N - 1) L_z C_j(z + 1) + L_(N-1) C'_j(0)        N = 2^log_skip
// in EF, with the Lagrange polynomials L of the skip domain at r_0.
//
// Grid: one workgroup per column; threads take (piece, z) in turn.
// | binding  | shape and element                                     |
// | job      | ColumnValuesJob                                       |
// | columns  | [num_columns] (first piece, number): two to an element |
// | tasks    | [..] u32: each piece's place among the sums            |
// | lagrange | [N] EF                                                |
// | sums     | [..][2][N] EF                                         |
// | values   | [..] EF                                               |
// Workgroup memory: 4,096 bytes. Barriers: in sum_lanes, reached by every thread.
//#import shared/lanes
//#import shared/tile

const WORKGROUP_SIZE: u32 = 256u;

struct ColumnValuesJob {
    num_columns: u32,
    log_skip: u32,
    to_first: u32,
}

@group(0) @binding(0) var<uniform> job: ColumnValuesJob;
@group(0) @binding(1) var<storage, read> columns: array<vec2<u32>>;
@group(0) @binding(2) var<storage, read> tasks: array<u32>;
@group(0) @binding(3) var<storage, read> lagrange: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read> sums: array<vec4<u32>>;
@group(0) @binding(5) var<storage, read_write> values: array<vec4<u32>>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let column = tile_index(workgroup, grid);
    if column >= job.num_columns {
        return;
    }
    let own = columns[column];
    let last = (1u << job.log_skip) - 1u;
    var plain = EXT_ZERO;
    var rotated = EXT_ZERO;
    for (var i = thread; i < (own.y << job.log_skip); i += WORKGROUP_SIZE) {
        let z = i & last;
        let at = (2u * tasks[own.x + (i >> job.log_skip)]) << job.log_skip;
        plain = ext_add(plain, ext_mul(lagrange[z], sums[at + z]));
        // The next point's; behind the last point's are those of the next block, of which the first is meant.
        rotated = ext_add(rotated, ext_mul(lagrange[z], sums[at + z + 1u]));
    }
    plain = sum_lanes(plain, thread, 1u);
    rotated = sum_lanes(rotated, thread, 1u);
    if thread == 0u {
        values[job.to_first + 2u * column] = plain;
        values[job.to_first + 2u * column + 1u] = rotated;
    }
}
