// One column of EF out of many of F:
//     elements[x] = (elements[x], unless is_first) + sum_j weights[j] column_j[begin + x]        weights in EF, x < num_rows
//
// Grid: threads take rows in turn.
// | binding  | shape and element                                                        |
// | job      | BatchJob                                                                 |
// | columns  | [num_columns, up to a multiple of 8] u32: each column's first trace word |
// | weights  | [num_columns, up to a multiple of 4] EF, zero for what is no column      |
// | elements | [4][stride] u32: coefficient by coefficient                              |
// | trace    | columns                                                                  |
// Workgroup memory: none. Barriers: none.
//#import shared/ext4
//#import shared/elements
//#import shared/trace
//#import shared/tile

const WORKGROUP_SIZE: u32 = 256u;

struct BatchJob {
    begin: u32,
    num_rows: u32,
    stride: u32,
    num_columns: u32,
    is_first: u32,
}

@group(0) @binding(0) var<uniform> job: BatchJob;
@group(0) @binding(1) var<storage, read> columns: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> weights: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> elements: array<u32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let x = tile_index(workgroup, grid) * WORKGROUP_SIZE + thread;
    if x >= job.num_rows {
        return;
    }
    let row = job.begin + x;
    var acc: ExtAcc;
    for (var column = 0u; column < job.num_columns; column += 4u) {
        let bases = columns[column >> 2u];
        let cells = vec4<u32>(
            trace_word(bases.x + row),
            trace_word(bases.y + row),
            trace_word(bases.z + row),
            trace_word(bases.w + row),
        );
        acc = ext_acc_mad4(acc, weights[column], weights[column + 1u], weights[column + 2u], weights[column + 3u], cells);
    }
    var sum = ext_acc_value(acc);
    if job.is_first == 0u {
        sum = ext_add(sum, element(x));
    }
    set_element(x, sum);
}
