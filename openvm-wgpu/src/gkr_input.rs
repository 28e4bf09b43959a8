//! LogUp's fractions of every row, which GKR sums up.

use logup_wgpu::{Air, EF, F};
use openvm_stark_backend::prover::{fractional_sumcheck_gkr::Frac, stacked_pcs::StackedLayout};
use p3_field::{Field, PackedFieldExtension, PackedValue, PrimeCharacteristicRing};
use rayon::prelude::*;

use crate::{
    key_plan::Logup,
    lanes::{EP, P},
    rows::Rows,
};

/// Rows of one task: enough to amortise it, few enough to share the work.
const ROWS_PER_TASK: usize = 256;

/// What the fractions of one AIR are made of.
pub(crate) struct GkrTrace<'a> {
    pub air: &'a Air,
    pub logup: &'a Logup,
    pub rows: &'a Rows<'a>,
    pub public_values: &'a [F],
}

/// The fractions `m_i / (alpha + sum_j beta^j f_ij + beta^len_i (b_i + 1))` of all interactions and rows, where `layout` has them;
/// `0 / alpha` elsewhere. A lifted trace's rows repeat, and its numerators are divided by how often.
///
/// # Shapes
/// `traces` in the order of the layout, `None` for those without interactions; the result has `2^log_len` elements, at least as many as the layout.
pub(crate) fn fractions(
    traces: &[Option<GkrTrace<'_>>],
    layout: &StackedLayout,
    log_len: usize,
    alpha: EF,
    beta_pows: &[EF],
) -> Vec<Frac<EF>> {
    let mut fractions = vec![Frac::new(EF::ZERO, alpha); 1 << log_len];
    // One slice per interaction: the layout puts them one after another.
    let mut slices: Vec<Vec<&mut [Frac<EF>]>> = traces.iter().map(|_| Vec::new()).collect();
    let mut rest = &mut fractions[..];
    for &(trace, _, slice) in &layout.sorted_cols {
        let (interaction, others) = rest.split_at_mut(slice.len(0));
        slices[trace].push(interaction);
        rest = others;
    }
    traces.par_iter().zip(slices).filter_map(|(trace, slices)| Some((trace.as_ref()?, slices))).for_each(|(trace, slices)| {
        trace.write(slices, alpha, beta_pows);
    });
    fractions
}

impl GkrTrace<'_> {
    /// Writes the interactions' fractions, each into its slice of one lifted height.
    fn write(&self, mut slices: Vec<&mut [Frac<EF>]>, alpha: EF, beta_pows: &[EF]) {
        let height = self.rows.height;
        let repeats = slices.first().map_or(1, |slice| slice.len() / height);
        let writer = Writer {
            trace: self,
            values: self.logup.program.bind(&self.air.degree_zero_values(self.public_values)),
            scale: F::from_usize(repeats).inverse(),
            constants: self.logup.interactions.iter().map(|interaction| EP::from(alpha + interaction.bus_term(beta_pows))).collect(),
            beta_pows: beta_pows.iter().map(|&power| EP::from(power)).collect(),
        };
        let mut tasks: Vec<(usize, Vec<&mut [Frac<EF>]>)> = (0..height).step_by(ROWS_PER_TASK).map(|first| (first, vec![])).collect();
        for slice in &mut slices {
            let rows = slice[..height].chunks_mut(ROWS_PER_TASK);
            tasks.iter_mut().zip(rows).for_each(|((_, task), rows)| task.push(rows));
        }
        tasks
            .into_par_iter()
            .for_each_init(|| self.logup.program.slots(), |slots, (first, mut task)| writer.write(first, &mut task, slots));
        for slice in slices {
            let (written, repeated) = slice.split_at_mut(height);
            repeated.chunks_exact_mut(height).for_each(|chunk| chunk.copy_from_slice(written));
        }
    }
}

/// One AIR's fractions, a packed row at a time.
struct Writer<'a> {
    trace: &'a GkrTrace<'a>,
    values: Vec<P>,
    scale: F,
    /// Per interaction, `alpha + beta^len (b + 1)`.
    constants: Vec<EP>,
    beta_pows: Vec<EP>,
}

impl Writer<'_> {
    /// Writes rows from `first` on, as many as the slices, one per interaction, are long.
    fn write(&self, first: usize, slices: &mut [&mut [Frac<EF>]], slots: &mut [P]) {
        let Logup { program, interactions } = self.trace.logup;
        let num_rows = slices.first().map_or(0, |slice| slice.len());
        for row in (0..num_rows).step_by(P::WIDTH) {
            self.trace.rows.gather(&program.cells, |lane| first + row + lane, slots);
            program.run(&self.values, slots);
            let root = |i: usize| slots[program.roots[i] as usize];
            for ((interaction, slice), &constant) in interactions.iter().zip(&mut *slices).zip(&self.constants) {
                let numerator = root(interaction.count) * self.scale;
                let message = interaction.message.iter().zip(&self.beta_pows);
                let denominator = message.fold(constant, |sum, (&field, &power)| sum + power * root(field));
                let lanes = slice[row..].iter_mut().take(P::WIDTH).enumerate();
                lanes.for_each(|(lane, frac)| *frac = Frac::new(numerator.as_slice()[lane].into(), denominator.extract(lane)));
            }
        }
    }
}
