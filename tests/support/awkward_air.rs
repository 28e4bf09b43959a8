//! An AIR with all that a stock AIR can have, at any height: preprocessed and cached columns, next rows in constraints and interactions,
//! selectors, public values, columns that nothing reads.

use std::sync::Arc;

use logup_wgpu::F;
use openvm_stark_backend::{
    AirRef, PartitionedBaseAir, StarkProtocolConfig,
    air_builders::PartitionedAirBuilder,
    interaction::InteractionBuilder,
    p3_air::{Air, AirBuilder, AirBuilderWithPublicValues, BaseAir, BaseAirWithPublicValues, PairBuilder},
    p3_matrix::{Matrix, dense::RowMajorMatrix},
    prover::{AirProvingContext, ColMajorMatrix, CommittedTraceData, CpuColMajorBackend, ProvingContext, stacked_pcs::stacked_commit},
    test_utils::TestFixture,
};
use openvm_stark_sdk::config::baby_bear_poseidon2::BabyBearPoseidon2Config;
use p3_field::{Field, PrimeCharacteristicRing};

type SC = BabyBearPoseidon2Config;

/// Column `sum` adds up the preprocessed column: `sum' = sum + weight`, between the two public values.
struct AwkwardAir {
    height: usize,
}

/// Such AIRs, one for each height.
pub struct AwkwardFixture {
    pub config: SC,
    pub log_heights: Vec<usize>,
}

impl AwkwardAir {
    fn weight(row: usize) -> F {
        F::from_usize(row * row + 5)
    }
}

impl PartitionedBaseAir<F> for AwkwardAir {
    fn cached_main_widths(&self) -> Vec<usize> {
        vec![2]
    }

    fn common_main_width(&self) -> usize {
        3
    }
}

impl BaseAir<F> for AwkwardAir {
    fn width(&self) -> usize {
        5
    }

    fn preprocessed_trace(&self) -> Option<RowMajorMatrix<F>> {
        let cells = (0..self.height).flat_map(|row| [F::from_usize(7 * row), Self::weight(row)]);
        Some(RowMajorMatrix::new(cells.collect(), 2))
    }
}

impl BaseAirWithPublicValues<F> for AwkwardAir {
    fn num_public_values(&self) -> usize {
        2
    }
}

impl<AB> Air<AB> for AwkwardAir
where
    AB: PartitionedAirBuilder + PairBuilder + AirBuilderWithPublicValues + InteractionBuilder<F = F>,
{
    fn eval(&self, builder: &mut AB) {
        let cell = |matrix: &AB::M, row: usize, column: usize| -> AB::Expr { matrix.row_slice(row).expect("two rows")[column].into() };
        let (preprocessed, cached, common) = (&builder.preprocessed(), &builder.cached_mains()[0], builder.common_main());
        let (weight, next_weight) = (cell(preprocessed, 0, 1), cell(preprocessed, 1, 1));
        let (count, sum, next_sum) = (cell(common, 0, 0), cell(common, 0, 2), cell(common, 1, 2));
        let (three, next_three) = (cell(cached, 0, 1), cell(cached, 1, 1));
        let [first_sum, last_sum] = [0, 1].map(|i| -> AB::Expr { builder.public_values()[i].into() });

        builder.when_first_row().assert_eq(sum.clone(), first_sum.clone());
        builder.when_transition().assert_eq(next_sum.clone(), sum.clone() + weight.clone());
        builder.when_last_row().assert_eq(sum.clone(), last_sum.clone());
        builder.assert_eq(three.clone() * next_three.clone(), AB::Expr::from_u8(9));

        // Sent and received in the same row, so the sum is zero whatever the cells are.
        let (is_first, is_last, is_transition) = (builder.is_first_row(), builder.is_last_row(), builder.is_transition());
        let mixed = AB::Expr::from_u8(100) - next_sum * three + is_transition * next_weight - last_sum;
        let message = [weight + is_last, mixed, AB::Expr::from_u8(4), first_sum];
        let count = count * sum + is_first;
        for count in [count.clone(), -count] {
            builder.push_interaction(3, message.clone(), count, 1);
        }
        builder.push_interaction(4, [AB::Expr::ONE], AB::Expr::TWO, 1);
        builder.push_interaction(4, [AB::Expr::ONE], -AB::Expr::TWO, 1);
    }
}

impl TestFixture<SC> for AwkwardFixture {
    fn airs(&self) -> Vec<AirRef<SC>> {
        self.log_heights.iter().map(|log_height| Arc::new(AwkwardAir { height: 1 << log_height }) as AirRef<SC>).collect()
    }

    fn generate_proving_ctx(&self) -> ProvingContext<CpuColMajorBackend<SC>> {
        let context = |log_height: &usize| {
            let height = 1usize << log_height;
            let column = |cell: fn(usize) -> F| (0..height).map(cell);
            let first_sum = F::from_u8(11);
            let sums: Vec<F> = column(AwkwardAir::weight)
                .scan(first_sum, |sum, weight| {
                    let here = *sum;
                    *sum += weight;
                    Some(here)
                })
                .collect();
            let last_sum = sums[height - 1];
            let common = column(|row| F::from_usize(row + 2)).chain(column(|row| F::from_usize(13 * row).square())).chain(sums);
            let cached = column(|row| F::from_usize(row + 1).inverse()).chain(column(|_| F::from_u8(3)));
            let cached = ColMajorMatrix::new(cached.collect(), 2);
            let params = self.config.params();
            let (commitment, data) =
                stacked_commit(self.config.hasher(), params.l_skip, params.n_stack, params.log_blowup, params.k_whir(), &[&cached])
                    .expect("a cached trace that fits");
            let cached = CommittedTraceData { commitment, trace: cached, data: Arc::new(data) };
            AirProvingContext::new(vec![cached], ColMajorMatrix::new(common.collect(), 3), vec![first_sum, last_sum])
        };
        ProvingContext::new(self.log_heights.iter().map(context).enumerate().collect())
    }
}
