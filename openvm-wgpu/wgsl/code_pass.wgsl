// A pass of the transform from a column's coefficients to its codeword,
//     code[k] = sum_j c_j w^(j k),   w of order 2^(log_column + log_blowup), k below that,
// by decimation in frequency and in place: codeword element k is in place reversed(k). A pass transforms log_digit bits of the index; the passes of a
// column go from its highest bits to its lowest. The code's blocks of 2^log_column words are cosets: block reversed(c) holds the values at w^c times
// the powers of w^(2^log_blowup). The first pass makes them out of block 0, which holds the coefficients: a dispatch for all others, one for block 0 itself.
//
// Grid: one workgroup per tile, of all blocks and columns in turn; in the first pass of all columns, for each coset in turn; 256 threads, 16 words each.
// | binding | shape and element                                            |
// | job     | StageJob; log_block is log_blowup in the first pass, else 0  |
// | roots   | powers of the root of unity: shared/roots                    |
// | code    | [num_columns][2^(log_column + log_blowup)] u32 from to_base on |
// Workgroup memory: 16,384 bytes. Barriers: one for each exchange, reached by every thread.
//#import shared/tile4096
//#import shared/tile
//#import shared/bits
//#import shared/stages

@group(0) @binding(0) var<uniform> job: StageJob;
@group(0) @binding(1) var<storage, read> roots: array<u32>;
@group(0) @binding(2) var<storage, read_write> code: array<u32>;

fn load4(first: u32, i: u32, bit: u32) -> vec4<u32> {
    return vec4<u32>(
        code[first + word_offset(i, bit)],
        code[first + word_offset(i + 1u, bit)],
        code[first + word_offset(i + 2u, bit)],
        code[first + word_offset(i + 3u, bit)],
    );
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let all_idx = tile_index(workgroup, grid);
    let num_cosets = select(1u, (1u << job.log_block) - 1u, job.coset == 1u);
    if all_idx >= job.num_tiles * num_cosets {
        return;
    }
    let tile_idx = all_idx % job.num_tiles;
    let coset = job.coset + all_idx / job.num_tiles;
    let log_tiles = job.log_column - job.log_tile; // of a block
    let index = tile_idx & ((1u << log_tiles) - 1u);
    let block = tile_idx >> log_tiles; // counted over columns; in the first pass, the column
    let log_code = job.log_column + job.log_blowup;
    let base = job.to_base + (block << (job.log_column + job.log_block));

    let first_stage = job.stages[0];
    let j = column_index(index, loaded_address(thread, first_stage.x));
    var x = Points(
        load4(base + j, 0u, first_stage.z),
        load4(base + j, 4u, first_stage.z),
        load4(base + j, 8u, first_stage.z),
        load4(base + j, 12u, first_stage.z),
    );
    if coset > 0u {
        // Word i is coefficient j + (i << the stage's bit of the index): times w^(coset * that).
        let mask = (1u << log_code) - 1u;
        x = geometric(x, root((coset * j) & mask), root((coset << first_stage.z) & mask));
    }
    var last = first_stage;
    // No loop: llvmpipe keeps the memory of a barrier in one.
    x = transformed(x, 0u, index, thread);
    if job.num_stages > 1u {
        x = transformed(exchanged(thread, last.x, job.stages[1].x, x), 1u, index, thread);
        last = job.stages[1];
    }
    if job.num_stages > 2u {
        x = transformed(exchanged(thread, last.x, job.stages[2].x, x), 2u, index, thread);
        last = job.stages[2];
    }
    let address = first_address(thread, last.x);
    let to = base + (reversed(coset, job.log_block) << job.log_column) + column_index(index, address);
    store4(to, 0u, last.z, address, x.x0);
    store4(to, 4u, last.z, address, x.x1);
    store4(to, 8u, last.z, address, x.x2);
    store4(to, 12u, last.z, address, x.x3);
}
