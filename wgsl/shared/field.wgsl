// BabyBear: F = Z / P, P = 15 * 2^27 + 1. A word is an element times 2^32 mod P (Montgomery form) and always lies in [0, P).
// Sums are here; products are in field_u64.wgsl and field_u32.wgsl, two forms of one interface.
//#import shared/field_{form}

const P: u32 = 0x78000001u;
const MONTY_MU: u32 = 0x88000001u; // P * MONTY_MU = 1 mod 2^32
const ONE: u32 = 0x0ffffffeu; // 2^32 mod P

// a, b in [0, P) -> a + b mod P in [0, P). a + b < 2^32; when a + b < P, the second operand wraps above it.
fn f_add(a: u32, b: u32) -> u32 {
    let sum = a + b;
    return min(sum, sum - P);
}

// a, b in [0, P) -> a - b mod P in [0, P). When a < b the difference wraps to at least 2^32 - P > P, and adding P wraps it back.
fn f_sub(a: u32, b: u32) -> u32 {
    let diff = a - b;
    return min(diff, diff + P);
}

// The same for two elements at once.
fn f_add2(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let sum = a + b;
    return min(sum, sum - vec2<u32>(P));
}

fn f_sub2(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let diff = a - b;
    return min(diff, diff + vec2<u32>(P));
}
