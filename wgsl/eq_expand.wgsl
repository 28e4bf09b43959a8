// eq[x] = prod_i (x_i xi_i + (1 - x_i)(1 - xi_i)) for x in the cube H_n, from two half tables: eq[x] = low[x mod 2^log_low] * high[x >> log_low].
//
// Grid: one workgroup per tile of EQ_PER_TILE consecutive x (chunk = which run); thread t takes x = t, t + 256, ... of the run.
// | binding | shape and element                                   | form                  |
// | tiles   | [num_tiles] Tile                                     |                       |
// | jobs    | [num_jobs] EqJob                                     |                       |
// | words   | low [2^log_low] EF, then high [num_x >> log_low] EF  | Montgomery, 4 words   |
// | eq      | [num_x] EF at out_base                               | Montgomery            |
// Workgroup memory: none. Barriers: none.

struct EqJob {
    low_base: u32,  // word index
    high_base: u32, // word index
    log_low: u32,
    num_x: u32,
    out_base: u32,  // EF index
}

const EQ_PER_TILE: u32 = 512u;

@group(0) @binding(0) var<storage, read> tiles: array<Tile>;
@group(0) @binding(1) var<storage, read> jobs: array<EqJob>;
@group(0) @binding(2) var<storage, read> words: array<u32>;
@group(0) @binding(3) var<storage, read_write> eq: array<vec4<u32>>;

fn ext_word(i: u32) -> vec4<u32> {
    return vec4<u32>(words[i], words[i + 1u], words[i + 2u], words[i + 3u]);
}

@compute @workgroup_size(256)
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
    let begin = tile.chunk * EQ_PER_TILE;
    let end = min(begin + EQ_PER_TILE, job.num_x);
    for (var x = begin + thread; x < end; x += WORKGROUP_SIZE) {
        let low = x & ((1u << job.log_low) - 1u);
        let high = x >> job.log_low;
        eq[job.out_base + x] = ext_mul(ext_word(job.low_base + 4u * low), ext_word(job.high_base + 4u * high));
    }
}
