//! Where the cells that a program reads lie in its launch's windows.

use std::collections::HashMap;

use super::group::{Group, Job, Launches, flat_word, too_many_windows};
use crate::{
    error::Result,
    limits::DeviceLimits,
    matrix::Placement,
    plan::{forms::Term, program::Program, windows::WindowRun},
};

/// The windows that hold a program's cells, placed in a launch.
pub(super) struct Cells<'a> {
    limits: &'a DeviceLimits,
    traces: &'a [Placement<usize>],
    /// For each piece of each part that the program reads, its place in `runs`.
    run_of: HashMap<(usize, usize), usize>,
    runs: Vec<WindowRun>,
    first_slots: Vec<u32>,
}

impl<'a> Cells<'a> {
    /// Places them in the group, or in a new one with the same head.
    ///
    /// # Errors
    /// [`Error::DeviceLimit`](crate::Error::DeviceLimit), in the AIR's name, if they fit no launch.
    pub fn place<'b: 'a, J: Job>(
        launches: &mut Launches<'b>,
        group: &mut Group<J>,
        air: &str,
        traces: &'a [Placement<usize>],
        program: &Program,
    ) -> Result<Self> {
        let limits = launches.limits;
        let mut run_of = HashMap::new();
        let mut runs = Vec::new();
        for (part_idx, trace) in traces.iter().enumerate() {
            for (piece_idx, piece) in trace.pieces.iter().enumerate() {
                let in_piece = |term: &&Term| term.part_idx == part_idx && piece.columns.contains(&term.column.index);
                let mut used = program.cells().filter(in_piece).map(|term| term.column.index);
                let Some(first) = used.next() else { continue };
                let (min, max) = used.fold((first, first), |(min, max), index| (min.min(index), max.max(index)));
                let words = trace.words(piece_idx, min..max + 1, 0..trace.height as u64);
                run_of.insert((part_idx, piece_idx), runs.len());
                runs.push(WindowRun::of_words(piece.buffer, words.start, words.end, limits.log_window()));
            }
        }
        let first_slots = launches.place(group, &runs)?;
        let first_slots = first_slots.ok_or_else(|| too_many_windows(air, group.head.kernel, "trace windows", &runs, limits))?;
        Ok(Self { limits, traces, run_of, runs, first_slots })
    }

    /// A cell as kernels read it: the flat word of its column's row 0, the words per row, and 1 for the next row.
    pub fn descriptor(&self, term: &Term) -> [u32; 3] {
        let trace = &self.traces[term.part_idx];
        let piece_idx = trace.piece_of(term.column.index);
        let run_idx = self.run_of[&(term.part_idx, piece_idx)];
        let (row_stride, col_stride) = trace.strides();
        let base = flat_word(trace.origin(piece_idx), self.first_slots[run_idx], self.runs[run_idx].first, self.limits);
        [base.wrapping_add((term.column.index as u32).wrapping_mul(col_stride)), row_stride, u32::from(term.column.next)]
    }
}
