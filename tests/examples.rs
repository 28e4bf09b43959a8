//! The examples, run as a user runs them.
#![cfg(feature = "openvm")]

use std::{path::PathBuf, process::Command};

use serde_json::Value;

/// cargo builds the examples beside the tests.
fn example(name: &str) -> Command {
    let test = std::env::current_exe().unwrap();
    let path: PathBuf = test.parent().unwrap().parent().unwrap().join("examples").join(name);
    assert!(path.exists(), "{} is not built; run `make test`", path.display());
    Command::new(path)
}

fn stdout(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Prints what its header says, but for the adapter's line.
#[test]
fn hello_round0_prints_its_header() {
    let printed = stdout(&mut example("hello_round0"));
    let mut lines = printed.lines();
    assert!(lines.next().unwrap().starts_with("adapter: "));
    let source = include_str!("../examples/hello_round0.rs");
    let code = source.lines().filter(|line| !line.starts_with("//!")).count();
    assert!(code < 80, "{code} lines");
    let expected: Vec<&str> = source
        .lines()
        .filter_map(|line| line.strip_prefix("//! "))
        .skip_while(|line| !line.starts_with("adapter: "))
        .skip(1)
        .take_while(|line| *line != "```")
        .collect();
    assert_eq!(lines.collect::<Vec<_>>(), expected);
}

/// The trace that does not fit a 128 MiB storage binding, in the three ways.
#[test]
fn keccakf_shows_the_history_of_the_kernel() {
    let printed = stdout(example("keccakf").args(["--json", "--calls", "2"]));
    let json: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(json["exact"], true);
    assert!(json["adapter"].as_str().is_some_and(|adapter| !adapter.is_empty()));
    let counts = |way: &str| ["waits", "kernels", "reduction_kernels", "allocations"].map(|key| json[way][key].as_u64().unwrap());
    assert_eq!(counts("direct_per_coset"), [3, 9, 6, 3]);
    assert_eq!(counts("direct_batched"), [1, 4, 1, 0]);
    assert_eq!(counts("split_batched"), [1, 2, 1, 0]);
    let ms = |way: &str, key: &str| json[way][key].as_f64().unwrap();
    for way in ["direct_per_coset", "direct_batched", "split_batched"] {
        assert!(json[way]["scratch_bytes"].as_u64().unwrap() > 0);
        assert!(0.0 < ms(way, "cpu_ms") && ms(way, "cpu_ms") <= ms(way, "wall_ms"), "{way}: {printed}");
    }
    let stock = json["stock_cpu_ms"].as_f64().unwrap();
    assert!(stock >= 10.0 * ms("split_batched", "wall_ms"), "the stock prover takes {stock} ms: {printed}");
}

#[test]
fn keccakf_prints_a_table() {
    let printed = stdout(example("keccakf").args(["--permutations", "3", "--calls", "1"]));
    for part in ["adapter: ", "waits", "allocations", "direct_per_coset", "split_batched", "stock prover's: true"] {
        assert!(printed.contains(part), "{part:?} in\n{printed}");
    }
    let output = example("keccakf").arg("--no-such-flag").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

/// The whole comparison, small: the stock prover judges every AIR and the 300 small ones on the way, the three ways each other on the segment.
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
        for key in ["log_height", "gpu_ms", "stock_cpu_ms", "speedup_stock", "fraction_of_read"] {
            assert!(air[key].as_f64().is_some_and(|value| value > 0.0), "{key} of {air}");
        }
    }
    let segment = &json["segment_118"];
    assert_eq!([&segment["waits"], &segment["allocations"]], [1, 0]);
    assert!(segment["kernels"].as_u64().unwrap() < 26, "AIRs share dispatches: {segment}");
    assert_eq!(json["many_small"]["waits"], 1);
    let files: Vec<_> = std::fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().path()).collect();
    for extension in ["json", "svg"] {
        let file = files.iter().find(|path| path.extension().is_some_and(|found| found == extension)).unwrap();
        assert!(std::fs::read_to_string(file).unwrap().len() > 1000, "{}", file.display());
    }
    std::fs::remove_dir_all(&out).unwrap();
}

/// A proof of a real VM run whose round 0 ran here: the stock verifier takes it, and it is the stock engine's, byte for byte.
#[test]
fn openvm_keccak_is_verified_and_identical() {
    let printed = stdout(example("openvm_keccak").args(["--json", "--permutations", "2"]));
    let json: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!([&json["verified"], &json["identical_to_stock"]], [true, true], "{printed}");
    assert!(json["airs"].as_u64().unwrap() >= 20 && json["cells"].as_u64().unwrap() > 1 << 20, "{printed}");
    for engine in ["stock", "wgpu"] {
        let ms = |key: &str| json[engine][key].as_f64().unwrap_or_else(|| panic!("{engine} {key}: {printed}"));
        let (logup, round0, rap, prove) = (ms("logup_round0_ms"), ms("round0_ms"), ms("rap_ms"), ms("prove_ms"));
        assert!(0.0 <= logup && logup < round0 && round0 < rap && rap < prove, "{engine}: {printed}"); // the stock one is a difference of times
        assert!(ms("mle_rounds_ms") > 0.0, "{engine}: {printed}");
    }
    assert_eq!([&json["wgpu"]["waits"], &json["wgpu"]["allocations"]], [1, 0], "{printed}");
    assert!(json["wgpu"]["kernels"].as_u64().unwrap() < json["airs"].as_u64().unwrap(), "AIRs share dispatches: {printed}");
}
