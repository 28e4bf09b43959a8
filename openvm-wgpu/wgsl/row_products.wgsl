// Expressions that are not affine, row by row, as columns.
//
// Grid: threads take rows first_row + i in turn.
// | binding  | shape and element                                                                |
// | job      | RowProductsJob                                                                   |
// | steps    | [num_steps] (operation, target, a, b): shared/steps                              |
// | cells    | [..] (word of row 0, what it is: shared/cells), two to an element                |
// | values   | [..] u32: values of the program                                                  |
// | slots    | [..][num_rows] u32: each thread's temporaries, a row of the array for each        |
// | products | [..][height] u32 from word first_word on                                         |
// | trace    | columns                                                                          |
// Workgroup memory: none. Barriers: none.
//#import shared/cells
//#import shared/steps
//#import shared/tile

const WORKGROUP_SIZE: u32 = 256u;

struct RowProductsJob {
    first_step: u32,
    num_steps: u32,
    first_row: u32,
    num_rows: u32,
    row_mask: u32, // height - 1
    first_word: u32,
}

@group(0) @binding(0) var<uniform> job: RowProductsJob;
@group(0) @binding(1) var<storage, read> steps: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> cells: array<vec2<u32>>;
@group(0) @binding(3) var<storage, read> values: array<u32>;
@group(0) @binding(4) var<storage, read_write> slots: array<u32>;
@group(0) @binding(5) var<storage, read_write> products: array<u32>;

alias Value = u32;

// The thread's row, from first_row on.
var<private> lane: u32;

fn cell_value(i: u32) -> Value {
    return cell(cells[i].x, cells[i].y, job.first_row + lane, job.row_mask);
}

fn slot_value(i: u32) -> Value {
    return slots[i * job.num_rows + lane];
}

fn set_slot(i: u32, value: Value) {
    slots[i * job.num_rows + lane] = value;
}

fn constant_value(i: u32) -> u32 {
    return values[i];
}

fn take_root(i: u32, value: Value) {
    products[job.first_word + i * (job.row_mask + 1u) + job.first_row + lane] = value;
}

fn value_add(a: Value, b: Value) -> Value {
    return f_add(a, b);
}

fn value_sub(a: Value, b: Value) -> Value {
    return f_sub(a, b);
}

fn value_mul(a: Value, b: Value) -> Value {
    return f_mul(a, b);
}

fn value_neg(a: Value) -> Value {
    return f_sub(0u, a);
}

fn value_add_base(a: Value, b: u32) -> Value {
    return f_add(a, b);
}

fn value_scale(a: Value, b: u32) -> Value {
    return f_mul(a, b);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    lane = tile_index(workgroup, grid) * WORKGROUP_SIZE + thread;
    if lane < job.num_rows {
        run_steps(job.first_step, job.num_steps);
    }
}
