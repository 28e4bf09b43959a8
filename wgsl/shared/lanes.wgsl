// Workgroup sums over the lanes that share a result. 4,096 bytes of workgroup memory.
var<workgroup> lanes: array<vec4<u32>, 256>;

// -> in the threads below `stride`, the sum of `value` over the threads that are equal modulo `stride`.
// `stride` is a power of two up to WORKGROUP_SIZE and the same in every thread. Two barriers and one more for each halving.
fn sum_lanes(value: vec4<u32>, thread: u32, stride: u32) -> vec4<u32> {
    workgroupBarrier(); // the previous sum has been read
    lanes[thread] = value;
    workgroupBarrier();
    for (var half = WORKGROUP_SIZE / 2u; half >= stride; half /= 2u) {
        if thread < half {
            lanes[thread] = ext_add(lanes[thread], lanes[thread + half]);
        }
        workgroupBarrier();
    }
    return lanes[thread];
}
