// A round of the constraint stage's sumcheck, at one point X of a trace's polynomial: of a piece of the trace's expressions, over some of the pairs of rows,
//     partials[task] = sum_y eq(y) (sum_k weights[k] root_k(X, y) + affine(X, y))        cells linear between rows 2 y (X = 0) and 2 y + 1 (X = 1)
//
// Grid: one workgroup per task, first_task + its index; a thread has one y.
// | binding      | shape and element                                                                                                        |
// | job          | MleRoundJob                                                                                                              |
// | entries      | [num_entries] (first task, first instruction, number of segments, first cell column; first value, first weight, affine's  |
// |              | first element or NONE, X; number of y, log2 of it, 0, 0), by their first task                                            |
// | instructions | [..] of all programs: shared/instructions                                                                                |
// | tables       | EF: values, word by word, from first_value on; weights from first_weight on                                              |
// | eq           | EF: over m <= LOG_EQ variables from 2^m on, over m behind those from eq_high + 2^m on; the selectors of the first row at |
// |              | 0 and of the last one at eq_high, each on its own row                                                                    |
// | cells        | [..] EF: each column's 2 num_y rows; leaf i of a program is i columns behind the entry's first element                   |
// | affine       | [..] EF                                                                                                                  |
// | temps        | [..][num_tasks][64] EF: each thread's temporaries                                                                        |
// | partials     | [num_tasks] EF                                                                                                           |
// Workgroup memory: 1,024 bytes. Barriers: in sum_lanes, reached by every thread.
//#import shared/entries
//#import shared/ext4
//#import shared/field4
//#import shared/instructions
//#import shared/lanes
//#import shared/tile

const WORKGROUP_SIZE: u32 = 64u;
const NONE: u32 = 0xffffffffu;
const LOG_EQ: u32 = 10u;

struct MleRoundJob {
    first_task: u32,
    num_tasks: u32,
    first_entry: u32,
    end_entry: u32,
    eq_high: u32, // where eq over the variables behind LOG_EQ begins
}

@group(0) @binding(0) var<uniform> job: MleRoundJob;
@group(0) @binding(1) var<storage, read> entries: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> instructions: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> tables: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read> eq: array<vec4<u32>>;
@group(0) @binding(5) var<storage, read> cells: array<vec4<u32>>;
@group(0) @binding(6) var<storage, read> affine: array<vec4<u32>>;
@group(0) @binding(7) var<storage, read_write> temps: array<vec4<u32>>;
@group(0) @binding(8) var<storage, read_write> partials: array<vec4<u32>>;

alias Value = vec4<u32>;

// The thread's place among those of the dispatch, its pair of rows, and what its entry says.
var<private> lane: u32;
var<private> y: u32;
var<private> num_y: u32;
var<private> first_instruction: u32;
var<private> first_cell: u32;
var<private> first_value: u32;
var<private> first_weight: u32;
var<private> point: u32; // X as a word
var<private> sum: vec4<u32>;

fn entry_start(i: u32) -> u32 {
    return entries[3u * i].x;
}

fn between(low: vec4<u32>, high: vec4<u32>) -> vec4<u32> {
    return ext_add(low, ext_scale(f_sub4(high, low), point));
}

fn instruction(i: u32) -> vec4<u32> {
    return instructions[first_instruction + i];
}

fn leaf_value(i: u32) -> Value {
    let at = first_cell + 2u * (i * num_y + y);
    return between(cells[at], cells[at + 1u]);
}

fn base_value(i: u32) -> u32 {
    let at = first_value + (i & ~OPERAND_VALUE);
    return tables[at >> 2u][at & 3u];
}

fn operand_value(i: u32) -> Value {
    if (i & OPERAND_VALUE) != 0u {
        return vec4<u32>(base_value(i), 0u, 0u, 0u);
    }
    if (i & OPERAND_LEAF) != 0u {
        return leaf_value(i & ~OPERAND_LEAF);
    }
    return temps[i * job.num_tasks * WORKGROUP_SIZE + lane];
}

fn set_temp(i: u32, value: Value) {
    temps[i * job.num_tasks * WORKGROUP_SIZE + lane] = value;
}

fn selector_value(op: u32) -> Value {
    if op == OP_FIRST {
        return between(select(EXT_ZERO, eq[0], y == 0u), EXT_ZERO);
    }
    let is_last = between(EXT_ZERO, select(EXT_ZERO, eq[job.eq_high], y + 1u == num_y));
    if op == OP_LAST {
        return is_last;
    }
    return f_sub4(vec4<u32>(ONE, 0u, 0u, 0u), is_last);
}

fn take_root(i: u32, value: Value) {
    sum = ext_add(sum, ext_mul(tables[first_weight + i], value));
}

fn value_add(a: Value, b: Value) -> Value {
    return ext_add(a, b);
}

fn value_sub(a: Value, b: Value) -> Value {
    return f_sub4(a, b);
}

fn value_mul(a: Value, i: u32) -> Value {
    if (i & OPERAND_VALUE) != 0u {
        return ext_scale(a, base_value(i));
    }
    return ext_mul(a, operand_value(i));
}

fn eq_at(log_num: u32) -> vec4<u32> {
    let low = min(log_num, LOG_EQ);
    let factor = eq[(1u << low) + (y & ((1u << low) - 1u))];
    if log_num <= LOG_EQ {
        return factor;
    }
    return ext_mul(factor, eq[job.eq_high + (1u << (log_num - LOG_EQ)) + (y >> LOG_EQ)]);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let index = tile_index(workgroup, grid);
    if index >= job.num_tasks {
        return;
    }
    let task = job.first_task + index;
    let own = entry_of(job.first_entry, job.end_entry, task);
    let program = entries[3u * own];
    let places = entries[3u * own + 1u];
    let shape = entries[3u * own + 2u];
    lane = index * WORKGROUP_SIZE + thread;
    y = (task - program.x) * WORKGROUP_SIZE + thread;
    num_y = shape.x;
    first_instruction = program.y;
    first_cell = program.w;
    first_value = places.x;
    first_weight = places.y;
    point = places.w;
    var value = EXT_ZERO;
    if y < num_y {
        if places.z != NONE {
            let at = places.z + 2u * y;
            sum = between(affine[at], affine[at + 1u]);
        }
        run_program(program.z);
        value = ext_mul(sum, eq_at(shape.y));
    }
    value = sum_lanes(value, thread, 1u);
    if thread == 0u {
        partials[task] = value;
    }
}
