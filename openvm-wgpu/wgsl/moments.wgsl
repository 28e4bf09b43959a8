// Adds what WHIR's next claims are to the moments of its weight:
//     elements[t] += low[t mod 2^log_low] high[t / 2^log_low] + sum_q gamma_q root^(index_q t)        in EF, t < len
// the powers of the out-of-domain point as a tensor product, those of the queries' points from a table of roots.
//
// Grid: threads take t in turn.
// | binding  | shape and element                                                  |
// | job      | MomentsJob                                                         |
// | factors  | [2^log_low] EF, then high: EF                                      |
// | queries  | [num_queries, up to a multiple of 4] gamma: EF; as many index: u32 |
// | roots    | powers of the root of unity of order 2^log_order: shared/roots     |
// | elements | [4][stride] u32: coefficient by coefficient                        |
// Workgroup memory: none. Barriers: none.
//#import shared/ext4
//#import shared/elements
//#import shared/roots
//#import shared/tile

const WORKGROUP_SIZE: u32 = 256u;

struct MomentsJob {
    len: u32,
    stride: u32,
    log_low: u32,
    num_queries: u32, // a multiple of 4: those that there are not have gamma 0
    log_order: u32,
}

@group(0) @binding(0) var<uniform> job: MomentsJob;
@group(0) @binding(1) var<storage, read> factors: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> queries: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> roots: array<u32>;
@group(0) @binding(4) var<storage, read_write> elements: array<u32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let t = tile_index(workgroup, grid) * WORKGROUP_SIZE + thread;
    if t >= job.len {
        return;
    }
    let mask = (1u << job.log_order) - 1u;
    var acc: ExtAcc;
    for (var q = 0u; q < job.num_queries; q += 4u) {
        let e = (queries[job.num_queries + (q >> 2u)] * t) & vec4<u32>(mask);
        let powers = vec4<u32>(root(e.x), root(e.y), root(e.z), root(e.w));
        acc = ext_acc_mad4(acc, queries[q], queries[q + 1u], queries[q + 2u], queries[q + 3u], powers);
    }
    var sum = ext_acc_value(acc);
    sum = ext_add(sum, ext_mul(factors[t & ((1u << job.log_low) - 1u)], factors[(1u << job.log_low) + (t >> job.log_low)]));
    sum = ext_add(sum, element(t));
    set_element(t, sum);
}
