// Rows of a codeword as the host wants them, the rows of chosen queries, from columns that lie bit-reversed:
//     rows[x][i][column] = code[column][position of row x * 2^(log_rows - log_query) + queries[i]]     x < 2^log_query
//
// Grid: threads take (i, x) in turn, x in the low bits: neighbours read neighbours.
// | binding | shape and element                                                        |
// | job     | CodeRowsJob                                                              |
// | columns | [num_columns, up to a multiple of 4] u32: each column's first trace word |
// | queries | [num_queries] u32                                                        |
// | rows    | [2^log_query][num_queries][width] u32                                    |
// | trace   | [width][2^log_rows] u32, the codeword                                    |
// Workgroup memory: none. Barriers: none.
//#import shared/bits
//#import shared/trace
//#import shared/tile

const WORKGROUP_SIZE: u32 = 256u;

struct CodeRowsJob {
    log_rows: u32,
    log_query: u32,
    num_queries: u32,
    first_column: u32, // of this dispatch
    num_columns: u32,  // of this dispatch
    width: u32,
}

@group(0) @binding(0) var<uniform> job: CodeRowsJob;
@group(0) @binding(1) var<storage, read> columns: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> queries: array<u32>;
@group(0) @binding(3) var<storage, read_write> rows: array<u32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let index = tile_index(workgroup, grid) * WORKGROUP_SIZE + thread;
    if index >= (job.num_queries << job.log_query) {
        return;
    }
    let x = reversed(index & ((1u << job.log_query) - 1u), job.log_query);
    let i = index >> job.log_query;
    let position = (reversed(queries[i], job.log_rows - job.log_query) << job.log_query) | (index & ((1u << job.log_query) - 1u));
    let to = (x * job.num_queries + i) * job.width + job.first_column;
    for (var column = 0u; column < job.num_columns; column++) {
        rows[to + column] = trace_word(columns[column >> 2u][column & 3u] + position);
    }
}
