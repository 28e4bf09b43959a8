// results[at] = nonce: what a submission writes last, so that the host knows that it ran.
//
// Grid: one workgroup, of which one thread writes.
// | binding | shape and element |
// | job     | MarkJob           |
// | results | u32               |
// Workgroup memory: none. Barriers: none.

struct MarkJob {
    at: u32,
    nonce: u32,
}

@group(0) @binding(0) var<uniform> job: MarkJob;
@group(0) @binding(1) var<storage, read_write> results: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) thread: u32) {
    if thread == 0u {
        results[job.at] = job.nonce;
    }
}
