// Pairs of elements at a challenge: folded[i] = a[2 i] + r (a[2 i + 1] - a[2 i])        in EF, i < num
//
// Grid: threads take i in turn.
// | binding   | shape and element |
// | job       | FoldPairsJob      |
// | constants | [1] EF: r         |
// | a         | [2 num] EF        |
// | folded    | [num] EF          |
// Workgroup memory: none. Barriers: none.
//#import shared/ext4
//#import shared/field4
//#import shared/tile

const WORKGROUP_SIZE: u32 = 256u;

struct FoldPairsJob {
    num: u32,
}

@group(0) @binding(0) var<uniform> job: FoldPairsJob;
@group(0) @binding(1) var<uniform> constants: array<vec4<u32>, 1>;
@group(0) @binding(2) var<storage, read> a: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> folded: array<vec4<u32>>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let i = tile_index(workgroup, grid) * WORKGROUP_SIZE + thread;
    if i >= job.num {
        return;
    }
    let low = a[2u * i];
    let high = a[2u * i + 1u];
    folded[i] = ext_add(low, ext_mul(constants[0], f_sub4(high, low)));
}
