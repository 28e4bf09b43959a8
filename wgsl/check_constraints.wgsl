// For each constraint c_i of a trace: results[i] = (number of rows r with c_i(r) != 0, the first FAILING_ROWS of these rows)
//
// The program is data, as in coset_interpret.wgsl, and its values are those on the trace's own rows: no coset, no weights. Results are zero and
// NO_ROW beforehand. A row that fails sinks through the constraint's entries: each entry keeps the lesser of its row and the one that comes,
// and the other goes on. Whatever the order in which threads come, the first entry ends with the least row, the next with the least of the
// rest, and so on.
//
// A thread takes four rows at a time, so that it reads each instruction once for four.
//
// Grid: one workgroup per tile (2^log_rows rows of a job); a thread takes every 256th four of them.
// | binding | shape and element                                                       | form       |
// | tiles   | [num_tiles] Tile                                                         |            |
// | jobs    | [num_jobs] CheckJob                                                      |            |
// | words   | program, columns, values: see the fields of CheckJob                     | Montgomery |
// | scratch | temporaries, vec4 at element temps_base: see instructions.wgsl           | Montgomery |
// | results | [num_constraints][1 + FAILING_ROWS] u32 at results_base: count, rows     |            |
// | trace_* | words of the matrices, see trace.wgsl                                     | Montgomery |
// Workgroup memory: none. Barriers: none.
//#import shared/field4
//#import shared/instructions
//#import shared/tile
//#import shared/trace
//#import shared/words

const WORKGROUP_SIZE: u32 = 256u;
const FAILING_ROWS: u32 = 8u;
const NO_ROW: u32 = 0xffffffffu;

struct CheckJob {
    program_base: u32, // segments, see instructions.wgsl; a multiple of 4
    num_segments: u32,
    columns_base: u32, // [..][3] u32: flat word index of row 0, words per row, 1 for the next row
    values_base: u32,  // [..] u32: degree-0 nodes, known at the call
    row_mask: u32,     // height - 1
    log_rows: u32,     // log2 of the rows per tile
    temps_base: u32,   // element index
    num_temps: u32,
    first_tile: u32,   // the job's first tile
    results_base: u32, // word index of the program's first constraint
}

@group(0) @binding(0) var<storage, read> tiles: array<Tile>;
@group(0) @binding(1) var<storage, read> jobs: array<CheckJob>;
@group(0) @binding(2) var<storage, read> words: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> scratch: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read_write> results: array<atomic<u32>>;

// A column's cells in four rows, or in the rows after them.
fn cells4(job: CheckJob, column: u32, row: u32) -> vec4<u32> {
    let base = word(column);
    let stride = word(column + 1u);
    let first = row + word(column + 2u);
    return vec4<u32>(
        trace_word(base + (first & job.row_mask) * stride),
        trace_word(base + ((first + 1u) & job.row_mask) * stride),
        trace_word(base + ((first + 2u) & job.row_mask) * stride),
        trace_word(base + ((first + 3u) & job.row_mask) * stride),
    );
}

// The selector of one of four rows.
fn selector4(row: u32, selected: u32) -> vec4<u32> {
    return select(vec4<u32>(0u), vec4<u32>(ONE), row + vec4<u32>(0u, 1u, 2u, 3u) == vec4<u32>(selected));
}

alias Value = vec4<u32>;

// The thread's job, its place among the job's threads, and its four rows, of which the trace may have fewer.
var<private> job: CheckJob;
var<private> lane: u32;
var<private> row: u32;
var<private> num_rows: u32;

fn instruction(i: u32) -> vec4<u32> {
    return words[(job.program_base >> 2u) + i];
}

fn leaf_value(i: u32) -> Value {
    return cells4(job, job.columns_base + 3u * i, row);
}

fn operand_value(i: u32) -> Value {
    if (i & OPERAND_VALUE) != 0u {
        return vec4<u32>(word(job.values_base + (i & ~OPERAND_VALUE)));
    }
    return scratch[job.temps_base + temp_offset(job.num_temps, i, lane)];
}

fn set_temp(i: u32, value: Value) {
    scratch[job.temps_base + temp_offset(job.num_temps, i, lane)] = value;
}

fn selector_value(op: u32) -> Value {
    let is_last = selector4(row, job.row_mask);
    if op == OP_TRANSITION {
        return f_sub4(vec4<u32>(ONE), is_last);
    }
    return select(is_last, selector4(row, 0u), op == OP_FIRST);
}

fn take_root(i: u32, value: Value) {
    note(job, i, row, value, num_rows);
}

fn value_add(a: Value, b: Value) -> Value {
    return f_add4(a, b);
}

fn value_sub(a: Value, b: Value) -> Value {
    return f_sub4(a, b);
}

fn value_mul(a: Value, i: u32) -> Value {
    return f_mul4(a, operand_value(i));
}

// Notes on which of four rows the program's constraint is not zero. Entries only become less, so rows above the last one have no place.
fn note(job: CheckJob, constraint: u32, row: u32, values: vec4<u32>, num_rows: u32) {
    let fails = select(vec4<u32>(0u), vec4<u32>(1u, 2u, 4u, 8u), values != vec4<u32>(0u));
    // A trace of one or two rows has fewer than four.
    var failing = (fails.x | fails.y | fails.z | fails.w) & ((1u << min(num_rows, 4u)) - 1u);
    if failing == 0u {
        return;
    }
    let count = job.results_base + constraint * (1u + FAILING_ROWS);
    let last = count + FAILING_ROWS;
    atomicAdd(&results[count], countOneBits(failing));
    if atomicLoad(&results[last]) <= row {
        return;
    }
    var sinking = NO_ROW;
    var entry = last + 1u;
    loop {
        if sinking == NO_ROW || entry > last {
            if failing == 0u {
                return;
            }
            sinking = row + firstTrailingBit(failing);
            failing &= failing - 1u;
            entry = count + 1u;
        }
        sinking = max(sinking, atomicMin(&results[entry], sinking));
        entry++;
    }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let index = tile_index(workgroup, grid);
    if index >= arrayLength(&tiles) {
        return;
    }
    let tile = tiles[index];
    job = jobs[tile.job];
    lane = (index - job.first_tile) * WORKGROUP_SIZE + thread;
    let begin = tile.chunk << job.log_rows;
    let end = begin + min(1u << job.log_rows, job.row_mask + 1u - begin);
    for (row = begin + 4u * thread; row < end; row += 4u * WORKGROUP_SIZE) {
        num_rows = end - row;
        run_program(job.num_segments);
    }
}
