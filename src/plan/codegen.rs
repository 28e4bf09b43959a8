//! A coset program as WGSL: `fn program` of `wgsl/coset_pass.wgsl`.

use std::{collections::HashMap, fmt::Write};

use p3_field::{Field, PrimeCharacteristicRing};

use super::{
    leaves::LeafKind,
    program::Program,
    shares::{Share, Shares},
};
use crate::{
    air::NodeId,
    field::F,
    kernel::ProgramText,
    kernels::{OPERAND_VALUE, Op, STAGED_BITS, STAGED_FORMS},
};

/// The function's text, and the weights in the order in which it adds them.
#[derive(Clone, Debug)]
pub(crate) struct Generated {
    /// Equal programs have equal texts: the key of their pipeline.
    pub source: ProgramText,
    /// In groups of four, but for coefficients.
    pub weights: Vec<Entry>,
}

/// One of a generated kernel's weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Entry {
    /// A root's in a part (0 numerator, 1 denominator).
    Root(NodeId, usize),
    /// What four roots are multiplied by in a sum that has one weight.
    Coefficients([F; 4]),
    /// Fills a group of four.
    Zero,
}

/// Weighted roots that wait for a group of four.
#[derive(Default)]
struct Pending {
    values: Vec<String>,
    roots: Vec<NodeId>,
}

/// Roots whose weights are shares of one.
struct Sum {
    /// Whose weight it has, and that one's share.
    first: Option<(NodeId, F)>,
    /// How many are still to come.
    num_left: usize,
    /// Those that wait for a group of four.
    values: Vec<String>,
    coefficients: Vec<F>,
    /// What was added up so far.
    so_far: Option<String>,
}

/// Fewer roots than these have a weight each: as many products.
const MIN_SHARES: usize = 3;

impl Generated {
    /// Leaves first, at two points at once. Then every instruction becomes a `let` under a name
    /// of its own. Roots are added to numerator or denominator four at a time, as soon as four are there, and only to the part that a weight
    /// can reach; those that share a weight first to each other.
    pub fn new(program: &Program, l_skip: usize, shares: &Shares) -> Self {
        let mut names: Vec<String> = vec![String::new(); program.num_temps];
        let [has_p, has_q] = [0, 1].map(|part| program.reached.iter().any(|reached| reached[part]));
        let mut source = format!("const L_SKIP: u32 = {l_skip}u;\nconst HAS_P: bool = {has_p};\nconst HAS_Q: bool = {has_q};\n\n");
        source.push_str("fn program(job: CosetJob, at: Point2, plus: Octet, minus: Octet) -> Weighted {\n");
        leaves(&mut source, program, l_skip);
        source.push_str("    var sum: Weighted;\n");
        let mut weights = Vec::new();
        let mut pending = [Pending::default(), Pending::default()];
        let mut sums = sums(program, shares);
        for (at, &[op, destination, a, b]) in program.instructions.iter().enumerate() {
            let operand = |word: u32| {
                if word & OPERAND_VALUE != 0 { format!("value2(job, {}u)", word & !OPERAND_VALUE) } else { names[word as usize].clone() }
            };
            if op == Op::Root as u32 {
                let root = program.roots[b as usize];
                for (part, pending) in pending.iter_mut().enumerate().filter(|(part, _)| program.reached[b as usize][*part]) {
                    let share = shares.get(root, part);
                    let weighted = match share.and_then(|share| Some((share, sums.get_mut(&(part, share.source))?))) {
                        Some((share, sum)) => sum.add(&mut source, &mut weights, root, share, operand(a)),
                        None => Some((root, operand(a))),
                    };
                    let Some((root, value)) = weighted else { continue };
                    pending.values.push(value);
                    pending.roots.push(root);
                    if pending.values.len() == 4 {
                        flush(&mut source, &mut weights, part, pending);
                    }
                }
                continue;
            }
            let expression = match op {
                _ if op == Op::Load as u32 => {
                    names[destination as usize] = format!("c{a}");
                    continue;
                }
                _ if op == Op::Add as u32 => format!("f_add2({}, {})", operand(a), operand(b)),
                _ if op == Op::Sub as u32 => format!("f_sub2({}, {})", operand(a), operand(b)),
                _ if op == Op::Mul as u32 => format!("f_mul2({}, {})", operand(a), operand(b)),
                _ if op == Op::Neg as u32 => format!("f_sub2(vec2<u32>(0u), {})", operand(a)),
                _ if op == Op::First as u32 => "is_first2(job, at)".to_owned(),
                _ if op == Op::Last as u32 => "is_last2(job, at)".to_owned(),
                _ => "is_transition2(job, at)".to_owned(),
            };
            names[destination as usize] = format!("v{at}");
            writeln!(source, "    let v{at} = {expression};").expect(WRITES);
        }
        for (part, pending) in pending.iter_mut().enumerate() {
            flush(&mut source, &mut weights, part, pending);
        }
        source.push_str("    return sum;\n}\n");
        Self { source: ProgramText::new(source), weights }
    }
}

/// The sums of the roots in a program that share weights, by part and source.
fn sums(program: &Program, shares: &Shares) -> HashMap<(usize, u32), Sum> {
    let mut counts: HashMap<(usize, u32), usize> = HashMap::new();
    for (&root, reached) in program.roots.iter().zip(&program.reached) {
        for part in (0..2).filter(|&part| reached[part]) {
            if let Some(share) = shares.get(root, part) {
                *counts.entry((part, share.source)).or_default() += 1;
            }
        }
    }
    let sum = |num_left| Sum { first: None, num_left, values: vec![], coefficients: vec![], so_far: None };
    counts.into_iter().filter(|&(_, count)| count >= MIN_SHARES).map(|(key, count)| (key, sum(count))).collect()
}

impl Sum {
    /// Adds a root; after the last the sum, and the root whose weight it has.
    fn add(
        &mut self,
        source: &mut String,
        weights: &mut Vec<Entry>,
        root: NodeId,
        share: Share,
        value: String,
    ) -> Option<(NodeId, String)> {
        let (first, of_first) = *self.first.get_or_insert((root, share.coefficient));
        self.values.push(value);
        self.coefficients.push(share.coefficient * of_first.inverse());
        self.num_left -= 1;
        if self.values.len() == 4 || self.num_left == 0 {
            self.values.resize(4, "vec2<u32>(0u)".to_owned());
            self.coefficients.resize(4, F::ZERO);
            let at = weights.len();
            let values = self.values.drain(..).collect::<Vec<_>>().join(", ");
            let dot = format!("dot4(job, {at}u, {values})");
            let sum = self.so_far.take().map_or(dot.clone(), |so_far| format!("f_add2({so_far}, {dot})"));
            writeln!(source, "    let s{at} = {sum};").expect(WRITES);
            weights.push(Entry::Coefficients(std::array::from_fn(|i| self.coefficients[i])));
            self.coefficients.clear();
            self.so_far = Some(format!("s{at}"));
        }
        if self.num_left == 0 { self.so_far.take().map(|sum| (first, sum)) } else { None }
    }
}

/// The values of all leaves at the thread's two points: `c0`, `c1`, .. On `D` itself they are there, else they are dot products with the Lagrange
/// tables, the first eight points of `D`'s lower half straight, those past them in one loop for all cells; of bits they are looked up.
fn leaves(source: &mut String, program: &Program, l_skip: usize) {
    let (num_cells, num_leaves) = (program.leaves_of(LeafKind::Cell).end, program.leaves.len());
    let mut line = |indent: usize, text: &str| writeln!(source, "{:1$}{text}", "", 4 * indent).expect(WRITES);
    (0..num_cells).for_each(|i| line(1, &format!("let d{i} = descriptor(job, {i}u);")));
    (0..num_leaves).for_each(|i| line(1, &format!("var c{i} = vec2<u32>(0u);")));
    let cells = || program.leaves[..num_cells].iter().map(|leaf| leaf.form.terms[0].column.next).enumerate();
    let to_coset = |next: bool| if next { "next_to_coset" } else { "column_to_coset" };
    if num_cells > 0 {
        line(1, "if job.identity == 1u {");
        cells().for_each(|(i, next)| line(2, &format!("c{i} = cell2(job, d{i}, at, {}u);", u32::from(next))));
        line(1, "} else {");
        cells().for_each(|(i, next)| line(2, &format!("c{i} = {}(job, plus, minus, d{i}, at, 0u);", to_coset(next))));
        if l_skip > 4 {
            line(2, "for (var z = 8u; z < HALF; z += 8u) {");
            line(3, "let plus = plus_octet(job, at.z, z);");
            line(3, "let minus = minus_octet(job, at.z, z);");
            cells().for_each(|(i, next)| line(3, &format!("c{i} = f_add2(c{i}, {}(job, plus, minus, d{i}, at, z));", to_coset(next))));
            line(2, "}");
        }
        line(1, "}");
    }
    let [bits, next_bits] = [LeafKind::Bit, LeafKind::NextBit].map(|kind| program.leaves_of(kind));
    for first in (bits.start..next_bits.end).step_by(STAGED_BITS as usize) {
        let end = next_bits.end.min(first + STAGED_BITS as usize);
        for (of_kind, next) in [(&bits, false), (&next_bits, true)] {
            let (begin, end) = (of_kind.start.max(first), of_kind.end.min(end));
            if begin < end {
                line(1, &format!("stage_bits(job, at, {begin}u, {}u, {}u, {next});", end - begin, begin - first));
            }
        }
        line(1, "if job.identity == 1u {");
        (first..end).for_each(|i| line(2, &format!("c{i} = bit_on_domain(at, {}u);", i - first)));
        line(1, "} else {");
        (first..end).for_each(|i| line(2, &format!("c{i} = bit_to_coset(job, at, {}u);", i - first)));
        line(1, "}");
    }
    for first in (next_bits.end..num_leaves).step_by(STAGED_FORMS as usize) {
        let batch = || (first..num_leaves).take(STAGED_FORMS as usize).enumerate();
        let count = batch().count();
        line(1, "for (var block = 0u; block < HALF; block += BLOCK) {");
        line(2, &format!("stage(job, at, block, {first}u, {count}u);"));
        line(2, "if job.identity == 1u {");
        line(3, "if block == (at.z & ~(BLOCK - 1u)) {");
        batch().for_each(|(slot, i)| line(4, &format!("c{i} = form_on_domain(at, {slot}u);")));
        line(3, "}");
        line(2, "} else {");
        if l_skip <= 4 {
            batch().for_each(|(slot, i)| line(3, &format!("c{i} = form_to_coset(plus, minus, at, {slot}u, 0u);")));
        } else {
            line(3, "for (var z = 0u; z < BLOCK; z += 8u) {");
            line(4, "let plus = plus_octet(job, at.z, block + z);");
            line(4, "let minus = minus_octet(job, at.z, block + z);");
            batch().for_each(|(slot, i)| line(4, &format!("c{i} = f_add2(c{i}, form_to_coset(plus, minus, at, {slot}u, z));")));
            line(3, "}");
        }
        line(2, "}");
        line(1, "}");
        let differences = (first..num_leaves).take(STAGED_FORMS as usize).filter(|&i| program.leaves[i].is_difference);
        differences.for_each(|i| line(1, &format!("c{i} = f_add2(c{}, c{i});", i - 1)));
    }
}

/// Why writing cannot fail.
const WRITES: &str = "a String takes all";

/// Adds what is pending, filled up with zeros.
fn flush(source: &mut String, weights: &mut Vec<Entry>, part: usize, pending: &mut Pending) {
    if pending.values.is_empty() {
        return;
    }
    let sum = ["p", "q"][part];
    let first = weights.len();
    weights.extend(pending.roots.drain(..).map(|root| Entry::Root(root, part)));
    weights.resize(first + 4, Entry::Zero);
    pending.values.resize(4, "vec2<u32>(0u)".to_owned());
    let values = pending.values.drain(..).collect::<Vec<_>>().join(", ");
    for point in 0..2 {
        writeln!(source, "    sum.{sum}{point} = ext_add(sum.{sum}{point}, weigh{point}(job, {first}u, {values}));").expect(WRITES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        air::{AirBuilder, Column},
        kernels::COSET_PASS,
        plan::leaves::{Form, Leaf},
    };

    /// It takes leaves to the coset, so that it uses what other programs use, and adds nothing up.
    #[test]
    fn the_stub_is_a_program() {
        let mut air = AirBuilder::new("stub");
        let part = air.main_part(1);
        air.column(part, 0);
        let air = air.build().unwrap();
        let cell = |kind, next| Leaf::new(Form::cell(&air, Column { part, index: 0, next }).into(), kind);
        let form = Leaf::new(Form { terms: vec![], constant: F::ZERO }.into(), LeafKind::Form);
        let leaves = vec![cell(LeafKind::Cell, false), cell(LeafKind::Bit, false), cell(LeafKind::NextBit, true), form];
        let program = Program { leaves, ..Program::default() };
        assert_eq!(Some(&*Generated::new(&program, 4, &Shares::default()).source), COSET_PASS.stub);
    }
}
