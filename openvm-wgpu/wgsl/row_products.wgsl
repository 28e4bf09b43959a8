// Expressions that are not affine, row by row, as columns.
//
// Grid: threads take rows first_row + i in turn.
// | binding      | shape and element                                                         |
// | job          | RowProductsJob                                                            |
// | instructions | [..] the program's: shared/instructions                                   |
// | cells        | [..] (word of row 0, 1 for the next row) of each leaf, two to an element  |
// | values       | [..] u32: values of the program                                           |
// | temps        | [..][num_rows] u32: each thread's temporaries, a row of the array for each |
// | products     | [..][height] u32 from word first_word on                                  |
// | trace        | columns                                                                   |
// Workgroup memory: none. Barriers: none.
//#import shared/field
//#import shared/instructions
//#import shared/tile
//#import shared/trace
//#import shared/values

const WORKGROUP_SIZE: u32 = 256u;

struct RowProductsJob {
    num_segments: u32,
    first_row: u32,
    num_rows: u32,
    row_mask: u32, // height - 1
    first_word: u32,
}

@group(0) @binding(0) var<uniform> job: RowProductsJob;
@group(0) @binding(1) var<storage, read> instructions: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> cells: array<vec2<u32>>;
@group(0) @binding(3) var<storage, read> values: array<u32>;
@group(0) @binding(4) var<storage, read_write> temps: array<u32>;
@group(0) @binding(5) var<storage, read_write> products: array<u32>;

// The thread's row, from first_row on.
var<private> lane: u32;

fn instruction(i: u32) -> vec4<u32> {
    return instructions[i];
}

fn leaf_value(i: u32) -> Value {
    let cell = cells[i];
    return trace_word(cell.x + ((job.first_row + lane + cell.y) & job.row_mask));
}

fn operand_value(i: u32) -> Value {
    if (i & OPERAND_VALUE) != 0u {
        return values[i & ~OPERAND_VALUE];
    }
    if (i & OPERAND_LEAF) != 0u {
        return leaf_value(i & ~OPERAND_LEAF);
    }
    return temps[i * job.num_rows + lane];
}

fn set_temp(i: u32, value: Value) {
    temps[i * job.num_rows + lane] = value;
}

fn selector_value(op: u32) -> Value {
    let row = job.first_row + lane;
    let is_last = select(0u, ONE, row == job.row_mask);
    if op == OP_TRANSITION {
        return f_sub(ONE, is_last);
    }
    return select(is_last, select(0u, ONE, row == 0u), op == OP_FIRST);
}

fn take_root(i: u32, value: Value) {
    products[job.first_word + i * (job.row_mask + 1u) + job.first_row + lane] = value;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    lane = tile_index(workgroup, grid) * WORKGROUP_SIZE + thread;
    if lane < job.num_rows {
        run_program(job.num_segments);
    }
}
