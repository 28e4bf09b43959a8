// The lowest `num_bits` bits of i, reversed; i < 2^num_bits, num_bits < 32.
fn reversed(i: u32, num_bits: u32) -> u32 {
    return (reverseBits(i) >> 1u) >> (31u - num_bits);
}
