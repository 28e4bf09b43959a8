// The values of programs over F, for shared/instructions.
//#import shared/field

alias Value = u32;

fn value_add(a: Value, b: Value) -> Value {
    return f_add(a, b);
}

fn value_sub(a: Value, b: Value) -> Value {
    return f_sub(a, b);
}

fn value_mul(a: Value, i: u32) -> Value {
    return f_mul(a, operand_value(i));
}
