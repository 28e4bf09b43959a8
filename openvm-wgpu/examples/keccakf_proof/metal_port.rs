//! What a Metal port of this prover takes for the same stages, as its authors published it.

/// What they proved.
pub const PERMUTATIONS: usize = 1024;

/// The column's title, and milliseconds of each stage.
pub const COLUMN: (&str, &[(&str, &str)]) = (
    "Metal port on an M2 Max, ms",
    &[
        ("stark_prove_excluding_trace", "2,270"),
        ("rs_code_matrix", "634 (best 631)"),
        ("stacked_commit > merkle_tree", "221"),
        ("prover.rap_constraints.round0", "876 (best 872)"),
        ("prover.rap_constraints.mle_rounds", "150 (best 143)"),
        ("openings", "403: stacked reduction 102, WHIR 301"),
        ("proof_of_work", "-"),
    ],
);

/// Where the column is from, and what it can be compared with.
pub fn note(permutations: usize) -> String {
    let comparable = if permutations == PERMUTATIONS {
        String::new()
    } else {
        format!(" It is for 1,024 permutations and cannot be compared with {permutations}.")
    };
    format!(
        "The last column is a Metal port of this prover, as its authors measured it in February 2026 on an Apple M2 Max (release builds); the \
         same workload but an earlier WHIR (four rounds, final polynomial of 2^8 coefficients).{comparable}"
    )
}
