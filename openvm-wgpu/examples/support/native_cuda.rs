//! What OpenVM's native CUDA prover takes for the same proofs: `openvm-cuda-backend` 2.0.1, CUDA 13.0, measured by us in November 2026. Median of three proofs
//! after a warm-up, each accepted by the stock verifier and, with its proofs of work replayed, equal to the CPU's byte for byte. A wait at the edge of every stage.

use serde_json::{Value, json};

/// Its times for the proof of a record, with the names of a record's engines, and the card.
pub fn times(record: &Value) -> Option<(&'static str, Value)> {
    let is_of_vm = record["airs"].is_number();
    match (is_of_vm, record["permutations"].as_u64()?) {
        // 127.0 ms with the traces on the device, and 17 to bring them there.
        (true, 340) => Some((
            "H200",
            json!({
                "prove_ms": 144.0, "transport_ms": 17.0, "commit_ms": 15.3, "rs_code_matrix_ms": 6.1, "merkle_tree_ms": 9.1, "gkr_ms": 16.3,
                "round0_ms": 49.7, "fold_ms": 0.7, "mle_rounds_ms": 18.7, "openings_ms": 23.3, "stacked_reduction_ms": 9.2, "whir_ms": 14.1,
            }),
        )),
        // 112.7 ms, without its option to save memory, and 50 for the traces; an H100.
        (false, 1024) => Some((
            "H100",
            json!({
                "prove_ms": 163.0, "transport_ms": 50.0, "commit_ms": 39.0, "rs_code_matrix_ms": 18.0, "merkle_tree_ms": 21.0, "round0_ms": 37.8,
                "fold_ms": 1.7, "mle_rounds_ms": 13.4, "openings_ms": 23.2, "stacked_reduction_ms": 7.0, "whir_ms": 16.2,
            }),
        )),
        _ => None,
    }
}
