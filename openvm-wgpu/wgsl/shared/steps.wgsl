// Straight-line programs over a row, as data: what non-affine expressions are made of. A kernel says what a `Value` is and how to compute with it (`value_*`), where
// cells and slots are (`cell_value`, `slot_value`, `set_slot`), and what happens to a root (`take_root`): over F on the rows of a trace, over EF between two rows of
// a folded one.
//
// A step is (operation, target, a, b). a and b are slots, with OPERAND_CELL cells of the program; where an operation says so, b is one of the program's values.

const ADD: u32 = 0u;
const SUB: u32 = 1u;
const MUL: u32 = 2u;
const NEG: u32 = 3u;
const ADD_VALUE: u32 = 4u; // b is a value
const SUB_VALUE: u32 = 5u;
const MUL_VALUE: u32 = 6u;
const ROOT: u32 = 7u;      // root `target` is a

const OPERAND_CELL: u32 = 0x80000000u;

fn operand(i: u32) -> Value {
    if (i & OPERAND_CELL) != 0u {
        return cell_value(i & ~OPERAND_CELL);
    }
    return slot_value(i);
}

fn run_steps(first: u32, num: u32) {
    for (var at = first; at < first + num; at++) {
        let step = steps[at];
        var value = operand(step.z);
        if step.x == ROOT {
            take_root(step.y, value);
            continue;
        }
        if step.x <= MUL {
            let b = operand(step.w);
            if step.x == ADD {
                value = value_add(value, b);
            } else if step.x == SUB {
                value = value_sub(value, b);
            } else {
                value = value_mul(value, b);
            }
        } else if step.x == NEG {
            value = value_neg(value);
        } else {
            let b = constant_value(step.w);
            if step.x == ADD_VALUE {
                value = value_add_base(value, b);
            } else if step.x == SUB_VALUE {
                value = value_add_base(value, f_sub(0u, b));
            } else {
                value = value_scale(value, b);
            }
        }
        set_slot(step.y, value);
    }
}
