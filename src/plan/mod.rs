//! What one AIR's round 0 needs, decided once: the affine split, the coset programs, the numbers of cosets.
//!
//! Plain arithmetic over an [`Air`]; no device. A plan is made at proving-key time and used for every proof. What depends on a trace's
//! height (launch geometry, scratch) follows from the plan by the functions in [`geometry`] at the call, in microseconds.

pub(crate) mod affine;
pub(crate) mod budget;
mod bundles;
pub(crate) mod codegen;
mod display;
mod estimate;
pub(crate) mod geometry;
pub(crate) mod leaves;
mod notes;
pub(crate) mod pair;
mod planned;
pub(crate) mod program;
mod row_programs;
mod shares;
mod slots;
pub(crate) mod steps;
mod values;
pub(crate) mod windows;

use std::{
    collections::HashSet,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

pub(crate) use self::planned::{PlannedPair, PlannedProgram};
pub use self::{
    estimate::{Estimate, Rates},
    row_programs::{RowForm, RowProgram},
};

use self::{
    affine::{AffineSplit, Reached},
    geometry::ColumnGeometry,
    pair::Pair,
    program::Program,
    values::DegreeZeroValues,
};
use crate::{
    air::Air,
    error::{Error, Result},
    field::EXT_WORDS,
    kernel::{FieldForm, Variant},
    kernels::COSET_PASS,
    matrix::check_height,
};

/// The largest supported `l_skip`: skip domains of up to 4,096 points.
pub const MAX_L_SKIP: usize = 12;

/// How an AIR's expressions are evaluated. Both give the same bits; of constraints, on traces that satisfy those that call a column boolean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// The affine part from column sums on `D` alone; a coset pass for what is left, on as many cosets as its own degree. The default.
    #[default]
    Split,
    /// The textbook way: every node through a coset pass, on as many cosets as the AIR's constraint degree.
    Direct,
}

/// One AIR's round 0, planned.
///
/// `Display` says what will run:
/// ```
/// # use logup_wgpu::{AirBuilder, Round0Plan, Strategy};
/// # let mut air = AirBuilder::new("pairs");
/// # let main = air.main_part(3);
/// # let (a, b, c) = (air.column(main, 0), air.column(main, 1), air.column(main, 2));
/// # let ab = air.mul(a, b);
/// # air.interaction(0, [ab, c], a);
/// # let air = air.build()?;
/// let plan = Round0Plan::new(air, 4, Strategy::Split)?;
/// assert_eq!(
///     plan.to_string(),
///     "pairs: 1 interaction, l_skip 4, Split; affine part: 2 columns, 2 nodes; \
///      non-affine part: 1 node over 2 columns, degree 2, 2 cosets, 4 instructions, 2 temporaries; reads 12 bytes a row; 3 kernels at most"
/// );
/// # Ok::<(), logup_wgpu::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Round0Plan {
    /// Equal plans of one origin have the same.
    id: u64,
    pub(crate) air: Air,
    pub(crate) l_skip: usize,
    pub(crate) strategy: Strategy,
    /// Empty under `Direct`.
    pub(crate) affine: AffineSplit,
    /// LogUp's if there are interactions, then those of the constraints.
    pub(crate) pairs: Vec<PlannedPair>,
    pub(crate) values: DegreeZeroValues,
    /// The constraints on rows, once they were asked for.
    checks: OnceLock<Vec<Program>>,
}

impl Round0Plan {
    /// Plans an AIR for a skip domain of `2^l_skip` points.
    ///
    /// # Errors
    /// [`Error::SkipDomain`] if `l_skip` is above [`MAX_L_SKIP`]; [`Error::DeviceLimit`] for an expression so long that one thread cannot
    /// evaluate it at one point within the loop iterations that it has: about 30,000 operations; and for expressions that share so much that
    /// the programs of their parts have more than 2^24 instructions.
    pub fn new(air: Air, l_skip: usize, strategy: Strategy) -> Result<Self> {
        if l_skip > MAX_L_SKIP {
            return Err(Error::SkipDomain { subject: air.name.into(), got: l_skip, limit: MAX_L_SKIP });
        }
        let pairs = Pair::all(&air);
        let (affine, reached) = match strategy {
            Strategy::Split => AffineSplit::new(&air, &pairs),
            Strategy::Direct => (AffineSplit::default(), pairs.iter().map(|&pair| Reached::named(&air, pair)).collect()),
        };
        let planned = pairs.into_iter().zip(reached).map(|(pair, reached)| PlannedPair::new(&air, l_skip, strategy, pair, reached));
        let pairs = planned.collect::<Result<_>>()?;
        Ok(Self { id: next_id(), values: DegreeZeroValues::new(&air), air, l_skip, strategy, affine, pairs, checks: OnceLock::new() })
    }

    /// A plan that is to run this program in the interpreter, whatever its length.
    #[cfg(test)]
    pub(crate) fn of_program(air: Air, l_skip: usize, program: Program) -> Self {
        let pairs = vec![PlannedPair::of_program(&air, l_skip, program)];
        let (strategy, affine) = (Strategy::Direct, AffineSplit::default());
        Self { id: next_id(), values: DegreeZeroValues::new(&air), air, l_skip, strategy, affine, pairs, checks: OnceLock::new() }
    }

    /// No other plan's but its clones', in this process.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// The planned AIR.
    pub fn air(&self) -> &Air {
        &self.air
    }

    /// log2 of the skip domain's size.
    pub fn l_skip(&self) -> usize {
        self.l_skip
    }

    /// How expressions are evaluated.
    pub fn strategy(&self) -> Strategy {
        self.strategy
    }

    /// On how many cosets a call evaluates a non-affine part of the interactions, `D` itself included; of the constraints, which vanish on `D`,
    /// without it. Zero where a Split plan has no non-affine part.
    pub fn num_cosets(&self) -> usize {
        self.pairs.iter().map(|pair| pair.cosets(false).len()).max().unwrap_or(0)
    }

    /// How many waits [`Schedule::PerCoset`](crate::Schedule::PerCoset) takes for it: one for each pair of polynomials and coset. What of a pair is
    /// affine goes with its first.
    pub fn num_coset_blocks(&self) -> usize {
        self.pairs.iter().map(|pair| pair.cosets(false).len().max(usize::from(pair.is_affine()))).sum()
    }

    /// Coefficients of LogUp's numerator, and of its denominator: `constraint_degree * 2^l_skip`, as the stock prover returns them; none without
    /// interactions.
    pub fn num_coeffs(&self) -> usize {
        if self.air.interactions.is_empty() { 0 } else { self.air.constraint_degree << self.l_skip }
    }

    /// Coefficients of the constraints' polynomial: one more than its degree `constraint_degree (2^l_skip - 1)`, as the stock prover returns
    /// them; none without constraints, or where all of them are affine and the polynomial is zero.
    pub fn num_zerocheck_coeffs(&self) -> usize {
        let is_zero = self.air.constraints.is_empty() || self.air.constraint_degree < 2;
        if is_zero { 0 } else { self.air.constraint_degree * ((1 << self.l_skip) - 1) + 1 }
    }

    /// The programs of all pairs.
    pub(crate) fn programs(&self) -> impl Iterator<Item = &PlannedProgram> {
        self.pairs.iter().flat_map(|pair| &pair.programs)
    }

    /// The programs that give all constraints on a row, in their order.
    ///
    /// # Errors
    /// [`Error::DeviceLimit`] for a constraint that one thread cannot evaluate on one row.
    pub(crate) fn checks(&self) -> Result<&[Program]> {
        match self.checks.get() {
            Some(checks) => Ok(checks),
            None => planned::checks(&self.air).map(|checks| &**self.checks.get_or_init(|| checks)),
        }
    }

    /// How many columns, or affine forms of columns, are taken to a coset by a dot product for each row.
    pub fn num_transforms(&self) -> usize {
        self.on_cosets(|program| program.leaves.len() - program.num_bits())
    }

    /// How many boolean columns are looked up on a coset for each row.
    pub fn num_look_ups(&self) -> usize {
        self.on_cosets(Program::num_bits)
    }

    /// Adds up what each program has for each coset other than `D`.
    fn on_cosets(&self, of_program: fn(&Program) -> usize) -> usize {
        let of_pair = |pair: &PlannedPair| {
            let cosets = |planned: &PlannedProgram| pair.program_cosets(planned, false).filter(|&coset| coset > 0).count();
            pair.programs.iter().map(|planned| of_program(&planned.program) * cosets(planned)).sum::<usize>()
        };
        self.pairs.iter().map(of_pair).sum()
    }

    /// How many kernels were generated for it.
    pub fn num_generated_kernels(&self) -> usize {
        let texts = self.programs().filter_map(|planned| planned.generated.as_ref()).map(|generated| &generated.source);
        texts.collect::<HashSet<_>>().len()
    }

    /// The complete WGSL text of each kernel that was generated for this AIR, for a field form and a number of trace windows.
    pub fn shader_sources(&self, form: FieldForm, slots: u32) -> Vec<String> {
        let variant = Variant { kernel: &COSET_PASS, form, slots };
        self.programs().filter_map(|planned| Some(variant.source_with(&planned.generated.as_ref()?.source))).collect()
    }

    /// Different columns that a call reads. A column and its rotation count once.
    pub fn num_columns_used(&self) -> usize {
        let mut columns: Vec<(usize, usize)> = self
            .affine
            .matrices
            .iter()
            .flat_map(|matrix| matrix.columns.iter().map(|column| (matrix.part_idx, column.index)))
            .chain(self.program_columns())
            .collect();
        columns.sort_unstable();
        columns.dedup();
        columns.len()
    }

    /// Device scratch in bytes for a trace of `height` rows when the AIR is alone in a call: partial sums and temporaries. A call of
    /// several AIRs needs the sum of their partial sums and the largest of its passes' temporaries.
    ///
    /// # Errors
    /// [`Error::Height`] if `height` is no power of two up to `2^31`.
    pub fn scratch_bytes(&self, height: usize) -> Result<u64> {
        check_height(self.air.name(), height)?;
        let num_z = 1u32 << self.l_skip;
        let num_x = self.num_x(height);
        // The kernels and layouts differ in their tiles; the largest count bounds all.
        let sums = |num_z: u32, num_columns: usize| {
            let columns = num_columns as u32;
            let scalar = [false, true].map(|row_major| (ColumnGeometry::scalar(row_major, num_z, num_x, columns), num_z));
            let vec4_loads = (ColumnGeometry::vec4(num_z.max(4), num_x, columns), num_z.max(4));
            let elements =
                |(geometry, num_z): (ColumnGeometry, u32)| u64::from(geometry.num_chunks) * num_columns as u64 * u64::from(num_z);
            scalar.into_iter().chain([vec4_loads]).map(elements).fold(0, u64::max)
        };
        let mut ext_elements = 0;
        for matrix in &self.affine.matrices {
            ext_elements += sums(num_z, matrix.columns.len());
            if matrix.num_next > 0 {
                ext_elements += sums(1, matrix.num_next);
            }
        }
        let mut temp_words = 0;
        for pair in &self.pairs {
            for planned in &pair.programs {
                let geometry = planned.geometry(self.l_skip, num_x);
                ext_elements += 2 * u64::from(geometry.num_chunks) * u64::from(num_z) * pair.program_cosets(planned, false).len() as u64;
                temp_words += geometry.num_tiles() * planned.temp_words_per_tile();
            }
        }
        Ok(4 * (ext_elements * EXT_WORDS as u64 + temp_words))
    }

    /// The columns that the programs load, as (position in `Air::parts`, column); with repetitions.
    fn program_columns(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.programs().flat_map(|planned| planned.program.cells().map(|term| (term.part_idx, term.column.index)))
    }

    /// Points of the cube `H_n`, for a height that was checked.
    pub(crate) fn num_x(&self, height: usize) -> u32 {
        (height >> self.l_skip).max(1) as u32
    }
}

fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use p3_field::PrimeCharacteristicRing;

    use super::{planned::MAX_KERNELS, *};
    use crate::{
        air::{AirBuilder, NodeId},
        field::F,
    };

    #[test]
    fn the_non_affine_part_sets_the_number_of_cosets() {
        let mut air = AirBuilder::new("mixed");
        let main = air.main_part(3);
        let (a, b, c) = (air.column(main, 0), air.column(main, 1), air.next(main, 2));
        let product = air.mul(a, b);
        let field = air.add(product, c);
        air.interaction(1, [field, c], a);
        air.constraint_degree(4);
        let air = air.build().unwrap();
        let split = Round0Plan::new(air.clone(), 4, Strategy::Split).unwrap();
        let direct = Round0Plan::new(air, 4, Strategy::Direct).unwrap();
        assert_eq!((split.num_cosets(), direct.num_cosets()), (2, 4));
        assert_eq!((split.num_coeffs(), direct.num_coeffs()), (64, 64));
        assert_eq!((split.num_columns_used(), direct.num_columns_used()), (3, 3));
    }

    #[test]
    fn skip_domains_are_bounded() {
        let air = AirBuilder::new("empty").build().unwrap();
        let plan = Round0Plan::new(air.clone(), MAX_L_SKIP, Strategy::Split).unwrap();
        assert_eq!((plan.num_cosets(), plan.num_coeffs(), plan.scratch_bytes(1 << 20).unwrap()), (0, 0, 0));
        let error = Round0Plan::new(air, MAX_L_SKIP + 1, Strategy::Split).unwrap_err();
        assert!(matches!(error, Error::SkipDomain { got: 13, limit: 12, .. }));
    }

    #[test]
    fn heights_are_checked_before_anything_is_computed_from_them() {
        let plan = Round0Plan::new(AirBuilder::new("empty").build().unwrap(), 4, Strategy::Split).unwrap();
        for height in [0, 3, 1 << 32, 1 << 40, usize::MAX] {
            assert!(matches!(plan.scratch_bytes(height), Err(Error::Height { .. })));
            assert!(matches!(plan.estimate(height, &Rates::H200), Err(Error::Height { .. })));
        }
        plan.scratch_bytes(1 << 31).unwrap();
    }

    /// `is_real * sum_i (i + 2) bit_i bit_(i + 1)`: 3 nodes for each term, over `width` columns.
    fn long_field(terms: usize, width: usize) -> Air {
        let mut air = AirBuilder::new("one long field");
        let main = air.main_part(width);
        let is_real = air.column(main, 0);
        let mut sum = air.constant(F::ZERO);
        for i in 0..terms {
            let (bit, other, weight) = (air.column(main, i % width), air.column(main, (i + 1) % width), air.constant(F::from_usize(i + 2)));
            let product = air.mul(bit, other);
            let term = air.mul(product, weight);
            sum = air.add(sum, term);
        }
        let field = air.mul(is_real, sum);
        air.interaction(1, [field], is_real);
        air.build().unwrap()
    }

    /// No generated kernel is larger than its bound: what one root alone exceeds is interpreted, and refused where that would be too long.
    #[test]
    fn kernels_are_bounded_whatever_a_root_is() {
        for (terms, width, generated, interpreted) in [(40, 40, 1, 0), (40, 41, 1, 0), (64, 30, 0, 1), (400, 400, 0, 1), (7_000, 40, 0, 1)]
        {
            let plan = Round0Plan::new(long_field(terms, width), 4, Strategy::Split).unwrap();
            let count = |with: bool| plan.programs().filter(|planned| planned.generated.is_some() == with).count();
            assert_eq!((count(true), count(false)), (generated, interpreted), "{terms} terms over {width} columns");
        }
        for strategy in [Strategy::Split, Strategy::Direct] {
            let error = Round0Plan::new(long_field(20_000, 40), 4, strategy).unwrap_err();
            assert!(matches!(error, Error::DeviceLimit { kernel: "coset_interpret", limit: 32768, requested: 40_000.., .. }), "{error}");
        }
    }

    /// Fields of more shapes than kernels are generated for: each root is in one program, the last ones in the interpreter's.
    #[test]
    fn what_would_need_one_kernel_too_many_is_interpreted() {
        let mut air = AirBuilder::new("shapes");
        let main = air.main_part(3);
        let columns: Vec<NodeId> = (0..3).map(|i| air.column(main, i)).collect();
        let num_fields = MAX_KERNELS + 16;
        for i in 0..num_fields {
            let mut sum = air.mul(columns[0], columns[1]);
            for at in 0..60 {
                let constant = air.constant(F::from_usize(1_000 * i + at + 2));
                let term = air.add(columns[1], constant);
                sum = if i >> (at % 7) & 1 == 0 { air.add(sum, term) } else { air.sub(sum, term) };
            }
            let field = air.mul(sum, columns[2]);
            air.interaction(1, [field], columns[0]);
        }
        let plan = Round0Plan::new(air.build().unwrap(), 2, Strategy::Split).unwrap();
        let (with, without): (Vec<_>, Vec<_>) = plan.programs().partition(|planned| planned.generated.is_some());
        let roots = |programs: &[&PlannedProgram]| programs.iter().flat_map(|p| p.program.roots.clone()).collect::<Vec<_>>();
        assert_eq!((with.len(), without.len()), (MAX_KERNELS, 1));
        let in_programs = [roots(&with), roots(&without)].concat();
        assert_eq!(in_programs, AffineSplit::new(plan.air(), &[Pair::Logup]).1[0].roots.iter().map(|&(root, _)| root).collect::<Vec<_>>());
        assert_eq!(in_programs.len(), num_fields);
    }
}
