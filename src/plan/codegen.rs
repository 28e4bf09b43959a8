//! A coset program as WGSL: `fn program` of `wgsl/coset_pass.wgsl`.

use std::fmt::Write;

use super::{leaves::LeafKind, program::Program};
use crate::{
    air::NodeId,
    kernel::ProgramText,
    kernels::{OPERAND_VALUE, Op, STAGED_BITS, STAGED_FORMS},
};

/// The function's text, and the weights in the order in which it adds them.
#[derive(Clone, Debug)]
pub(crate) struct Generated {
    /// Equal programs have equal texts: the key of their pipeline.
    pub source: ProgramText,
    /// Root and part (0 numerator, 1 denominator); `None` pads a group of four.
    pub weights: Vec<Option<(NodeId, usize)>>,
}

/// Weighted roots that wait for a group of four.
#[derive(Default)]
struct Pending {
    values: Vec<String>,
    roots: Vec<NodeId>,
}

impl Generated {
    /// Leaves first, at two points at once. Then every instruction becomes a `let` under a name
    /// of its own. Roots are added to numerator or denominator four at a time, as soon as four are there, and only to the part that a weight
    /// can reach.
    pub fn new(program: &Program, l_skip: usize) -> Self {
        let mut names: Vec<String> = vec![String::new(); program.num_temps];
        let [has_p, has_q] = [0, 1].map(|part| program.reached.iter().any(|reached| reached[part]));
        let mut source = format!("const L_SKIP: u32 = {l_skip}u;\nconst HAS_P: bool = {has_p};\nconst HAS_Q: bool = {has_q};\n\n");
        source.push_str("fn program(job: CosetJob, at: Point2, plus: Octet, minus: Octet) -> Weighted {\n");
        leaves(&mut source, program, l_skip);
        source.push_str("    var sum: Weighted;\n");
        let mut weights = Vec::new();
        let mut pending = [Pending::default(), Pending::default()];
        for (at, &[op, destination, a, b]) in program.instructions.iter().enumerate() {
            let operand = |word: u32| {
                if word & OPERAND_VALUE != 0 { format!("value2(job, {}u)", word & !OPERAND_VALUE) } else { names[word as usize].clone() }
            };
            if op == Op::Root as u32 {
                for (part, pending) in pending.iter_mut().enumerate().filter(|(part, _)| program.reached[b as usize][*part]) {
                    pending.values.push(operand(a));
                    pending.roots.push(program.roots[b as usize]);
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
        line(1, "workgroupBarrier();");
        for (of_kind, next) in [(&bits, false), (&next_bits, true)] {
            let (begin, end) = (of_kind.start.max(first), of_kind.end.min(end));
            if begin < end {
                line(1, &format!("stage_bits(job, at, {begin}u, {}u, {}u, {next});", end - begin, begin - first));
            }
        }
        line(1, "workgroupBarrier();");
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
fn flush(source: &mut String, weights: &mut Vec<Option<(NodeId, usize)>>, part: usize, pending: &mut Pending) {
    if pending.values.is_empty() {
        return;
    }
    let sum = ["p", "q"][part];
    let first = weights.len();
    weights.extend(pending.roots.drain(..).map(|root| Some((root, part))));
    weights.resize(first + 4, None);
    pending.values.resize(4, "vec2<u32>(0u)".to_owned());
    let values = pending.values.drain(..).collect::<Vec<_>>().join(", ");
    for point in 0..2 {
        writeln!(source, "    sum.{sum}{point} = ext_add(sum.{sum}{point}, weigh{point}(job, {first}u, {values}));").expect(WRITES);
    }
}

#[cfg(test)]
mod tests {
    use p3_field::PrimeCharacteristicRing;

    use super::*;
    use crate::{
        air::{AirBuilder, Column},
        field::F,
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
        assert_eq!(Some(&*Generated::new(&program, 4).source), COSET_PASS.stub);
    }
}
