//! A sum of fractions that is known: asked of a device's kernels before any other.

use logup_wgpu::{Air, AirBuilder, EF, F, Matrix, Result, Trace};
use openvm_stark_backend::prover::{
    fractional_sumcheck_gkr::{Frac, fractional_sumcheck},
    stacked_pcs::StackedLayout,
};
use openvm_stark_sdk::config::baby_bear_poseidon2::DuplexSponge;
use p3_baby_bear::default_babybear_poseidon2_16;
use p3_field::{BasedVectorSpace, Field, PrimeCharacteristicRing};
use tracing::subscriber::NoSubscriber;

use super::{Gkr, LeafTrace, Leaves, SumProof};
use crate::{
    SC, WgpuProverError,
    commit::Committer,
    compute::Compute,
    kernels::{FRACTIONS, GKR_FACTORS},
    key_plan::Logup,
    row_sums::RowTrace,
};

const LOG_HEIGHT: usize = 7;
/// The second trace is lifted to as many rows as a skip domain has.
const L_SKIP: usize = 2;
const WIDTH: usize = 8;

/// An AIR with all that interactions can be made of: two, and the same with their numerators negated, so that the sum is zero: cells, next cells, a product, selectors, a public value.
pub(crate) fn known_air() -> Air {
    let mut air = AirBuilder::new("known answer");
    let main = air.main_part(WIDTH);
    air.public_values(1);
    let [a, b, c] = [0, 1, 2].map(|i| air.column(main, i));
    let (next, public) = (air.next(main, 0), air.public_value(0));
    let (first, last, transition) = (air.is_first_row(), air.is_last_row(), air.is_transition());
    let ab = air.mul(a, b);
    let scaled = air.mul(public, c);
    let sum = air.add(ab, scaled);
    let cubed = air.mul(ab, next);
    let (with_last, with_first) = (air.sub(last, cubed), air.add(first, scaled));
    let count = air.mul(transition, with_first);
    let negated = air.neg(count);
    for count in [count, negated] {
        air.interaction(3, [sum, with_last, next], count);
    }
    let negated = air.neg(cubed);
    for count in [negated, cubed] {
        air.interaction(5, [a], count);
    }
    // An affine expression of many cells in a product.
    let mut wide = air.constant(F::from_u8(29));
    for i in 0..WIDTH {
        let (cell, factor) = (air.column(main, i), air.constant(F::from_usize(i + 3)));
        let scaled = air.mul(cell, factor);
        wide = air.add(wide, scaled);
    }
    let (product, negated) = (air.mul(wide, next), air.neg(c));
    for count in [c, negated] {
        air.interaction(7, [product], count);
    }
    air.build().expect("an AIR")
}

/// Has the kernels prove a known sum, if they are to be asked. The answer is the stock prover's, of fractions that the host makes.
///
/// # Errors
/// [`Error::WrongAnswer`](logup_wgpu::Error::WrongAnswer), as of all that the device is asked from then on; what the device reports.
pub(crate) fn ask(compute: &Compute, committer: &Committer) -> Result<()> {
    tracing::subscriber::with_default(NoSubscriber::default(), || {
        let (air, heights) = (known_air(), [1 << LOG_HEIGHT, 1]);
        let mut state = EF::from_basis_coefficients_fn(|i| F::from_usize(i + 5));
        let mut next = || {
            state = state.square() + EF::ONE;
            state
        };
        let public_values = [F::from_u32(77)];
        let cells: Vec<Vec<F>> =
            heights.map(|height| (0..WIDTH * height).map(|_| next().as_basis_coefficients_slice()[0]).collect()).into();
        let traces = cells.iter().map(|cells| Ok(vec![Trace::new(&compute.gpu, Matrix::col_major(cells, WIDTH))?]));
        let traces: Vec<Vec<Trace>> = traces.collect::<Result<_>>()?;
        let [alpha, beta] = [next(), next()];
        let beta_pows: Vec<EF> = beta.powers().take(air.max_message_len() + 1).collect();
        let num = air.interactions().len();
        let log_len = (num * ((1 << LOG_HEIGHT) + (1 << L_SKIP))).ilog2() as usize + 1;
        let layout = StackedLayout::new(0, log_len, vec![(num, LOG_HEIGHT), (num, L_SKIP)]).expect("they fit");

        let mut fractions = vec![Frac::new(EF::ZERO, alpha); 1 << log_len];
        for &(trace, interaction, slice) in &layout.sorted_cols {
            for i in 0..slice.len(0) {
                let row = row_values(&air, &cells[trace], heights[trace], i % heights[trace], &public_values);
                let own = &air.interactions()[interaction];
                let message = own.message.iter().zip(&beta_pows).map(|(field, &power)| power * row[field.index()]).sum::<EF>();
                let p = row[own.count.index()] * F::from_usize(slice.len(0) / heights[trace]).inverse();
                let bus = beta_pows[own.message.len()] * F::from_u32(u32::from(own.bus_index) + 1);
                fractions[slice.row_idx + i] = Frac::new(p.into(), alpha + bus + message);
            }
        }
        let transcript = || DuplexSponge::from(default_babybear_poseidon2_16());
        let Ok(expected) = fractional_sumcheck::<SC, _>(&mut transcript(), &fractions, true) else { return Ok(()) };

        let logup = Logup::new(&air)?.expect("it has interactions");
        let leaf_traces: Vec<Option<LeafTrace<'_>>> = (0..heights.len())
            .map(|t| {
                let (traces, height) = (&traces[t][..], heights[t]);
                Some(LeafTrace { rows: RowTrace { air: &air, traces, height }, logup: &logup, public_values: &public_values })
            })
            .collect();
        let gkr = Gkr { compute, committer, max_host_len: Some(0), rounds_per_wait: 4, observer: None, stage_times: false };
        let leaves = match Leaves::new(compute, &leaf_traces, &layout, log_len, alpha, &beta_pows) {
            Err(logup_wgpu::Error::DeviceLimit { .. }) => return Ok(()), // less room than a megabyte: not asked
            leaves => leaves?,
        };
        let reason = || "the known answer of GKR of this crate".to_owned();
        match gkr.prove(&mut transcript(), &leaves) {
            Ok((answer, _)) if is_same(&answer, &expected) => Ok(()),
            Ok(_) => Err(compute.gpu.distrust(GKR_FACTORS.name, reason())),
            Err(WgpuProverError::Gkr(logup_wgpu::Error::DeviceLimit { .. })) => Ok(()),
            Err(WgpuProverError::Gkr(error)) => Err(error),
            Err(_) => Err(compute.gpu.distrust(FRACTIONS.name, reason())),
        }
    })
}

fn is_same((proof, xi): &SumProof, (expected, expected_xi): &SumProof) -> bool {
    proof.fractional_sum == expected.fractional_sum
        && proof.claims_per_layer == expected.claims_per_layer
        && proof.sumcheck_polys == expected.sumcheck_polys
        && xi == expected_xi
}

/// The values of all nodes on a row.
fn row_values(air: &Air, cells: &[F], height: usize, row: usize, public_values: &[F]) -> Vec<F> {
    use logup_wgpu::Node;
    let mut values: Vec<F> = vec![];
    for node in air.nodes() {
        let at = |node: logup_wgpu::NodeId| values[node.index()];
        values.push(match *node {
            Node::Column(column) => cells[column.index * height + (row + usize::from(column.next)) % height],
            Node::PublicValue(i) => public_values[i],
            Node::Constant(value) => value,
            Node::IsFirstRow => F::from_bool(row == 0),
            Node::IsLastRow => F::from_bool(row + 1 == height),
            Node::IsTransition => F::from_bool(row + 1 < height),
            Node::Add(a, b) => at(a) + at(b),
            Node::Sub(a, b) => at(a) - at(b),
            Node::Mul(a, b) => at(a) * at(b),
            Node::Neg(a) => -at(a),
        });
    }
    values
}
