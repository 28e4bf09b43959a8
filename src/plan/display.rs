//! What will run, in a line.

use std::fmt;

use super::{Round0Plan, Strategy, program::Program};

impl fmt::Display for Round0Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
        write!(f, "{}: {}", self.air.name, count(self.air.interactions.len(), "interaction"))?;
        if !self.air.constraints.is_empty() {
            write!(f, ", {}", count(self.air.constraints.len(), "constraint"))?;
        }
        write!(f, ", l_skip {}, {:?}", self.l_skip, self.strategy)?;
        let affine_columns = self.affine.matrices.iter().map(|m| m.columns.len()).sum::<usize>();
        if self.strategy == Strategy::Split {
            write!(f, "; affine part: {}, {}", count(affine_columns, "column"), count(self.affine.num_affine_nodes, "node"))?;
        }
        if self.programs().next().is_some() {
            let mut columns: Vec<_> = self.program_columns().collect();
            columns.sort_unstable();
            columns.dedup();
            let programs = || self.programs().map(|planned| &planned.program);
            let total = |of: fn(&Program) -> usize| programs().map(of).sum::<usize>();
            let roots = programs().flat_map(|program| &program.roots);
            let temps = programs().map(|program| program.num_temps).max().unwrap_or(0);
            write!(
                f,
                "; {}: {} over {}, degree {}, {}, {}, {}",
                if self.strategy == Strategy::Split { "non-affine part" } else { "all nodes" },
                count(total(|program| program.num_nodes), "node"),
                count(columns.len(), "column"),
                roots.map(|&root| self.air.degree(root)).max().unwrap_or(0),
                count(self.num_cosets(), "coset"),
                count(total(|program| program.instructions.len()), "instruction"),
                if temps == 1 { "1 temporary".into() } else { format!("{temps} temporaries") },
            )?;
        }
        write!(f, "; reads {} bytes a row", 4 * self.num_columns_used())?;
        // column sums with their wrap-around, a kernel per program or an interpreted pass per coset, the reduction
        let is_interpreted = self.programs().any(|planned| planned.generated.is_none());
        let coset_kernels = self.num_generated_kernels() + if is_interpreted { self.num_cosets() } else { 0 };
        let kernels = if self.pairs.is_empty() { 0 } else { 1 + usize::from(affine_columns > 0) + coset_kernels };
        write!(f, "; {} at most", count(kernels, "kernel"))
    }
}
