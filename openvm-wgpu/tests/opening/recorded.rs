//! Transcripts that the stock CPU device left, value by value: `recorded/`. `LOGUP_WGPU_RECORD=1` writes them anew, from the stock device.

use std::{env, fs, path::PathBuf};

use logup_wgpu::F;
use openvm_cpu_backend::CpuDevice;
use openvm_stark_backend::SystemParams;
use openvm_wgpu::WgpuOptions;
use p3_field::PrimeField32;

use crate::{
    case::{Case, SC, Shape, params},
    support::{gpu, root},
};

/// Without proofs of work, whose luck a recording would be of.
fn without_work(mut params: SystemParams) -> SystemParams {
    (params.whir.mu_pow_bits, params.whir.folding_pow_bits, params.whir.query_phase_pow_bits) = (0, 0, 0);
    params
}

#[test]
fn transcripts_are_those_recorded() {
    let plain = Shape::plain;
    let cases = [
        ("one_trace", params(4, 6, 1, 4, &[9, 4]), vec![plain(10, 5, true)]),
        (
            "several_commitments",
            params(3, 7, 2, 3, &[5, 5, 2]),
            vec![Shape { preprocessed: Some(2), cached: vec![1, 3], ..plain(9, 4, true) }, plain(5, 7, false)],
        ),
        ("short_traces", params(5, 4, 1, 5, &[6]), vec![plain(8, 2, true), plain(4, 3, true), plain(1, 9, true), plain(0, 2, false)]),
    ];
    for (name, params, shapes) in cases {
        let case = Case::known(without_work(params), shapes);
        let path: PathBuf = root().join("openvm-wgpu/tests/opening/recorded").join(name).with_extension("txt");
        if env::var("LOGUP_WGPU_RECORD").is_ok_and(|value| value == "1") {
            let log = case.log(&CpuDevice::new(SC::default_from_params(case.params.clone())));
            let lines: Vec<String> = log.chunks(8).map(|values| values.iter().map(F::to_string).collect::<Vec<_>>().join(" ")).collect();
            fs::write(&path, lines.join("\n") + "\n").unwrap();
        }
        let recorded = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let recorded: Vec<u32> = recorded.split_whitespace().map(|value| value.parse().unwrap()).collect();
        for form in logup_wgpu::FieldForm::ALL {
            let log = case.log(&case.device(gpu(form), WgpuOptions { max_host_len: Some(0), ..WgpuOptions::default() }));
            let differs = log.iter().zip(&recorded).position(|(ours, &theirs)| ours.as_canonical_u32() != theirs);
            assert_eq!((log.len(), differs), (recorded.len(), None), "{name}, {form:?}: place in the transcript that differs");
        }
    }
}
