// The trace words of a dispatch, seen as one flat array of 4 windows of 2^LOG_WINDOW words each: word i is in window i >> LOG_WINDOW.
// A window is one storage binding; a matrix larger than a binding takes up consecutive windows.
// Slots: 1, 2, 4 and 8 windows are files of their own because a binding that a kernel declares must be bound.

@group(1) @binding(0) var<storage, read> trace_0: array<vec4<u32>>;
@group(1) @binding(1) var<storage, read> trace_1: array<vec4<u32>>;
@group(1) @binding(2) var<storage, read> trace_2: array<vec4<u32>>;
@group(1) @binding(3) var<storage, read> trace_3: array<vec4<u32>>;

override LOG_WINDOW: u32 = 29u;

fn trace_word(i: u32) -> u32 {
    let quad = (i & ((1u << LOG_WINDOW) - 1u)) >> 2u;
    switch i >> LOG_WINDOW {
        case 0u: { return trace_0[quad][i & 3u]; }
        case 1u: { return trace_1[quad][i & 3u]; }
        case 2u: { return trace_2[quad][i & 3u]; }
        default: { return trace_3[quad][i & 3u]; }
    }
}

// Words i to i + 3, i a multiple of 4.
fn trace_quad(i: u32) -> vec4<u32> {
    let quad = (i & ((1u << LOG_WINDOW) - 1u)) >> 2u;
    switch i >> LOG_WINDOW {
        case 0u: { return trace_0[quad]; }
        case 1u: { return trace_1[quad]; }
        case 2u: { return trace_2[quad]; }
        default: { return trace_3[quad]; }
    }
}
