// What the kernels of the Reed-Solomon code share: their job, powers of the code's root of unity, a stage of a transform. The root is of order 2^(log_column + log_blowup).
//#import shared/tile4096
//#import shared/roots

const MAX_STAGES: u32 = 3u;

// A tile of 2^log_tile words of a column: its address is `log_digit` bits of the index in the column from `low_bit` on, and below them
// log_tile - log_digit bits from bit 0 on (none if low_bit is 0). Stages transform its bits from the highest of the digit down: (lowest address bit,
// log2 of the radix, the same bit in the column's index).
struct StageJob {
    stages: array<vec4<u32>, MAX_STAGES>,
    num_stages: u32,
    log_tile: u32,
    log_digit: u32,
    low_bit: u32,
    log_column: u32, // of a message's words
    log_blowup: u32,
    log_block: u32,  // of the skip domain
    scale: u32,      // 1 / 2^log_block
    from_base: u32,  // word of the first column that is read
    to_base: u32,    // word of the first column that is written
    num_tiles: u32,  // for each coset
    coset: u32,      // the first that a first pass makes: 0 for block 0 alone, 1 for all others
}

// The index in the column of an address of tile `index` of the column.
fn column_index(index: u32, address: u32) -> u32 {
    let log_low = job.log_tile - job.log_digit;
    if job.low_bit == 0u {
        return (index << job.log_tile) | address;
    }
    // index = bits above the digit, bits between the digit and the lowest ones.
    let log_middle = job.low_bit - log_low;
    let above = index >> log_middle;
    let middle = index & ((1u << log_middle) - 1u);
    let low = address & ((1u << log_low) - 1u);
    return (above << (job.low_bit + job.log_digit)) | ((address >> log_low) << job.low_bit) | (middle << log_low) | low;
}

// How far behind a thread's word 0 its word i is, where the index's bit of the stage is `bit`. In a column of fewer than 16 words those that there are
// not are taken for its last.
fn word_offset(i: u32, bit: u32) -> u32 {
    return select(i << bit, min(i, (1u << job.log_tile) - 1u), job.log_tile < 4u);
}

// Whether a thread has word i.
fn has_word(i: u32, address: u32) -> bool {
    return address < (1u << job.log_tile) && (job.log_tile >= 4u || i < (1u << job.log_tile));
}

// The address of a thread's word 0, for loads: that of another thread where the tile has no words for this one.
fn loaded_address(thread: u32, bit: u32) -> u32 {
    return first_address(thread, bit) & ((1u << job.log_tile) - 1u);
}

// Writes words i to i + 3 of the thread whose address is this, word 0 to `first`.
fn store4(first: u32, i: u32, bit: u32, address: u32, x: vec4<u32>) {
    if has_word(i, address) {
        code[first + (i << bit)] = x.x;
    }
    if has_word(i + 1u, address) {
        code[first + ((i + 1u) << bit)] = x.y;
    }
    if has_word(i + 2u, address) {
        code[first + ((i + 2u) << bit)] = x.z;
    }
    if has_word(i + 3u, address) {
        code[first + ((i + 3u) << bit)] = x.w;
    }
}

// A thread's words after stage i: their transforms, element e of each times the power of the root that the stages below it want.
fn transformed(x: Points, i: u32, index: u32, thread: u32) -> Points {
    let stage = job.stages[i];
    if stage.y == 0u {
        return x;
    }
    let y = dft(x, stage.y);
    if stage.z == 0u {
        return y;
    }
    let e = column_index(index, first_address(thread, stage.x)) & ((1u << stage.z) - 1u);
    return twiddled(y, stage.y, root(e << (job.log_column + job.log_blowup - stage.z - stage.y)));
}
