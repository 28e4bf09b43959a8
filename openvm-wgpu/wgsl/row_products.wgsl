// Expressions that are not affine, row by row, as columns: a program of steps over a row's cells.
//
// Grid: threads take rows first_row + i in turn.
// | binding  | shape and element                                                              |
// | job      | RowProductsJob                                                                 |
// | steps    | [num_steps] (operation, target, a, b): see below                               |
// | slots    | [..][num_rows] u32: each thread's temporaries, a row of the array for each      |
// | products | [..][height] u32 from word first_word on                                       |
// | trace    | columns                                                                        |
// Workgroup memory: none. Barriers: none.
//#import shared/field
//#import shared/trace
//#import shared/tile

const WORKGROUP_SIZE: u32 = 256u;

// What a step does. Targets are slots, and so are a and b where nothing else is said.
const LOAD: u32 = 0u;      // the cell of the column whose row 0 is at word a, b rows further on
const FIRST_ROW: u32 = 1u; // 1 on the first row
const LAST_ROW: u32 = 2u;
const ADD: u32 = 3u;
const SUB: u32 = 4u;
const MUL: u32 = 5u;
const NEG: u32 = 6u;
const ADD_VALUE: u32 = 7u; // b is an element
const SUB_VALUE: u32 = 8u;
const MUL_VALUE: u32 = 9u;
const STORE: u32 = 10u;    // product `target` is slot a

struct RowProductsJob {
    num_steps: u32,
    first_row: u32,
    num_rows: u32,
    row_mask: u32, // height - 1
    first_word: u32,
}

@group(0) @binding(0) var<uniform> job: RowProductsJob;
@group(0) @binding(1) var<storage, read> steps: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> slots: array<u32>;
@group(0) @binding(3) var<storage, read_write> products: array<u32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let i = tile_index(workgroup, grid) * WORKGROUP_SIZE + thread;
    if i >= job.num_rows {
        return;
    }
    let row = job.first_row + i;
    for (var at = 0u; at < job.num_steps; at++) {
        let step = steps[at];
        if step.x == STORE {
            products[job.first_word + step.y * (job.row_mask + 1u) + row] = slots[step.z * job.num_rows + i];
            continue;
        }
        var value = 0u;
        if step.x == LOAD {
            value = trace_word(step.z + ((row + step.w) & job.row_mask));
        } else if step.x == FIRST_ROW {
            value = select(0u, ONE, row == 0u);
        } else if step.x == LAST_ROW {
            value = select(0u, ONE, row == job.row_mask);
        } else {
            let a = slots[step.z * job.num_rows + i];
            if step.x == NEG {
                value = f_sub(0u, a);
            } else {
                var b = step.w;
                if step.x <= MUL {
                    b = slots[step.w * job.num_rows + i];
                }
                if step.x == ADD || step.x == ADD_VALUE {
                    value = f_add(a, b);
                } else if step.x == SUB || step.x == SUB_VALUE {
                    value = f_sub(a, b);
                } else {
                    value = f_mul(a, b);
                }
            }
        }
        slots[step.y * job.num_rows + i] = value;
    }
}
