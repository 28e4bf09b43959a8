//! Which part of an AIR's trace the device needs: the columns that its interactions and constraints read.

use crate::rows::{Cell, RowShape, Rows};
use logup_wgpu::{ColumnsOf, F};
use openvm_stark_backend::{
    air_builders::symbolic::{SymbolicConstraintsDag, SymbolicExpressionNode, symbolic_variable::Entry},
    keygen::types::TraceWidth,
};

/// Columns of one part.
#[derive(Debug)]
pub(crate) struct DevicePart {
    part: usize,
    /// Sorted, at least one.
    columns: Vec<usize>,
}

/// An AIR's columns that its expressions read, and no others.
#[derive(Debug)]
pub(crate) struct DeviceParts {
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

impl DevicePart {
    /// The part's columns of some rows: kernels read column-major traces by 16-byte loads, so they are to be transposed.
    pub fn columns_of<'a>(&'a self, rows: &Rows<'a>) -> ColumnsOf<'a> {
        let matrix = rows.parts[self.part];
        ColumnsOf { rows: &matrix.values, width: matrix.width, columns: &self.columns }
    }
}
