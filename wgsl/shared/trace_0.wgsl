// No trace: for coset passes whose programs read selectors and values only.

fn trace_word(i: u32) -> u32 {
    return 0u;
}

fn trace_quad(i: u32) -> vec4<u32> {
    return vec4<u32>(0u, 0u, 0u, 0u);
}
