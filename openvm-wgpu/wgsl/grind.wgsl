// The least witness of a proof of work among num_witnesses from `first` on:
//     least = min { w : the lowest `bits` bits of permute(state with w at place absorb)[RATE - 1], as a canonical number, are zero }
//
// Grid: threads take witnesses in turn, first + thread, first + thread + num_threads, ..; a thread stops when a lesser one has been found.
// | binding   | shape and element                                              |
// | job       | GrindJob                                                       |
// | poseidon2 | constants: shared/poseidon2                                    |
// | least     | [4] u32: the witness in the first, above all numbers before it |
// Workgroup memory: none. Barriers: none.
//#import shared/poseidon2

const WORKGROUP_SIZE: u32 = 256u;
const R2: u32 = 0x45dddde3u; // 2^64 mod P

struct GrindJob {
    state: State,
    absorb: u32, // which element of the rate a witness is written to
    mask: u32,   // 2^bits - 1
    first: u32,  // a canonical number
    num_witnesses: u32,
}

@group(0) @binding(0) var<uniform> job: GrindJob;
@group(0) @binding(1) var<uniform> poseidon2: array<vec4<u32>, POSEIDON2_CONSTANTS>;
@group(0) @binding(2) var<storage, read_write> least: array<atomic<u32>, 4>;

// x with its element i replaced; i = 4 and more replaces none.
fn replaced(x: vec4<u32>, i: u32, by: u32) -> vec4<u32> {
    return vec4<u32>(select(x.x, by, i == 0u), select(x.y, by, i == 1u), select(x.z, by, i == 2u), select(x.w, by, i == 3u));
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) invocation: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>) {
    let num_threads = grid.x * WORKGROUP_SIZE;
    for (var i = invocation.x; i < job.num_witnesses; i += num_threads) {
        let witness = job.first + i;
        if atomicLoad(&least[0]) < witness {
            break;
        }
        let word = f_mul(witness, R2);
        // absorb - 4 wraps far above 4 for the first four.
        let start = State(replaced(job.state.a, job.absorb, word), replaced(job.state.b, job.absorb - 4u, word), job.state.c, job.state.d);
        let squeezed = permute(start).b.w;
        if (f_mul(squeezed, 1u) & job.mask) == 0u {
            atomicMin(&least[0], witness);
        }
    }
}
