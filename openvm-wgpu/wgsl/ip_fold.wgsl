// Folds an array over its lowest log_window variables:
//     elements[first + y] = sum_b weights[b] a[2^log_window y + b]        in EF, b < 2^log_window, y < len; zero from there to num
//
// Grid: threads take y in turn.
// | binding  | shape and element                                |
// | job      | FoldJob                                          |
// | weights  | [16] EF                                          |
// | a        | [4][num_quads] 4 u32: coefficient by coefficient |
// | elements | [4][stride] u32                                  |
// Workgroup memory: none. Barriers: none.
//#import shared/ext4
//#import shared/elements
//#import shared/tile

const WORKGROUP_SIZE: u32 = 256u;

struct FoldJob {
    log_window: u32, // 1 to 4
    num_quads: u32,
    first: u32,
    len: u32,
    num: u32,
    stride: u32,
}

@group(0) @binding(0) var<uniform> job: FoldJob;
@group(0) @binding(1) var<uniform> weights: array<vec4<u32>, 16>;
@group(0) @binding(2) var<storage, read> a: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> elements: array<u32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let y = tile_index(workgroup, grid) * WORKGROUP_SIZE + thread;
    if y >= job.num {
        return;
    }
    var sum = EXT_ZERO;
    if y < job.len {
        let first = (y << job.log_window) >> 2u;
        // A window of one variable is half a quad.
        let upper = job.log_window == 1u && (y & 1u) == 1u;
        let num_quads = max(1u << job.log_window, 4u) >> 2u;
        for (var i = 0u; i < num_quads; i++) {
            let x = a[first + i];
            let z = a[job.num_quads + first + i];
            let u = a[2u * job.num_quads + first + i];
            let v = a[3u * job.num_quads + first + i];
            let e2 = vec4<u32>(x.z, z.z, u.z, v.z);
            let e3 = vec4<u32>(x.w, z.w, u.w, v.w);
            let e0 = select(vec4<u32>(x.x, z.x, u.x, v.x), e2, upper);
            let e1 = select(vec4<u32>(x.y, z.y, u.y, v.y), e3, upper);
            sum = ext_add(sum, ext_add(ext_mul(e0, weights[4u * i]), ext_mul(e1, weights[4u * i + 1u])));
            if job.log_window > 1u {
                sum = ext_add(sum, ext_add(ext_mul(e2, weights[4u * i + 2u]), ext_mul(e3, weights[4u * i + 3u])));
            }
        }
    }
    let to = job.first + y;
    set_element(to, sum);
}
