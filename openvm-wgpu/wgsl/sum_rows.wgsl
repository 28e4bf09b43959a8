// sums[j] = sum_i rows[i][j]        in EF, i < num_rows, j < width
//
// Grid: one workgroup per j.
// | binding | shape and element     |
// | job     | SumJob                |
// | rows    | [num_rows][width] EF  |
// | sums    | [width] EF            |
// Workgroup memory: 4,096 bytes. Barriers: in sum_lanes, reached by every thread.
//#import shared/lanes
//#import shared/tile

const WORKGROUP_SIZE: u32 = 256u;

struct SumJob {
    num_rows: u32,
    width: u32,
}

@group(0) @binding(0) var<uniform> job: SumJob;
@group(0) @binding(1) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> sums: array<vec4<u32>>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let column = tile_index(workgroup, grid);
    if column >= job.width {
        return;
    }
    var sum = EXT_ZERO;
    for (var row = thread; row < job.num_rows; row += WORKGROUP_SIZE) {
        sum = ext_add(sum, rows[row * job.width + column]);
    }
    sum = sum_lanes(sum, thread, 1u);
    if thread == 0u {
        sums[column] = sum;
    }
}
