//! Round 0 of one small AIR, without OpenVM: pick the device, run, check against the formula.
//!
//! ```text
//! $ cargo run --release --example hello_round0
//! adapter: llvmpipe (LLVM 15.0.6, 256 bits) (vulkan, llvmpipe Mesa 22.3.6 (LLVM 15.0.6), software)
//! plan: lookups: 2 interactions, l_skip 2, Split; affine part: 3 columns, 5 nodes; non-affine part: 1 node over 2 columns, degree 2, 2 cosets, 4 instructions, 2 temporaries; reads 12 bytes a row; 3 kernels at most
//! s_p(Z) has 8 coefficients, s_q(Z) has 8; 1 submission, 1 wait, 3 kernels
//! equal to the reference: true
//! ```
//! (The adapter's line is yours.)

use logup_wgpu::{
    AirBuilder, Challenges, EF, F, Gpu, GpuOptions, Instance, Matrix, Result, Round0, Round0Plan, Strategy, Trace,
    reference::{self, ReferenceInstance},
};
use p3_field::PrimeCharacteristicRing;

fn main() -> Result<()> {
    // Two lookups: (value) on bus 1 when `is_real`; (value, is_real * flag) on bus 2, always.
    let mut air = AirBuilder::new("lookups");
    let main = air.main_part(3);
    let [value, is_real, flag] = [0, 1, 2].map(|i| air.column(main, i));
    let one = air.constant(F::ONE);
    let product = air.mul(is_real, flag);
    let with_flag = air.add(product, flag);
    air.interaction(1, [value], is_real);
    air.interaction(2, [value, with_flag], one);
    let air = air.build()?;

    // 16 rows in a skip domain of 4 points: num_x = 4, so two challenges xi.
    let (l_skip, rows) = (2, 16);
    let cells: Vec<F> = (0..3 * rows).map(|i| F::from_u32(i * i + 1)).collect();
    let matrix = Matrix::row_major(&cells, 3);
    let challenges = Challenges { xi: &[EF::from_u32(11), EF::from_u32(13)], beta: EF::from_u32(1_000_003), lambda: EF::ONE };
    let weights = [EF::from_u32(17), EF::from_u32(19)];

    let gpu = Gpu::new(GpuOptions::default())?;
    println!("adapter: {}", gpu.adapter());
    let plan = Round0Plan::new(air.clone(), l_skip, Strategy::Split)?;
    println!("plan: {plan}");
    let trace = Trace::new(&gpu, matrix)?;
    let instance = Instance::new(&plan).main([&trace]).weights(&weights);
    let output = Round0::new(&gpu).evaluate(&challenges, &[instance])?;
    let (polys, stats) = (&output.polys[0], &output.stats);
    println!(
        "s_p(Z) has {} coefficients, s_q(Z) has {}; {} submission, {} wait, {} kernels",
        polys.numerator.len(),
        polys.denominator.len(),
        stats.submissions,
        stats.waits,
        stats.kernels(),
    );

    let [xi0, xi1] = [challenges.xi[0], challenges.xi[1]];
    let eq = [(EF::ONE - xi0) * (EF::ONE - xi1), xi0 * (EF::ONE - xi1), (EF::ONE - xi0) * xi1, xi0 * xi1];
    let inputs = ReferenceInstance {
        air: &air,
        l_skip,
        preprocessed: None,
        main: &[matrix],
        public_values: &[],
        eq: &eq,
        beta: challenges.beta,
        lambda: challenges.lambda,
        weights: &weights,
    };
    let equal = *polys == reference::round0(&inputs);
    println!("equal to the reference: {equal}");
    assert!(equal);
    Ok(())
}
