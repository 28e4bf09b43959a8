// A workgroup's tile of up to 2^12 words, which each of 256 threads has 16 of in registers: those of address
// (high bits of the thread) << (bit + 4) | i << bit | (low bits of the thread), for i < 16. A stage that works on other address bits exchanges them.
// Workgroup memory: 16,384 bytes.
//#import shared/radix16

const WORKGROUP_SIZE: u32 = 256u;
const TILE_WORDS: u32 = 4096u;

var<workgroup> tile: array<u32, TILE_WORDS>;

// The thread's address for i = 0.
fn first_address(thread: u32, bit: u32) -> u32 {
    return ((thread >> bit) << (bit + 4u)) | (thread & ((1u << bit) - 1u));
}

// Addresses to banks, so that neighbouring threads do not share one whatever `bit` is. A permutation of the addresses, and of XORs the XOR.
fn bank(address: u32) -> u32 {
    return (address ^ ((address >> 5u) & 15u)) ^ (((address >> 8u) & 1u) << 4u);
}

// Words i to i + 3 of the thread whose word 0 is in bank `first`.
fn set_tile4(first: u32, i: u32, bit: u32, x: vec4<u32>) {
    tile[first ^ bank(i << bit)] = x.x;
    tile[first ^ bank((i + 1u) << bit)] = x.y;
    tile[first ^ bank((i + 2u) << bit)] = x.z;
    tile[first ^ bank((i + 3u) << bit)] = x.w;
}

fn tile4(first: u32, i: u32, bit: u32) -> vec4<u32> {
    return vec4<u32>(
        tile[first ^ bank(i << bit)],
        tile[first ^ bank((i + 1u) << bit)],
        tile[first ^ bank((i + 2u) << bit)],
        tile[first ^ bank((i + 3u) << bit)],
    );
}

// A column of fewer than 16 words has addresses up to 15 all the same.
fn set_tile_points(thread: u32, bit: u32, x: Points) {
    let first = bank(first_address(thread, bit));
    set_tile4(first, 0u, bit, x.x0);
    set_tile4(first, 4u, bit, x.x1);
    set_tile4(first, 8u, bit, x.x2);
    set_tile4(first, 12u, bit, x.x3);
}

fn tile_points(thread: u32, bit: u32) -> Points {
    let first = bank(first_address(thread, bit));
    return Points(tile4(first, 0u, bit), tile4(first, 4u, bit), tile4(first, 8u, bit), tile4(first, 12u, bit));
}

// The thread's words of another stage: those that other threads have of it. What a thread writes is where it alone has read since the last exchange, so
// that one barrier is enough.
fn exchanged(thread: u32, from_bit: u32, to_bit: u32, x: Points) -> Points {
    set_tile_points(thread, from_bit, x);
    workgroupBarrier();
    return tile_points(thread, to_bit);
}
