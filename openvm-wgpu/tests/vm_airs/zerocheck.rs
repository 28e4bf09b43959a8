//! The AIRs' constraints on traces that satisfy them, against the stock prover: those of a run of the VM, and for what such a run leaves
//! empty a trace of zeros.

use std::time::Instant;

use logup_wgpu::{FieldForm, Layout, Round0Polys};

use crate::{
    fixtures::vm_traces::{AirTrace, traces_of_a_run},
    stock::{StockAir, StockInstance},
    support::{Case, check_form},
};

/// Both halves of round 0 of these AIRs.
fn cases(traces: &[AirTrace], l_skip: usize, layout: Layout) -> Vec<(&StockAir, Case)> {
    traces.iter().map(|trace| (&trace.air, trace.case(l_skip, layout))).collect()
}

fn check(form: FieldForm, cases: Vec<(&StockAir, Case)>) {
    let start = Instant::now();
    let expected: Vec<Round0Polys> = cases
        .iter()
        .map(|(air, case)| {
            let stock = StockInstance::new(air, case);
            Round0Polys { zerocheck: stock.zerocheck(), ..stock.round0() }
        })
        .collect();
    let stock = start.elapsed();
    let cases: Vec<Case> = cases.into_iter().map(|(_, case)| case).collect();
    check_form(form, &cases, &expected);
    println!("l_skip {}, {form:?}: {} AIRs in {:.1?}, the stock prover {stock:.1?}", cases[0].l_skip, cases.len(), start.elapsed());
}

/// All AIRs at OpenVM's skip domain of 2^4 points, column-major as the engine has them. In the other field form, whose kernels take lavapipe minutes to compile, and at other skip
/// domains, the AIRs with few constraints and short traces.
#[test]
fn satisfied_constraints_equal_the_stock_prover() {
    let traces = traces_of_a_run(2);
    check(FieldForm::U64, cases(&traces, 4, Layout::ColMajor));
    let few = [
        (0, FieldForm::U32, Layout::RowMajor),
        (2, FieldForm::U64, Layout::ColMajor),
        (4, FieldForm::U32, Layout::RowMajor),
        (9, FieldForm::U64, Layout::ColMajor),
    ];
    for (l_skip, form, layout) in few {
        let small = |case: &Case| case.air.nodes().len() < 120 && case.height <= 1 << 12;
        check(form, cases(&traces, l_skip, layout).into_iter().filter(|(_, case)| small(case)).collect());
    }
}
