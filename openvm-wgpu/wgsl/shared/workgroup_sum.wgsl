// The sum of an element of the extension field of each of 256 threads.
// Workgroup memory: 4,096 bytes. Barriers: 8, which every thread must reach.
//#import shared/ext4

const WORKGROUP_SIZE: u32 = 256u;

var<workgroup> memory: array<vec4<u32>, WORKGROUP_SIZE>;

// For the first thread.
fn workgroup_sum(thread: u32, value: vec4<u32>) -> vec4<u32> {
    memory[thread] = value;
    for (var half = WORKGROUP_SIZE / 2u; half > 0u; half >>= 1u) {
        workgroupBarrier();
        if thread < half {
            memory[thread] = ext_add(memory[thread], memory[thread + half]);
        }
    }
    return memory[0];
}
