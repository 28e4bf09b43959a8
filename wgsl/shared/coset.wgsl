// What both coset kernels share: the job, the bindings, and a column's or selector's value at a point.
//
// On D itself (c = 0) a column's value is a cell. On another coset g^c D it is a dot product with a row of a circulant matrix,
//     T(g^c omega^z, x) = sum_{z'} L[(z - z') mod N] * T[x * N + z'],   L[j] = (y^N - 1) / (N (y - 1)), y = g^c omega^j, N = 2^l_skip.
//
// Grid: one workgroup per tile (chunk of x, block of z). Thread bits, low to high: z, x. A thread takes x, x + 2^log_x, ... of its chunk. A
// chunk lies within one run of 2^log_low, as in columns.wgsl: the loop multiplies by eq's low factor, the tile's result by the high one.
// | binding | shape and element                                                      | form       |
// | tiles   | [num_tiles] Tile                                                        |            |
// | jobs    | [num_jobs] CosetJob                                                     |            |
// | words   | program, columns, values, weights, lagrange: see the fields of CosetJob | Montgomery |
// | eq      | EF: low at eq_low + x mod 2^log_low, high at eq_high + x >> log_low     | Montgomery |
// | scratch | [num_chunks][p | q][2^l_skip] EF at word partial_base; temporaries at    | Montgomery |
// |         | word temps_base: see instructions.wgsl                                  |            |
// | trace_* | words of the matrices, see trace.wgsl                                    | Montgomery |
//#import shared/ext4
//#import shared/lanes
//#import shared/tile
//#import shared/trace
//#import shared/words

struct CosetJob {
    program_base: u32,  // coset_interpret: segments, see instructions.wgsl; a multiple of 4
    num_segments: u32,
    columns_base: u32,  // [..][3] u32: flat word index of row 0, words per row, 1 for the next row
    values_base: u32,   // [..] u32: degree-0 nodes, known at the call
    weights_base: u32,  // EF, in the order that the kernel adds them
    lagrange_base: u32, // [2^l_skip] u32: L of this coset; coset_pass.wgsl has more behind it
    identity: u32,      // 1 on D itself
    l_skip: u32,
    row_mask: u32,      // height - 1
    num_x: u32,
    log_chunk: u32,     // log2 of the x per chunk
    eq_low: u32,
    eq_high: u32,
    log_low: u32,
    partial_base: u32,  // word index, a multiple of 4
    temps_base: u32,    // word index
    num_temps: u32,     // words of each thread
    first_tile: u32,    // the job's first tile
}

@group(0) @binding(0) var<storage, read> tiles: array<Tile>;
@group(0) @binding(1) var<storage, read> jobs: array<CosetJob>;
@group(0) @binding(2) var<storage, read> words: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> eq: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read_write> scratch: array<u32>;

// A thread's place: the cube's x, and the point z of the coset.
struct Point {
    x: u32,
    z: u32,
}

// The degree-0 node `i`.
fn value(job: CosetJob, i: u32) -> u32 {
    return word(job.values_base + i);
}

// The Lagrange polynomial of D's point z' at this coset's point z.
fn lagrange(job: CosetJob, z: u32, z_prime: u32) -> u32 {
    let mask = (1u << job.l_skip) - 1u;
    if job.identity == 1u {
        return select(0u, ONE, ((z ^ z_prime) & mask) == 0u);
    }
    return word(job.lagrange_base + ((z - z_prime) & mask));
}

// The selector that is 1 on the rows z' = offset mod height of D at one x, as a polynomial in Z. One term unless the trace is lifted.
fn selector(job: CosetJob, z: u32, offset: u32) -> u32 {
    var sum = 0u;
    let size = 1u << job.l_skip;
    let height = min(job.row_mask + 1u, size);
    for (var z_prime = offset & (height - 1u); z_prime < size; z_prime += height) {
        sum = f_add(sum, lagrange(job, z, z_prime));
    }
    return sum;
}

fn is_first(job: CosetJob, at: Point) -> u32 {
    if at.x != 0u {
        return 0u;
    }
    return selector(job, at.z, 0u);
}

fn is_last(job: CosetJob, at: Point) -> u32 {
    if at.x + 1u != job.num_x {
        return 0u;
    }
    return selector(job, at.z, job.row_mask);
}

fn is_transition(job: CosetJob, at: Point) -> u32 {
    return f_sub(ONE, is_last(job, at));
}

// The first x of a tile, and the eq index that belongs to x = 0 of its run.
fn first_x(job: CosetJob, tile: Tile) -> u32 {
    return tile.chunk << job.log_chunk;
}

fn eq_origin(job: CosetJob, first_x: u32) -> u32 {
    return job.eq_low + (first_x & ((1u << job.log_low) - 1u)) - first_x;
}

// Adds up the threads' sums over x, for the z of the threads below `num_z`, and stores them as a tile's partial sums of a part: 0
// numerator, 1 denominator.
fn store_partials(job: CosetJob, tile: Tile, thread: u32, num_z: u32, z: u32, part: u32, sum: vec4<u32>) {
    let total = sum_lanes(sum, thread, num_z);
    if thread < num_z {
        let scaled = ext_mul(total, eq[job.eq_high + (first_x(job, tile) >> job.log_low)]);
        let out = job.partial_base + 4u * (((2u * tile.chunk + part) << job.l_skip) + z);
        scratch[out] = scaled.x;
        scratch[out + 1u] = scaled.y;
        scratch[out + 2u] = scaled.z;
        scratch[out + 3u] = scaled.w;
    }
}
