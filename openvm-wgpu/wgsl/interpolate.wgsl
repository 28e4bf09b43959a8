// From values on a hyperprism to the coefficients that the code is of. Each 2^log_block values of a column, the skip domain's, become
//     c_k = 2^-log_block sum_z v_z w^(-z k),   then   c_k = sum of c_i over all i whose bits are among those of k.
//
// Grid: one workgroup per tile of 2^log_tile consecutive words of a column, of all columns in turn; 256 threads, 16 words each.
// | binding | shape and element                                                           |
// | job     | StageJob, its digit the lowest log_block bits                               |
// | roots   | powers of the root of unity: shared/roots                                   |
// | values  | [num_columns][2^log_column] u32 from from_base on                           |
// | code    | [num_columns][2^(log_column + log_blowup)] u32 from to_base on: coefficients |
// Workgroup memory: 16,384 bytes. Barriers: one for each exchange and two, reached by every thread.
//#import shared/tile4096
//#import shared/tile
//#import shared/bits
//#import shared/stages

@group(0) @binding(0) var<uniform> job: StageJob;
@group(0) @binding(1) var<storage, read> roots: array<u32>;
@group(0) @binding(2) var<storage, read> values: array<u32>;
@group(0) @binding(3) var<storage, read_write> code: array<u32>;

fn load4(first: u32, i: u32, bit: u32) -> vec4<u32> {
    return vec4<u32>(
        values[first + word_offset(i, bit)],
        values[first + word_offset(i + 1u, bit)],
        values[first + word_offset(i + 2u, bit)],
        values[first + word_offset(i + 3u, bit)],
    );
}

// Where coefficient e goes that lies in place reversed(e) of its block: the inverse transform is the transform with e negated.
fn coefficient_address(address: u32) -> u32 {
    let mask = (1u << job.log_block) - 1u;
    return (address & ~mask) | ((0u - reversed(address & mask, job.log_block)) & mask);
}

fn scatter4(address: u32, step: u32, x: vec4<u32>) {
    tile[bank(coefficient_address(address))] = f_mul(x.x, job.scale);
    tile[bank(coefficient_address(address + step))] = f_mul(x.y, job.scale);
    tile[bank(coefficient_address(address + 2u * step))] = f_mul(x.z, job.scale);
    tile[bank(coefficient_address(address + 3u * step))] = f_mul(x.w, job.scale);
}

// Adds the elements without a bit to those with it, for the lowest log_radix bits of the place.
fn subset_sums4(x: vec4<u32>, log_radix: u32) -> vec4<u32> {
    var y = x;
    if log_radix >= 1u {
        y = vec4<u32>(y.x, f_add(y.x, y.y), y.z, f_add(y.z, y.w));
    }
    if log_radix >= 2u {
        y = vec4<u32>(y.x, y.y, f_add(y.x, y.z), f_add(y.y, y.w));
    }
    return y;
}

fn subset_sums(points: Points, log_radix: u32) -> Points {
    var x = Points(
        subset_sums4(points.x0, log_radix),
        subset_sums4(points.x1, log_radix),
        subset_sums4(points.x2, log_radix),
        subset_sums4(points.x3, log_radix),
    );
    if log_radix >= 3u {
        x = Points(x.x0, f_add4(x.x0, x.x1), x.x2, f_add4(x.x2, x.x3));
    }
    if log_radix >= 4u {
        x = Points(x.x0, x.x1, f_add4(x.x0, x.x2), f_add4(x.x1, x.x3));
    }
    return x;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let index = tile_index(workgroup, grid);
    if index >= job.num_tiles {
        return;
    }
    let log_tiles = job.log_column - job.log_tile; // of a column
    let column = index >> log_tiles;
    let begin = (index & ((1u << log_tiles) - 1u)) << job.log_tile;
    let from_word = job.from_base + (column << job.log_column) + begin;
    let to_word = job.to_base + (column << (job.log_column + job.log_blowup)) + begin;

    var bit = job.stages[0].x;
    let from_first = from_word + loaded_address(thread, bit);
    var x = Points(load4(from_first, 0u, bit), load4(from_first, 4u, bit), load4(from_first, 8u, bit), load4(from_first, 12u, bit));
    // No loop: llvmpipe keeps the memory of a barrier in one.
    let tile_idx = begin >> job.log_tile;
    x = transformed(x, 0u, tile_idx, thread);
    if job.num_stages > 1u {
        x = transformed(exchanged(thread, bit, job.stages[1].x, x), 1u, tile_idx, thread);
        bit = job.stages[1].x;
    }
    if job.num_stages > 2u {
        x = transformed(exchanged(thread, bit, job.stages[2].x, x), 2u, tile_idx, thread);
        bit = job.stages[2].x;
    }
    workgroupBarrier();
    let at = first_address(thread, bit);
    let step = 1u << bit;
    scatter4(at, step, x.x0);
    scatter4(at + 4u * step, step, x.x1);
    scatter4(at + 8u * step, step, x.x2);
    scatter4(at + 12u * step, step, x.x3);
    workgroupBarrier();
    x = subset_sums(tile_points(thread, bit), job.stages[job.num_stages - 1u].y);
    if job.num_stages > 2u {
        x = subset_sums(exchanged(thread, bit, job.stages[1].x, x), job.stages[1].y);
        bit = job.stages[1].x;
    }
    if job.num_stages > 1u {
        x = subset_sums(exchanged(thread, bit, job.stages[0].x, x), job.stages[0].y);
        bit = job.stages[0].x;
    }
    let address = first_address(thread, bit);
    store4(to_word + address, 0u, bit, address, x.x0);
    store4(to_word + address, 4u, bit, address, x.x1);
    store4(to_word + address, 8u, bit, address, x.x2);
    store4(to_word + address, 12u, bit, address, x.x3);
}
