//! What of a recording changes from call to call where plans, heights and the places of traces do not.

use std::ops::Range;

use super::layout::{EQ, INPUTS};
use crate::{
    field::{self, EF},
    recording::Recording,
    round0::prepared::{InputWords, Prepared, eq_evals},
};

/// Where a recording has what a call's challenges and public values make.
#[derive(Debug)]
pub(in crate::round0) struct Changing {
    /// Words of the input buffer from here on.
    pub inputs: Vec<(usize, InputWords)>,
    /// Words of the input buffer that are the nonce.
    pub nonces: Vec<usize>,
    /// As [`EqTables::sources`](super::EqTables::sources).
    pub eq: Option<Vec<Range<usize>>>,
}

impl Changing {
    /// Whether another call's can be written in place.
    pub fn can_change(&self) -> bool {
        self.eq.is_some()
    }

    /// Writes those of a call, whose challenges are `xi`.
    pub fn write(&self, recording: &mut Recording, instances: &[Prepared<'_>], xi: &[EF], nonce: u32) {
        for buffer in &mut recording.buffers {
            if buffer.resource == INPUTS {
                for (at, input) in &self.inputs {
                    let words = input.get(instances);
                    buffer.content[*at..at + words.len()].copy_from_slice(words);
                }
                self.nonces.iter().for_each(|&at| buffer.content[at] = nonce);
            } else if buffer.resource == EQ {
                buffer.content.clear();
                for of in self.eq.iter().flatten() {
                    eq_evals(&xi[of.clone()]).into_iter().for_each(|eval| buffer.content.extend_from_slice(&field::ext_words(eval)));
                }
            }
        }
        recording.nonce = nonce;
    }
}
