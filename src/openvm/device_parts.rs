//! Which part of an AIR's trace the device needs: the columns that its interactions read.
//!
//! They are few where traces are wide. Of OpenVM 2.0.2's Keccak-f AIR, interactions read 202 of 2,634 columns.

use std::borrow::Cow;

use openvm_stark_backend::{
    air_builders::symbolic::{SymbolicConstraintsDag, SymbolicExpressionNode, symbolic_variable::Entry},
    keygen::types::TraceWidth,
};
use p3_field::PrimeCharacteristicRing;
use rayon::prelude::*;

use super::rows::{Cell, RowShape, Rows};
use crate::{Layout, Matrix, field::F};

/// Columns of one part.
#[derive(Debug)]
pub(super) struct DevicePart {
    part: usize,
    /// Sorted, at least one.
    columns: Vec<usize>,
}

/// An AIR's interactions over the columns that they read and no others.
#[derive(Debug)]
pub(super) struct DeviceParts {
    pub parts: Vec<DevicePart>,
    pub has_preprocessed: bool,
}

impl DeviceParts {
    /// The columns of these cells. At least one, as a trace's height is known by its columns.
    pub fn new(shape: &RowShape, cells: &[Cell]) -> Self {
        let mut used: Vec<Vec<usize>> = vec![vec![]; shape.widths.len()];
        for &cell in cells {
            if let Cell::Column { part, column, .. } = cell {
                used[part].push(column);
            }
        }
        if used.iter().all(Vec::is_empty)
            && let Some(part) = shape.widths.iter().rposition(|&width| width > 0)
        {
            used[part].push(0);
        }
        let parts = used.into_iter().enumerate().filter(|(_, columns)| !columns.is_empty()).map(|(part, mut columns)| {
            columns.sort_unstable();
            columns.dedup();
            DevicePart { part, columns }
        });
        let parts: Vec<DevicePart> = parts.collect();
        Self { has_preprocessed: shape.has_preprocessed && parts.first().is_some_and(|first| first.part == 0), parts }
    }

    /// The DAG and its widths with parts and columns renumbered. Nodes that read other columns are left as they are.
    pub fn renumber(&self, shape: &RowShape, dag: &SymbolicConstraintsDag<F>) -> (SymbolicConstraintsDag<F>, TraceWidth) {
        let mut dag = dag.clone();
        let first_main = usize::from(shape.has_preprocessed);
        for node in &mut dag.constraints.nodes {
            let SymbolicExpressionNode::Variable(variable) = node else { continue };
            let part = match variable.entry {
                Entry::Preprocessed { .. } => 0,
                Entry::Main { part_index, .. } => first_main + part_index,
                Entry::Public | Entry::Challenge => continue,
            };
            let Some(position) = self.parts.iter().position(|used| used.part == part) else { continue };
            let Ok(column) = self.parts[position].columns.binary_search(&variable.index) else { continue };
            variable.index = column;
            if let Entry::Main { part_index, .. } = &mut variable.entry {
                *part_index = position - usize::from(self.has_preprocessed);
            }
        }
        let mut widths = self.parts.iter().map(|used| used.columns.len());
        let preprocessed = if self.has_preprocessed { widths.next() } else { None };
        (dag, TraceWidth { preprocessed, cached_mains: widths.collect(), common_main: 0 })
    }
}

/// Parts of at most this many columns are uploaded column-major. On lavapipe (2 cores, 2026-11-22) that halves the column sums of a keccak
/// VM's lookup tables, 2^16 to 2^19 rows of 3 or 4 columns: 30 ms to 16 ms, for 3 ms of transposing.
const MAX_TRANSPOSED: usize = 8;

impl DevicePart {
    /// The part's cells as the device takes them: as they are where that is all of them, else picked.
    pub fn cells<'a>(&self, rows: &Rows<'a>) -> Cow<'a, [F]> {
        let matrix = rows.parts[self.part];
        let width = self.columns.len();
        if width == matrix.width && self.layout() == Layout::RowMajor {
            return Cow::Borrowed(&matrix.values);
        }
        let mut picked = F::zero_vec(width * rows.height);
        match self.layout() {
            Layout::ColMajor => picked.par_chunks_exact_mut(rows.height).zip(&self.columns).for_each(|(picked, &column)| {
                let cells = matrix.values[column..].iter().step_by(matrix.width);
                picked.iter_mut().zip(cells).for_each(|(picked, &cell)| *picked = cell);
            }),
            Layout::RowMajor => {
                picked.par_chunks_exact_mut(width).zip(matrix.values.par_chunks_exact(matrix.width)).for_each(|(picked, row)| {
                    picked.iter_mut().zip(&self.columns).for_each(|(picked, &column)| *picked = row[column]);
                });
            }
        }
        Cow::Owned(picked)
    }

    /// What [`DevicePart::cells`] gave, to be uploaded.
    pub fn matrix<'a>(&self, cells: &'a [F]) -> Matrix<'a> {
        Matrix { values: cells, width: self.columns.len(), layout: self.layout() }
    }

    fn layout(&self) -> Layout {
        if self.columns.len() <= MAX_TRANSPOSED { Layout::ColMajor } else { Layout::RowMajor }
    }
}
