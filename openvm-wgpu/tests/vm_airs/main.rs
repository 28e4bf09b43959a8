//! All 26 AIRs with interactions of OpenVM's keccak VM against the stock prover, coefficient by coefficient: the heights, skip domains,
//! strategy and schedule of the lists below. All AIRs go into one call. Their traces have random layouts. Each skip domain has kernels of its own,
//! which lavapipe compiles for minutes, so only OpenVM's own, 2^4 points, has both field forms: the others have one each, and from 2^6 points
//! on one layout. `metal.rs` runs the forms the other way round.

#[path = "../fixtures/mod.rs"]
mod fixtures;
mod metal;
mod portable;
mod profiles;
#[path = "../../../tests/stock/mod.rs"]
mod stock;
#[path = "../../../tests/support/mod.rs"]
mod support;
#[cfg(feature = "vm")]
mod zerocheck;

use fixtures::vm_airs::keccak_vm_airs;
use logup_wgpu::{FieldForm, Layout, Round0Plan, Strategy, compute::Variant, introspect::kernels};
use stock::StockInstance;
use support::{
    Case,
    translate::{self, MslOptions},
};

fn check(l_skip: usize) {
    let airs = keccak_vm_airs();
    assert_eq!(airs.len(), 26);
    // Lifted and tall; from 2^6 points on, the interpreter alone takes lavapipe a minute for each height.
    let heights: &[usize] = if l_skip >= 6 { &[1 << 3, 1 << 10] } else { &[1, 1 << 3, 1 << 4, 1 << 5, 1 << 10] };
    for &height in heights {
        let mut rng = support::rng((l_skip * 10_000 + height) as u64);
        let cases: Vec<_> = airs.iter().map(|air| air.random_case(l_skip, height, &mut rng)).collect();
        let ways: &[(FieldForm, Option<Layout>)] = match l_skip {
            4 => &[(FieldForm::U64, None), (FieldForm::U32, None)],
            6 => &[(FieldForm::U64, Some(Layout::ColMajor))],
            9 => &[(FieldForm::U32, Some(Layout::RowMajor))],
            _ if l_skip.is_multiple_of(2) => &[(FieldForm::U64, None)],
            _ => &[(FieldForm::U32, None)],
        };
        for &(form, layout) in ways {
            let start = std::time::Instant::now();
            let cases: Vec<_> = cases.iter().map(|case| Case { layout: layout.unwrap_or(case.layout), ..case.clone() }).collect();
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
        let plan = Round0Plan::new(air.whole_air(), 4, Strategy::Split).unwrap();
        for form in FieldForm::ALL {
            for slots in [1, 8] {
                let variant = Variant { kernel: &kernels::COSET_PASS, form, slots };
                for source in plan.shader_sources(form, slots) {
                    for (vec4_loads, lang_version, checked) in [(0, (2, 3), true), (1, (3, 1), false)] {
                        let options = MslOptions { lang_version, checked };
                        translate::to_msl(variant, &source, &variant.constants(29, &[("VEC4_LOADS", vec4_loads)]), options);
                    }
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
