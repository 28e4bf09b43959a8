//! OpenVM's symbolic DAG (`openvm_stark_backend::air_builders::symbolic`) as an [`Air`].
//!
//! The tests of `logup-wgpu` include this file by its path: they have the stock prover as an oracle without this crate as a dependency.

use logup_wgpu::{Air, AirBuilder, Error, F, NodeId, Part, Result};
use openvm_stark_backend::{
    air_builders::symbolic::{SymbolicConstraintsDag, SymbolicExpressionNode, symbolic_variable::Entry},
    keygen::types::{StarkVerifyingKey, TraceWidth},
};

/// Which nodes the roots are made of, themselves included. Those have operands before them.
///
/// # Errors
/// [`Error::Unsupported`] for a root that is not there and for an operand that does not come before its node: a DAG that was read from
/// somewhere need not be one.
pub(crate) fn needed_nodes(air: &str, nodes: &[SymbolicExpressionNode<F>], roots: impl IntoIterator<Item = usize>) -> Result<Vec<bool>> {
    let mut needed = vec![false; nodes.len()];
    let unsupported = |what| Error::Unsupported { subject: air.into(), what };
    for root in roots {
        let there = nodes.len();
        *needed.get_mut(root).ok_or_else(|| unsupported(format!("node {root} is named, and there are {there}")))? = true;
    }
    for (i, node) in nodes.iter().enumerate().rev() {
        if !needed[i] {
            continue;
        }
        let operands = match *node {
            SymbolicExpressionNode::Add { left_idx, right_idx, .. }
            | SymbolicExpressionNode::Sub { left_idx, right_idx, .. }
            | SymbolicExpressionNode::Mul { left_idx, right_idx, .. } => [Some(left_idx), Some(right_idx)],
            SymbolicExpressionNode::Neg { idx, .. } => [Some(idx), None],
            _ => [None; 2],
        };
        for operand in operands.into_iter().flatten() {
            if operand >= i {
                return Err(unsupported(format!("node {operand} is an operand of node {i} and does not come before it")));
            }
            needed[operand] = true;
        }
    }
    Ok(needed)
}

/// The interactions and constraints of an AIR, from its verifying key.
///
/// # Errors
/// As [`from_dag`].
pub fn from_verifying_key<D>(name: impl Into<String>, key: &StarkVerifyingKey<F, D>) -> Result<Air> {
    let params = &key.params;
    from_dag(name, &key.symbolic_constraints, &params.width, params.num_public_values, key.max_constraint_degree.into())
}

/// The interactions and constraints of an AIR, from what its verifying key holds: `symbolic_constraints`, `params.width`, `params.num_public_values`,
/// `max_constraint_degree`.
///
/// # Errors
/// [`Error::Unsupported`] for a rotation beyond the next row or a challenge in an expression, and for nodes that are not there or not in
/// topological order; [`Error::Index`] for a column that `width` does not have; [`Error::Degree`].
pub fn from_dag(
    name: impl Into<String>,
    dag: &SymbolicConstraintsDag<F>,
    width: &TraceWidth,
    num_public_values: usize,
    max_constraint_degree: usize,
) -> Result<Air> {
    let name = name.into();
    let mut air = AirBuilder::new(name.clone());
    if let Some(width) = width.preprocessed {
        air.preprocessed_part(width);
    }
    for width in width.main_widths() {
        air.main_part(width);
    }
    air.public_values(num_public_values);
    air.constraint_degree(max_constraint_degree);

    let (nodes, constraints) = (&dag.constraints.nodes, &dag.constraints.constraint_idx);
    let named = dag.interactions.iter().flat_map(|interaction| interaction.message.iter().chain([&interaction.count]));
    let needed = needed_nodes(&name, nodes, named.chain(constraints).copied())?;

    let mut ids: Vec<Option<NodeId>> = vec![None; nodes.len()];
    for (i, node) in nodes.iter().enumerate() {
        if !needed[i] {
            continue;
        }
        let id = |idx: usize| ids[idx].expect("needed nodes' operands come before them");
        ids[i] = Some(match *node {
            SymbolicExpressionNode::Variable(variable) => match (variable.entry, variable.index) {
                (Entry::Public, index) => air.public_value(index),
                (Entry::Preprocessed { offset: 0 }, index) => air.column(Part::Preprocessed, index),
                (Entry::Preprocessed { offset: 1 }, index) => air.next(Part::Preprocessed, index),
                (Entry::Main { part_index, offset: 0 }, index) => air.column(Part::Main(part_index), index),
                (Entry::Main { part_index, offset: 1 }, index) => air.next(Part::Main(part_index), index),
                (entry, _) => {
                    return Err(Error::Unsupported { subject: name.into(), what: format!("an expression over {entry:?}") });
                }
            },
            SymbolicExpressionNode::IsFirstRow => air.is_first_row(),
            SymbolicExpressionNode::IsLastRow => air.is_last_row(),
            SymbolicExpressionNode::IsTransition => air.is_transition(),
            SymbolicExpressionNode::Constant(value) => air.constant(value),
            SymbolicExpressionNode::Add { left_idx, right_idx, .. } => air.add(id(left_idx), id(right_idx)),
            SymbolicExpressionNode::Sub { left_idx, right_idx, .. } => air.sub(id(left_idx), id(right_idx)),
            SymbolicExpressionNode::Mul { left_idx, right_idx, .. } => air.mul(id(left_idx), id(right_idx)),
            SymbolicExpressionNode::Neg { idx, .. } => air.neg(id(idx)),
        });
    }
    let id = |idx: &usize| ids[*idx].expect("every node that is named was needed");
    for interaction in &dag.interactions {
        air.interaction(interaction.bus_index, interaction.message.iter().map(id), id(&interaction.count));
    }
    constraints.iter().for_each(|constraint| air.constraint(id(constraint)));
    air.build()
}
