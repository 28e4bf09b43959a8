//! The examples, run as a user runs them.

#[path = "support/example.rs"]
mod run;

use run::{example, stdout};
use serde_json::Value;

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
