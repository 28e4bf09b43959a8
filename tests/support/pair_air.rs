//! An AIR of bus interactions in pairs: each message is sent and received in the same row, so that any trace proves.

use std::sync::Arc;

use logup_wgpu::F;
use openvm_stark_backend::{
    AirRef, PartitionedBaseAir,
    interaction::InteractionBuilder,
    p3_air::{Air, BaseAir, BaseAirWithPublicValues},
    p3_matrix::{Matrix, dense::RowMajorMatrix},
    prover::{AirProvingContext, ColMajorMatrix, CpuColMajorBackend, ProvingContext},
    test_utils::TestFixture,
};
use openvm_stark_sdk::config::baby_bear_poseidon2::BabyBearPoseidon2Config;
use p3_field::PrimeCharacteristicRing;

type SC = BabyBearPoseidon2Config;

/// A message field or a count.
#[derive(Clone, Copy, Debug)]
pub enum Field {
    Column(usize),
    Constant(u32),
}

/// Fields and count of what is sent and received on a bus.
#[derive(Clone, Debug)]
pub struct Pair {
    pub bus: u16,
    pub message: Vec<Field>,
    pub count: Field,
}

#[derive(Clone, Debug)]
pub struct PairAir {
    pub width: usize,
    pub height: usize,
    pub pairs: Vec<Pair>,
}

impl PairAir {
    /// One pair, over the first two columns and a third as count.
    pub fn plain(width: usize, height: usize) -> Self {
        let message = vec![Field::Column(0), Field::Column(1)];
        Self { width, height, pairs: vec![Pair { bus: 1, message, count: Field::Column(2) }] }
    }

    /// A pair for every fifty columns, all of them read.
    pub fn wide(width: usize, height: usize) -> Self {
        let pair = |first: usize| {
            let message = (first..first + 49).map(Field::Column).collect();
            Pair { bus: 5, message, count: Field::Column(first + 49) }
        };
        Self { width, height, pairs: (0..width / 50).map(|i| pair(50 * i)).collect() }
    }
}

impl PartitionedBaseAir<F> for PairAir {}

impl BaseAir<F> for PairAir {
    fn width(&self) -> usize {
        self.width
    }

    fn preprocessed_trace(&self) -> Option<RowMajorMatrix<F>> {
        None
    }
}

impl BaseAirWithPublicValues<F> for PairAir {}

impl<AB: InteractionBuilder<F = F>> Air<AB> for PairAir {
    fn eval(&self, builder: &mut AB) {
        let row: Vec<AB::Expr> = builder.main().row_slice(0).expect("a row").iter().map(|&cell| cell.into()).collect();
        let expression = |field: Field| match field {
            Field::Column(column) => row[column].clone(),
            Field::Constant(constant) => AB::Expr::from_u32(constant),
        };
        for Pair { bus, message, count } in &self.pairs {
            let message: Vec<AB::Expr> = message.iter().map(|&field| expression(field)).collect();
            let count = expression(*count);
            builder.push_interaction(*bus, message.clone(), count.clone(), 1);
            builder.push_interaction(*bus, message, -count, 1);
        }
    }
}

/// Such AIRs in a key and in a proof.
#[derive(Clone)]
pub struct PairFixture(pub Vec<PairAir>);

impl TestFixture<SC> for PairFixture {
    fn airs(&self) -> Vec<AirRef<SC>> {
        self.0.iter().map(|air| Arc::new(air.clone()) as AirRef<SC>).collect()
    }

    fn generate_proving_ctx(&self) -> ProvingContext<CpuColMajorBackend<SC>> {
        let context = |air: &PairAir| {
            let cell = |i: usize| F::from_usize((i % air.height * 31 + i / air.height * 17 + 1) * (i + 2));
            AirProvingContext::new(vec![], ColMajorMatrix::new((0..air.width * air.height).map(cell).collect(), air.width), vec![])
        };
        ProvingContext::new(self.0.iter().map(context).enumerate().collect())
    }
}
