//! All 26 AIRs with interactions of OpenVM's keccak VM against the stock prover, coefficient by coefficient: every height, skip domain,
//! field form, strategy and schedule of the lists below, the whole product. All AIRs go into one call. Their traces have random layouts, and
//! from a skip domain of 2^6 points on one layout for each form: there a layout has kernels of its own, which lavapipe compiles for minutes.
#![cfg(feature = "openvm")]

mod support;

use logup_wgpu::{
    Layout, Round0Plan, Strategy,
    shaders::{FieldForm, Kernel, Variant},
};
use support::{
    stock::{StockInstance, keccak_vm_airs},
    translate,
};

const HEIGHTS: [usize; 5] = [1, 1 << 3, 1 << 4, 1 << 5, 1 << 10];

fn check(l_skip: usize) {
    let airs = keccak_vm_airs();
    assert_eq!(airs.len(), 26);
    for height in HEIGHTS {
        let mut rng = support::rng((l_skip * 10_000 + height) as u64);
        let cases: Vec<_> = airs.iter().map(|air| air.random_case(l_skip, height, &mut rng)).collect();
        for form in FieldForm::ALL {
            let start = std::time::Instant::now();
            let mut cases = cases.clone();
            if l_skip >= 6 {
                let col_major = (form == FieldForm::U64) == (l_skip == 6);
                cases.iter_mut().for_each(|case| case.layout = if col_major { Layout::ColMajor } else { Layout::RowMajor });
            }
            let expected: Vec<_> = airs.iter().zip(&cases).map(|(air, case)| StockInstance::new(air, case).round0()).collect();
            support::check_form(form, &cases, &expected);
            println!("l_skip {l_skip}, height {height}, {form:?}: 26 AIRs x 4 ways in {:.1?}", start.elapsed());
        }
    }
}

/// Every kernel that is generated for these AIRs, through naga and to MSL.
#[test]
fn generated_kernels_become_msl() {
    let mut num_kernels = 0;
    for air in keccak_vm_airs() {
        let plan = Round0Plan::new(air.air(), 4, Strategy::Split).unwrap();
        for form in FieldForm::ALL {
            for slots in [1, 8] {
                let variant = Variant { kernel: Kernel::CosetPass, form, slots };
                for source in plan.shader_sources(form, slots) {
                    translate::to_msl(variant, &source, (2, 3), true);
                    translate::to_msl(variant, &source, (3, 1), false);
                    num_kernels += 1;
                }
            }
        }
    }
    assert!(num_kernels >= 4 * 14, "{num_kernels} kernels of the AIRs that have a non-affine part");
}

#[test]
fn l_skip_0() {
    check(0);
}

#[test]
fn l_skip_1() {
    check(1);
}

#[test]
fn l_skip_2() {
    check(2);
}

#[test]
fn l_skip_4() {
    check(4);
}

#[test]
fn l_skip_6() {
    check(6);
}

#[test]
fn l_skip_9() {
    check(9);
}
