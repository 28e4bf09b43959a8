// The weights of the stacked reduction, where the stacked columns' values are. Each trace column's slice has, with eq over its cube,
//     elements[start + x - begin] = a eq(r, x) + b eq(r, x - 1)        in EF, x < 2^n, x - 1 modulo 2^n
// and what is no slice's has none.
//
// Grid: threads take places in turn.
// | binding  | shape and element                                                              |
// | job      | StackWeightsJob                                                                |
// | starts   | [num_slices] u32, ascending, the first 0                                       |
// | slices   | [num_slices] (a: EF, b: EF)                                                    |
// | sizes    | [num_slices] u32: 2^n                                                          |
// | eq       | [4][eq_stride] u32, coefficient by coefficient: eq over 2^n points from 2^n on |
// | elements | [4][stride] u32                                                                |
// Workgroup memory: none. Barriers: none.
//#import shared/elements
//#import shared/entries
//#import shared/eq
//#import shared/ext4
//#import shared/tile

const WORKGROUP_SIZE: u32 = 256u;

struct StackWeightsJob {
    num_slices: u32,
    begin: u32,
    stride: u32,
    eq_stride: u32,
}

@group(0) @binding(0) var<uniform> job: StackWeightsJob;
@group(0) @binding(1) var<storage, read> starts: array<u32>;
@group(0) @binding(2) var<storage, read> slices: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> sizes: array<u32>;
@group(0) @binding(4) var<storage, read> eq: array<u32>;
@group(0) @binding(5) var<storage, read_write> elements: array<u32>;

fn entry_start(i: u32) -> u32 {
    return starts[i];
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let to = tile_index(workgroup, grid) * WORKGROUP_SIZE + thread;
    if to >= job.stride {
        return;
    }
    let place = job.begin + to;
    let slice = entry_of(0u, job.num_slices, place);
    let x = place - starts[slice];
    let size = sizes[slice];
    var weight = EXT_ZERO;
    if x < size {
        let before = eq_at(size + ((x - 1u) & (size - 1u)));
        weight = ext_add(ext_mul(slices[2u * slice], eq_at(size + x)), ext_mul(slices[2u * slice + 1u], before));
    }
    set_element(to, weight);
}
