// No trace: for coset passes whose programs read selectors and values only.

fn trace_word(i: u32) -> u32 {
    return 0u;
}
