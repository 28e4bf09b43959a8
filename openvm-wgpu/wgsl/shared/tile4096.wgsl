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

// Addresses to banks, so that neighbouring threads do not share one whatever `bit` is. A permutation of the addresses.
fn bank(address: u32) -> u32 {
    return (address ^ ((address >> 5u) & 15u)) ^ (((address >> 8u) & 1u) << 4u);
}

fn set_tile4(address: u32, step: u32, x: vec4<u32>) {
    tile[bank(address)] = x.x;
    tile[bank(address + step)] = x.y;
    tile[bank(address + 2u * step)] = x.z;
    tile[bank(address + 3u * step)] = x.w;
}

fn tile4(address: u32, step: u32) -> vec4<u32> {
    return vec4<u32>(tile[bank(address)], tile[bank(address + step)], tile[bank(address + 2u * step)], tile[bank(address + 3u * step)]);
}

// A column of fewer than 16 words has addresses up to 15 all the same.
fn set_tile_points(thread: u32, bit: u32, x: Points) {
    let at = first_address(thread, bit);
    let step = 1u << bit;
    set_tile4(at, step, x.x0);
    set_tile4(at + 4u * step, step, x.x1);
    set_tile4(at + 8u * step, step, x.x2);
    set_tile4(at + 12u * step, step, x.x3);
}

fn tile_points(thread: u32, bit: u32) -> Points {
    let at = first_address(thread, bit);
    let step = 1u << bit;
    return Points(tile4(at, step), tile4(at + 4u * step, step), tile4(at + 8u * step, step), tile4(at + 12u * step, step));
}

// The thread's words of another stage: those that other threads have of it. What a thread writes is where it alone has read since the last exchange, so
// that one barrier is enough.
fn exchanged(thread: u32, from_bit: u32, to_bit: u32, x: Points) -> Points {
    set_tile_points(thread, from_bit, x);
    workgroupBarrier();
    return tile_points(thread, to_bit);
}
