// digests[i] = layers[nodes[i]]: what authentication paths are made of.
//
// Grid: threads take the digests' words in turn.
// | binding | shape and element     |
// | job     | GatherJob             |
// | nodes   | [num_digests] u32     |
// | digests | [num_digests] Digest  |
// | trace   | Digest: a tree's layers |
// Workgroup memory: none. Barriers: none.
//#import shared/trace
//#import shared/tile

const WORKGROUP_SIZE: u32 = 256u;
const DIGEST_WORDS: u32 = 8u;

struct GatherJob {
    num_digests: u32,
}

@group(0) @binding(0) var<uniform> job: GatherJob;
@group(0) @binding(1) var<storage, read> nodes: array<u32>;
@group(0) @binding(2) var<storage, read_write> digests: array<u32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let i = tile_index(workgroup, grid) * WORKGROUP_SIZE + thread;
    if i < job.num_digests * DIGEST_WORDS {
        digests[i] = trace_word(nodes[i / DIGEST_WORDS] * DIGEST_WORDS + i % DIGEST_WORDS);
    }
}
