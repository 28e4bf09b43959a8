//! A proof's stages, one engine's beside the other's: as lines to read and as JSON.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::stopwatch::{Times, ms};

/// A line of the table: how deep in the proof, its name, its time.
struct Row(usize, &'static str, fn(&Times) -> Duration);

const ROWS: [Row; 17] = [
    Row(0, "stark_prove_excluding_trace", |times| times.prove),
    Row(1, "main_trace_commit", |times| times.commit),
    Row(2, "rs_code_matrix", |times| times.rs_code_matrix),
    Row(2, "stacked_commit > merkle_tree", |times| times.merkle_tree),
    Row(1, "rap_constraints", |times| times.rap),
    Row(2, "prover.rap_constraints.logup_gkr", |times| times.logup_gkr()),
    Row(3, "its input, with proof of work", |times| times.gkr_input),
    Row(3, "its layers", |times| times.gkr),
    Row(2, "prover.rap_constraints.round0", |times| times.round0),
    Row(2, "prover.rap_constraints.fold_ple_evals", |times| times.fold),
    Row(2, "prover.rap_constraints.mle_rounds", |times| times.mle_rounds),
    Row(2, "prover.rap_constraints.column_openings", |times| times.column_openings),
    Row(1, "openings", |times| times.openings),
    Row(2, "prover.openings.stacked_reduction", |times| times.stacked_reduction),
    Row(2, "prover.openings.whir", |times| times.whir),
    Row(2, "their proofs of work", |times| times.openings_proof_of_work),
    Row(0, "proof_of_work", |times| times.proof_of_work),
];

/// The rows that are in JSON.
const STAGES: [&str; 12] = [
    "stark_prove_excluding_trace",
    "rs_code_matrix",
    "stacked_commit > merkle_tree",
    "prover.rap_constraints.logup_gkr",
    "prover.rap_constraints.round0",
    "prover.rap_constraints.fold_ple_evals",
    "prover.rap_constraints.mle_rounds",
    "prover.rap_constraints.column_openings",
    "openings",
    "prover.openings.stacked_reduction",
    "prover.openings.whir",
    "proof_of_work",
];

/// A table's lines. `beside` is one more column: its title, and the text of the rows that it has.
pub fn table(stock: &Times, ours: &Times, beside: (&str, &[(&str, &str)])) -> Vec<String> {
    let (title, texts) = beside;
    let line = |name: &str, [stock, ours, times, beside]: [&str; 4]| {
        format!("{name:<44}{stock:>10}{ours:>10}{times:>9}  {beside}").trim_end().to_owned()
    };
    let rows = ROWS.iter().map(|Row(depth, name, of)| {
        let (stock, ours) = (ms(of(stock)), ms(of(ours)));
        // What neither engine does in a proof has no ratio.
        let times = if stock.min(ours) < 0.05 { "-".to_owned() } else { format!("{:.2}", stock / ours) };
        let beside = texts.iter().find(|(row, _)| row == name).map_or("", |(_, text)| text);
        line(&format!("{:1$}{name}", "", 2 * depth), [&format!("{stock:.1}"), &format!("{ours:.1}"), &times, beside])
    });
    std::iter::once(line("", ["stock ms", "ours ms", "times", title])).chain(rows).collect()
}

/// Each stage's milliseconds by both engines.
pub fn json(stock: &Times, ours: &Times) -> Value {
    let stages = ROWS.iter().filter(|Row(_, name, _)| STAGES.contains(name));
    let stages = stages.map(|Row(_, name, of)| ((*name).to_owned(), json!({ "stock_ms": ms(of(stock)), "wgpu_ms": ms(of(ours)) })));
    Value::Object(stages.collect::<Map<_, _>>())
}
