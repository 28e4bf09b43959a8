//! Transcripts of the constraint stage that the stock CPU device left, value by value: `recorded/`. `LOGUP_WGPU_RECORD=1` writes them anew, from the stock device.

use std::{env, fs, path::PathBuf};

use logup_wgpu::F;
use openvm_stark_backend::test_utils::test_system_params_small;
use openvm_wgpu::WgpuOptions;
use p3_field::PrimeField32;

use crate::{
    case::{Case, all_kinds},
    support::{gpu, root},
};

#[test]
fn transcripts_are_those_recorded() {
    for (name, l_skip, n_stack, log_heights) in
        [("tall_and_short", 3, 6, vec![8, 1]), ("no_skip_domain", 0, 7, vec![7, 5, 0]), ("one_cube", 4, 4, vec![4, 4])]
    {
        let case = Case::known(test_system_params_small(l_skip, n_stack, 2), log_heights.into_iter().map(all_kinds).collect());
        let path: PathBuf = root().join("openvm-wgpu/tests/constraint_stage/recorded").join(name).with_extension("txt");
        if env::var("LOGUP_WGPU_RECORD").is_ok_and(|value| value == "1") {
            let (_, log) = case.expected();
            let lines: Vec<String> = log.chunks(8).map(|values| values.iter().map(F::to_string).collect::<Vec<_>>().join(" ")).collect();
            fs::write(&path, lines.join("\n") + "\n").unwrap();
        }
        let recorded = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let recorded: Vec<u32> = recorded.split_whitespace().map(|value| value.parse().unwrap()).collect();
        for form in logup_wgpu::FieldForm::ALL {
            let device = case.device(gpu(form), WgpuOptions { max_host_len: Some(0), ..WgpuOptions::default() });
            let (_, log) = case.prove(&device).unwrap();
            let differs = log.iter().zip(&recorded).position(|(ours, &theirs)| ours.as_canonical_u32() != theirs);
            assert_eq!((log.len(), differs), (recorded.len(), None), "{name}, {form:?}: place in the transcript that differs");
        }
    }
}
