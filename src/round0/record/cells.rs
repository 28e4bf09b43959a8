//! Where the cells that a program reads lie in its launch's windows.

use super::group::{Group, Job, Launches, flat_word, too_many_windows};
use crate::{
    error::Result,
    matrix::Placement,
    plan::{leaves::Term, program::Program, windows::WindowRun},
};

/// A program's cells, placed in a launch.
pub(super) struct Cells<'a> {
    traces: &'a [Placement<usize>],
    /// For each piece of each part, the flat word at which the matrix's cell (0, 0) would be; of pieces that the program does not read, nothing
    /// that means anything.
    bases: Vec<Vec<u32>>,
}

impl<'a> Cells<'a> {
    /// Places the windows that hold them in the group, or in a new one with the same head.
    ///
    /// # Errors
    /// [`Error::DeviceLimit`](crate::Error::DeviceLimit), in the AIR's name, if they fit no launch.
    pub fn place<J: Job>(
        launches: &mut Launches<'_>,
        group: &mut Group<J>,
        air: &str,
        traces: &'a [Placement<usize>],
        program: &Program,
    ) -> Result<Self> {
        let limits = launches.limits;
        // The columns of each piece between the first and the last that is read.
        let mut read: Vec<Vec<Option<(usize, usize)>>> = traces.iter().map(|trace| vec![None; trace.pieces.len()]).collect();
        for term in program.cells() {
            let piece = &mut read[term.part_idx][traces[term.part_idx].piece_of(term.column.index)];
            let (min, max) = piece.unwrap_or((usize::MAX, 0));
            *piece = Some((min.min(term.column.index), max.max(term.column.index)));
        }
        let mut runs = Vec::new();
        for (trace, read) in traces.iter().zip(&read) {
            for (piece_idx, (piece, read)) in trace.pieces.iter().zip(read).enumerate() {
                let &Some((min, max)) = read else { continue };
                let words = trace.words(piece_idx, min..max + 1, 0..trace.height as u64);
                runs.push(WindowRun::of_words(piece.buffer, words.start, words.end, limits.log_window()));
            }
        }
        let first_slots = launches.place(group, &runs)?;
        let first_slots = first_slots.ok_or_else(|| too_many_windows(air, group.head.kernel, "trace windows", &runs, limits))?;
        let mut places = runs.iter().zip(first_slots);
        let bases = traces.iter().zip(&read).map(|(trace, read)| {
            let base = |(piece_idx, read): (usize, &Option<_>)| {
                let Some((run, slot)) = read.and_then(|_| places.next()) else { return 0 };
                flat_word(trace.origin(piece_idx), slot, run.first, limits)
            };
            read.iter().enumerate().map(base).collect()
        });
        Ok(Self { bases: bases.collect(), traces })
    }

    /// A cell as kernels read it: the flat word of its column's row 0, the words per row, and 1 for the next row.
    pub fn descriptor(&self, term: &Term) -> [u32; 3] {
        let trace = &self.traces[term.part_idx];
        let base = self.bases[term.part_idx][trace.piece_of(term.column.index)];
        let (row_stride, col_stride) = trace.strides();
        [base.wrapping_add((term.column.index as u32).wrapping_mul(col_stride)), row_stride, u32::from(term.column.next)]
    }
}
