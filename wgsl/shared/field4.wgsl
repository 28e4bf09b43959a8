// The field's operations on four elements at once.
//#import shared/field

fn f_add4(a: vec4<u32>, b: vec4<u32>) -> vec4<u32> {
    let sum = a + b;
    return min(sum, sum - vec4<u32>(P));
}

fn f_sub4(a: vec4<u32>, b: vec4<u32>) -> vec4<u32> {
    let diff = a - b;
    return min(diff, diff + vec4<u32>(P));
}

fn f_mul4(a: vec4<u32>, b: vec4<u32>) -> vec4<u32> {
    return vec4<u32>(f_mul(a.x, b.x), f_mul(a.y, b.y), f_mul(a.z, b.z), f_mul(a.w, b.w));
}
