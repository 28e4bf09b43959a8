//! The AIRs on the kernels' Metal text, which `tests/support/msl` compiles as C++ and runs on the CPU.

#[path = "../../../tests/support/msl/mod.rs"]
mod msl;

use std::time::Instant;

use logup_wgpu::{FieldForm, Layout, Round0Polys};
use rayon::prelude::*;

use self::msl::{
    Counts, Machine, Order,
    check::{check, check_all},
};
use crate::{
    fixtures::vm_airs::keccak_vm_airs,
    stock::StockInstance,
    support::{Case, SCHEDULES, STRATEGIES, Uploaded, gpu, rng},
};

/// All AIRs with interactions of OpenVM's keccak VM, compared with the stock prover: the whole product at a skip domain of 2^4 points, and at
/// some others one form each, in random layouts. (Each skip domain has kernels of its own, and clang++ takes a second for each.)
#[test]
fn keccak_vm_airs_run() {
    let airs = keccak_vm_airs();
    assert_eq!(airs.len(), 26);
    let cases = |l_skip: usize, height: usize, layout: Option<Layout>| -> (Vec<Case>, Vec<Round0Polys>) {
        let mut rng = rng((l_skip * 100 + height) as u64);
        let cases: Vec<Case> = airs.iter().map(|air| air.random_case(l_skip, height, &mut rng)).collect();
        let cases: Vec<Case> = cases.into_iter().map(|case| Case { layout: layout.unwrap_or(case.layout), ..case }).collect();
        let expected = airs.par_iter().zip(&cases).map(|(air, case)| StockInstance::new(air, case).round0()).collect();
        (cases, expected)
    };
    let start = Instant::now();
    let mut counts = Counts::default();
    for height in [16, 32] {
        for layout in [Layout::ColMajor, Layout::RowMajor] {
            let (cases, expected) = cases(4, height, Some(layout));
            for form in FieldForm::ALL {
                for strategy in STRATEGIES {
                    let uploaded = Uploaded::together(gpu(form), &cases, strategy);
                    counts += check_all(gpu(form), &uploaded, &expected, &format!("{strategy:?}, {layout:?}, height {height}"));
                }
            }
        }
    }
    println!("26 AIRs, l_skip 4: {counts:?} in {:.1?}", start.elapsed());
    for (l_skip, form, order) in [
        (0, FieldForm::U64, Order::Ascending),
        (2, FieldForm::U32, Order::Descending),
        (6, FieldForm::U32, Order::Ascending),
        (9, FieldForm::U64, Order::Descending),
    ] {
        let (start, mut counts) = (Instant::now(), Counts::default());
        let (cases, expected) = cases(l_skip, 32, None);
        for (strategy, schedule) in STRATEGIES.into_iter().zip(SCHEDULES) {
            let uploaded = Uploaded::together(gpu(form), &cases, strategy);
            let how = format!("{strategy:?}, l_skip {l_skip}");
            counts += check(Machine::new(form, order), gpu(form), &uploaded, schedule, &expected, &how);
        }
        println!("26 AIRs, l_skip {l_skip}: {counts:?} in {:.1?}", start.elapsed());
    }
}
