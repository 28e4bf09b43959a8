// Products of words with 64-bit integers, for devices with SHADER_INT64. u64 values stay in registers.

const MONTY_R2: u32 = 0x45dddde3u; // 2^64 mod P

// x in [0, 2 * P * 2^32), and 4 * P^2 is less -> x / 2^32 mod P in [0, P).
// The low words of x and m * P agree, so (x - m * P) / 2^32 = high - t without a borrow; high < 2 * P, t < P.
fn monty_reduce(x: u64) -> u32 {
    let m = u32(x) * MONTY_MU;
    let t = u32((u64(m) * u64(P)) >> 32u);
    let high = u32(x >> 32u);
    return f_sub(min(high, high - P), t);
}

// a, b in [0, P) -> a * b in [0, P). The product's high word is below P, so one conditional addition is enough.
fn f_mul(a: u32, b: u32) -> u32 {
    let product = u64(a) * u64(b);
    let t = u32((u64(u32(product) * MONTY_MU) * u64(P)) >> 32u);
    return f_sub(u32(product >> 32u), t);
}

// Words in [0, P) -> sum of four products, one reduction. 4 * (P - 1)^2 < 2^63.9 fits a u64.
fn f_dot4(a: vec4<u32>, b: vec4<u32>) -> u32 {
    return monty_reduce(u64(a.x) * u64(b.x) + u64(a.y) * u64(b.y) + u64(a.z) * u64(b.z) + u64(a.w) * u64(b.w));
}

// A running sum of products, low + 2^32 * high, that is reduced once at the end.
// Up to 2^31 calls of acc_mad4: each adds less than 2^32 to either half, so a half stays below 2^63 < 4 * P^2.
struct Acc {
    low: u64,
    high: u64,
}

fn acc_mad4(acc: Acc, a: vec4<u32>, b: vec4<u32>) -> Acc {
    let sum = u64(a.x) * u64(b.x) + u64(a.y) * u64(b.y) + u64(a.z) * u64(b.z) + u64(a.w) * u64(b.w);
    return Acc(acc.low + u64(u32(sum)), acc.high + (sum >> 32u));
}

// -> (low + 2^32 * high) / 2^32 in [0, P).
fn acc_value(acc: Acc) -> u32 {
    return f_add(monty_reduce(acc.low), f_mul(monty_reduce(acc.high), MONTY_R2));
}

// Signed words: an element, or an element minus P, in two's complement. Eight products of signed words fit an i64 where four of [0, P) fill
// a u64. |x| <= P; "centred" means |x| <= P / 2.

// a in [0, P) -> a centred.
fn centred(a: vec4<u32>) -> vec4<u32> {
    return select(a, a - vec4<u32>(P), a > vec4<u32>(P >> 1u));
}

// a, b in [0, P) -> a + b and a - b as signed words.
fn signed_sum(a: vec4<u32>, b: vec4<u32>) -> vec4<u32> {
    return a + b - vec4<u32>(P);
}

fn signed_diff(a: vec4<u32>, b: vec4<u32>) -> vec4<u32> {
    return a - b;
}

fn signed_product(a: u32, b: u32) -> i64 {
    return i64(bitcast<i32>(a)) * i64(bitcast<i32>(b));
}

fn signed_dot4(a: vec4<u32>, b: vec4<u32>) -> i64 {
    return signed_product(a.x, b.x) + signed_product(a.y, b.y) + signed_product(a.z, b.z) + signed_product(a.w, b.w);
}

// |x| <= 2 P^2 < P * 2^32 -> x mod P * 2^32 in [0, P * 2^32). The high word lies in [-P, P): when it is negative, adding P wraps it back.
fn wrap_signed(x: i64) -> u64 {
    let words = bitcast<u64>(x);
    let high = u32(words >> 32u);
    return (u64(min(high, high + P)) << 32u) | u64(u32(words));
}

// Both centred -> sum of eight products in [0, P): |sum| <= 8 (P / 2)^2 = 2 P^2.
fn f_dot8_centred(a0: vec4<u32>, a1: vec4<u32>, b0: vec4<u32>, b1: vec4<u32>) -> u32 {
    let sum = wrap_signed(signed_dot4(a0, b0) + signed_dot4(a1, b1));
    let t = u32((u64(u32(sum) * MONTY_MU) * u64(P)) >> 32u);
    return f_sub(u32(sum >> 32u), t);
}

// a centred, b signed -> sum of eight products in [0, P): each half is at most 4 * P / 2 * P = 2 P^2 away from zero.
fn f_dot8(a0: vec4<u32>, a1: vec4<u32>, b0: vec4<u32>, b1: vec4<u32>) -> u32 {
    return monty_reduce(wrap_signed(signed_dot4(a0, b0)) + wrap_signed(signed_dot4(a1, b1)));
}
