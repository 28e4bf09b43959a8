// Sums of a column's pieces over the cube, for each point of the skip domain:
//     sums[task][0][z] = sum_x eq(r, x) column[N x + z]            x from x_begin on, num_x of them
//     sums[task][1][z] = sum_x eq(r, x - 1) column[N x + z]        N = 2^log_skip; x - 1 modulo the column's 2^n points
// The second is the first of the column that is rotated by a block.
//
// Grid: one workgroup per task; a thread has one z and every (256 / N)-th x, or every 256-th z.
// | binding | shape and element                                                                 |
// | job     | OpeningSumsJob                                                                    |
// | tasks   | [num_tasks] (word of block x_begin, 2^n, x_begin, num_x)                          |
// | eq      | [4][eq_stride] u32, coefficient by coefficient: eq over 2^n points from 2^n on    |
// | sums    | [num_tasks][2][N] EF                                                              |
// | trace   | columns                                                                           |
// Workgroup memory: 8,192 bytes. Barriers: one for each 256 points of the skip domain, reached by every thread. Where there are
// several, no thread reads what another has written.
//#import shared/ext4
//#import shared/eq
//#import shared/trace
//#import shared/tile

const WORKGROUP_SIZE: u32 = 256u;

struct OpeningSumsJob {
    num_tasks: u32,
    log_skip: u32,
    eq_stride: u32,
}

@group(0) @binding(0) var<uniform> job: OpeningSumsJob;
@group(0) @binding(1) var<storage, read> tasks: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> eq: array<u32>;
@group(0) @binding(3) var<storage, read_write> sums: array<vec4<u32>>;

var<workgroup> plain: array<vec4<u32>, WORKGROUP_SIZE>;
var<workgroup> shifted: array<vec4<u32>, WORKGROUP_SIZE>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let index = tile_index(workgroup, grid);
    if index >= job.num_tasks {
        return;
    }
    let task = tasks[index];
    let num_z = 1u << job.log_skip;
    let lanes = min(num_z, WORKGROUP_SIZE); // threads with different z
    let step = WORKGROUP_SIZE / lanes;
    for (var z_begin = 0u; z_begin < num_z; z_begin += lanes) {
        let z = z_begin + thread % lanes;
        var sum = EXT_ZERO;
        var sum_shifted = EXT_ZERO;
        for (var x = thread / lanes; x < task.w; x += step) {
            let cell = trace_word(task.x + (x << job.log_skip) + z);
            let point = task.z + x;
            sum = ext_add(sum, ext_scale(eq_at(task.y + point), cell));
            sum_shifted = ext_add(sum_shifted, ext_scale(eq_at(task.y + ((point - 1u) & (task.y - 1u))), cell));
        }
        plain[thread] = sum;
        shifted[thread] = sum_shifted;
        workgroupBarrier();
        if thread < lanes {
            for (var i = 1u; i < step; i++) {
                sum = ext_add(sum, plain[i * lanes + thread]);
                sum_shifted = ext_add(sum_shifted, shifted[i * lanes + thread]);
            }
            sums[((2u * index) << job.log_skip) + z] = sum;
            sums[((2u * index + 1u) << job.log_skip) + z] = sum_shifted;
        }
    }
}
