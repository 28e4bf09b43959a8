//! The field operations' oracle: p3, on edge values and random ones.

use logup_wgpu::{EF, F, P, introspect::FieldOp};
use p3_field::{BasedVectorSpace, PrimeCharacteristicRing};

pub const OPS: [FieldOp; 10] = [
    FieldOp::Add,
    FieldOp::Sub,
    FieldOp::Mul,
    FieldOp::Dot4,
    FieldOp::Dot8Centred,
    FieldOp::Dot8,
    FieldOp::ExtAdd,
    FieldOp::ExtScale,
    FieldOp::ExtMul,
    FieldOp::ExtAcc,
];

/// All pairs of 0, 1, 2, -1, -2, 2^30 and of the elements whose words bound the sums of products (1, P / 2 on either side, P - 1), then
/// random elements.
pub fn operands() -> (Vec<EF>, Vec<EF>) {
    let with_word = |word: u32| F::from_u32(word) / F::from_u64(1 << 32);
    let bounds = [1, P / 2, P / 2 + 1, P - 1].map(with_word);
    let edges = [[F::ZERO, F::ONE, F::TWO, F::NEG_ONE, -F::TWO, F::from_u32(1 << 30)].as_slice(), &bounds].concat();
    let (mut a, mut b) = (vec![], vec![]);
    for &x in &edges {
        for &y in &edges {
            a.push(EF::from_basis_coefficients_fn(|_| x));
            b.push(EF::from_basis_coefficients_fn(|_| y));
        }
    }
    let mut rng = super::rng(1);
    a.extend(super::random_ef(&mut rng, 2000));
    b.extend(super::random_ef(&mut rng, 2000));
    (a, b)
}

fn components(x: &EF) -> &[F] {
    x.as_basis_coefficients_slice()
}

pub fn component_0(x: EF) -> F {
    components(&x)[0]
}

fn dot(x: EF, y: EF) -> F {
    components(&x).iter().zip(components(&y)).map(|(&x, &y)| x * y).sum()
}

pub fn expected(op: FieldOp, x: EF, y: EF) -> EF {
    let (x0, y0) = (component_0(x), component_0(y));
    match op {
        FieldOp::Add => (x0 + y0).into(),
        FieldOp::Sub => (x0 - y0).into(),
        FieldOp::Mul => (x0 * y0).into(),
        FieldOp::Dot4 => dot(x, y).into(),
        FieldOp::Dot8Centred | FieldOp::Dot8 => dot(x, y).double().into(),
        FieldOp::ExtAdd => x + y,
        FieldOp::ExtScale => x * y0,
        FieldOp::ExtMul => x * y,
        FieldOp::ExtAcc => {
            let sum: F = components(&y).iter().copied().sum();
            x * sum * F::from_u32(3)
        }
    }
}
