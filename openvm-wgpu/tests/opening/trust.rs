//! A device whose kernels are wrong is refused before it opens anything.

use std::sync::Arc;

use logup_wgpu::{Error, Gpu, GpuOptions, compute::Kernel, introspect::EditShader};
use openvm_wgpu::{WgpuOptions, WgpuProverError, kernels};

use crate::{
    case::{Case, Shape, params},
    support::rng,
};

#[test]
fn wrong_kernels_are_found_out() {
    let case = Case::new(&mut rng(91), params(3, 5, 1, 2, &[3, 3]), vec![Shape::plain(8, 3, true), Shape::plain(1, 2, true)]);
    for (kernel, from, to) in [
        ("tensor", "(j >> job.log_low)", "(i & 1u)"),
        ("batch_columns", "job.is_first == 0u", "false"),
        ("batch_columns", "weights[column + 2u]", "weights[column + 1u]"),
        ("ip_table", "if form == MOMENTS", "if form == COEFFICIENTS"),
        ("ip_table", "block < BLOCKS; block++", "block < BLOCKS - 1u; block++"),
        ("ip_table", "let key_3 = (thread % KEYS) / 3u;", "let key_3 = (thread % KEYS) % 3u;"),
        ("ip_fold", "weights[4u * i + 2u]", "weights[4u * i + 1u]"),
        ("ip_fold", "let upper = job.log_window == 1u &&", "let upper = job.log_window == 9u &&"),
        ("sum_rows", "sum = ext_add(sum, lanes[lane]);", "sum = lanes[lane];"),
        ("evaluate", "sum = ext_add(sum, lanes[lane]);", "sum = lanes[lane];"),
        ("moments", "q += 4u", "q += 8u"),
        ("moments", "& vec4<u32>(mask)", "& vec4<u32>(mask >> 1u)"),
        ("opening_sums", "((point - 1u) & (task.y - 1u))", "point"),
        ("opening_sums", "i < step", "i < step - 1u"),
        ("weigh_sums", "f_sub4(shifted, plain)", "shifted"),
        ("fold_columns", "z += 4u", "z += 8u"),
        ("stack_weights", "x < size", "x + 1u < size"),
        ("stack_weights", "entry_start(middle) <= place", "entry_start(middle) < place"),
        ("gather_digests", "nodes[i / DIGEST_WORDS]", "nodes[0]"),
    ] {
        let edit = move |edited: &'static Kernel, source: String| if edited.name == kernel { source.replace(from, to) } else { source };
        let known = kernels::ALL.iter().find(|known| known.name == kernel).unwrap();
        assert!(known.variants().next().unwrap().source().contains(from), "{kernel} has no {from}");
        let options = GpuOptions { edit_shader: Some(EditShader(Arc::new(edit))), ..GpuOptions::default() };
        match case.opened(&case.device(&Gpu::new(options).unwrap(), WgpuOptions::default())) {
            // GKR has some of them, too, and is asked first.
            Err(WgpuProverError::Openings(Error::WrongAnswer { .. }) | WgpuProverError::Gkr(Error::WrongAnswer { .. })) => {}
            Err(error) => panic!("{kernel}, {from}: {error}"),
            Ok(_) => panic!("{kernel}, {from}: not noticed"),
        }
    }
}
