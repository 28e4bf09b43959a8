// Columns at a point of the skip domain's variable:
//     elements[first + i] = sum_z lagrange[z] column_j[N x + z]        in EF, z < N = 2^log_skip, 2^log_cube j + x = begin + i, i < len
//
// Grid: threads take i in turn.
// | binding  | shape and element                                                        |
// | job      | FoldColumnsJob                                                           |
// | columns  | [num_columns, up to a multiple of 8] u32: each column's first trace word |
// | lagrange | [N] EF                                                                   |
// | elements | [4][stride] u32: coefficient by coefficient                              |
// | trace    | columns                                                                  |
// Workgroup memory: none. Barriers: none.
//#import shared/ext4
//#import shared/elements
//#import shared/trace
//#import shared/tile

const WORKGROUP_SIZE: u32 = 256u;

struct FoldColumnsJob {
    log_skip: u32,
    log_cube: u32,
    begin: u32,
    len: u32,
    first: u32,
    stride: u32,
}

@group(0) @binding(0) var<uniform> job: FoldColumnsJob;
@group(0) @binding(1) var<storage, read> columns: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> lagrange: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> elements: array<u32>;

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
    let column = (job.begin + i) >> job.log_cube;
    let x = (job.begin + i) & ((1u << job.log_cube) - 1u);
    let word = columns[column >> 2u][column & 3u] + (x << job.log_skip);
    var value = EXT_ZERO;
    if job.log_skip >= 2u {
        var acc: ExtAcc;
        for (var z = 0u; z < (1u << job.log_skip); z += 4u) {
            acc = ext_acc_mad4(acc, lagrange[z], lagrange[z + 1u], lagrange[z + 2u], lagrange[z + 3u], trace_vec4(word + z));
        }
        value = ext_acc_value(acc);
    } else {
        for (var z = 0u; z < (1u << job.log_skip); z++) {
            value = ext_add(value, ext_scale(lagrange[z], trace_word(word + z)));
        }
    }
    let to = job.first + i;
    set_element(to, value);
}
