// Powers of a root of unity, from a table: [2^11] w^i, then w^(2^11 i).

const LOG_ROOTS: u32 = 11u;

// w^e, e below the order of w.
fn root(e: u32) -> u32 {
    return f_mul(roots[e & ((1u << LOG_ROOTS) - 1u)], roots[(1u << LOG_ROOTS) + (e >> LOG_ROOTS)]);
}
