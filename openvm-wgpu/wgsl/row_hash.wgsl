// Hashes the rows of a codeword, and the rows of each query to one digest:
//     h_r = sponge(code[0][r], .., code[width - 1][r])        overwrite mode, no padding, RATE columns a permutation
//     digests[y] = tree over X of h_(X * num_queries + y)      X < 2^log_query, a binary tree from the lowest bit of X up
//
// The codeword lies bit-reversed: row r at position reversed(r), so that a query's rows are 2^log_query neighbours. A wide codeword takes several
// dispatches, with the states between them in `states`.
//
// Grid: one workgroup per 256 positions from first_position on; thread t hashes position 256 w + t, then a node of each layer.
// | binding   | shape and element                                                        |
// | job       | RowHashJob                                                               |
// | poseidon2 | constants: shared/poseidon2                                              |
// | columns   | [num_columns, up to a multiple of 8] u32: each column's first trace word |
// | states    | [4][num_positions] 4 u32, of a codeword that takes several dispatches    |
// | digests   | [2^(log_rows - log_query)] Digest                                        |
// | trace     | [width][2^log_rows] u32, the codeword                                    |
// Workgroup memory: 8,192 bytes. Barriers: one for each layer and one, reached by every thread.
//#import shared/poseidon2
//#import shared/bits
//#import shared/trace
//#import shared/tile

const WORKGROUP_SIZE: u32 = 256u;

struct RowHashJob {
    log_rows: u32,
    log_query: u32,      // at most 8
    first_position: u32, // a multiple of WORKGROUP_SIZE, or 0
    num_positions: u32,
    num_columns: u32,    // a multiple of RATE, unless these are the last
    is_first: u32,       // whether the states are zero
    is_last: u32,        // whether digests are wanted, and not states
}

@group(0) @binding(0) var<uniform> job: RowHashJob;
@group(0) @binding(1) var<uniform> poseidon2: array<vec4<u32>, POSEIDON2_CONSTANTS>;
@group(0) @binding(2) var<storage, read> columns: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> states: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read_write> digests: array<vec4<u32>>;

var<workgroup> low: array<vec4<u32>, WORKGROUP_SIZE>;
var<workgroup> high: array<vec4<u32>, WORKGROUP_SIZE>;

// Four columns from `first` on, or what was there for those that there are not.
fn cells(first: u32, position: u32, old: vec4<u32>) -> vec4<u32> {
    let bases = columns[first >> 2u];
    let left = job.num_columns - first;
    var taken = old;
    taken.x = trace_word(bases.x + position);
    if left > 1u {
        taken.y = trace_word(bases.y + position);
    }
    if left > 2u {
        taken.z = trace_word(bases.z + position);
    }
    if left > 3u {
        taken.w = trace_word(bases.w + position);
    }
    return taken;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let index = tile_index(workgroup, grid) * WORKGROUP_SIZE + thread;
    // A loop of one pass: a software device runs through a branch that no thread takes, and not through a loop.
    for (var i = index; i < job.num_positions; i += job.num_positions) {
        let position = job.first_position + i;
        var state = ZERO_STATE;
        if job.is_first == 0u {
            let n = job.num_positions;
            state = State(states[i], states[n + i], states[2u * n + i], states[3u * n + i]);
        }
        for (var column = 0u; column < job.num_columns; column += RATE) {
            state.a = cells(column, position, state.a);
            if job.num_columns - column > 4u {
                state.b = cells(column + 4u, position, state.b);
            }
            state = permute(state);
        }
        if job.is_last == 0u {
            let n = job.num_positions;
            states[i] = state.a;
            states[n + i] = state.b;
            states[2u * n + i] = state.c;
            states[3u * n + i] = state.d;
        }
        low[thread] = state.a;
        high[thread] = state.b;
    }
    if job.is_last == 0u {
        return;
    }
    for (var layer = 0u; layer < job.log_query; layer++) {
        workgroupBarrier();
        // The two children of a node are those of its query that differ in the highest bit of the position that is left.
        let log_half = job.log_query - 1u - layer;
        for (var node = thread; node < (WORKGROUP_SIZE >> (layer + 1u)); node += WORKGROUP_SIZE) {
            let left = ((node >> log_half) << job.log_query) | (node & ((1u << log_half) - 1u));
            let right = left + (1u << log_half);
            let parent = compress(Digest(low[left], high[left]), Digest(low[right], high[right]));
            low[left] = parent.low;
            high[left] = parent.high;
        }
    }
    workgroupBarrier();
    let query = index >> job.log_query;
    if (index & ((1u << job.log_query) - 1u)) == 0u && index < job.num_positions {
        let log_queries = job.log_rows - job.log_query;
        let y = reversed((job.first_position >> job.log_query) + query, log_queries);
        digests[2u * y] = low[thread];
        digests[2u * y + 1u] = high[thread];
    }
}
