//! Three generated kernels as they were reviewed: what `plan/codegen.rs` writes is read by people before it changes.

use logup_wgpu::{Air, AirBuilder, F, FieldForm, NodeId, Round0Plan, Strategy};
use p3_field::PrimeCharacteristicRing;

use crate::support::root;

/// One product of a cell and a next row's, in the numerator and in the denominator.
fn product() -> Air {
    let mut air = AirBuilder::new("product");
    let main = air.main_part(2);
    let (a, b) = (air.column(main, 0), air.next(main, 1));
    let product = air.mul(a, b);
    air.interaction(1, [product], product);
    air.build().unwrap()
}

/// Selectors, a public value and a constant in products.
fn selectors() -> Air {
    let mut air = AirBuilder::new("selectors");
    let main = air.main_part(1);
    air.public_values(1);
    let (a, public, three) = (air.column(main, 0), air.public_value(0), air.constant(F::from_u32(3)));
    let (first, last, transition) = (air.is_first_row(), air.is_last_row(), air.is_transition());
    let scaled = air.mul(three, a);
    let fields: Vec<NodeId> = [first, last, transition].map(|selector| air.mul(selector, scaled)).into();
    let shifted = air.add(scaled, public);
    let square = air.mul(shifted, shifted);
    air.interaction(2, fields, square);
    air.build().unwrap()
}

/// Five roots that share nodes: weights in groups of four, temporaries used again.
fn shared() -> Air {
    let mut air = AirBuilder::new("shared");
    let main = air.main_part(6);
    let cells: Vec<NodeId> = (0..6).map(|i| air.column(main, i)).collect();
    let common = air.mul(cells[0], cells[1]);
    let fields: Vec<NodeId> = cells[1..].iter().map(|&cell| air.mul(common, cell)).collect();
    air.interaction(3, fields, cells[5]);
    air.build().unwrap()
}

#[test]
fn generated_kernels_are_as_reviewed() {
    for (air, l_skip) in [(product(), 4), (selectors(), 2), (shared(), 6)] {
        let path = root().join(format!("tests/snapshots/{}.wgsl", air.name()));
        let plan = Round0Plan::new(air, l_skip, Strategy::Split).unwrap();
        let [source] = &plan.shader_sources(FieldForm::U64, 1)[..] else { panic!("one kernel") };
        let (_, generated) = source.split_once("// ======== generated ========\n").expect("the banner");
        if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
            std::fs::write(&path, generated).unwrap();
        }
        let reviewed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(generated == reviewed, "{} differs from what is generated now; see CONTRIBUTING.md:\n{generated}", path.display());
    }
}
