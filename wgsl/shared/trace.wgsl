// The trace words of a dispatch, seen as one flat array of windows of 2^LOG_WINDOW words each: word i is in window i >> LOG_WINDOW.
// A window is one storage binding; a matrix larger than a binding takes up consecutive windows.
//
// This file is a template, because a binding that a kernel declares must be bound: src/kernel/assemble.rs writes it out for 0, 1, 2, 4 or 8
// windows. Without any, a program reads selectors and values only.
//#each
@group(1) @binding({i}) var<storage, read> trace_{i}: array<vec4<u32>>;
//#end
//#if 0

fn trace_word(i: u32) -> u32 {
    return 0u;
}

fn trace_vec4(i: u32) -> vec4<u32> {
    return vec4<u32>(0u, 0u, 0u, 0u);
}
//#end
//#if 1

fn trace_word(i: u32) -> u32 {
    return trace_0[i >> 2u][i & 3u];
}

// Words i to i + 3, i a multiple of 4.
fn trace_vec4(i: u32) -> vec4<u32> {
    return trace_0[i >> 2u];
}
//#end
//#if many

override LOG_WINDOW: u32 = 29u;

fn trace_word(i: u32) -> u32 {
    let element = (i & ((1u << LOG_WINDOW) - 1u)) >> 2u;
    switch i >> LOG_WINDOW {
        //#each
        {case}: { return trace_{i}[element][i & 3u]; }
        //#end
    }
}

// Words i to i + 3, i a multiple of 4.
fn trace_vec4(i: u32) -> vec4<u32> {
    let element = (i & ((1u << LOG_WINDOW) - 1u)) >> 2u;
    switch i >> LOG_WINDOW {
        //#each
        {case}: { return trace_{i}[element]; }
        //#end
    }
}
//#end
