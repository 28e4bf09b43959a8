// The table of small things that all kernels of a call share: column indices, weights, programs, Lagrange tables.
// `words` is bound by each kernel as array<vec4<u32>>; an EF element starts at a multiple of 4 words.

fn word(i: u32) -> u32 {
    return words[i >> 2u][i & 3u];
}

fn ext_word(i: u32) -> vec4<u32> {
    return words[i >> 2u];
}
