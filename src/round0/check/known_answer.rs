//! What `check_constraints` finds before it looks for a caller.

use p3_field::PrimeCharacteristicRing;
use rand::{Rng, SeedableRng, rngs::SmallRng};

use super::{
    super::{
        Instance, Round0,
        known_answers::{Asked, answered},
    },
    ConstraintCheck,
};
use crate::{
    air::{Air, AirBuilder},
    error::Result,
    field::{EF, F},
    gpu::{Gpu, Key, Trace},
    matrix::Matrix,
    plan::{Round0Plan, Strategy},
    reference::{self, ReferenceInstance},
};

/// Has the kernel check an AIR of this crate on traces of small numbers, which satisfy its constraints on some rows: whether it finds what the
/// reference does. The traces lie in as many buffers as the kernel binds windows.
pub(in crate::round0) fn known_answer(gpu: &Gpu, key: &Key) -> Result<bool> {
    // Several tiles, of which the second is full too.
    const HEIGHT: usize = 1 << 12;
    let num_parts = key.slots as usize;
    let air = known_air(num_parts)?;
    let mut rng = SmallRng::seed_from_u64(0);
    let mut small = |num: usize| (0..num).map(|_| F::from_u32(rng.random_range(0..3))).collect::<Vec<F>>();
    let cells: Vec<Vec<F>> = (0..num_parts).map(|_| small(2 * HEIGHT)).collect();
    let matrices: Vec<Matrix<'_>> = cells.iter().map(|cells| Matrix::col_major(cells, 2)).collect();
    let public_values = small(1);
    let (main, public_values) = (&matrices[..], &public_values[..]);
    let (eq, weights, one) = (&[][..], &[][..], EF::ONE);
    let reference =
        ReferenceInstance { air: &air, l_skip: 0, preprocessed: None, main, public_values, eq, beta: one, lambda: one, weights };
    let mut expected = vec![(0, vec![]); air.constraints().len()];
    // Without columns there is one row.
    for row in 0..if num_parts == 0 { 1 } else { HEIGHT } {
        for (value, (num_rows, rows)) in reference::constraints_on_row(&reference, row).into_iter().zip(&mut expected) {
            if value != F::ZERO {
                *num_rows += 1;
                if rows.len() < ConstraintCheck::MAX_ROWS {
                    rows.push(row);
                }
            }
        }
    }
    let plan = Round0Plan::new(air.clone(), 0, Strategy::Direct)?;
    let traces = Trace::scatter(gpu, &matrices, key.slots.max(1))?;
    let asked = Some(Asked { keys: vec![key.clone()], fixed_first: false });
    let engine = Round0 { asked, ..Round0::new(gpu) };
    let instances = [Instance::new(&plan).main(&traces).public_values(public_values)];
    let Some(check) = answered(gpu, || engine.check_constraints(&instances))? else { return Ok(false) };
    let found: Vec<(usize, u64, &[usize])> = check.failing.iter().map(|one| (one.constraint, one.num_rows, &one.rows[..])).collect();
    let expected = expected.iter().enumerate().filter(|(_, (num_rows, _))| *num_rows > 0);
    Ok(found.into_iter().eq(expected.map(|(constraint, (num_rows, rows))| (constraint, *num_rows, &rows[..]))))
}

/// Every operation of a program over so many parts of two columns, in constraints that hold on some rows, on all or on none.
fn known_air(num_parts: usize) -> Result<Air> {
    let mut air = AirBuilder::new("known answer: constraints");
    air.public_values(1);
    let (public, first) = (air.public_value(0), air.is_first_row());
    let (last, transition) = (air.is_last_row(), air.is_transition());
    for _ in 0..num_parts {
        let part = air.main_part(2);
        let (a, b) = (air.column(part, 0), air.next(part, 1));
        let product = air.mul(a, b);
        let negated = air.neg(product);
        let sum = air.add(negated, public);
        let gated = air.mul(sum, transition);
        let bit = air.sub(a, product);
        [product, gated, bit].into_iter().for_each(|constraint| air.constraint(constraint));
    }
    let (both, either) = (air.mul(first, last), air.add(first, last));
    let neither = air.sub(either, transition);
    [both, either, neither, public].into_iter().for_each(|constraint| air.constraint(constraint));
    air.build()
}
