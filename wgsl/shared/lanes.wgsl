// Workgroup sums over the lanes that share a result. 16 bytes of workgroup memory per thread. A kernel says how many there are: WORKGROUP_SIZE.
//#import shared/ext4
var<workgroup> lanes: array<vec4<u32>, WORKGROUP_SIZE>;

// -> in the threads below `stride`, the sum of `value` over the threads that are equal modulo `stride`.
// `stride` is a power of two up to WORKGROUP_SIZE and the same in every thread. In at most two rounds of up to sixteen terms each: barriers
// cost more than additions, most of all on a software device. Two barriers, three below a stride of sixteen.
fn sum_lanes(value: vec4<u32>, thread: u32, stride: u32) -> vec4<u32> {
    if stride == WORKGROUP_SIZE {
        return value;
    }
    workgroupBarrier(); // the previous sum has been read
    lanes[thread] = value;
    workgroupBarrier();
    let middle = max(stride, 16u);
    var sum = EXT_ZERO;
    if thread < middle {
        for (var lane = thread; lane < WORKGROUP_SIZE; lane += middle) {
            sum = ext_add(sum, lanes[lane]);
        }
    }
    if middle == stride {
        return sum;
    }
    // Each of the first sixteen threads writes the place that only it has read.
    if thread < middle {
        lanes[thread] = sum;
    }
    workgroupBarrier();
    sum = EXT_ZERO;
    if thread < stride {
        for (var lane = thread; lane < middle; lane += stride) {
            sum = ext_add(sum, lanes[lane]);
        }
    }
    return sum;
}
