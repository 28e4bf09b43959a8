//! AIRs whose expressions are long: 300 to 700 nodes of degree 2 to 4 over 25 to 100 columns, as AIRs of recursion and of 256-bit arithmetic have
//! them. Made here, so that a figure for them can be had again.

use logup_wgpu::{Air, AirBuilder, Gpu, Layout, NodeId, Result, Round0, Round0Plan, Strategy};
use serde_json::{Value, json};

use crate::{
    measure::{Block, L_SKIP, Resident, gpu_ms, ms, repeat_calls, reside_blocks},
    support::{Case, challenges, rng},
};

/// Products beyond an expression's affine operands, columns, degree.
const FAMILY: [(usize, usize, usize); 6] = [(300, 25, 2), (300, 100, 3), (500, 50, 2), (500, 100, 4), (700, 50, 3), (700, 100, 4)];
/// Fields of messages that the nodes are dealt out to.
const NUM_FIELDS: usize = 16;

/// An AIR that sends sixteen sums of products of limbs, each like a limb of a long product: `sum_i a_i b_(k - i)`, of degree 3 with a flag before
/// it, and of degree 4 times another such sum. About so many nodes are not affine.
fn air(num_nodes: usize, width: usize, degree: usize) -> Result<Air> {
    let mut air = AirBuilder::new(format!("{num_nodes} nodes of degree {degree} over {width} columns"));
    let main = air.main_part(width);
    let limbs: Vec<NodeId> = (0..width).map(|column| air.column(main, column)).collect();
    let half = width / 2;
    // A term is a product and an addition.
    let num_terms = (num_nodes / NUM_FIELDS / 2).max(1);
    let sum_of = |air: &mut AirBuilder, k: usize, num_terms: usize| {
        let terms: Vec<NodeId> =
            (0..num_terms).map(|i| air.mul(limbs[(k + i) % half], limbs[half + (3 * k + half - i % half) % (width - half)])).collect();
        terms.into_iter().reduce(|a, b| air.add(a, b)).expect("one term")
    };
    let mut fields = vec![];
    for k in 0..NUM_FIELDS {
        fields.push(match degree {
            2 => sum_of(&mut air, k, num_terms),
            3 => {
                let sum = sum_of(&mut air, k, num_terms);
                air.mul(limbs[k % width], sum)
            }
            _ => {
                let (left, right) = (sum_of(&mut air, k, num_terms.div_ceil(2)), sum_of(&mut air, k + 7, num_terms / 2));
                air.mul(left, right)
            }
        });
    }
    for (i, message) in fields.chunks(4).enumerate() {
        air.interaction(i as u16, message.iter().copied(), limbs[i]);
    }
    air.build()
}

/// One object per AIR.
pub fn measure(gpu: &Gpu, log_height: usize, calls: usize) -> Result<Value> {
    let mut rows = vec![];
    for (num_nodes, width, degree) in FAMILY {
        let air = air(num_nodes, width, degree)?;
        let block_height = 1 << log_height.min(crate::measure::LOG_BLOCK);
        let block = Case::random(air.clone(), L_SKIP, block_height, (None, &[width]), 0, &mut rng(num_nodes as u64));
        let block = Case { layout: Layout::ColMajor, ..block };
        let resident: Resident = reside_blocks(gpu, vec![Block::whole(block, log_height)])?.pop().expect("one");
        let plan = Round0Plan::new(air.clone(), L_SKIP, Strategy::Split)?;
        let round0 = Round0::new(gpu);
        let warm_up = round0.warm_up(&[&plan], Layout::ColMajor)?;
        let (output, stats) = repeat_calls(&round0, &[resident.instance(&plan)], calls)?;
        let direct = Round0Plan::new(air, L_SKIP, Strategy::Direct)?;
        let exact = Round0::new(gpu).evaluate(&challenges(), &[resident.instance(&direct)])?.polys == output.polys;
        let gpu_time = gpu_ms(&stats);
        let per_node_and_row = gpu_time * 1e9 / num_nodes as f64 / f64::from(1u32 << log_height);
        eprintln!("{plan}\n    2^{log_height} rows {gpu_time:.3} ms, {per_node_and_row:.3} ps per node and row, exact: {exact}");
        rows.push(json!({
            "nodes": num_nodes,
            "columns": width,
            "degree": degree,
            "log_height": log_height,
            "gpu_ms": gpu_time,
            "ps_per_node_and_row": per_node_and_row,
            "cpu_ms": ms(stats.cpu),
            "transforms": plan.num_transforms(),
            "generated_kernels": plan.num_generated_kernels(),
            "compile_ms": ms(warm_up.compile),
            "exact": exact,
        }));
    }
    Ok(json!(rows))
}
