// LogUp's fractions, GKR's leaves: of an interaction on a row of its trace
//     p = p_const + sum_k p_k cell_k(row)          q = q_const + sum_k q_k cell_k(row)          p in F, q in EF
// over cells of the trace, of the next row, products that were computed row by row, and selectors. An interaction's leaves are a slice; a lifted trace's rows
// repeat in it. Terms of more columns than a dispatch binds are added by several.
//
// Grid: threads take leaves begin + i in turn; of a leaf with many terms 2^log_lanes threads of a workgroup take every so many-th four.
// | binding | shape and element                                                                                                       |
// | job     | FractionsJob                                                                                                            |
// | slices  | [num_slices] (first leaf, height - 1, first four of its terms, end of those; q_const: EF; p_const, 0, 0, 0), by their first leaf   |
// | terms   | by fours: ([4] word of row 0; [4] what it is: shared/cells; [4] p_k; [4] q_k: EF), the last four filled up with weights of zero                  |
// | nodes   | [p, q][4][stride] u32                                                                                                   |
// | trace   | columns                                                                                                                 |
// Workgroup memory: 4,096 bytes. Barriers: in sum_lanes, reached by every thread of a dispatch or by none.
//#import shared/ext4
//#import shared/cells
//#import shared/entries
//#import shared/lanes
//#import shared/tile

const WORKGROUP_SIZE: u32 = 256u;

struct FractionsJob {
    begin: u32,
    num: u32,
    to_first: u32,
    stride: u32,
    num_slices: u32,
    adds: u32, // 1: to what is there, instead of to q_const and p_const
    log_lanes: u32,
}

@group(0) @binding(0) var<uniform> job: FractionsJob;
@group(0) @binding(1) var<storage, read> slices: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> terms: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> nodes: array<u32>;

fn entry_start(i: u32) -> u32 {
    return slices[3u * i].x;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let num_rows = WORKGROUP_SIZE >> job.log_lanes;
    let lane = thread / num_rows;
    let i = tile_index(workgroup, grid) * num_rows + (thread & (num_rows - 1u));
    let n = job.stride;
    let to = job.to_first + i;
    let is_stored = i < job.num && lane == 0u;
    var q = EXT_ZERO;
    var p = 0u;
    if i < job.num {
        let leaf = job.begin + i;
        let slice = entry_of(0u, job.num_slices, leaf);
        let own = slices[3u * slice];
        let mask = own.y;
        let row = (leaf - own.x) & mask;
        if is_stored && job.adds == 0u {
            q = slices[3u * slice + 1u];
            p = slices[3u * slice + 2u].x;
        } else if is_stored {
            q = vec4<u32>(nodes[4u * n + to], nodes[5u * n + to], nodes[6u * n + to], nodes[7u * n + to]);
            p = nodes[to];
        }
        for (var k = own.z + lane; k < own.w; k += 1u << job.log_lanes) {
            let words = terms[7u * k];
            let kinds = terms[7u * k + 1u];
            let cells = vec4<u32>(
                cell(words.x, kinds.x, row, mask),
                cell(words.y, kinds.y, row, mask),
                cell(words.z, kinds.z, row, mask),
                cell(words.w, kinds.w, row, mask),
            );
            p = f_add(p, f_dot4(terms[7u * k + 2u], cells));
            q = ext_add(q, ext_dot4(terms[7u * k + 3u], terms[7u * k + 4u], terms[7u * k + 5u], terms[7u * k + 6u], cells));
        }
    }
    if job.log_lanes > 0u {
        q = sum_lanes(q, thread, num_rows);
        p = sum_lanes(vec4<u32>(p, 0u, 0u, 0u), thread, num_rows).x;
    }
    if is_stored {
        nodes[to] = p;
        nodes[n + to] = 0u;
        nodes[2u * n + to] = 0u;
        nodes[3u * n + to] = 0u;
        nodes[4u * n + to] = q.x;
        nodes[5u * n + to] = q.y;
        nodes[6u * n + to] = q.z;
        nodes[7u * n + to] = q.w;
    }
}
