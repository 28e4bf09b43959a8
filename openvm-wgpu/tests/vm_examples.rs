//! The examples, run as a user runs them.

#[path = "../../tests/support/example.rs"]
mod run;

use run::{example, stdout};
use serde_json::Value;

/// The whole comparison, small: the stock prover checks every AIR and the 300 small ones on the way, the three ways each other on the segment.
#[test]
fn report_is_exact_and_complete() {
    let out = std::env::temp_dir().join(format!("logup-wgpu-report-{}", std::process::id()));
    let printed = stdout(example("report").args(["--quick", "--json", "--log-height", "8", "--out"]).arg(&out));
    let json: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(json["exact"], true);
    assert!(json["read_gb_s"].as_f64().unwrap() > 0.0);
    let airs = json["airs"].as_array().unwrap();
    assert_eq!(airs.len(), 26);
    for air in airs {
        assert_eq!(air["exact"], true, "{air}");
        let zerocheck = &air["zerocheck"];
        assert!(zerocheck.is_null() || zerocheck["exact"] == true && zerocheck["gpu_ms"].as_f64().unwrap() > 0.0, "{air}");
        for key in ["log_height", "gpu_ms", "stock_cpu_ms", "speedup_stock", "fraction_of_read"] {
            assert!(air[key].as_f64().is_some_and(|value| value > 0.0), "{key} of {air}");
        }
    }
    let segment = &json["segment_118"];
    assert_eq!([&segment["waits"], &segment["allocations"]], [1, 0]);
    assert!(segment["kernels"].as_u64().unwrap() < 26, "AIRs share dispatches: {segment}");
    assert_eq!(json["many_small"]["waits"], 1);
    assert_eq!(airs.iter().filter(|air| air["zerocheck"].is_object()).count(), 25, "all but the program's have constraints");
    let holds = |air: &&Value| air["zerocheck"]["trace"]["failing_constraints"] == 0;
    assert!(airs.iter().filter(holds).count() >= 20, "traces that satisfy their AIR");
    assert_eq!([&json["keccakf"]["exact"], &json["many_wide"]["exact"]], [true, true]);
    for key in ["geomean_speedup_stock_zerocheck", "min_speedup_stock_zerocheck"] {
        assert!(json[key].as_f64().unwrap() > 0.0, "{key}");
    }
    assert_eq!(json["segment_118_both_halves"]["waits"], 1);
    let files: Vec<_> = std::fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().path()).collect();
    for extension in ["json", "svg"] {
        let file = files.iter().find(|path| path.extension().is_some_and(|found| found == extension)).unwrap();
        assert!(std::fs::read_to_string(file).unwrap().len() > 1000, "{}", file.display());
    }
    std::fs::remove_dir_all(&out).unwrap();
}

/// The synthetic AIRs, small: each is exact, and made of a few kernels that are bounded.
#[test]
fn synthetic_airs_are_exact() {
    let printed = stdout(example("report").args(["--synthetic", "--quick", "--log-height", "5"]));
    let json: Value = serde_json::from_str(&printed).unwrap();
    let airs = json["synthetic"].as_array().unwrap();
    assert_eq!(airs.len(), 6);
    assert!(airs.iter().all(|air| air["exact"] == true && (1..=12).contains(&air["generated_kernels"].as_u64().unwrap())), "{printed}");
}

/// A whole proof of Keccak-f alone, and each stage of it by both engines.
#[test]
fn keccakf_proof_is_verified_and_identical() {
    let printed = stdout(example("keccakf_proof").args(["--json", "--permutations", "8"]));
    assert_eq!(printed.lines().count(), 1, "{printed}");
    let json: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(json["cells"], 256 * 2633, "{printed}");
    assert_proofs(&json);

    let record = std::env::temp_dir().join(format!("logup-wgpu-proof-{}.json", std::process::id()));
    std::fs::write(&record, &printed).unwrap();
    stdout(example("keccakf_proof").arg("--plot").arg(&record));
    let svg = record.with_extension("svg");
    let drawn = std::fs::read_to_string(&svg).unwrap();
    for text in ["merkle_tree", "stacked reduction", "WHIR", "proof of work", "(8 permutations)"] {
        assert!(drawn.contains(text), "{text}");
    }
    for file in [record, svg] {
        std::fs::remove_file(file).unwrap();
    }
}

/// Proofs that are right and the same on each run, of traces that went to the device once, in buffers that were there.
fn assert_proofs(json: &Value) {
    for key in ["verified", "identical_to_stock", "reproducible"] {
        assert_eq!(json[key], true, "{key}: {json}");
    }
    let device = &json["wgpu"];
    assert_eq!([&device["allocations"], &device["round0_trace_upload_bytes"]], [0, 0], "{json}");
    // How often a search of a software device waits is luck.
    let [gkr_searches, searches] = ["gkr", "openings"].map(|stage| device["proof_of_work_waits"][stage].as_u64().unwrap());
    let openings = device["openings_waits"].as_u64().unwrap() - searches;
    assert!((8..=20).contains(&openings), "{json}");
    let waits: u64 = device["waits_by_stage"].as_object().unwrap().values().map(|waits| waits.as_u64().unwrap()).sum();
    assert!(device["waits"] == waits && waits - searches - gkr_searches <= 84, "{json}");
    let [peak, expected] = ["peak_device_bytes", "expected_peak_device_bytes"].map(|key| device[key].as_u64().unwrap());
    assert!(peak > 1 << 20 && peak.abs_diff(expected) <= peak / 10, "{json}");
    let bytes = |stage: &str, way: &str| device["host_bytes"][stage][way].as_u64().unwrap_or_else(|| panic!("{way} of {stage}: {json}"));
    let openings = ["prover.openings.stacked_reduction", "prover.openings.whir"];
    assert!(openings.iter().all(|stage| bytes(stage, "up") > 0 && bytes(stage, "down") > 0), "{json}");
    assert!(bytes("prover.main_trace_commit", "down") < 4096, "no codeword comes back: {json}");
    assert_stages(json);
}

/// All stages, each with a time by both engines, within the proof's; the openings' two parts within theirs.
fn assert_stages(json: &Value) {
    let stages = [
        "stark_prove_excluding_trace",
        "rs_code_matrix",
        "stacked_commit > merkle_tree",
        "prover.rap_constraints.logup_gkr",
        "prover.rap_constraints.round0",
        "prover.rap_constraints.fold_ple_evals",
        "prover.rap_constraints.mle_rounds",
        "prover.rap_constraints.column_openings",
        "openings",
        "proof_of_work",
    ];
    let of_openings = ["prover.openings.stacked_reduction", "prover.openings.whir"];
    assert_eq!(json["stages"].as_object().unwrap().len(), stages.len() + of_openings.len());
    for engine in ["stock_ms", "wgpu_ms"] {
        let ms = |stage: &str| json["stages"][stage][engine].as_f64().unwrap_or_else(|| panic!("{engine} of {stage}: {json}"));
        let (work, parts) = stages[1..].split_last().unwrap();
        assert!(parts.iter().all(|stage| ms(stage) > 0.0) && ms(work) >= 0.0, "{engine}: {json}");
        assert!(parts.iter().map(|stage| ms(stage)).sum::<f64>() < ms(stages[0]), "the parts do not overlap: {json}");
        assert!(
            of_openings.iter().map(|stage| ms(stage)).sum::<f64>() <= ms("openings") && of_openings.iter().all(|stage| ms(stage) > 0.0),
            "{json}"
        );
    }
}

/// A segment of a twentieth of a billion cells, of heights alone: with half of the memory if that is all there is, and refused before it where that is too little.
#[test]
fn segment_memory_is_known_without_traces() {
    let bytes = |budget: Option<u64>| {
        let mut run = example("segment_memory");
        run.args(["--json", "--lower", "5", "--log-stacked-height", "19"]);
        budget.map(|budget| run.args(["--memory-budget", &budget.to_string()]));
        let json: Value = serde_json::from_str(&stdout(&mut run)).unwrap();
        assert_eq!(json["airs"], 26);
        json["expected_peak_device_bytes"].as_u64().unwrap()
    };
    let without = bytes(None);
    assert!(bytes(Some(without / 2)) < without * 3 / 4);
    let refused =
        example("segment_memory").args(["--lower", "5", "--log-stacked-height", "19", "--memory-budget", "50000000"]).output().unwrap();
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("bytes of device memory"), "{refused:?}");
}

/// One changed cell of one row: constraints of that row and of the one before it, and no others.
#[test]
fn check_constraints_finds_a_changed_cell() {
    let printed = stdout(example("check_constraints").args(["--json", "--permutations", "40", "--row", "100"]));
    let json: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!([&json["rows"], &json["constraints"]], [1024, 3182]);
    let failing = json["failing"].as_array().unwrap();
    assert!(!failing.is_empty(), "{printed}");
    for one in failing {
        assert_eq!(one["air"], "KeccakfBusAir");
        assert!([99, 100].contains(&one["row"].as_u64().unwrap()) && one["constraint"].as_u64().unwrap() < 3182, "{one}");
    }
    assert!(json["ms"].as_f64().unwrap() > 0.0 && json["stock_ms"].as_f64().unwrap() > 0.0);
}

/// A proof of a real VM run whose commitment and round 0 ran here: the stock verifier takes it, and it is the stock engine's, byte for byte.
#[test]
fn openvm_keccak_is_verified_and_identical() {
    let printed = stdout(example("openvm_keccak").args(["--json", "--permutations", "2"]));
    let json: Value = serde_json::from_str(&printed).unwrap();
    assert_proofs(&json);
    assert!(json["airs"].as_u64().unwrap() >= 20 && json["cells"].as_u64().unwrap() > 1 << 20, "{printed}");
    for engine in ["stock", "wgpu"] {
        let ms = |key: &str| json[engine][key].as_f64().unwrap_or_else(|| panic!("{engine} {key}: {printed}"));
        let (round0, rap, prove) = (ms("round0_ms"), ms("rap_ms"), ms("prove_ms"));
        assert!(0.0 < round0 && round0 < rap && rap < prove, "{engine}: {printed}");
        assert!(ms("mle_rounds_ms") > 0.0, "{engine}: {printed}");
    }
    // AIRs share dispatches, and many kernels one text: Keccak-f alone runs some 450 programs on two cosets each.
    let device = &json["wgpu"];
    let of_openings: u64 = ["stacked_reduction", "whir"].iter().map(|part| device["openings"][part]["kernels"].as_u64().unwrap()).sum();
    let of_stage: u64 = ["gkr", "mle_rounds", "column_openings"].iter().map(|part| device[part]["kernels"].as_u64().unwrap()).sum();
    let others = device["kernels"].as_u64().unwrap() - of_openings - of_stage;
    assert!(others < 4 * json["airs"].as_u64().unwrap() && of_openings < 120, "{printed}");
}

/// An execution of two segments, proven with two engines: verified as one, and the proofs of one engine.
#[test]
fn openvm_segments_are_verified_as_one() {
    let args = ["--json", "--segments", "2", "--permutations", "100", "--gpus", "2", "--log-height", "19"];
    let json: Value = serde_json::from_str(&stdout(example("openvm_segments").args(args))).unwrap();
    assert_eq!([&json["segments"], &json["verified"], &json["identical"]], [&Value::from(2), &Value::from(true), &Value::from(true)]);
    let runs = json["runs"].as_array().unwrap();
    assert!(runs.iter().map(|run| run["gpus"].as_u64()).eq([Some(1), Some(2)]), "{json}");
    assert!(runs.iter().all(|run| run["segments_per_s"].as_f64().unwrap() > 0.0 && run["execution_ms"].as_f64().unwrap() > 0.0), "{json}");
}
