// Products of words without 64-bit integers: the interface of field_u64.wgsl, put together from 16-bit limbs.

// Any a, b -> (low, high) words of a * b. The middle sum is below 3 * 2^16, so no carry is lost.
fn mul_wide(a: u32, b: u32) -> vec2<u32> {
    let a_low = a & 0xffffu;
    let a_high = a >> 16u;
    let b_low = b & 0xffffu;
    let b_high = b >> 16u;
    let low = a_low * b_low;
    let cross_0 = a_low * b_high;
    let cross_1 = a_high * b_low;
    let middle = (low >> 16u) + (cross_0 & 0xffffu) + (cross_1 & 0xffffu);
    return vec2<u32>(
        (low & 0xffffu) | (middle << 16u),
        a_high * b_high + (cross_0 >> 16u) + (cross_1 >> 16u) + (middle >> 16u),
    );
}

// a, b in [0, P) -> a * b in [0, P). The low words of a * b and m * P agree, so the quotient is the difference of the high words,
// which are both below P.
fn f_mul(a: u32, b: u32) -> u32 {
    let product = mul_wide(a, b);
    return f_sub(product.y, mul_wide(product.x * MONTY_MU, P).y);
}

// Words in [0, P) -> sum of four products.
fn f_dot4(a: vec4<u32>, b: vec4<u32>) -> u32 {
    return f_add(f_add(f_mul(a.x, b.x), f_mul(a.y, b.y)), f_add(f_mul(a.z, b.z), f_mul(a.w, b.w)));
}

// A running sum of products, reduced at every step.
struct Acc {
    value: u32,
}

fn acc_mad4(acc: Acc, a: vec4<u32>, b: vec4<u32>) -> Acc {
    return Acc(f_add(acc.value, f_dot4(a, b)));
}

fn acc_value(acc: Acc) -> u32 {
    return acc.value;
}

// Signed words are words here: products are reduced one by one.
fn centred(a: vec4<u32>) -> vec4<u32> {
    return a;
}

fn signed_sum(a: vec4<u32>, b: vec4<u32>) -> vec4<u32> {
    let sum = a + b;
    return min(sum, sum - vec4<u32>(P));
}

fn signed_diff(a: vec4<u32>, b: vec4<u32>) -> vec4<u32> {
    let diff = a - b;
    return min(diff, diff + vec4<u32>(P));
}

fn f_dot8_centred(a0: vec4<u32>, a1: vec4<u32>, b0: vec4<u32>, b1: vec4<u32>) -> u32 {
    return f_dot8(a0, a1, b0, b1);
}

fn f_dot8(a0: vec4<u32>, a1: vec4<u32>, b0: vec4<u32>, b1: vec4<u32>) -> u32 {
    return f_add(f_dot4(a0, b0), f_dot4(a1, b1));
}
