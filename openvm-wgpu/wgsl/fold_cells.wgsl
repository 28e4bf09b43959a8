// Cells at a point of the skip domain's variable, for programs over the folded rows:
//     folded[to_j + x] = sum_z lagrange[z] cell_j[N x + z]        in EF, z < N = 2^log_skip, x < num_x of column j
//
// Grid: threads take (j, x) in turn, from element `begin` of all columns' on.
// | binding  | shape and element                                                                                |
// | job      | FoldCellsJob                                                                                     |
// | columns  | [num_columns] (first element, word of row 0, 1 for the next row, height - 1), by the first       |
// | lagrange | [N, up to a multiple of 4] EF, zeros behind the N                                                |
// | folded   | [..] EF                                                                                          |
// | trace    | columns                                                                                          |
// Workgroup memory: none. Barriers: none.
//#import shared/entries
//#import shared/ext4
//#import shared/tile
//#import shared/trace

const WORKGROUP_SIZE: u32 = 256u;

struct FoldCellsJob {
    begin: u32,
    num: u32,
    num_columns: u32,
    log_skip: u32,
}

@group(0) @binding(0) var<uniform> job: FoldCellsJob;
@group(0) @binding(1) var<storage, read> columns: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> lagrange: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> folded: array<vec4<u32>>;

fn entry_start(i: u32) -> u32 {
    return columns[i].x;
}

fn cell(column: vec4<u32>, row: u32) -> u32 {
    return trace_word(column.y + ((row + column.z) & column.w));
}

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
    let place = job.begin + i;
    let column = columns[entry_of(0u, job.num_columns, place)];
    let row = (place - column.x) << job.log_skip;
    var sum = EXT_ZERO;
    for (var z = 0u; z < (1u << job.log_skip); z += 4u) {
        let cells = vec4<u32>(
            cell(column, row + z),
            cell(column, row + z + 1u),
            cell(column, row + z + 2u),
            cell(column, row + z + 3u),
        );
        sum = ext_add(sum, ext_dot4(lagrange[z], lagrange[z + 1u], lagrange[z + 2u], lagrange[z + 3u], cells));
    }
    folded[place] = sum;
}
