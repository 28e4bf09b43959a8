//! The engine's spans, of which OpenVM makes its metrics. In one test: subscribers of parallel tests see each other's callsites.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use openvm_stark_backend::{
    StarkEngine,
    test_utils::{FibFixture, MixtureFixture, TestFixture, test_system_params_small},
};
use openvm_stark_sdk::config::baby_bear_poseidon2::{BabyBearPoseidon2Config, BabyBearPoseidon2CpuEngine, CpuTranscript};
use openvm_wgpu::WgpuEngine;
use tracing_subscriber::{Layer, layer::Context, prelude::*};

/// How often each span of level INFO was opened.
struct Spans(Arc<Mutex<HashMap<&'static str, usize>>>);

impl<S: tracing::Subscriber> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &tracing::span::Attributes<'_>, _: &tracing::Id, _: Context<'_, S>) {
        if *attributes.metadata().level() <= tracing::Level::INFO {
            *self.0.lock().unwrap().entry(attributes.metadata().name()).or_default() += 1;
        }
    }
}

/// On one thread, whose subscriber sees all.
fn spans_of(work: impl FnOnce() + Send) -> HashMap<&'static str, usize> {
    let spans = Arc::new(Mutex::new(HashMap::new()));
    let subscriber = tracing_subscriber::registry().with(Spans(Arc::clone(&spans)));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    pool.install(|| tracing::subscriber::with_default(subscriber, work));
    let spans = spans.lock().unwrap();
    spans.clone()
}

/// Spans of the stock CPU device's commitment and openings: steps that the device does not take, or not one after another.
const CPU_STEPS: [&str; 18] = [
    "trace_commit_cpu",
    "rs_encode_and_merkle_cpu",
    "eval_to_coeff_phase",
    "transpose_to_rm",
    "dft_batch",
    "row_hash",
    "digest_layers",
    "prove_stacked_opening_reduction",
    "stacked_round0",
    "stacked_fold_ple",
    "stacked_round_eval",
    "stacked_fold_mle",
    "prove_whir_opening_cpu",
    "whir_mle_conversion",
    "whir_f_evals_batch",
    "whir_sumcheck",
    "whir_dft_merkle",
    "whir_w_evals_accum",
];

#[test]
fn stages_of_the_stock_engine_and_our_own() {
    let params = test_system_params_small(2, 8, 3);
    let fixture = MixtureFixture::standard(4, BabyBearPoseidon2Config::default_from_params(params.clone()));
    let stock = BabyBearPoseidon2CpuEngine::<CpuTranscript>::new(params.clone());
    let ours = WgpuEngine::<CpuTranscript>::new(params);
    let (pk, _) = fixture.keygen(&stock);
    let expected = spans_of(|| drop(fixture.prove(&stock, &pk)));
    let first = spans_of(|| drop(fixture.prove(&ours, &pk)));
    let later = spans_of(|| (0..3).for_each(|_| drop(fixture.prove(&ours, &pk))));

    assert!(expected.contains_key("prover.batch_constraints.mle_rounds"), "{expected:?}");
    for (&name, &times) in &expected {
        // The fixture commits to its cached traces by spans of these names, too: the stock device once for each, ours not.
        let own = match name {
            name if CPU_STEPS.contains(&name) => 0,
            "stacked_commit" => times + 1,
            "stacked_matrix" => times - 1,
            // Of WHIR's folded codes.
            "merkle_tree" => times - 2,
            _ => times,
        };
        assert_eq!(first.get(name).copied().unwrap_or(0), own, "{name}");
    }
    assert!(CPU_STEPS.iter().all(|step| expected.contains_key(step)), "{expected:?}");
    for step in ["prover.main_trace_commit", "upload_traces"] {
        assert_eq!(first.get(step), Some(&1), "{step}");
    }
    for stage in ["", ".stacked_reduction", ".whir"].map(|stage| format!("prover.openings{stage}")) {
        assert_eq!(first.get(&*stage), Some(&1), "{stage}");
    }
    let stages = ["", ".logup_gkr", ".logup_gkr.input_evals", ".round0", ".ple_round0", ".round0.device", ".mle_rounds"];
    for stage in stages.map(|stage| format!("prover.rap_constraints{stage}")) {
        assert_eq!(first.get(&*stage), Some(&1), "{stage}");
    }

    // Plans are made once per proving key, however many proofs.
    let planned = |spans: &HashMap<&str, usize>| spans.get("plan_round0").copied();
    assert_eq!((planned(&first), planned(&later)), (Some(1), None));
    let other = FibFixture::new(0, 1, 8);
    let (other_pk, _) = other.keygen(&ours);
    assert_eq!(planned(&spans_of(|| drop(other.prove(&ours, &other_pk)))), Some(1));
}
