//! A coset program as WGSL: `fn program` of `wgsl/coset_pass.wgsl`.

use std::fmt::Write;

use super::program::Program;
use crate::{
    air::{Column, NodeId},
    kernel::ProgramText,
    kernels::{OPERAND_VALUE, Op},
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
    /// Columns first, at two points at once: their cells on `D` itself, else their dot products with the Lagrange tables, the first eight
    /// points of `D`'s lower half straight, those past them in one loop for all columns. Then every instruction becomes a `let` under a name
    /// of its own. Roots are added to numerator or denominator four at a time, as soon as four are there, and only to the part that a weight
    /// can reach.
    pub fn new(program: &Program, l_skip: usize) -> Self {
        let mut names: Vec<String> = vec![String::new(); program.num_temps];
        let [has_p, has_q] = [0, 1].map(|part| program.reached.iter().any(|reached| reached[part]));
        let mut source = format!("const L_SKIP: u32 = {l_skip}u;\nconst HAS_P: bool = {has_p};\nconst HAS_Q: bool = {has_q};\n\n");
        source.push_str("fn program(job: CosetJob, at: Point, plus: Octet, minus: Octet) -> Weighted {\n");
        columns(&mut source, program, l_skip);
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

/// The values of all columns at the thread's two points: `c0`, `c1`, ..
fn columns(source: &mut String, program: &Program, l_skip: usize) {
    if program.columns.is_empty() {
        return;
    }
    for i in 0..program.columns.len() {
        writeln!(source, "    let d{i} = descriptor(job, {i}u);\n    var c{i} = vec2<u32>(0u);").expect(WRITES);
    }
    source.push_str("    if job.identity == 1u {\n");
    for (i, (_, column)) in program.columns.iter().enumerate() {
        writeln!(source, "        c{i} = cell2(job, d{i}, at, {}u);", u32::from(column.next)).expect(WRITES);
    }
    source.push_str("    } else {\n        let first = row(at, 0u);\n");
    let to_coset = |column: &Column| if column.next { "next_to_coset" } else { "column_to_coset" };
    for (i, (_, column)) in program.columns.iter().enumerate() {
        writeln!(source, "        c{i} = {}(job, plus, minus, d{i}, first);", to_coset(column)).expect(WRITES);
    }
    if l_skip > 4 {
        source.push_str(
            "        for (var z = 8u; z < HALF; z += 8u) {\n            let plus = plus_octet(job, at.z, z);\n            \
             let minus = minus_octet(job, at.z, z);\n",
        );
        for (i, (_, column)) in program.columns.iter().enumerate() {
            writeln!(source, "            c{i} = f_add2(c{i}, {}(job, plus, minus, d{i}, first + z));", to_coset(column)).expect(WRITES);
        }
        source.push_str("        }\n");
    }
    source.push_str("    }\n");
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
    use super::*;
    use crate::kernels::COSET_PASS;

    #[test]
    fn the_stub_is_a_program_of_nothing() {
        assert_eq!(Some(&*Generated::new(&Program::default(), 4).source), COSET_PASS.stub);
    }
}
