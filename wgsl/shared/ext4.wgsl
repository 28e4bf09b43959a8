// EF = F[X] / (X^4 - 11). An element c_0 + c_1 X + c_2 X^2 + c_3 X^3 is vec4(c_0, c_1, c_2, c_3), each word in [0, P).
//#import shared/field

const ELEVEN: u32 = 0x37ffffe9u; // 11 * 2^32 mod P

const EXT_ZERO: vec4<u32> = vec4<u32>(0u, 0u, 0u, 0u);

fn ext_add(a: vec4<u32>, b: vec4<u32>) -> vec4<u32> {
    return vec4<u32>(f_add(a.x, b.x), f_add(a.y, b.y), f_add(a.z, b.z), f_add(a.w, b.w));
}

// EF times F.
fn ext_scale(a: vec4<u32>, s: u32) -> vec4<u32> {
    return vec4<u32>(f_mul(a.x, s), f_mul(a.y, s), f_mul(a.z, s), f_mul(a.w, s));
}

// 11 b_1, 11 b_2, 11 b_3.
fn ext_times_11(b: vec4<u32>) -> vec3<u32> {
    return vec3<u32>(f_mul(b.y, ELEVEN), f_mul(b.z, ELEVEN), f_mul(b.w, ELEVEN));
}

// c_k = sum_{i+j=k} a_i b_j + 11 sum_{i+j=k+4} a_i b_j.
fn ext_mul(a: vec4<u32>, b: vec4<u32>) -> vec4<u32> {
    let w = ext_times_11(b);
    return vec4<u32>(
        f_dot4(a, vec4<u32>(b.x, w.z, w.y, w.x)),
        f_dot4(a, vec4<u32>(b.y, b.x, w.z, w.y)),
        f_dot4(a, vec4<u32>(b.z, b.y, b.x, w.z)),
        f_dot4(a, vec4<u32>(b.w, b.z, b.y, b.x)),
    );
}

// A running sum of EF times F products, one Acc for each coefficient.
struct ExtAcc {
    c0: Acc,
    c1: Acc,
    c2: Acc,
    c3: Acc,
}

// acc + e_0 t_0 + e_1 t_1 + e_2 t_2 + e_3 t_3, e_i in EF, t_i in F.
fn ext_acc_mad4(acc: ExtAcc, e0: vec4<u32>, e1: vec4<u32>, e2: vec4<u32>, e3: vec4<u32>, t: vec4<u32>) -> ExtAcc {
    return ExtAcc(
        acc_mad4(acc.c0, vec4<u32>(e0.x, e1.x, e2.x, e3.x), t),
        acc_mad4(acc.c1, vec4<u32>(e0.y, e1.y, e2.y, e3.y), t),
        acc_mad4(acc.c2, vec4<u32>(e0.z, e1.z, e2.z, e3.z), t),
        acc_mad4(acc.c3, vec4<u32>(e0.w, e1.w, e2.w, e3.w), t),
    );
}

// e_0 t_0 + e_1 t_1 + e_2 t_2 + e_3 t_3, e_i in EF, t_i in F: one reduction per coefficient.
fn ext_dot4(e0: vec4<u32>, e1: vec4<u32>, e2: vec4<u32>, e3: vec4<u32>, t: vec4<u32>) -> vec4<u32> {
    return vec4<u32>(
        f_dot4(vec4<u32>(e0.x, e1.x, e2.x, e3.x), t),
        f_dot4(vec4<u32>(e0.y, e1.y, e2.y, e3.y), t),
        f_dot4(vec4<u32>(e0.z, e1.z, e2.z, e3.z), t),
        f_dot4(vec4<u32>(e0.w, e1.w, e2.w, e3.w), t),
    );
}

fn ext_acc_value(acc: ExtAcc) -> vec4<u32> {
    return vec4<u32>(acc_value(acc.c0), acc_value(acc.c1), acc_value(acc.c2), acc_value(acc.c3));
}

// sum_i e_i t_i over eight, e_i in EF and t_i in F, all centred.
fn ext_dot8_centred(
    e0: vec4<u32>, e1: vec4<u32>, e2: vec4<u32>, e3: vec4<u32>, e4: vec4<u32>, e5: vec4<u32>, e6: vec4<u32>, e7: vec4<u32>,
    low: vec4<u32>, high: vec4<u32>,
) -> vec4<u32> {
    return vec4<u32>(
        f_dot8_centred(vec4<u32>(e0.x, e1.x, e2.x, e3.x), vec4<u32>(e4.x, e5.x, e6.x, e7.x), low, high),
        f_dot8_centred(vec4<u32>(e0.y, e1.y, e2.y, e3.y), vec4<u32>(e4.y, e5.y, e6.y, e7.y), low, high),
        f_dot8_centred(vec4<u32>(e0.z, e1.z, e2.z, e3.z), vec4<u32>(e4.z, e5.z, e6.z, e7.z), low, high),
        f_dot8_centred(vec4<u32>(e0.w, e1.w, e2.w, e3.w), vec4<u32>(e4.w, e5.w, e6.w, e7.w), low, high),
    );
}
