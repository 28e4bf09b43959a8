// Products of words with 64-bit integers, for devices with SHADER_INT64. u64 values stay in registers.

const MONTY_R2: u32 = 0x45dddde3u; // 2^64 mod P

// x in [0, 4 * P^2) -> x / 2^32 mod P in [0, P).
// The low words of x and m * P agree, so (x - m * P) / 2^32 = high - t without a borrow; high < 4 * P^2 / 2^32 < 2 * P, t < P.
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
