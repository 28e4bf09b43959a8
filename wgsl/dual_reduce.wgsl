// The dual reduction: for every block of every AIR and every z of its skip domain, numerator and denominator together,
//     s_p(z) = sum_run sum_chunk sum_column weight_p[column] * partial[chunk][column][z]      (s_q alike with weight_q)
//
// A block is one polynomial pair on one coset: the affine part on D, or one coset of the non-affine part. A run is one region of partial
// sums that counts towards it. This is a submission's last dispatch, and its first workgroup also writes the call's nonce behind the results.
//
// Grid: one workgroup per tile (block of 2^log_z z of a job). Thread bits, low to high: z, lane. A job with few partials takes many z per
// workgroup, which a software device likes; one with many takes a workgroup for each z.
// | binding  | shape and element                                             | form       |
// | tiles    | [num_tiles] Tile                                               |            |
// | jobs     | [num_jobs] ReduceJob                                           |            |
// | runs     | [..] ReduceRun                                                 |            |
// | words    | [num_columns][2] EF at weights_base: weight in p, weight in q  | Montgomery |
// | partials | [num_chunks][num_stored][stored_z] EF, see ReduceRun             | Montgomery |
// | results  | [num_z] Frac { p, q } at result_base; nonce in the last entry  | Montgomery |
// Workgroup memory: 4,096 bytes (lanes). Barriers: in sum_lanes, reached by every thread.
//#import shared/lanes
//#import shared/tile
//#import shared/words

const WORKGROUP_SIZE: u32 = 256u;

struct ReduceJob {
    num_z: u32,
    log_z: u32,       // thread bits for z
    result_base: u32, // EF index
    first_run: u32,
    num_runs: u32,
    sides: u32,       // which to write: bit 0 the numerator p, bit 1 the denominator q
    nonce: u32,
}

struct ReduceRun {
    kind: u32,
    partial_base: u32,   // EF index of [num_chunks][num_stored][stored_z]
    num_chunks: u32,
    num_columns: u32,    // the first so many of the stored columns count
    num_stored: u32,
    stored_z: u32,       // num_z; of RUN_WRAP, whose first z alone counts, what its column kernel stores
    weights_base: u32,   // word index
    sides: u32,          // RUN_PAIRS: which are stored; bit 0 the numerator, bit 1 the denominator
}

const RUN_COLUMNS: u32 = 0u; // columns at z
const RUN_NEXT: u32 = 1u;    // columns at z + 1, for every z but the last
const RUN_WRAP: u32 = 2u;    // the last z's columns at z + 1, which are sums of their own
const RUN_PAIRS: u32 = 3u;   // two columns, numerator and denominator, already weighted

@group(0) @binding(0) var<storage, read> tiles: array<Tile>;
@group(0) @binding(1) var<storage, read> jobs: array<ReduceJob>;
@group(0) @binding(2) var<storage, read> runs: array<ReduceRun>;
@group(0) @binding(3) var<storage, read> words: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read> partials: array<vec4<u32>>;
@group(0) @binding(5) var<storage, read_write> results: array<vec4<u32>>;

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
    let job = jobs[tile.job];
    let z_lanes = 1u << job.log_z;
    let z = (tile.z_block << job.log_z) + (thread & (z_lanes - 1u));
    let lane = thread >> job.log_z;
    let log_lanes = 8u - job.log_z;
    let num_lanes = 1u << log_lanes;
    var p = EXT_ZERO;
    var q = EXT_ZERO;
    for (var r = job.first_run; r < job.first_run + job.num_runs; r++) {
        let run = runs[r];
        if run.kind == RUN_PAIRS {
            for (var chunk = lane; chunk < run.num_chunks; chunk += num_lanes) {
                let at = run.partial_base + 2u * chunk * job.num_z + z;
                if (run.sides & 1u) != 0u {
                    p = ext_add(p, partials[at]);
                }
                if (run.sides & 2u) != 0u {
                    q = ext_add(q, partials[at + job.num_z]);
                }
            }
            continue;
        }
        let is_last = z + 1u == job.num_z;
        if (run.kind == RUN_NEXT && is_last) || (run.kind == RUN_WRAP && !is_last) {
            continue;
        }
        let first = run.partial_base + select(z, 0u, run.kind == RUN_WRAP) + select(0u, 1u, run.kind == RUN_NEXT);
        // Lanes share out the columns and, where these are few, the chunks; a weight multiplies once per lane and column.
        let log_columns = min(32u - countLeadingZeros(run.num_columns - 1u), log_lanes);
        let column_lanes = 1u << log_columns;
        let chunk_lanes = num_lanes >> log_columns;
        for (var column = lane & (column_lanes - 1u); column < run.num_columns; column += column_lanes) {
            var sum = EXT_ZERO;
            let chunk_stride = run.num_stored * run.stored_z;
            let column_first = first + column * run.stored_z;
            var chunk = lane >> log_columns;
            // Eight loads on their way at a time.
            for (; chunk + 7u * chunk_lanes < run.num_chunks; chunk += 8u * chunk_lanes) {
                let at = column_first + chunk * chunk_stride;
                let step = chunk_lanes * chunk_stride;
                let a = partials[at];
                let b = partials[at + step];
                let c = partials[at + 2u * step];
                let d = partials[at + 3u * step];
                let e = partials[at + 4u * step];
                let f = partials[at + 5u * step];
                let g = partials[at + 6u * step];
                let h = partials[at + 7u * step];
                sum = ext_add(sum, ext_add(ext_add(ext_add(a, b), ext_add(c, d)), ext_add(ext_add(e, f), ext_add(g, h))));
            }
            for (; chunk < run.num_chunks; chunk += chunk_lanes) {
                sum = ext_add(sum, partials[column_first + chunk * chunk_stride]);
            }
            let weights = run.weights_base + 8u * column;
            p = ext_add(p, ext_mul(sum, ext_word(weights)));
            q = ext_add(q, ext_mul(sum, ext_word(weights + 4u)));
        }
    }
    let total_p = sum_lanes(p, thread, z_lanes);
    let total_q = sum_lanes(q, thread, z_lanes);
    if thread < z_lanes {
        let out = job.result_base + 2u * z;
        if (job.sides & 1u) != 0u {
            results[out] = total_p;
        }
        if (job.sides & 2u) != 0u {
            results[out + 1u] = total_q;
        }
    }
    if thread == 0u && index == 0u {
        results[arrayLength(&results) - 1u] = vec4<u32>(job.nonce, 0u, 0u, 0u);
    }
}
