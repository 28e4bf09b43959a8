// Layers of a binary tree, up to 9 at a time:
//     nodes of layer i + 1 [j] = compress(nodes of layer i [2 j], nodes of layer i [2 j + 1])
//
// Grid: one workgroup per 512 nodes of the layer that is there; thread t makes node t of the workgroup's share of each layer.
// | binding   | shape and element                                                                   |
// | job       | MerkleJob                                                                           |
// | poseidon2 | constants: shared/poseidon2                                                         |
// | nodes     | [num_nodes] Digest, the layer that is there; behind it num_layers that are written |
// Workgroup memory: 8,192 bytes. Barriers: two for each layer, reached by every thread.
//#import shared/poseidon2
//#import shared/tile

const WORKGROUP_SIZE: u32 = 256u;

struct MerkleJob {
    num_nodes: u32, // a power of two, at least 2
    num_layers: u32,
}

@group(0) @binding(0) var<uniform> job: MerkleJob;
@group(0) @binding(1) var<uniform> poseidon2: array<vec4<u32>, POSEIDON2_CONSTANTS>;
@group(0) @binding(2) var<storage, read_write> nodes: array<vec4<u32>>;

var<workgroup> low: array<vec4<u32>, WORKGROUP_SIZE>;
var<workgroup> high: array<vec4<u32>, WORKGROUP_SIZE>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let index = tile_index(workgroup, grid);
    var below = 0u; // where the layer below begins
    for (var layer = 0u; layer < job.num_layers; layer++) {
        let num_nodes = job.num_nodes >> (layer + 1u);
        let share = WORKGROUP_SIZE >> layer;
        let begin = below + (job.num_nodes >> layer);
        var parent: Digest;
        // Loops of one pass: a software device runs through a branch that no thread takes, and not through a loop.
        for (var i = thread; i < min(share, num_nodes - min(num_nodes, index * share)); i += WORKGROUP_SIZE) {
            let node = index * share + i;
            if layer == 0u {
                let at = 4u * node;
                parent = compress(Digest(nodes[at], nodes[at + 1u]), Digest(nodes[at + 2u], nodes[at + 3u]));
            } else {
                parent = compress(Digest(low[2u * i], high[2u * i]), Digest(low[2u * i + 1u], high[2u * i + 1u]));
            }
            nodes[2u * (begin + node)] = parent.low;
            nodes[2u * (begin + node) + 1u] = parent.high;
        }
        workgroupBarrier(); // the layer below has been read
        low[thread] = parent.low;
        high[thread] = parent.high;
        workgroupBarrier();
        below = begin;
    }
}
