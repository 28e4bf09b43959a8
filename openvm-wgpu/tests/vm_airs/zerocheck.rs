//! The AIRs' constraints on traces that satisfy them, against the stock prover: those of a run of the VM, and for what such a run leaves
//! empty a trace of zeros.

use std::time::Instant;

use logup_wgpu::{FieldForm, Layout, Round0Polys};
use openvm_stark_backend::keygen::types::MultiStarkProvingKey;
use openvm_stark_sdk::config::{app_params_with_100_bits_security, baby_bear_poseidon2::BabyBearPoseidon2Config};
use openvm_wgpu::WgpuEngine;
use p3_field::PrimeCharacteristicRing;
use p3_matrix::dense::RowMajorMatrix;

use crate::{
    fixtures::keccak_vm::{keccak_vm, program, run},
    stock::{StockAir, StockInstance},
    support::{Case, challenges, check_form, random_ef, rng},
};

type F = logup_wgpu::F;

/// An AIR, its matrices, its public values.
type AirTrace = (StockAir, Vec<RowMajorMatrix<F>>, Vec<F>);

/// Every AIR of the VM with its trace.
fn traces_of_a_run() -> Vec<AirTrace> {
    let engine: WgpuEngine = WgpuEngine::try_new(app_params_with_100_bits_security(21)).unwrap();
    let (mut vm, pk): (_, MultiStarkProvingKey<BabyBearPoseidon2Config>) = keccak_vm(engine).unwrap();
    let context = run(&mut vm, &program(2)).unwrap();
    let preprocessed = |air: usize| vm.pk().per_air[air].preprocessed_data.as_ref().map(|data| data.trace.clone());
    let all = pk.per_air.iter().enumerate().map(|(air_idx, key)| {
        let params = &key.vk.params;
        let air = StockAir {
            name: key.air_name.clone(),
            width: params.width.clone(),
            num_public_values: params.num_public_values,
            needs_next: params.need_rot,
            degree: key.vk.max_constraint_degree.into(),
            dag: key.vk.symbolic_constraints.clone(),
        };
        let (main, public_values) = match context.per_trace.iter().find(|(of, _)| *of == air_idx) {
            Some((_, trace)) => {
                let cached = trace.cached_mains.iter().map(|data| data.trace.clone());
                (cached.chain([trace.common_main.clone()]).collect::<Vec<_>>(), trace.public_values.clone())
            }
            None => {
                let zeros = |width: usize| RowMajorMatrix::new(F::zero_vec(16 * width), width);
                (params.width.main_widths().into_iter().map(zeros).collect(), F::zero_vec(params.num_public_values))
            }
        };
        (air, preprocessed(air_idx).into_iter().chain(main).collect(), public_values)
    });
    all.collect()
}

/// Both halves of round 0 of these AIRs.
fn cases(traces: &[AirTrace], l_skip: usize, layout: Layout) -> Vec<(&StockAir, Case)> {
    let case = |(air, matrices, public_values): &AirTrace| {
        let whole = air.whole_air();
        let widest = matrices.iter().find(|matrix| matrix.width > 0).unwrap();
        let height = widest.values.len() / widest.width;
        let cells = |matrix: &RowMajorMatrix<F>| match layout {
            Layout::RowMajor => matrix.values.clone(),
            Layout::ColMajor => matrix.transpose().values,
        };
        let mut parts: Vec<(Vec<F>, usize)> = matrices.iter().map(|matrix| (cells(matrix), matrix.width)).collect();
        let preprocessed = air.width.preprocessed.map(|_| parts.remove(0));
        let num_x = (height >> l_skip).max(1);
        Case {
            l_skip,
            height,
            layout,
            preprocessed,
            main: parts,
            public_values: public_values.clone(),
            xi: challenges().xi[..num_x.ilog2() as usize].to_vec(),
            beta: challenges().beta,
            lambda: challenges().lambda,
            weights: random_ef(&mut rng(l_skip as u64), whole.interactions().len()),
            air: whole,
        }
    };
    traces.iter().map(|trace| (&trace.0, case(trace))).collect()
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
    let traces = traces_of_a_run();
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
