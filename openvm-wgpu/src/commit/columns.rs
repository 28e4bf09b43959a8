//! Columns of one power-of-two height on the device, whole in whatever buffer has them.

use std::{ops::Range, sync::Arc};

use logup_wgpu::{
    DeviceLimits, Error, Gpu, Result, Subject,
    compute::{Buffer, BufferPool, TraceWindow},
};

use crate::{recorder::MAX_BUFFERS, windows::Windows};

/// `[width][2^log_rows]` words, in one buffer or several.
#[derive(Clone, Debug)]
pub(crate) struct Columns {
    pub log_rows: u32,
    pub width: usize,
    /// Buffers, and the columns that each has, one behind the other from its start.
    pub buffers: Vec<(Arc<Buffer>, Range<usize>)>,
}

/// Columns of a dispatch at most: a thread loops over them, and over the permutation's rounds for each eight. A software device leaves loops that run for
/// long, with wrong results (`docs/design.md`, section 4): 2^12 columns are 11,000 of the 2^15 iterations that it is given.
const MAX_COLUMNS: usize = 1 << 12;

/// Some columns that a dispatch can bind, with the word at which each starts in the dispatch's windows.
#[derive(Debug)]
pub(crate) struct Bound {
    pub columns: Range<usize>,
    pub windows: Vec<TraceWindow>,
    pub first_words: Vec<u32>,
}

/// Columns that follow each other in one binding.
#[derive(Debug)]
pub(crate) struct Run {
    pub buffer: usize,
    /// Where they begin, a multiple of 256 bytes, and where the first of them is behind that, in words.
    pub bytes: Range<u64>,
    pub first_word: u32,
    pub columns: Range<usize>,
}

impl Columns {
    /// Columns out of a pool.
    ///
    /// # Errors
    /// [`Error::DeviceLimit`] for a column that no binding holds; as [`BufferPool::take`].
    pub fn new(gpu: &Gpu, pool: &BufferPool, label: &'static str, width: usize, log_rows: u32) -> Result<Self> {
        let limits = gpu.limits();
        let column_bytes = 4u64 << log_rows;
        let limit = limits.binding_bytes.min(4 << limits.log_window());
        if column_bytes > limit {
            let (subject, what) = (Subject::Call, "bytes of a column");
            return Err(Error::DeviceLimit { subject, kernel: label, what, requested: column_bytes, limit });
        }
        let per_buffer = (limits.buffer_bytes / column_bytes).max(1) as usize;
        let ranges = (0..width).step_by(per_buffer).map(|begin| begin..width.min(begin + per_buffer));
        let needed = width.div_ceil(per_buffer) as u64;
        if needed > MAX_BUFFERS as u64 {
            let (subject, what) = (Subject::Call, "buffers of columns");
            return Err(Error::DeviceLimit { subject, kernel: label, what, requested: needed, limit: MAX_BUFFERS as u64 });
        }
        let buffers = ranges.map(|columns| Ok((pool.take(label, columns.len() as u64 * column_bytes)?, columns)));
        Ok(Self { log_rows, width, buffers: buffers.collect::<Result<_>>()? })
    }

    /// The buffers, in order, as a recording's trace buffers.
    pub fn buffers(&self) -> Vec<Arc<Buffer>> {
        self.buffers.iter().map(|(buffer, _)| Arc::clone(buffer)).collect()
    }

    /// Where a column is: its buffer, and its first word there.
    pub fn place(&self, column: usize) -> (usize, u64) {
        let i = self.buffers.iter().position(|(_, columns)| columns.contains(&column)).expect("one of the columns");
        (i, ((column - self.buffers[i].1.start) as u64) << self.log_rows)
    }

    /// The columns in as few bindings as hold them.
    pub fn runs(&self, limits: &DeviceLimits) -> Vec<Run> {
        // A binding starts at a multiple of 256 bytes, at most 63 words before its first column.
        let per_run = ((limits.binding_bytes / 4) >> self.log_rows).saturating_sub(u64::from(self.log_rows < 6) * 64).max(1) as usize;
        let runs = self.buffers.iter().enumerate().flat_map(|(buffer, (_, all))| {
            all.clone().step_by(per_run).map(move |begin| self.run(buffer, begin..all.end.min(begin + per_run)))
        });
        runs.collect()
    }

    /// Some columns of a buffer, in one binding.
    pub fn run(&self, buffer: usize, columns: Range<usize>) -> Run {
        let first = self.buffers[buffer].1.start;
        let word = |column: usize| ((column - first) as u64) << self.log_rows;
        let begin = word(columns.start) / 64 * 64;
        Run { buffer, bytes: 4 * begin..4 * word(columns.end), first_word: (word(columns.start) - begin) as u32, columns }
    }

    /// All columns, dealt out to dispatches of as many columns as their windows hold and a thread may go through, a multiple of `multiple` each but for the last.
    ///
    /// # Errors
    /// [`Error::DeviceLimit`] where fewer than `multiple` columns fit.
    pub fn bound(&self, limits: &DeviceLimits, multiple: usize) -> Result<Vec<Bound>> {
        let mut all = vec![];
        let buffers = self.buffers();
        let mut begin = 0;
        while begin < self.width {
            let bind = |columns: Range<usize>| {
                let mut windows = Windows::new(limits);
                let first_words = columns.map_while(|column| {
                    let (buffer, word) = self.place(column);
                    windows.word(buffer, word)
                });
                (first_words.collect::<Vec<u32>>(), windows)
            };
            let (mut first_words, mut windows) = bind(begin..self.width.min(begin + MAX_COLUMNS));
            if begin + first_words.len() < self.width {
                (first_words, windows) = bind(begin..begin + first_words.len() / multiple * multiple);
            }
            if first_words.is_empty() {
                let (subject, what) = (Subject::Call, "columns in one dispatch");
                return Err(Error::DeviceLimit { subject, kernel: "row_hash", what, requested: multiple as u64, limit: 0 });
            }
            let columns = begin..begin + first_words.len();
            begin = columns.end;
            all.push(Bound { columns, windows: windows.bound(&buffers), first_words });
        }
        Ok(all)
    }
}

impl Bound {
    /// The windows, in a recording whose trace buffers are the columns' from this one on.
    pub fn windows_from(&self, first_buffer: usize) -> Vec<TraceWindow> {
        self.windows.iter().map(|window| TraceWindow { buffer: first_buffer + window.buffer, ..window.clone() }).collect()
    }

    /// The columns' first words, with as many more as make a multiple of eight.
    pub fn table(&self) -> Vec<u32> {
        let mut words = self.first_words.clone();
        words.resize(words.len().next_multiple_of(8), 0);
        words
    }
}
