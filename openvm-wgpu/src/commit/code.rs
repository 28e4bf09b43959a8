//! The Reed-Solomon code of a stacked matrix: one kernel that interpolates, then passes over the codeword in place.

use logup_wgpu::{
    DeviceLimits, F, Result,
    compute::{Binding, Resource, word},
};
use p3_field::{Field, PrimeCharacteristicRing, TwoAdicField};

use super::columns::Columns;
use crate::{
    kernels::{CODE_PASS, INTERPOLATE, LOG_ROOTS, LOG_TILE, MAX_STAGES, StageJob},
    recorder::{Names, Recorder, numbered},
};

/// Bits of a column's index that one register stage transforms.
const LOG_RADIX: u32 = 4;
/// Bits of a pass that is not over consecutive words, so that 8 words that follow each other come along: what a GPU's memory reads at least.
const MAX_STRIDED: u32 = LOG_TILE - 3;

/// Codes of the same message length, block length and rate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Code {
    /// log2 of the words of a message.
    pub log_message: u32,
    /// log2 of how much longer a codeword is.
    pub log_blowup: u32,
    /// log2 of the skip domain.
    pub l_skip: u32,
}

/// Which bits of the index a pass transforms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pass {
    low_bit: u32,
    log_digit: u32,
    log_tile: u32,
}

impl Code {
    /// log2 of the words of a codeword.
    pub fn log_code(&self) -> u32 {
        self.log_message + self.log_blowup
    }

    /// The passes, from the highest bits down. All but the last are over at most [`MAX_STRIDED`] bits and at least [`LOG_RADIX`].
    fn passes(&self) -> Vec<Pass> {
        let mut last = self.log_message.min(LOG_TILE);
        let mut rest = self.log_message - last;
        if rest > 0 && rest < LOG_RADIX {
            last -= LOG_RADIX - rest;
            rest = LOG_RADIX;
        }
        let num_strided = rest.div_ceil(MAX_STRIDED);
        let mut low_bit = self.log_message;
        let strided = (0..num_strided).map(|i| {
            let log_digit = rest / num_strided + u32::from(i < rest % num_strided);
            low_bit -= log_digit;
            Pass { low_bit, log_digit, log_tile: LOG_TILE }
        });
        let mut passes: Vec<Pass> = strided.collect();
        passes.push(Pass { low_bit: 0, log_digit: last, log_tile: last });
        passes
    }

    fn job(&self, pass: Pass) -> StageJob {
        let Pass { low_bit, log_digit, log_tile } = pass;
        let (stages, num_stages) = stages(log_tile - log_digit, log_digit, low_bit);
        StageJob {
            stages,
            num_stages,
            log_tile,
            log_digit,
            low_bit,
            log_column: self.log_message,
            log_blowup: self.log_blowup,
            ..StageJob::default()
        }
    }

    /// 32 by 32 bit products of a pass, for each word that it writes.
    fn products(log_digit: u32) -> u64 {
        3 * 3 * u64::from(log_digit.div_ceil(LOG_RADIX))
    }

    /// Records the codewords of these messages: `code` is bit-reversed.
    ///
    /// # Errors
    /// As [`Recorder::dispatch`].
    pub fn record(&self, recorder: &mut Recorder, limits: &DeviceLimits, messages: &Columns, code: &Columns) -> Result<()> {
        self.record_from(recorder, limits, messages, 0, code)
    }

    /// Records the codewords of as many messages as `code` has columns, from this one on.
    ///
    /// # Errors
    /// As [`Recorder::dispatch`].
    pub fn record_from(
        &self,
        recorder: &mut Recorder,
        limits: &DeviceLimits,
        messages: &Columns,
        first: usize,
        code: &Columns,
    ) -> Result<()> {
        let roots = recorder.table(&roots(self.log_code()));
        self.record_interpolation(recorder, limits, &roots, messages, first, code)?;
        self.record_passes(recorder, limits, &roots, code)
    }

    /// Records the coefficients of all messages, to the first words of the columns of `code`.
    ///
    /// # Errors
    /// As [`Recorder::dispatch`].
    pub fn record_coefficients(&self, recorder: &mut Recorder, limits: &DeviceLimits, messages: &Columns, code: &Columns) -> Result<()> {
        let roots = recorder.table(&roots(self.log_code()));
        self.record_interpolation(recorder, limits, &roots, messages, 0, code)
    }

    fn record_interpolation(
        &self,
        recorder: &mut Recorder,
        limits: &DeviceLimits,
        roots: &Binding,
        messages: &Columns,
        first: usize,
        code: &Columns,
    ) -> Result<()> {
        let (message_names, code_names) = (kept(recorder, &MESSAGES, messages), kept(recorder, &CODES, code));
        // The block that a message is interpolated over is the tile's lowest bits.
        let log_tile = self.log_message.min(LOG_TILE);
        let (stages, num_stages) = stages(0, self.l_skip, 0);
        let block = StageJob {
            log_block: self.l_skip,
            scale: word(F::from_u32(1 << self.l_skip).inverse()),
            ..self.job(Pass { low_bit: 0, log_digit: log_tile, log_tile })
        };
        let block = StageJob { stages, num_stages, ..block };
        for to in code.runs(limits) {
            for from in messages.runs(limits) {
                let columns = from.columns.start.max(first + to.columns.start)..from.columns.end.min(first + to.columns.end);
                if columns.is_empty() {
                    continue;
                }
                let to = code.run(to.buffer, columns.start - first..columns.end - first);
                let from = messages.run(from.buffer, columns.clone());
                let num_tiles = (columns.len() as u32) << (self.log_message - log_tile);
                let job = recorder.job(&StageJob { from_base: from.first_word, to_base: to.first_word, num_tiles, ..block });
                let bindings = vec![
                    job,
                    roots.clone(),
                    Binding { resource: message_names[from.buffer], bytes: from.bytes },
                    Binding { resource: code_names[to.buffer], bytes: to.bytes },
                ];
                let products = (u64::from(num_tiles) << log_tile) * (Self::products(self.l_skip) + 3);
                recorder.dispatch(&INTERPOLATE, bindings, vec![], num_tiles.into(), products)?;
            }
        }
        Ok(())
    }

    fn record_passes(&self, recorder: &mut Recorder, limits: &DeviceLimits, roots: &Binding, code: &Columns) -> Result<()> {
        let code_names = kept(recorder, &CODES, code);
        for (i, pass) in self.passes().into_iter().enumerate() {
            let of_pass = self.job(pass);
            // The first pass makes all blocks of a column out of one, which is the last to be written.
            let num_blocks = 1 << self.log_blowup;
            let (log_block, cosets) = if i == 0 { (self.log_blowup, [1..num_blocks, 0..1]) } else { (0, [0..0, 0..1]) };
            for run in code.runs(limits) {
                let num_tiles = (run.columns.len() as u32) << (self.log_code() - log_block - pass.log_tile);
                for cosets in cosets.iter().filter(|cosets| !cosets.is_empty()) {
                    let job = recorder.job(&StageJob { log_block, to_base: run.first_word, num_tiles, coset: cosets.start, ..of_pass });
                    let bindings = vec![job, roots.clone(), Binding { resource: code_names[run.buffer], bytes: run.bytes.clone() }];
                    let workgroups = u64::from(num_tiles) * cosets.len() as u64;
                    let products = (workgroups << pass.log_tile) * Self::products(pass.log_digit);
                    recorder.dispatch(&CODE_PASS, bindings, vec![], workgroups, products)?;
                }
            }
        }
        Ok(())
    }

    /// Bytes that all passes read and write of the columns.
    pub fn bytes_moved(&self, width: usize) -> u64 {
        let message = (4 * width as u64) << self.log_message;
        let code = (4 * width as u64) << self.log_code();
        // Interpolation, the first pass, the others.
        2 * message + 2 * code + 2 * code * (self.passes().len() as u64 - 1)
    }
}

/// Powers of the root of unity of an order: `w^i` for `i < 2^11`, and `w^(2^11 i)` as far as there are any.
pub(crate) fn roots(log_order: u32) -> Vec<u32> {
    let root = F::two_adic_generator(log_order as usize);
    let powers = |of: F, log_len: u32| of.powers().take(1 << log_len).map(word).collect::<Vec<u32>>();
    let high = powers(root.exp_power_of_2(LOG_ROOTS as usize), log_order.saturating_sub(LOG_ROOTS));
    [powers(root, LOG_ROOTS), high].concat()
}

/// Stages over `log_digit` bits of a tile's address from `first_bit` on, from the highest down: (lowest address bit, log2 of the radix, the same bit in
/// the column's index). A stage of fewer bits is the last, so that 16 addresses from its lowest bit on are in the tile.
fn stages(first_bit: u32, log_digit: u32, low_bit: u32) -> ([[u32; 4]; MAX_STAGES], u32) {
    let mut stages = [[0; 4]; MAX_STAGES];
    let num_stages = log_digit.div_ceil(LOG_RADIX).max(1);
    let mut left = log_digit;
    for stage in &mut stages[..num_stages as usize] {
        let log_radix = left.min(LOG_RADIX);
        left -= log_radix;
        *stage = [first_bit + left, log_radix, low_bit + left, 0];
    }
    (stages, num_stages)
}

const MESSAGES: Names = numbered!("stacked matrix");
const CODES: Names = numbered!("codeword");

/// Has a recording keep the buffers of columns, under these names.
fn kept(recorder: &mut Recorder, names: &Names, columns: &Columns) -> Vec<Resource> {
    let named = columns.buffers.iter().zip(names).map(|((buffer, _), &name)| {
        recorder.keep(Resource(name), buffer);
        Resource(name)
    });
    named.collect()
}
