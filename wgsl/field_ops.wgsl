// out[i] = op(a[i], b[i]), applied `rounds` times with the last result for a: the field on its own, for the law tests and the `field` bench.
//
// Grid: x = ceil(num / 256); thread t of workgroup w takes element 256 w + t.
// | binding | shape and element          | form       |
// | params  | FieldOpsParams             |            |
// | a, b    | [num] EF; F in component 0 | Montgomery |
// | out     | [num] EF; F in component 0 | Montgomery |
// Workgroup memory: none. Barriers: none.
//#import shared/ext4

struct FieldOpsParams {
    op: u32,
    rounds: u32,
}

@group(0) @binding(0) var<uniform> params: FieldOpsParams;
@group(0) @binding(1) var<storage, read> a: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> b: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> out: array<vec4<u32>>;

fn apply(x: vec4<u32>, y: vec4<u32>) -> vec4<u32> {
    switch params.op {
        case 0u: { return vec4<u32>(f_add(x.x, y.x), 0u, 0u, 0u); }
        case 1u: { return vec4<u32>(f_sub(x.x, y.x), 0u, 0u, 0u); }
        case 2u: { return vec4<u32>(f_mul(x.x, y.x), 0u, 0u, 0u); }
        case 3u: { return vec4<u32>(f_dot4(x, y), 0u, 0u, 0u); }
        case 4u: { return ext_add(x, y); }
        case 5u: { return ext_scale(x, y.x); }
        case 6u: { return ext_mul(x, y); }
        case 8u: { return vec4<u32>(f_dot8_centred(centred(x), centred(y), centred(y), centred(x)), 0u, 0u, 0u); }
        case 9u: { return vec4<u32>(f_dot8(centred(x), centred(x), signed_diff(y, EXT_ZERO), signed_sum(y, EXT_ZERO)), 0u, 0u, 0u); }
        default: {
            // 3 (x y_0 + x y_1 + x y_2 + x y_3) through the running sum
            var sum: ExtAcc;
            for (var i = 0u; i < 3u; i++) {
                sum = ext_acc_mad4(sum, x, x, x, x, y);
            }
            return ext_acc_value(sum);
        }
    }
}

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) invocation: vec3<u32>) {
    let i = invocation.x;
    if i >= arrayLength(&out) {
        return;
    }
    var x = a[i];
    for (var round = 0u; round < params.rounds; round++) {
        x = apply(x, b[i]);
    }
    out[i] = x;
}
