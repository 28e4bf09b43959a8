//! The field kernels on their own, for law tests and benches.

use super::{Gpu, once::Input, readback};
use crate::{
    error::{Error, Result, Subject},
    field::{self, EF},
    kernels::{FIELD_OPS, FieldOpsParams},
    plan::steps,
};

/// An operation of `wgsl/shared/`. `F` operands are component 0 of an `EF` element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum FieldOp {
    /// `f_add`
    Add = 0,
    /// `f_sub`
    Sub = 1,
    /// `f_mul`
    Mul = 2,
    /// `f_dot4` of the coefficients
    Dot4 = 3,
    /// `ext_add`
    ExtAdd = 4,
    /// `ext_scale` by component 0
    ExtScale = 5,
    /// `ext_mul`
    ExtMul = 6,
    /// `3 a (b_0 + b_1 + b_2 + b_3)` through the running sum of `column_sums_scalar`
    ExtAcc = 7,
    /// Twice `Dot4`, as the `f_dot8_centred` of `column_sums`
    Dot8Centred = 8,
    /// Twice `Dot4`, as the `f_dot8` of `coset_pass`: with differences from 0 and sums with 0, as far from 0 as signed words go
    Dot8 = 9,
}

/// Runs field operations elementwise on the device.
#[derive(Debug)]
pub struct FieldOps {
    gpu: Gpu,
}

impl FieldOps {
    /// For one device.
    pub fn new(gpu: &Gpu) -> Self {
        Self { gpu: gpu.clone() }
    }

    /// `out[i] = op(.. op(op(a[i], b[i]), b[i]) .., b[i])`, `rounds` times.
    ///
    /// # Errors
    /// [`Error::Length`] if `a` and `b` differ in length; [`Error::DeviceLimit`] for more elements than a binding or a grid holds, or more
    /// rounds than a thread's loops may make; and as [`Gpu::run_once`].
    pub fn apply(&self, op: FieldOp, rounds: u32, a: &[EF], b: &[EF]) -> Result<Vec<EF>> {
        if a.len() != b.len() {
            return Err(Error::Length { subject: Subject::Kernel(FIELD_OPS.name), what: "b", got: b.len(), expected: a.len() });
        }
        if a.is_empty() {
            return Ok(vec![]);
        }
        let limits = self.gpu.limits();
        let bytes = 16 * a.len() as u64;
        let num_workgroups = (a.len() as u64).div_ceil(FIELD_OPS.workgroup_size.into());
        for (what, requested, limit) in [
            ("bytes of operands", bytes, limits.binding_bytes.min(limits.buffer_bytes)),
            ("workgroups", num_workgroups, limits.workgroups_per_dimension.into()),
        ] {
            if requested > limit {
                return Err(Error::DeviceLimit {
                    subject: Subject::Kernel(FIELD_OPS.name),
                    kernel: FIELD_OPS.name,
                    what,
                    requested,
                    limit,
                });
            }
        }
        steps::check(Subject::Kernel(FIELD_OPS.name), FIELD_OPS.name, u64::from(rounds) * steps::FIELD_OPS_ROUND)?;
        self.run(op, rounds, a, b, num_workgroups as u32)
    }

    /// [`apply`](Self::apply) without its checks.
    pub(crate) fn run(&self, op: FieldOp, rounds: u32, a: &[EF], b: &[EF], num_workgroups: u32) -> Result<Vec<EF>> {
        let params = [FieldOpsParams { op: op as u32, rounds }];
        let [a_words, b_words] =
            [a, b].map(|elements| elements.iter().flat_map(|&element| field::ext_words(element)).collect::<Vec<u32>>());
        let inputs = [bytemuck::cast_slice(&params), &a_words, &b_words].map(Input::Words);
        let once = self.gpu.run_once(&FIELD_OPS, &inputs, 16 * a.len() as u64, num_workgroups, 1)?;
        let no_element = || readback::lost(&self.gpu, "a result is no field element".into());
        let elements = once.words.chunks_exact(field::EXT_WORDS);
        elements.map(|words| field::ext_from_words(words).ok_or_else(no_element)).collect()
    }
}
