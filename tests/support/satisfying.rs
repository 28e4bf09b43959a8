//! Random AIRs with traces that satisfy them: columns are computed by the constraints that bind them.

use logup_wgpu::{AirBuilder, F, Layout, NodeId, Part};
use p3_field::PrimeCharacteristicRing;
use rand::{Rng, rngs::StdRng, seq::IndexedRandom};

use super::{Case, random_f};

/// How large such an AIR may be.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// From 1.
    pub max_degree: usize,
    pub num_columns: usize,
    /// Operations of each column's expression.
    pub num_ops: usize,
    pub num_interactions: usize,
}

/// An expression: node, degree, and value on each row.
#[derive(Clone)]
struct Expr {
    node: NodeId,
    degree: usize,
    values: Vec<F>,
}

struct Builder<'a> {
    air: AirBuilder,
    rng: &'a mut StdRng,
    height: usize,
    max_degree: usize,
    /// What expressions are made of: selectors, constants, public values, and the columns so far, here and in the next row.
    leaves: Vec<Expr>,
    /// Values of each part's columns.
    columns: Vec<Vec<Vec<F>>>,
}

impl Builder<'_> {
    fn map(&mut self, a: &Expr, b: &Expr, node: impl FnOnce(&mut AirBuilder) -> NodeId, degree: usize, value: fn(F, F) -> F) -> Expr {
        Expr { node: node(&mut self.air), degree, values: a.values.iter().zip(&b.values).map(|(&a, &b)| value(a, b)).collect() }
    }

    fn sub(&mut self, a: &Expr, b: &Expr) -> Expr {
        self.map(a, b, |air| air.sub(a.node, b.node), a.degree.max(b.degree), |a, b| a - b)
    }

    fn mul(&mut self, a: &Expr, b: &Expr) -> Expr {
        self.map(a, b, |air| air.mul(a.node, b.node), a.degree + b.degree, |a, b| a * b)
    }

    fn constant(&mut self, value: F) -> Expr {
        Expr { node: self.air.constant(value), degree: 0, values: vec![value; self.height] }
    }

    /// A random expression over the leaves, of at most this degree.
    fn expression(&mut self, num_ops: usize, max_degree: usize) -> Expr {
        let mut made: Vec<Expr> = self.leaves.iter().filter(|leaf| leaf.degree <= max_degree).cloned().collect();
        for _ in 0..num_ops {
            let young = &made[made.len().saturating_sub(4)..];
            let (a, b) = (young.choose(self.rng).unwrap().clone(), made.choose(self.rng).unwrap().clone());
            made.push(match self.rng.random_range(0..5) {
                0 => self.map(&a, &b, |air| air.add(a.node, b.node), a.degree.max(b.degree), |a, b| a + b),
                1 => self.sub(&a, &b),
                2 => self.map(&a, &a, |air| air.neg(a.node), a.degree, |a, _| -a),
                _ if a.degree + b.degree <= max_degree => self.mul(&a, &b),
                _ => continue,
            });
        }
        made.pop().expect("leaves of degree 0 at least")
    }

    /// Constrains `gate * (column - expression)` to be zero, and says what the column is. With a gate, the rest of the column is random.
    fn bound_column(&mut self, part: Part, index: usize, num_ops: usize) -> (Vec<F>, NodeId) {
        let here = self.air.column(part, index);
        match self.rng.random_range(0..6) {
            // a bit, or a digit of three
            0 if self.max_degree >= 2 => {
                let base = if self.max_degree >= 3 && self.rng.random() { 3 } else { 2 };
                let values: Vec<F> = (0..self.height).map(|_| F::from_u32(self.rng.random_range(0..base))).collect();
                let factors: Vec<NodeId> = (0..base)
                    .map(|digit| {
                        let digit = self.air.constant(F::from_u32(digit));
                        self.air.sub(here, digit)
                    })
                    .collect();
                (values, factors.into_iter().reduce(|a, b| self.air.mul(a, b)).expect("two or three"))
            }
            // the next row's cell follows from this row's: not on the last row
            1 if self.max_degree >= 2 => {
                let expression = self.expression(num_ops, self.max_degree - 1);
                let mut values: Vec<F> = vec![self.rng.random()];
                values.extend(&expression.values[..self.height - 1]);
                let (next, transition) = (self.air.next(part, index), self.air.is_transition());
                let difference = self.air.sub(next, expression.node);
                (values, self.air.mul(transition, difference))
            }
            // where another expression is zero, anything
            2 if self.max_degree >= 2 => {
                let gate = self.expression(num_ops, self.max_degree / 2);
                let expression = self.expression(num_ops, self.max_degree - gate.degree);
                let values = gate.values.iter().zip(&expression.values);
                let values = values.map(|(&gate, &value)| if gate == F::ZERO { self.rng.random() } else { value }).collect();
                let difference = self.air.sub(here, expression.node);
                (values, self.air.mul(gate.node, difference))
            }
            _ => {
                let expression = self.expression(num_ops, self.max_degree);
                (expression.values, self.air.sub(here, expression.node))
            }
        }
    }

    fn add_column(&mut self, part: Part, index: usize, values: Vec<F>) {
        let mut next = values.clone();
        next.rotate_left(1);
        let (here_node, next_node) = (self.air.column(part, index), self.air.next(part, index));
        self.leaves.push(Expr { node: here_node, degree: 1, values: values.clone() });
        self.leaves.push(Expr { node: next_node, degree: 1, values: next });
        self.columns.last_mut().expect("of the part").push(values);
    }
}

/// Such an AIR with a random preprocessed part, a cached part and a common one, and interactions.
pub fn satisfying_case(rng: &mut StdRng, size: Size, l_skip: usize, height: usize) -> Case {
    let num_public = rng.random_range(0..3);
    let public_values = random_f(rng, num_public);
    let mut air = AirBuilder::new(format!("satisfying AIR, {size:?}"));
    air.public_values(num_public);
    let on_row = |row: usize| (0..height).map(|at| F::from_bool(at == row)).collect::<Vec<F>>();
    let (first, last) = (on_row(0), on_row(height - 1));
    let transition = last.iter().map(|&last| F::ONE - last).collect();
    let mut leaves = vec![
        Expr { node: air.is_first_row(), degree: 1, values: first },
        Expr { node: air.is_last_row(), degree: 1, values: last },
        Expr { node: air.is_transition(), degree: 1, values: transition },
    ];
    leaves.extend((0..num_public).map(|i| Expr { node: air.public_value(i), degree: 0, values: vec![public_values[i]; height] }));
    let mut builder = Builder { air, rng, height, max_degree: size.max_degree, leaves, columns: vec![] };
    for value in [F::ONE, F::TWO, F::NEG_ONE] {
        let constant = builder.constant(value);
        builder.leaves.push(constant);
    }

    // Preprocessed columns are bound by nothing; each part starts with a column that is not either.
    let mut constraints = vec![];
    let has_preprocessed = builder.rng.random_bool(0.4);
    let cached_width = size.num_columns / 3;
    for (part_idx, width) in [1, cached_width, size.num_columns - cached_width].into_iter().enumerate() {
        if (part_idx == 0 && !has_preprocessed) || width == 0 {
            continue;
        }
        let part = if part_idx == 0 { builder.air.preprocessed_part(width) } else { builder.air.main_part(width) };
        builder.columns.push(vec![]);
        for index in 0..width {
            let values = if index == 0 {
                random_f(builder.rng, height)
            } else {
                let (values, constraint) = builder.bound_column(part, index, size.num_ops);
                constraints.push(constraint);
                values
            };
            builder.add_column(part, index, values);
        }
    }
    for constraint in constraints {
        builder.air.constraint(constraint);
    }
    for _ in 0..size.num_interactions {
        let message: Vec<NodeId> = (0..3).map(|_| builder.expression(size.num_ops, size.max_degree).node).collect();
        let count = builder.expression(size.num_ops, size.max_degree).node;
        builder.air.interaction(builder.rng.random(), message, count);
    }
    let Builder { air, columns, .. } = builder;
    let widths: Vec<usize> = columns.iter().map(Vec::len).collect();
    let widths = if has_preprocessed { (Some(widths[0]), &widths[1..]) } else { (None, &widths[..]) };
    let case = Case::random(air.build().unwrap(), l_skip, height, widths, num_public, rng);
    let in_layout = |columns: &Vec<Vec<F>>| match case.layout {
        Layout::ColMajor => (columns.concat(), columns.len()),
        Layout::RowMajor => ((0..height).flat_map(|row| columns.iter().map(move |column| column[row])).collect(), columns.len()),
    };
    let mut matrices = columns.iter().map(in_layout);
    let preprocessed = if has_preprocessed { matrices.next() } else { None };
    Case { preprocessed, main: matrices.collect(), public_values, ..case }
}

/// 24 boolean columns and products of theirs with next rows' in sums with different coefficients; and behind a gate sums up to each of ten columns
/// that are nowhere else.
pub fn case_with_bits(l_skip: usize, height: usize) -> Case {
    const BITS: usize = 24;
    const GROUP: usize = 6;
    const TERMS: usize = 10;
    let rng = &mut super::rng(height as u64);
    let bits: Vec<Vec<bool>> = (0..BITS).map(|_| (0..height).map(|_| rng.random()).collect()).collect();
    let mut columns: Vec<Vec<F>> = bits.iter().map(|bits| bits.iter().map(|&bit| F::from_bool(bit)).collect()).collect();
    let mut air = AirBuilder::new("bits");
    let main = air.main_part(BITS + BITS / GROUP + 2 * TERMS);
    let one = air.constant(F::ONE);
    let cells: Vec<NodeId> = (0..BITS).map(|i| air.column(main, i)).collect();
    let nexts: Vec<NodeId> = (0..BITS).map(|i| air.next(main, i)).collect();
    let mut constraints = vec![];
    for &cell in &cells {
        let less_one = air.sub(cell, one);
        constraints.push(air.mul(cell, less_one));
    }
    let both = |i: usize, row: usize| bits[i][row] && bits[(i + 1) % BITS][(row + 1) % height];
    for group in 0..BITS / GROUP {
        let mut sum = air.column(main, columns.len());
        let mut values = vec![F::ZERO; height];
        for i in GROUP * group..GROUP * (group + 1) {
            let coefficient = F::from_usize(i + 3);
            let product = air.mul(cells[i], nexts[(i + 1) % BITS]);
            let coefficient_node = air.constant(coefficient);
            let scaled = air.mul(coefficient_node, product);
            sum = air.sub(sum, scaled);
            values.iter_mut().enumerate().filter(|&(row, _)| both(i, row)).for_each(|(_, value)| *value += coefficient);
        }
        constraints.push(sum);
        columns.push(values);
    }
    let gate = air.mul(cells[0], nexts[1]);
    let mut sum = one;
    let mut values = vec![F::ONE; height];
    for _ in 0..TERMS {
        let term = random_f(rng, height);
        let term_node = air.column(main, columns.len());
        sum = air.add(sum, term_node);
        values.iter_mut().zip(&term).for_each(|(value, &term)| *value += term);
        columns.push(term);
        let claimed = air.column(main, columns.len());
        let difference = air.sub(claimed, sum);
        constraints.push(air.mul(gate, difference));
        columns.push((0..height).map(|row| if both(0, row) { values[row] } else { rng.random() }).collect());
    }
    constraints.into_iter().for_each(|node| air.constraint(node));
    let case = Case::random(air.build().unwrap(), l_skip, height, (None, &[columns.len()]), 0, rng);
    Case { main: vec![(columns.concat(), columns.len())], layout: Layout::ColMajor, ..case }
}

/// A column-major case of one matrix, row by row.
pub fn by_rows(case: &Case) -> Case {
    let (columns, width) = &case.main[0];
    let rows = (0..case.height).flat_map(|row| (0..*width).map(move |column| columns[column * case.height + row])).collect();
    Case { layout: Layout::RowMajor, main: vec![(rows, *width)], ..case.clone() }
}
