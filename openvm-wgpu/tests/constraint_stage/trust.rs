//! A device whose kernels are wrong is refused before it proves anything.

use std::sync::Arc;

use logup_wgpu::{Error, Gpu, GpuOptions, compute::Kernel, introspect::EditShader};
use openvm_stark_backend::prover::TraceCommitter;
use openvm_wgpu::{WgpuOptions, WgpuProverError, kernels};
use p3_matrix::dense::RowMajorMatrix;

use crate::{
    case::small,
    support::{random_f, rng},
};

#[test]
fn wrong_kernels_are_found_out() {
    let case = small();
    let trace = RowMajorMatrix::new(random_f(&mut rng(121), 16), 2);
    for (kernel, from, to) in [
        ("row_products", "job.first_row + lane + cell.y) &", "job.first_row + lane) &"),
        ("row_products", "return f_mul(a, operand_value(i));", "return f_add(a, operand_value(i));"),
        ("row_products", "row == job.row_mask", "row == 0u"),
        ("row_products", "return values[i & ~OPERAND_VALUE];", "return ONE;"),
        ("row_products", "i * (job.row_mask + 1u)", "0u"),
        ("fractions", "(row + kind) & mask", "(row + kind)"),
        ("fractions", "select(mask, 0u, kind == FIRST_ROW)", "0u"),
        ("fractions", "entry_start(middle) <= place", "entry_start(middle) < place"),
        ("fractions", "k < own.w; k += 1u << job.log_lanes", "k < own.w; k += 2u << job.log_lanes"),
        ("fractions", "terms[7u * k + 5u], terms", "terms[7u * k + 4u], terms"),
        ("add_fractions", "ext_mul(pair.p1, pair.q0)", "ext_mul(pair.p1, pair.q1)"),
        ("add_fractions", "2u * y + 1u < job.len", "2u * y < job.len"),
        ("fold_fractions", "2u * y + 1u < job.len", "2u * y < job.len"),
        ("fold_fractions", "(y << job.log_window) + b", "y + (b << job.log_window)"),
        ("gkr_factors", "Pair(EXT_ZERO, constants[0]", "Pair(EXT_ZERO, EXT_ZERO"),
        ("gkr_factors", "job.first_block + (y >> 4u)", "job.first_block + (y >> 5u)"),
        ("gkr_factors", "constants[1], pair.q0", "constants[1], pair.q1"),
        ("fold_cells", "entry_start(middle) <= place", "entry_start(middle) < place"),
        ("fold_cells", "lagrange[z + 3u], cells", "lagrange[z + 2u], cells"),
        ("fold_cells", "(row + column.z)", "(row)"),
        ("fold_forms", "folded[term.x + x], term.y", "folded[term.x + x], ONE"),
        ("fold_forms", "return forms[2u * i].x;", "return forms[0].x;"),
        ("fold_forms", "var sum = forms[2u * own + 1u];", "var sum = EXT_ZERO;"),
        ("fold_sums", "coefficients(7u, at)", "coefficients(6u, at)"),
        ("fold_sums", "f_mul(a.w, ELEVEN)", "a.w"),
        ("fold_pairs", "let high = a[2u * i + 1u]", "let high = a[2u * i]"),
        ("mle_round", "return ext_mul(a, operand_value(i));", "return ext_add(a, operand_value(i));"),
        ("mle_round", "return ext_scale(a, base_value(i));", "return a;"),
        ("mle_round", "eq[0], y == 0u", "eq[1], y == 0u"),
        ("mle_round", "y + 1u == num_y", "y == num_y"),
        ("mle_round", "case OP_ADD: { result = value_add(a,", "case OP_ADD: { result = value_sub(a,"),
        ("mle_round", "entry_start(middle) <= place", "entry_start(middle) < place"),
        ("mle_round", "sum = ext_add(sum, lanes[lane]);", "sum = lanes[lane];"),
        ("mle_round", "places.z != NONE", "false"),
        ("mle_round", "first_weight + i", "first_weight"),
        ("sum_segments", "sum = ext_add(sum, lanes[lane]);", "sum = lanes[lane];"),
        ("column_values", "sums[at + z + 1u]", "sums[at + z]"),
        ("column_values", "tasks[own.x +", "tasks[0u * own.x +"),
        ("copy_words", "job.first + i", "job.first"),
    ] {
        let edit = move |edited: &'static Kernel, source: String| if edited.name == kernel { source.replace(from, to) } else { source };
        let known = kernels::ALL.iter().find(|known| known.name == kernel).unwrap();
        assert!(known.variants().next().unwrap().source().contains(from), "{kernel} has no {from}");
        let options = GpuOptions { edit_shader: Some(EditShader(Arc::new(edit))), ..GpuOptions::default() };
        match case.device(&Gpu::new(options).unwrap(), WgpuOptions::default()).commit(&[&trace]) {
            Err(
                WgpuProverError::Gkr(Error::WrongAnswer { .. })
                | WgpuProverError::MleRounds(Error::WrongAnswer { .. })
                | WgpuProverError::Openings(Error::WrongAnswer { .. })
                | WgpuProverError::Commit(Error::WrongAnswer { .. }),
            ) => {}
            Err(error) => panic!("{kernel}, {from}: {error}"),
            Ok(_) => panic!("{kernel}, {from}: not noticed"),
        }
    }
}
