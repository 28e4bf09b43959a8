// out[w] = XOR of the words that workgroup w reads: memory speed, to measure the other kernels against.
//
// Grid: one workgroup per READ_PER_WORKGROUP consecutive 16-byte elements; thread t takes t, t + 256, ..., four loads in flight.
// | binding | shape and element |
// | input   | [num] 4 words     |
// | out     | [num_workgroups]  |
// Workgroup memory: none. Barriers: none.

const READ_PER_WORKGROUP: u32 = 16384u;

@group(0) @binding(0) var<storage, read> input: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read_write> out: array<vec4<u32>>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    var sum = vec4<u32>(0u, 0u, 0u, 0u);
    let begin = workgroup.x * READ_PER_WORKGROUP + thread;
    for (var i = 0u; i < READ_PER_WORKGROUP; i += 1024u) {
        let a = input[begin + i];
        let b = input[begin + i + 256u];
        let c = input[begin + i + 512u];
        let d = input[begin + i + 768u];
        sum ^= a ^ b ^ c ^ d;
    }
    // Never true of zeros or random words together, and the compiler cannot know.
    if all(sum == vec4<u32>(0x9e3779b9u, 0x7f4a7c15u, 0xf39cc060u, 0x5cedc834u)) {
        out[workgroup.x] = sum;
    }
}
