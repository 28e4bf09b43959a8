// The inner product of an array with a tensor product of two tables:
//     value = sum_i a[i] low[i mod 2^log_low] high[i / 2^log_low]        in EF, i < len
//
// Grid: threads take i in turn.
// | binding  | shape and element                           |
// | job      | EvaluateJob                                 |
// | factors  | [2^log_low] EF, then high: EF               |
// | a        | [4][stride] u32: coefficient by coefficient |
// | partials | [num_workgroups] EF                         |
// Workgroup memory: 4,096 bytes. Barriers: in sum_lanes, reached by every thread.
//#import shared/lanes
//#import shared/tile

const WORKGROUP_SIZE: u32 = 256u;

struct EvaluateJob {
    len: u32,
    stride: u32,
    log_low: u32,
}

@group(0) @binding(0) var<uniform> job: EvaluateJob;
@group(0) @binding(1) var<storage, read> factors: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> a: array<u32>;
@group(0) @binding(3) var<storage, read_write> partials: array<vec4<u32>>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let index = tile_index(workgroup, grid);
    var sum = EXT_ZERO;
    for (var i = index * WORKGROUP_SIZE + thread; i < job.len; i += grid.x * grid.y * WORKGROUP_SIZE) {
        let factor = ext_mul(factors[i & ((1u << job.log_low) - 1u)], factors[(1u << job.log_low) + (i >> job.log_low)]);
        let element = vec4<u32>(a[i], a[job.stride + i], a[2u * job.stride + i], a[3u * job.stride + i]);
        sum = ext_add(sum, ext_mul(element, factor));
    }
    sum = sum_lanes(sum, thread, 1u);
    if thread == 0u {
        partials[index] = sum;
    }
}
