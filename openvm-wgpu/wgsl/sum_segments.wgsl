// sums[j] = sum_i rows[first_j + i]        in EF, i < num_j
//
// Grid: one workgroup per j.
// | binding  | shape and element                     |
// | job      | SumSegmentsJob                        |
// | segments | [num_segments] (first, num): two to an element |
// | rows     | [..] EF                               |
// | sums     | [num_segments] EF                     |
// Workgroup memory: 4,096 bytes. Barriers: in sum_lanes, reached by every thread.
//#import shared/lanes
//#import shared/tile

const WORKGROUP_SIZE: u32 = 256u;

struct SumSegmentsJob {
    num_segments: u32,
}

@group(0) @binding(0) var<uniform> job: SumSegmentsJob;
@group(0) @binding(1) var<storage, read> segments: array<vec2<u32>>;
@group(0) @binding(2) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> sums: array<vec4<u32>>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let segment = tile_index(workgroup, grid);
    if segment >= job.num_segments {
        return;
    }
    let own = segments[segment];
    var sum = EXT_ZERO;
    for (var row = thread; row < own.y; row += WORKGROUP_SIZE) {
        sum = ext_add(sum, rows[own.x + row]);
    }
    sum = sum_lanes(sum, thread, 1u);
    if thread == 0u {
        sums[segment] = sum;
    }
}
