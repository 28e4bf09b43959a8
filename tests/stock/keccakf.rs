//! Real Keccak-f: p3's AIR and trace, alone, or with its input and output limbs on a bus as OpenVM's KeccakfPermAir has them.

use std::borrow::{Borrow, BorrowMut};

use logup_wgpu::{F, Layout};
use openvm_stark_backend::{
    air_builders::symbolic::{SymbolicConstraintsDag, get_symbolic_builder},
    interaction::InteractionBuilder,
    keygen::types::TraceWidth,
    p3_air::{Air, AirBuilder, BaseAir},
    p3_matrix::{Matrix, dense::RowMajorMatrix},
};
use p3_field::PrimeCharacteristicRing;
use p3_keccak_air::{KeccakAir, KeccakCols, NUM_KECCAK_COLS, NUM_ROUNDS, NUM_ROUNDS_MIN_1, U64_LIMBS, generate_trace_rows};
use rand::{Rng, rngs::StdRng};

use super::StockAir;
use crate::support::{Case, challenges, random_ef, rng};

/// The state's bus.
const STATE_BUS: u16 = 0;

/// p3's Keccak-f AIR alone.
pub struct KeccakfAir;

impl<T> BaseAir<T> for KeccakfAir {
    fn width(&self) -> usize {
        NUM_KECCAK_COLS
    }
}

impl openvm_stark_backend::p3_air::BaseAirWithPublicValues<F> for KeccakfAir {}

impl openvm_stark_backend::PartitionedBaseAir<F> for KeccakfAir {}

impl<AB: AirBuilder> Air<AB> for KeccakfAir {
    fn eval(&self, builder: &mut AB) {
        KeccakAir {}.eval(builder);
    }
}

/// p3's Keccak-f AIR that receives each permutation's input limbs and sends its output limbs, on the permutation's last row.
pub struct KeccakfBusAir;

impl<T> BaseAir<T> for KeccakfBusAir {
    fn width(&self) -> usize {
        NUM_KECCAK_COLS
    }
}

impl openvm_stark_backend::p3_air::BaseAirWithPublicValues<F> for KeccakfBusAir {}

impl openvm_stark_backend::PartitionedBaseAir<F> for KeccakfBusAir {}

impl<AB: InteractionBuilder> Air<AB> for KeccakfBusAir {
    fn eval(&self, builder: &mut AB) {
        KeccakAir {}.eval(builder);
        let main = builder.main();
        let local = main.row_slice(0).expect("one row");
        let local: &KeccakCols<AB::Var> = (*local).borrow();
        let lanes = || (0..5).flat_map(|y| (0..5).flat_map(move |x| (0..U64_LIMBS).map(move |limb| (y, x, limb))));
        let input = lanes().map(|(y, x, limb)| local.preimage[y][x][limb].into());
        let output = lanes().map(|(y, x, limb)| local.a_prime_prime_prime(y, x, limb).into());
        let message = |tag, limbs: Vec<AB::Expr>| std::iter::once(tag).chain(limbs).collect::<Vec<AB::Expr>>();
        let export: AB::Expr = local.export.into();
        builder.push_interaction(STATE_BUS, message(AB::Expr::ZERO, input.collect()), -export.clone(), 1);
        builder.push_interaction(STATE_BUS, message(AB::Expr::ONE, output.collect()), export, 1);
    }
}

/// The AIR as a proving key would hold it.
pub fn air() -> StockAir {
    let width = TraceWidth { preprocessed: None, cached_mains: vec![], common_main: NUM_KECCAK_COLS };
    let constraints = get_symbolic_builder(&KeccakfBusAir, &width).constraints();
    let degree = constraints.max_constraint_degree();
    StockAir {
        name: "KeccakfBusAir".into(),
        dag: SymbolicConstraintsDag::from(constraints),
        width,
        num_public_values: 0,
        degree,
        needs_next: true,
    }
}

/// The seed of [`random_trace`]'s states.
pub fn states_rng() -> StdRng {
    rng(24)
}

/// `num_permutations` real permutations of random states, as p3 generates them: nothing is exported.
pub fn random_trace(num_permutations: usize, rng: &mut StdRng) -> RowMajorMatrix<F> {
    let inputs: Vec<[u64; 25]> = (0..num_permutations).map(|_| rng.random()).collect();
    generate_trace_rows(inputs, 0)
}

/// `num_permutations` real permutations of random states, row-major as p3 generates them, with random challenges.
pub fn case(air: &StockAir, num_permutations: usize, l_skip: usize) -> Case {
    let mut rng = states_rng();
    let mut trace = random_trace(num_permutations, &mut rng);
    // A prover exports the permutations that were asked for, not the padding.
    for row in trace.values.chunks_exact_mut(NUM_KECCAK_COLS).take(num_permutations * NUM_ROUNDS) {
        let row: &mut KeccakCols<F> = row.borrow_mut();
        row.export = row.step_flags[NUM_ROUNDS_MIN_1];
    }
    let height = trace.values.len() / NUM_KECCAK_COLS;
    let air = air.air();
    let num_x = (height >> l_skip).max(1);
    Case {
        l_skip,
        height,
        layout: Layout::RowMajor,
        preprocessed: None,
        main: vec![(trace.values, NUM_KECCAK_COLS)],
        public_values: vec![],
        xi: challenges().xi[..num_x.ilog2() as usize].to_vec(),
        beta: challenges().beta,
        lambda: challenges().lambda,
        weights: random_ef(&mut rng, air.interactions().len()),
        air,
    }
}
