//! Tables that all launches of a step share: single words, and the scratch that partial sums and temporaries lie in.

use crate::{
    error::{Error, Result},
    field::EXT_WORDS,
    limits::DeviceLimits,
    plan::program::Program,
    round0::prepared::{InputWords, Prepared},
};

/// The table of single words and EF elements.
#[derive(Debug)]
pub(super) struct Words {
    words: Vec<u32>,
    /// What the call's challenges and public values make, and where it begins.
    inputs: Vec<(usize, InputWords)>,
}

impl Words {
    pub fn with_capacity(num_words: usize) -> Self {
        Self { words: Vec::with_capacity(num_words), inputs: vec![] }
    }

    /// Where the next word will be.
    pub fn next(&self) -> u32 {
        self.words.len() as u32
    }

    pub fn extend(&mut self, words: impl IntoIterator<Item = u32>) {
        self.words.extend(words);
    }

    pub fn extend_from(&mut self, words: &[u32]) {
        self.words.extend_from_slice(words);
    }

    /// EF elements start at multiples of four words.
    pub fn align(&mut self) {
        self.words.resize(self.words.len().next_multiple_of(EXT_WORDS), 0);
    }

    /// Adds what the call's challenges and public values make, whole EF elements or as good as such; where the first word is.
    pub fn input(&mut self, instances: &[Prepared<'_>], input: InputWords) -> u32 {
        self.align();
        let base = self.next();
        self.words.extend_from_slice(input.get(instances));
        self.inputs.push((base as usize, input));
        base
    }

    /// Adds a program for an interpreter, each segment with its header; where it is, a multiple of four words.
    pub fn program(&mut self, program: &Program) -> u32 {
        self.align();
        let base = self.next();
        self.extend(program.encoded().flatten());
        base
    }

    /// The table, with whole elements and at least one, and what of it changes from call to call.
    pub fn finish(mut self) -> (Vec<u32>, Vec<(usize, InputWords)>) {
        self.align();
        self.words.resize(self.words.len().max(EXT_WORDS), 0);
        (self.words, self.inputs)
    }
}

/// Scratch that is given out: partial sums of everything, then temporaries, which each launch of a coset pass uses again.
#[derive(Debug)]
pub(super) struct Scratch {
    limit: u64,
    /// In EF elements.
    partials: u64,
    temp_words: u64,
}

impl Scratch {
    pub fn new(limits: &DeviceLimits) -> Self {
        Self { limit: limits.binding_bytes.min(limits.buffer_bytes), partials: 0, temp_words: 0 }
    }

    /// Makes room for partial sums of an AIR: their first EF element. Bindings are below 4 GiB, so the words have 32-bit indices.
    ///
    /// # Errors
    /// [`Error::DeviceLimit`].
    pub fn partials(&mut self, air: &str, elements: u64) -> Result<u32> {
        let base = self.partials;
        self.partials += elements;
        self.check(|| air.to_owned(), 16 * self.partials)?;
        Ok(base as u32)
    }

    /// Makes room for the temporaries of one launch.
    ///
    /// # Errors
    /// [`Error::DeviceLimit`].
    pub fn temporaries(&mut self, air: &str, words: u64) -> Result<()> {
        self.temp_words = self.temp_words.max(words);
        self.check(|| air.to_owned(), 4 * self.temp_words)
    }

    /// Whether a launch can have so many words of temporaries beside the partial sums so far.
    pub fn has_room_for(&self, temp_words: u64) -> bool {
        4 * temp_words + 16 * self.partials <= self.limit
    }

    /// Elements of partial sums.
    pub fn num_partials(&self) -> u64 {
        self.partials
    }

    /// The word at which temporaries start, and the bytes of all.
    ///
    /// # Errors
    /// [`Error::DeviceLimit`], in the name of the largest AIR.
    pub fn finish(self, largest: impl FnOnce() -> String) -> Result<(u64, u64)> {
        let temps_base = EXT_WORDS as u64 * self.partials;
        let bytes = 4 * (temps_base + self.temp_words);
        self.check(largest, bytes)?;
        Ok((temps_base, bytes))
    }

    fn check(&self, air: impl FnOnce() -> String, requested: u64) -> Result<()> {
        if requested <= self.limit {
            return Ok(());
        }
        let what = "bytes of partial sums and temporaries";
        Err(Error::DeviceLimit { subject: air().into(), kernel: "scratch", what, requested, limit: self.limit })
    }
}
