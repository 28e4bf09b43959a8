//! Two calls that are hard in their own ways: a proof of one wide AIR's, and many wide AIRs with few rows.

use std::time::Instant;

use logup_wgpu::{Air, AirBuilder, Gpu, Instance, Layout, NodeId, Result, Round0, Round0Plan, Strategy, Trace};
use openvm_stark_backend::air_builders::debug::check_constraints;
use openvm_stark_sdk::config::baby_bear_poseidon2::BabyBearPoseidon2Config;
use p3_matrix::dense::RowMajorMatrixView;
use serde_json::{Value, json};

use crate::{
    measure::{Block, L_SKIP, ms, of_call, repeat_calls, reside_blocks},
    stock::keccakf::{self, KeccakfBusAir},
    support::{Case, challenges, rng},
};

/// Both halves of p3's Keccak-f AIR for so many permutations (1,024 are 2^15 rows), its own trace resident; and a check of its constraints on every row,
/// beside the stock check on the CPU.
pub fn keccakf(gpu: &Gpu, permutations: usize, calls: usize) -> Result<Value> {
    let stock = keccakf::air();
    let rows = keccakf::case(&stock, permutations, L_SKIP);
    let (values, width) = &rows.main[0];
    let start = Instant::now();
    let views = [RowMajorMatrixView::new(values, *width)];
    check_constraints::<_, BabyBearPoseidon2Config>(&KeccakfBusAir, &stock.name, &None, &views, &rows.public_values);
    let stock_check_ms = ms(start.elapsed());
    let columns = (0..*width).flat_map(|column| values.iter().skip(column).step_by(*width).copied()).collect();
    let case = Case { main: vec![(columns, *width)], layout: Layout::ColMajor, ..rows };
    let air = stock.whole_air();
    let traces = Trace::upload(gpu, &case.matrices())?;
    fn instance<'a>(plan: &'a Round0Plan, traces: &'a [Trace], case: &'a Case) -> Instance<'a> {
        Instance::new(plan).traces(traces).public_values(&case.public_values).weights(&case.weights)
    }
    let [split, direct] = [Strategy::Split, Strategy::Direct].map(|strategy| Round0Plan::new(air.clone(), L_SKIP, strategy));
    let (split, direct) = (split?, direct?);
    let mut round0 = Round0::new(gpu);
    let (output, mut stats) = repeat_calls(&round0, &[instance(&split, &traces, &case)], calls)?;
    let exact = Round0::new(gpu).evaluate(&challenges(), &[instance(&direct, &traces, &case)])?.polys == output.polys;
    let check = || round0.check_constraints(&[instance(&split, &traces, &case)]);
    check()?; // compiles
    let check = check()?;
    check.satisfied()?;
    round0.set_stage_times(true);
    stats.stages = round0.evaluate(&challenges(), &[instance(&split, &traces, &case)])?.stats.stages;
    let mut call = of_call(&stats);
    (call["log_height"], call["exact"]) = (json!(case.height.ilog2()), json!(exact));
    (call["check_ms"], call["check_gpu_ms"]) = (json!(ms(check.wall)), json!(check.gpu.map(ms)));
    call["stock_check_ms"] = json!(stock_check_ms);
    Ok(call)
}

/// 150 interactions over 600 columns: four fields of two columns each, every third count a product.
fn wide() -> Result<Air> {
    const WIDTH: usize = 600;
    let mut air = AirBuilder::new("wide");
    let main = air.main_part(WIDTH);
    let cells: Vec<NodeId> = (0..WIDTH).map(|i| air.column(main, i)).collect();
    for i in 0..150 {
        let cell = |k: usize| cells[(4 * i + k) % WIDTH];
        let message: Vec<NodeId> = (0..4).map(|k| air.add(cell(k), cell(k + 7))).collect();
        let count = if i % 3 == 0 { air.mul(cell(1), cell(2)) } else { cell(1) };
        air.interaction(i as u16, message, count);
    }
    air.build()
}

/// 100 such AIRs of 2^5 rows.
pub fn many_wide(gpu: &Gpu, calls: usize) -> Result<Value> {
    let plan = Round0Plan::new(wide()?, L_SKIP, Strategy::Split)?;
    let widths = plan.air().main_widths().to_vec();
    let block = |seed: u64| {
        let case = Case::random(plan.air().clone(), L_SKIP, 1 << 5, (None, &widths), 0, &mut rng(seed));
        Block::whole(Case { layout: Layout::ColMajor, ..case }, 5)
    };
    let residents = reside_blocks(gpu, (0..100).map(block).collect())?;
    let instances: Vec<Instance<'_>> = residents.iter().map(|resident| resident.instance(&plan)).collect();
    let (output, stats) = repeat_calls(&Round0::new(gpu), &instances, calls)?;
    let exact = residents.iter().zip(&output.polys).all(|(resident, polys)| resident.block.reference() == *polys);
    let mut call = of_call(&stats);
    (call["log_height"], call["exact"]) = (json!(5), json!(exact));
    Ok(call)
}
