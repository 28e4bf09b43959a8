//! A coset program as WGSL: `fn program` of `wgsl/coset_pass.wgsl`.

use std::{fmt::Write, sync::Arc};

use super::program::{OPERAND_VALUE, Op, Program};
use crate::air::NodeId;

/// The function's text, and the weights in the order in which it adds them.
#[derive(Clone, Debug)]
pub(crate) struct Generated {
    /// Equal programs have equal texts: the key of their pipeline.
    pub source: Arc<str>,
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
    /// Columns first: their cells on `D` itself, else their dot products with the Lagrange row, all columns in one loop over the points
    /// of `D`. Then every instruction becomes a `let` under a name of its own. Roots are added to numerator or denominator four at a time, as
    /// soon as four are there, and only to the part that a weight can reach.
    pub fn new(program: &Program) -> Self {
        let mut names: Vec<String> = vec![String::new(); program.num_temps];
        let mut source = "fn program(job: CosetJob, at: Point) -> Weighted {\n".to_owned();
        columns(&mut source, program);
        source.push_str("    var p = EXT_ZERO;\n    var q = EXT_ZERO;\n");
        let mut weights = Vec::new();
        let mut pending = [Pending::default(), Pending::default()];
        for (at, &[op, destination, a, b]) in program.instructions.iter().enumerate() {
            let operand = |word: u32| {
                if word & OPERAND_VALUE != 0 { format!("value(job, {}u)", word & !OPERAND_VALUE) } else { names[word as usize].clone() }
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
                _ if op == Op::Add as u32 => format!("f_add({}, {})", operand(a), operand(b)),
                _ if op == Op::Sub as u32 => format!("f_sub({}, {})", operand(a), operand(b)),
                _ if op == Op::Mul as u32 => format!("f_mul({}, {})", operand(a), operand(b)),
                _ if op == Op::Neg as u32 => format!("f_sub(0u, {})", operand(a)),
                _ if op == Op::First as u32 => "is_first(job, at)".to_owned(),
                _ if op == Op::Last as u32 => "is_last(job, at)".to_owned(),
                _ => "is_transition(job, at)".to_owned(),
            };
            names[destination as usize] = format!("v{at}");
            writeln!(source, "    let v{at} = {expression};").expect(WRITES);
        }
        for (part, pending) in pending.iter_mut().enumerate() {
            flush(&mut source, &mut weights, part, pending);
        }
        source.push_str("    return Weighted(p, q);\n}\n");
        Self { source: source.into(), weights }
    }
}

/// The values of all columns: `c0`, `c1`, ..
fn columns(source: &mut String, program: &Program) {
    if program.columns.is_empty() {
        return;
    }
    let rows = |next: bool| if next { "next" } else { "rows" };
    for i in 0..program.columns.len() {
        writeln!(source, "    let d{i} = descriptor(job, {i}u);\n    var c{i} = 0u;").expect(WRITES);
    }
    source.push_str("    if job.identity == 1u {\n        let rows = row(job, at, at.z);\n        let next = row(job, at, at.z + 1u);\n");
    for (i, (_, column)) in program.columns.iter().enumerate() {
        writeln!(source, "        c{i} = cell(d{i}, {});", rows(column.next)).expect(WRITES);
    }
    source.push_str(
        "    } else {\n        for (var z = 0u; z < (1u << job.l_skip); z += 4u) {\n            let l = lagrange_row(job, at, z);\n            \
         let rows = rows4(job, at, z);\n            let next = rows4(job, at, z + 1u);\n",
    );
    for (i, (_, column)) in program.columns.iter().enumerate() {
        writeln!(source, "            c{i} = f_add(c{i}, f_dot4(l, cells(d{i}, {})));", rows(column.next)).expect(WRITES);
    }
    source.push_str("        }\n    }\n");
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
    pending.values.resize(4, "0u".to_owned());
    let factors: Vec<String> = (first..first + 4).map(|i| format!("weight(job, {i}u)")).collect();
    let values = pending.values.drain(..).collect::<Vec<_>>().join(", ");
    writeln!(source, "    {sum} = ext_add({sum}, ext_dot4({}, vec4<u32>({values})));", factors.join(", ")).expect(WRITES);
}

/// A program that adds nothing, to validate the frame with.
pub(crate) fn empty() -> String {
    "fn program(job: CosetJob, at: Point) -> Weighted {\n    return Weighted(EXT_ZERO, EXT_ZERO);\n}\n".to_owned()
}
