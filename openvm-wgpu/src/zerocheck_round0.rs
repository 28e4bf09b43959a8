//! The zerocheck's half of round 0, on the CPU.

use logup_wgpu::{EF, F};
use openvm_stark_backend::{poly_common::UnivariatePoly, prover::sumcheck::sumcheck_round0_deg};
use p3_field::{Field, PackedValue, PrimeCharacteristicRing};
use p3_matrix::dense::RowMajorMatrix;
use rayon::prelude::*;

use crate::{
    key_plan::AirPlan,
    lanes::{EP, P, pack, sum_of_lanes},
    program::Program,
    rows::{Cell, Rows},
    skip_domain::SkipDomain,
};

/// An AIR's constraints with what they need on cosets.
#[derive(Debug)]
pub(crate) struct Zerocheck {
    /// The roots are the constraints.
    pub program: Program,
    /// What is transformed: the program's cells without regard to `next`, sorted, each once.
    sources: Vec<Cell>,
    /// For each of the program's cells, its source, and whether it is the next row's.
    loads: Vec<(u32, bool)>,
}

impl Zerocheck {
    pub fn new(program: Program) -> Self {
        let source = |cell: Cell| match cell {
            Cell::Column { part, column, .. } => Cell::Column { part, next: false, column },
            selector => selector,
        };
        let is_next = |cell| matches!(cell, Cell::Column { next: true, .. });
        let mut sources: Vec<Cell> = program.cells.iter().copied().map(source).collect();
        sources.sort_unstable();
        sources.dedup();
        let load = |&cell: &Cell| (sources.binary_search(&source(cell)).expect("collected above") as u32, is_next(cell));
        let loads = program.cells.iter().map(load).collect();
        Self { program, sources, loads }
    }
}

/// `s'_0(Z) = sum_x eq(x) sum_i lambda^i C_i(Z, x)`, as coefficients; none if the AIR has no constraints.
///
/// It vanishes on `D`, so `q = s'_0 / (Z^N - 1)` is interpolated instead, from `constraint_degree - 1` cosets.
///
/// # Shapes
/// `eq: [num_x]`, `lambda_pows`: at least one per constraint.
pub(crate) fn round0(
    plan: &AirPlan,
    domain: &SkipDomain,
    rows: &Rows<'_>,
    public_values: &[F],
    eq: &[EF],
    lambda_pows: &[EF],
) -> UnivariatePoly<EF> {
    let zerocheck = &plan.zerocheck;
    let num_cosets = plan.constraint_degree.saturating_sub(1);
    if zerocheck.program.roots.is_empty() || num_cosets == 0 {
        return UnivariatePoly::new(vec![]);
    }
    let num_z = domain.num_z();
    let pass = CosetPass { zerocheck, domain, rows, eq, values: zerocheck.program.bind(public_values), lambda_pows };
    let zero = || vec![EP::ZERO; num_cosets * num_z];
    let sums = (0..eq.len().div_ceil(P::WIDTH))
        .into_par_iter()
        .fold(
            || (pass.scratch(), zero()),
            |(mut scratch, mut sums), pack| {
                pass.add(pack * P::WIDTH, &mut scratch, &mut sums);
                (scratch, sums)
            },
        )
        .map(|(_, sums)| sums)
        .reduce(zero, |mut sums, others| {
            sums.iter_mut().zip(others).for_each(|(sum, other)| *sum += other);
            sums
        });

    // [z][coset], as the stock interpolation takes it
    let q_at = |i: usize| {
        let (z, coset) = (i / num_cosets, i % num_cosets);
        sum_of_lanes(sums[coset * num_z + z]) * domain.zerofier_inverse(coset)
    };
    let evaluations = RowMajorMatrix::new((0..num_z * num_cosets).map(q_at).collect(), num_cosets);
    let q = UnivariatePoly::<EF>::from_geometric_cosets_evals_idft(evaluations, F::GENERATOR, F::GENERATOR);
    let q = |i: usize| q.coeffs().get(i).copied().unwrap_or(EF::ZERO);
    let degree = sumcheck_round0_deg(domain.l_skip(), plan.constraint_degree);
    let coefficient = |i: usize| if i < num_z { -q(i) } else { q(i - num_z) - q(i) };
    UnivariatePoly::new((0..=degree).map(coefficient).collect())
}

/// One AIR's constraints on all cosets.
struct CosetPass<'a> {
    zerocheck: &'a Zerocheck,
    domain: &'a SkipDomain,
    rows: &'a Rows<'a>,
    eq: &'a [EF],
    values: Vec<P>,
    lambda_pows: &'a [EF],
}

/// A thread's buffers. `block` and `evaluations` are `[num_z][sources]`.
struct Scratch {
    block: Vec<P>,
    evaluations: Vec<P>,
    /// By how much a column's cell changes from the first row of this `x` to that of the next.
    steps: Vec<P>,
    slots: Vec<P>,
}

impl CosetPass<'_> {
    fn scratch(&self) -> Scratch {
        let num_sources = self.zerocheck.sources.len();
        let block = vec![P::ZERO; num_sources * self.domain.num_z()];
        Scratch { evaluations: block.clone(), block, steps: vec![P::ZERO; num_sources], slots: self.zerocheck.program.slots() }
    }

    /// Adds `eq(x) sum_i lambda^i C_i(Z, x)` for `x` in `first_x..` to the sums, a lane for each `x`.
    ///
    /// # Shapes
    /// `sums: [num_cosets][num_z]`.
    fn add(&self, first_x: usize, scratch: &mut Scratch, sums: &mut [EP]) {
        let Zerocheck { program, sources, loads } = self.zerocheck;
        let Scratch { block, evaluations, steps, slots } = scratch;
        let (num_z, width) = (self.domain.num_z(), sources.len());
        let row = |z: usize| move |lane: usize| (first_x + lane) * num_z + z;
        if width > 0 {
            for (z, cells) in block.chunks_exact_mut(width).enumerate() {
                self.rows.gather(sources, row(z), cells);
            }
            self.rows.gather(sources, row(num_z), steps);
            steps.iter_mut().zip(&*block).for_each(|(step, &first)| *step -= first);
            self.domain.inverse_transform(block, width);
        }
        let lane_eq = |lane: usize| self.eq.get(first_x + lane).copied().unwrap_or(EF::ZERO);
        let eq = pack(lane_eq);
        for (coset, sums) in sums.chunks_exact_mut(num_z).enumerate() {
            if width > 0 {
                self.domain.coset_evaluations(coset, block, evaluations, width);
            }
            for (z, sum) in sums.iter_mut().enumerate() {
                let here = &evaluations[z * width..(z + 1) * width];
                let ahead_z = (z + 1) % num_z;
                let ahead = &evaluations[ahead_z * width..(ahead_z + 1) * width];
                let last_basis = self.domain.last_basis(coset)[z];
                for (slot, &(source, is_next)) in slots.iter_mut().zip(loads) {
                    let source = source as usize;
                    // The next row's polynomial is this one's at omega Z, but for its last point: there it is the next x's first row.
                    *slot = if is_next { ahead[source] + steps[source] * last_basis } else { here[source] };
                }
                program.run(&self.values, slots);
                let constraints = program.roots.iter().map(|&root| slots[root as usize]);
                *sum += eq * constraints.zip(self.lambda_pows).map(|(constraint, &lambda)| EP::from(lambda) * constraint).sum::<EP>();
            }
        }
    }
}
