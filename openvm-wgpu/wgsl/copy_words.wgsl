// copies[i] = source[first + i]: what the host wants of a buffer that stays.
//
// Grid: threads take words in turn.
// | binding | shape and element       |
// | job     | CopyJob                 |
// | source  | [first + num_words] u32 |
// | copies  | [num_words] u32         |
// Workgroup memory: none. Barriers: none.
//#import shared/tile

const WORKGROUP_SIZE: u32 = 256u;

struct CopyJob {
    first: u32,
    num_words: u32,
}

@group(0) @binding(0) var<uniform> job: CopyJob;
@group(0) @binding(1) var<storage, read> source: array<u32>;
@group(0) @binding(2) var<storage, read_write> copies: array<u32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let i = tile_index(workgroup, grid) * WORKGROUP_SIZE + thread;
    if i < job.num_words {
        copies[i] = source[job.first + i];
    }
}
