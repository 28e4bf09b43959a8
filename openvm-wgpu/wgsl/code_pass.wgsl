// A pass of the transform from a column's coefficients to its codeword,
//     code[k] = sum_j c_j w^(j k),   w of order 2^(log_column + log_blowup), k below that,
// by decimation in frequency and in place: codeword element k is in place reversed(k). A pass transforms log_digit bits of the index; the passes of a
// column go from its highest bits to its lowest. The code's blocks of 2^log_column words are cosets: block reversed(c) holds the values at w^c times
// the powers of w^(2^log_blowup). The first pass makes them out of block 0, which holds the coefficients, a dispatch for each, block 0 itself the last.
//
// Grid: one workgroup per tile, of all blocks and columns in turn, in the first pass of block 0 of all columns; 256 threads, 16 words each.
// | binding | shape and element                                            |
// | job     | StageJob; log_block is log_blowup in the first pass, else 0  |
// | roots   | powers of the root of unity: shared/stages                   |
// | code    | [num_columns][2^(log_column + log_blowup)] u32 from to_base on |
// Workgroup memory: 16,384 bytes. Barriers: one for each exchange, reached by every thread.
//#import shared/tile4096
//#import shared/tile
//#import shared/bits
//#import shared/stages

@group(0) @binding(0) var<uniform> job: StageJob;
@group(0) @binding(1) var<storage, read> roots: array<u32>;
@group(0) @binding(2) var<storage, read_write> code: array<u32>;

// A column shorter than a thread's 16 words: those beyond it are read as its last.
fn load4(base: u32, index: u32, address: u32, step: u32) -> vec4<u32> {
    let last = (1u << job.log_tile) - 1u;
    return vec4<u32>(
        code[base + column_index(index, min(address, last))],
        code[base + column_index(index, min(address + step, last))],
        code[base + column_index(index, min(address + 2u * step, last))],
        code[base + column_index(index, min(address + 3u * step, last))],
    );
}

fn store(base: u32, index: u32, address: u32, x: u32) {
    if address < (1u << job.log_tile) {
        code[base + column_index(index, address)] = x;
    }
}

fn store4(base: u32, index: u32, address: u32, step: u32, x: vec4<u32>) {
    store(base, index, address, x.x);
    store(base, index, address + step, x.y);
    store(base, index, address + 2u * step, x.z);
    store(base, index, address + 3u * step, x.w);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let tile_idx = tile_index(workgroup, grid);
    if tile_idx >= job.num_tiles {
        return;
    }
    let log_tiles = job.log_column - job.log_tile; // of a block
    let index = tile_idx & ((1u << log_tiles) - 1u);
    let block = tile_idx >> log_tiles; // counted over columns; in the first pass, the column
    let log_code = job.log_column + job.log_blowup;
    let base = job.to_base + (block << (job.log_column + job.log_block));

    var bit = job.stages[0].x;
    var at = first_address(thread, bit);
    var step = 1u << bit;
    var x = Points(
        load4(base, index, at, step),
        load4(base, index, at + 4u * step, step),
        load4(base, index, at + 8u * step, step),
        load4(base, index, at + 12u * step, step),
    );
    if job.coset > 0u {
        // Element i is coefficient j + (i << the bit in the column's index): times w^(coset * that).
        let j = column_index(index, min(at, (1u << job.log_tile) - 1u));
        let mask = (1u << log_code) - 1u;
        x = geometric(x, root((job.coset * j) & mask), root((job.coset << job.stages[0].z) & mask));
    }
    // No loop: llvmpipe keeps the memory of a barrier in one.
    x = transformed(x, 0u, index, thread);
    if job.num_stages > 1u {
        x = transformed(exchanged(thread, bit, job.stages[1].x, x), 1u, index, thread);
        bit = job.stages[1].x;
    }
    if job.num_stages > 2u {
        x = transformed(exchanged(thread, bit, job.stages[2].x, x), 2u, index, thread);
        bit = job.stages[2].x;
    }
    at = first_address(thread, bit);
    step = 1u << bit;
    let to = base + (reversed(job.coset, job.log_block) << job.log_column);
    store4(to, index, at, step, x.x0);
    store4(to, index, at + 4u * step, step, x.x1);
    store4(to, index, at + 8u * step, step, x.x2);
    store4(to, index, at + 12u * step, step, x.x3);
}
