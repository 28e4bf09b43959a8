// The trace words of a dispatch, seen as one flat array of 1 window of 2^LOG_WINDOW words each: word i is in window i >> LOG_WINDOW.
// A window is one storage binding; a matrix larger than a binding takes up consecutive windows.
// Slots: 1, 2, 4 and 8 windows are files of their own because a binding that a kernel declares must be bound.

@group(1) @binding(0) var<storage, read> trace_0: array<vec4<u32>>;

fn trace_word(i: u32) -> u32 {
    return trace_0[i >> 2u][i & 3u];
}

// Words i to i + 3, i a multiple of 4.
fn trace_quad(i: u32) -> vec4<u32> {
    return trace_0[i >> 2u];
}
