// Programs as data: the one text by which kernels evaluate expressions, whatever their values are. A kernel says what a `Value` is (an element of F, four of
// them for four rows, an element of EF) and where it comes from:
//     instruction(i) -> vec4<u32>                 the program's i-th
//     operand_value(i) -> Value                   of an operand, see OPERAND_VALUE and OPERAND_LEAF
//     leaf_value(i) -> Value                      the program's i-th leaf
//     selector_value(op) -> Value                 OP_FIRST, OP_LAST or OP_TRANSITION
//     set_temp(i, value), take_root(i, value)
//     value_add(a, b), value_sub(a, b) -> Value
//     value_mul(a, i) -> Value                    by operand i
//
// An instruction is (op, destination, a, b). A segment is the header (num_loads, num_ops, num_roots, -), its loads, its operations, its roots:
// three loops, because a device that masks branches instead of jumping over them would walk through a load and a root for every operation.
// A load is destination <- leaf a, and a root says that root b is a; their op is not looked at.

const OP_ADD: u32 = 1u;
const OP_SUB: u32 = 2u;
const OP_MUL: u32 = 3u;
const OP_NEG: u32 = 4u;
const OP_FIRST: u32 = 5u;      // destination <- is_first
const OP_LAST: u32 = 6u;       // destination <- is_last
const OP_TRANSITION: u32 = 7u; // destination <- 1 - is_last

const OPERAND_VALUE: u32 = 0x80000000u; // an operand with this bit is an index into the values,
const OPERAND_LEAF: u32 = 0x40000000u;  // with this one, in programs of plan/row_programs.rs alone, a leaf; without either a temporary

fn run_program(num_segments: u32) {
    var next = 0u;
    for (var segment = 0u; segment < num_segments; segment++) {
        let header = instruction(next);
        let loads_end = next + 1u + header.x;
        let ops_end = loads_end + header.y;
        let roots_end = ops_end + header.z;
        for (var i = next + 1u; i < loads_end; i++) {
            let load = instruction(i);
            set_temp(load.y, leaf_value(load.z));
        }
        for (var i = loads_end; i < ops_end; i++) {
            let step = instruction(i);
            let a = operand_value(step.z);
            var result = a;
            switch step.x {
                case OP_ADD: { result = value_add(a, operand_value(step.w)); }
                case OP_SUB: { result = value_sub(a, operand_value(step.w)); }
                case OP_MUL: { result = value_mul(a, step.w); }
                case OP_NEG: { result = value_sub(Value(), a); }
                default: { result = selector_value(step.x); }
            }
            set_temp(step.y, result);
        }
        for (var i = ops_end; i < roots_end; i++) {
            let root = instruction(i);
            take_root(root.w, operand_value(root.z));
        }
        next = roots_end;
    }
}

// Where temporary `slot` of thread `lane` is, from the first on, in coset_interpret and check_constraints: they keep temporaries in blocks of eight threads, [num_threads / 8][num_temps][8]. With all
// threads' next to each other, those of one thread would be so far apart that they fall into the same cache lines of a CPU.
fn temp_offset(num_temps: u32, slot: u32, lane: u32) -> u32 {
    return ((lane >> 3u) * num_temps + slot) * 8u + (lane & 7u);
}
