// Columns' sums, each with its powers of lambda, for each point of the skip domain:
//     partials[w][0][z] = sum_t a_t sums[t][0][z]
//     partials[w][1][z] = sum_t b_t sums[t][0][z]
//     partials[w][2][z] = sum_t b_t (sums[t][1][z] - sums[t][0][z])        over the tasks t of workgroup w - first_partial
//
// Grid: one workgroup per 64 tasks; a thread has one z and every (256 / N)-th task, or every 256-th z.
// | binding  | shape and element                     |
// | job      | WeighJob                              |
// | weights  | [num_tasks] (a, b): EF                |
// | sums     | [num_tasks][2][N] EF, N = 2^log_skip  |
// | partials | [num_workgroups][3][N] EF             |
// Workgroup memory: 12,288 bytes. Barriers: one for each 256 points of the skip domain, reached by every thread. Where there are
// several, no thread reads what another has written.
//#import shared/ext4
//#import shared/field4
//#import shared/tile

const WORKGROUP_SIZE: u32 = 256u;
const TASKS: u32 = 64u;

struct WeighJob {
    num_tasks: u32,
    log_skip: u32,
    first_partial: u32, // workgroups of dispatches before this one
}

@group(0) @binding(0) var<uniform> job: WeighJob;
@group(0) @binding(1) var<storage, read> weights: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> sums: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> partials: array<vec4<u32>>;

var<workgroup> memory0: array<vec4<u32>, WORKGROUP_SIZE>;
var<workgroup> memory1: array<vec4<u32>, WORKGROUP_SIZE>;
var<workgroup> memory2: array<vec4<u32>, WORKGROUP_SIZE>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let index = tile_index(workgroup, grid);
    let end = min(job.num_tasks, (index + 1u) * TASKS);
    let num_z = 1u << job.log_skip;
    let lanes = min(num_z, WORKGROUP_SIZE); // threads with different z
    let step = WORKGROUP_SIZE / lanes;
    for (var z_begin = 0u; z_begin < num_z; z_begin += lanes) {
        let z = z_begin + thread % lanes;
        var g0 = EXT_ZERO;
        var g1 = EXT_ZERO;
        var g2 = EXT_ZERO;
        for (var task = index * TASKS + thread / lanes; task < end; task += step) {
            let plain = sums[((2u * task) << job.log_skip) + z];
            let shifted = sums[((2u * task + 1u) << job.log_skip) + z];
            let b = weights[2u * task + 1u];
            g0 = ext_add(g0, ext_mul(plain, weights[2u * task]));
            g1 = ext_add(g1, ext_mul(plain, b));
            g2 = ext_add(g2, ext_mul(f_sub4(shifted, plain), b));
        }
        memory0[thread] = g0;
        memory1[thread] = g1;
        memory2[thread] = g2;
        workgroupBarrier();
        if thread < lanes && index * TASKS < job.num_tasks {
            for (var i = 1u; i < step; i++) {
                g0 = ext_add(g0, memory0[i * lanes + thread]);
                g1 = ext_add(g1, memory1[i * lanes + thread]);
                g2 = ext_add(g2, memory2[i * lanes + thread]);
            }
            let to = ((3u * (job.first_partial + index)) << job.log_skip) + z;
            partials[to] = g0;
            partials[to + num_z] = g1;
            partials[to + 2u * num_z] = g2;
        }
    }
}
