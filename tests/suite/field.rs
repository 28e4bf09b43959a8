//! The field kernels against p3, alone and first: every operation in both forms, on edge values and random ones.

use crate::support::field_ops::{OPS, component_0, expected, operands};
use logup_wgpu::{
    EF, FieldForm,
    introspect::{FieldOp, FieldOps},
};
use p3_field::PrimeCharacteristicRing;

#[test]
fn operations_equal_p3() {
    let (a, b) = operands();
    for form in FieldForm::ALL {
        let ops = FieldOps::new(crate::support::gpu(form));
        for op in OPS {
            let got = ops.apply(op, 1, &a, &b).unwrap();
            for ((&x, &y), got) in a.iter().zip(&b).zip(got) {
                assert_eq!(got, expected(op, x, y), "{form:?} {op:?} of {x} and {y}");
            }
        }
    }
}

/// Ring laws on the device's own results: they hold whatever the oracle says.
#[test]
fn ring_laws_hold() {
    let (a, b) = operands();
    let c: Vec<EF> = a.iter().rev().copied().collect();
    for form in FieldForm::ALL {
        let ops = FieldOps::new(crate::support::gpu(form));
        let apply = |op, x: &[EF], y: &[EF]| ops.apply(op, 1, x, y).unwrap();
        for (add, mul) in [(FieldOp::Add, FieldOp::Mul), (FieldOp::ExtAdd, FieldOp::ExtMul)] {
            let ab = apply(mul, &a, &b);
            assert_eq!(ab, apply(mul, &b, &a), "{form:?} {mul:?} commutes");
            let bc = apply(mul, &b, &c);
            assert_eq!(apply(mul, &ab, &c), apply(mul, &a, &bc), "{form:?} {mul:?} associates");
            let sum = apply(add, &a, &b);
            let (ac, left) = (apply(mul, &a, &c), apply(mul, &sum, &c));
            assert_eq!(left, apply(add, &ac, &bc), "{form:?} {mul:?} distributes over {add:?}");
            let one = vec![EF::ONE; a.len()];
            assert_eq!(apply(mul, &ab, &one), ab, "{form:?} {mul:?} has the unit");
        }
        let sum = apply(FieldOp::Add, &a, &b);
        let back = apply(FieldOp::Sub, &sum, &b);
        assert!(back.iter().zip(&a).all(|(&x, &y)| x == component_0(y).into()), "{form:?}: subtraction undoes addition");
    }
}

#[test]
fn rounds_repeat_the_operation() {
    let (a, b) = operands();
    let ops = FieldOps::new(crate::support::gpu(FieldForm::U32));
    let got = ops.apply(FieldOp::ExtMul, 5, &a, &b).unwrap();
    assert!(got.iter().zip(a.iter().zip(&b)).all(|(&got, (&x, &y))| got == x * y.exp_u64(5)));
    assert!(ops.apply(FieldOp::Add, 1, &a, &b[1..]).is_err());
    assert!(ops.apply(FieldOp::Add, 1, &[], &[]).unwrap().is_empty());
}
