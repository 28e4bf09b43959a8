// A tensor product of two tables, all of eq(point, .) or of the powers of an element:
//     elements[first + i] = low[j mod 2^log_low] high[j / 2^log_low]        in EF, i < len, j = begin + i
//
// Grid: threads take i in turn.
// | binding  | shape and element                           |
// | job      | TensorJob                                   |
// | factors  | [2^log_low] EF, then high: EF               |
// | elements | [4][stride] u32: coefficient by coefficient |
// Workgroup memory: none. Barriers: none.
//#import shared/ext4
//#import shared/elements
//#import shared/tile

const WORKGROUP_SIZE: u32 = 256u;

struct TensorJob {
    first: u32,
    begin: u32,
    len: u32,
    stride: u32,
    log_low: u32,
}

@group(0) @binding(0) var<uniform> job: TensorJob;
@group(0) @binding(1) var<storage, read> factors: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> elements: array<u32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let i = tile_index(workgroup, grid) * WORKGROUP_SIZE + thread;
    if i >= job.len {
        return;
    }
    let j = job.begin + i;
    let value = ext_mul(factors[j & ((1u << job.log_low) - 1u)], factors[(1u << job.log_low) + (j >> job.log_low)]);
    let to = job.first + i;
    set_element(to, value);
}
