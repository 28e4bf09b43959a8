//! Random AIRs as OpenVM has them, and traces that satisfy them: columns that are what expressions of others say, and bus messages that are sent and received
//! on the same row.

use logup_wgpu::F;
use openvm_stark_backend::{
    PartitionedBaseAir,
    air_builders::PartitionedAirBuilder,
    interaction::InteractionBuilder,
    p3_air::{Air, AirBuilder, AirBuilderWithPublicValues, BaseAir, BaseAirWithPublicValues, PairBuilder},
    p3_matrix::Matrix,
};
use p3_field::PrimeCharacteristicRing;
use p3_matrix::dense::RowMajorMatrix;
use rand::{Rng, rngs::StdRng};

/// An expression over a row.
#[derive(Clone, Debug)]
pub enum Expr {
    /// Part, column, of the next row.
    Cell(usize, usize, bool),
    Public(usize),
    Constant(u32),
    First,
    Last,
    Transition,
    Add(Box<Expr>, Box<Expr>),
    Sub(Box<Expr>, Box<Expr>),
    Mul(Box<Expr>, Box<Expr>),
    Neg(Box<Expr>),
}

use Expr::{Add, Cell, Constant, First, Last, Mul, Neg, Public, Sub, Transition};

impl Expr {
    fn value<T>(&self, leaf: &impl Fn(&Expr) -> T) -> T
    where
        T: std::ops::Add<Output = T> + std::ops::Sub<Output = T> + std::ops::Mul<Output = T> + std::ops::Neg<Output = T>,
    {
        match self {
            Add(a, b) => a.value(leaf) + b.value(leaf),
            Sub(a, b) => a.value(leaf) - b.value(leaf),
            Mul(a, b) => a.value(leaf) * b.value(leaf),
            Neg(a) => -a.value(leaf),
            known => leaf(known),
        }
    }

    fn degree(&self) -> usize {
        match self {
            Public(_) | Constant(_) => 0,
            Cell(..) | First | Last | Transition => 1,
            Add(a, b) | Sub(a, b) => a.degree().max(b.degree()),
            Mul(a, b) => a.degree() + b.degree(),
            Neg(a) => a.degree(),
        }
    }
}

/// What a row's columns and interactions are made of.
#[derive(Clone, Debug)]
pub struct Spec {
    pub log_height: usize,
    /// Columns of the preprocessed part, of cached parts, and of random cells of the common part.
    pub preprocessed: Option<usize>,
    pub cached: Vec<usize>,
    pub random_columns: usize,
    /// Common columns behind those: what these say on each row.
    pub derived: Vec<Expr>,
    /// A last common column adds up this from row to row.
    pub running: Option<Expr>,
    /// Bus, message and count of what is sent and received.
    pub pairs: Vec<(u16, Vec<Expr>, Expr)>,
    pub num_public_values: usize,
}

impl Spec {
    /// Columns of each part: the preprocessed one, cached ones, the common one.
    fn widths(&self) -> Vec<usize> {
        let common = self.random_columns + self.derived.len() + usize::from(self.running.is_some());
        self.preprocessed.iter().copied().chain(self.cached.iter().copied()).chain([common]).collect()
    }

    /// A random one, all expressions of this degree at most.
    pub fn random(rng: &mut StdRng, log_height: usize, max_degree: usize, size: usize) -> Self {
        let preprocessed = rng.random_bool(0.3).then(|| rng.random_range(1..4));
        let cached: Vec<usize> = (0..rng.random_range(0..3usize)).map(|_| rng.random_range(1..4)).collect();
        let (random_columns, num_public_values) = (rng.random_range(1..2 + size), rng.random_range(0..3));
        let mut spec =
            Self { log_height, preprocessed, cached, random_columns, derived: vec![], running: None, pairs: vec![], num_public_values };
        // Of cells that are there already; a selector times a constraint is one degree more.
        for _ in 0..rng.random_range(0..3 + size / 4) {
            let expr = spec.expr(rng, max_degree, 4, false);
            spec.derived.push(expr);
        }
        spec.running = (spec.derived.is_empty() || rng.random_bool(0.5)).then(|| spec.expr(rng, max_degree - 1, 4, false));
        for _ in 0..rng.random_range(0..3 + size / 2) {
            let message = (0..rng.random_range(1..5)).map(|_| spec.expr(rng, max_degree, 3, true)).collect();
            let count = spec.expr(rng, max_degree, 3, true);
            spec.pairs.push((rng.random_range(0..9), message, count));
        }
        spec
    }

    /// A random expression over the columns that there are, of the next row too if asked.
    pub fn expr(&self, rng: &mut StdRng, max_degree: usize, depth: usize, next: bool) -> Expr {
        let widths = self.widths();
        if depth == 0 || rng.random_bool(0.25) {
            return match rng.random_range(0..10) {
                0 => Constant(rng.random_range(0..1 << 20)),
                1 if self.num_public_values > 0 => Public(rng.random_range(0..self.num_public_values)),
                2 if max_degree > 0 => [First, Last, Transition][rng.random_range(0..3)].clone(),
                _ if max_degree == 0 => Constant(7),
                _ => {
                    let part = rng.random_range(0..widths.len());
                    Cell(part, rng.random_range(0..widths[part]), next && rng.random_bool(0.3))
                }
            };
        }
        let split = rng.random_range(0..=max_degree);
        match rng.random_range(0..6) {
            0 | 1 => Add(self.expr(rng, max_degree, depth - 1, next).into(), self.expr(rng, max_degree, depth - 1, next).into()),
            2 => Sub(self.expr(rng, max_degree, depth - 1, next).into(), self.expr(rng, max_degree, depth - 1, next).into()),
            3 => Neg(self.expr(rng, max_degree, depth - 1, next).into()),
            _ => Mul(self.expr(rng, split, depth - 1, next).into(), self.expr(rng, max_degree - split, depth - 1, next).into()),
        }
    }

    fn preprocessed_cells(&self) -> Option<RowMajorMatrix<F>> {
        let width = self.preprocessed?;
        let cells = (0..width << self.log_height).map(|i| F::from_usize((i * i + 3 * i + 1) % 1_000_003));
        Some(RowMajorMatrix::new(cells.collect(), width))
    }

    /// Public values, cached traces and the common trace, which satisfy the AIR.
    /// `random` makes so many cells.
    pub fn traces(&self, random: &mut dyn FnMut(usize) -> Vec<F>) -> (Vec<F>, Vec<RowMajorMatrix<F>>, RowMajorMatrix<F>) {
        let height = 1usize << self.log_height;
        let public_values = random(self.num_public_values);
        let cached: Vec<_> = self.cached.iter().map(|&width| RowMajorMatrix::new(random(width * height), width)).collect();
        let width = *self.widths().last().unwrap();
        let preprocessed = self.preprocessed_cells();
        let mut common = RowMajorMatrix::new(F::zero_vec(width * height), width);
        let mut sum = F::from_u8(3);
        for row in 0..height {
            let mut cells = random(self.random_columns);
            let value = |expr: &Expr, cells: &[F]| {
                expr.value(&|leaf: &Expr| match *leaf {
                    Cell(part, column, false) => {
                        let before: Vec<&RowMajorMatrix<F>> = preprocessed.iter().chain(&cached).collect();
                        before.get(part).map_or_else(|| cells[column], |matrix| matrix.values[row * matrix.width + column])
                    }
                    Public(i) => public_values[i],
                    Constant(value) => F::from_u32(value),
                    First => F::from_bool(row == 0),
                    Last => F::from_bool(row + 1 == height),
                    Transition => F::from_bool(row + 1 < height),
                    _ => unreachable!("an expression of this row"),
                })
            };
            for expr in &self.derived {
                let derived = value(expr, &cells);
                cells.push(derived);
            }
            if let Some(expr) = &self.running {
                cells.push(sum);
                sum += value(expr, &cells);
            }
            common.values[row * width..][..width].copy_from_slice(&cells);
        }
        (public_values, cached, common)
    }

    pub fn max_degree(&self) -> usize {
        let named = self.pairs.iter().flat_map(|(_, message, count)| message.iter().chain([count])).chain(&self.derived);
        named.map(Expr::degree).chain(self.running.iter().map(|expr| expr.degree() + 1)).max().unwrap_or(1)
    }
}

pub struct SpecAir(pub Spec);

impl PartitionedBaseAir<F> for SpecAir {
    fn cached_main_widths(&self) -> Vec<usize> {
        self.0.cached.clone()
    }

    fn common_main_width(&self) -> usize {
        *self.0.widths().last().unwrap()
    }
}

impl BaseAir<F> for SpecAir {
    fn width(&self) -> usize {
        self.0.cached.iter().sum::<usize>() + self.common_main_width()
    }

    fn preprocessed_trace(&self) -> Option<RowMajorMatrix<F>> {
        self.0.preprocessed_cells()
    }
}

impl BaseAirWithPublicValues<F> for SpecAir {
    fn num_public_values(&self) -> usize {
        self.0.num_public_values
    }
}

impl<AB> Air<AB> for SpecAir
where
    AB: PartitionedAirBuilder + PairBuilder + AirBuilderWithPublicValues + InteractionBuilder<F = F>,
{
    fn eval(&self, builder: &mut AB) {
        let spec = &self.0;
        let rows = |matrix: &AB::M| -> [Vec<AB::Expr>; 2] {
            [0, 1].map(|row| matrix.row_slice(row).expect("two rows").iter().map(|&cell| cell.into()).collect())
        };
        let mut parts: Vec<[Vec<AB::Expr>; 2]> = spec.preprocessed.iter().map(|_| rows(&builder.preprocessed())).collect();
        parts.extend(builder.cached_mains().iter().map(rows));
        parts.push(rows(builder.common_main()));
        let public: Vec<AB::Expr> = builder.public_values().iter().map(|&value| value.into()).collect();
        let selectors = [builder.is_first_row(), builder.is_last_row(), builder.is_transition()];
        let leaf = |leaf: &Expr| -> AB::Expr {
            match *leaf {
                Cell(part, column, next) => parts[part][usize::from(next)][column].clone(),
                Public(i) => public[i].clone(),
                Constant(value) => AB::Expr::from_u32(value),
                First => selectors[0].clone(),
                Last => selectors[1].clone(),
                Transition => selectors[2].clone(),
                _ => unreachable!("no leaf"),
            }
        };
        let common = &parts[parts.len() - 1];
        for (i, expr) in spec.derived.iter().enumerate() {
            builder.assert_zero(common[0][spec.random_columns + i].clone() - expr.value(&leaf));
        }
        if let Some(expr) = &spec.running {
            let column = spec.random_columns + spec.derived.len();
            let step = common[1][column].clone() - common[0][column].clone() - expr.value(&leaf);
            builder.when_transition().assert_zero(step);
            builder.when_first_row().assert_zero(common[0][column].clone() - AB::Expr::from_u8(3));
        }
        for (bus, message, count) in &spec.pairs {
            let message: Vec<AB::Expr> = message.iter().map(|expr| expr.value(&leaf)).collect();
            let count = count.value(&leaf);
            builder.push_interaction(*bus, message.clone(), count.clone(), 1);
            builder.push_interaction(*bus, message, -count, 1);
        }
    }
}
