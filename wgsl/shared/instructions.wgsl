// Programs as data, for kernels that interpret them.
//
// An instruction is (op, destination, a, b). A segment is the header (num_loads, num_ops, num_roots, -), its loads, its operations, its roots:
// three loops, because a device that masks branches instead of jumping over them would walk through a load and a root for every operation.
// A load is destination <- column a, and a root says that root b is a; their op is not looked at.

// Temporaries are kept in blocks of eight threads: [num_threads / 8][num_temps][8]. With all threads' next to each other, those of one thread would
// be so far apart that they fall into the same cache lines of a CPU.

const OP_ADD: u32 = 1u;
const OP_SUB: u32 = 2u;
const OP_MUL: u32 = 3u;
const OP_NEG: u32 = 4u;
const OP_FIRST: u32 = 5u;      // destination <- is_first
const OP_LAST: u32 = 6u;       // destination <- is_last
const OP_TRANSITION: u32 = 7u; // destination <- 1 - is_last

const OPERAND_VALUE: u32 = 0x80000000u; // an operand with this bit is an index into the values, without it a temporary

// Where temporary `slot` of thread `lane` is, from the first on.
fn temp_offset(num_temps: u32, slot: u32, lane: u32) -> u32 {
    return ((lane >> 3u) * num_temps + slot) * 8u + (lane & 7u);
}
