//! Leaves of coset programs: affine forms of a row's cells.
//!
//! A kernel takes each leaf to a coset, which costs half a skip domain of products, and evaluates products there. A leaf is a cell, or a sum
//! of cells with constant coefficients, made on `D` before it is taken to the coset: an expression that many columns enter is one leaf and not
//! as many. Forms are data, so that kernels for different ones can have one text.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use p3_field::PrimeCharacteristicRing;

use super::program::Root;
use crate::{
    air::{Air, Column, Node, NodeId},
    field::F,
};

/// `constant + sum_k coefficient_k cell_k`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Form {
    pub terms: Vec<Term>,
    pub constant: F,
}

/// A cell with its coefficient.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Term {
    /// Position in `Air::parts`.
    pub part_idx: usize,
    pub column: Column,
    pub coefficient: F,
}

/// The forms among an AIR's nodes that are leaves. Columns always are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Forms(HashMap<usize, Arc<Form>>);

/// Nodes of an expression that is looked at as a form, and terms that it may have. What is larger is evaluated on the coset. (The internal rounds of
/// a Poseidon2 AIR make expressions of some 700 nodes over 30 cells.)
const MAX_NODES: usize = 2048;
const MAX_TERMS: usize = 128;
/// Nodes that are looked at for all forms of an AIR together. Expressions that share much are looked at again for each of them.
const MAX_VISITS: usize = 1 << 22;
/// Terms of forms that share columns, beyond which a kernel's text would be long without them.
const MANY_TERMS: usize = 64;

impl Form {
    /// A cell.
    pub fn cell(air: &Air, column: Column) -> Self {
        Self { terms: vec![Term { part_idx: air.part_idx(column.part), column, coefficient: F::ONE }], constant: F::ZERO }
    }

    /// The cell that it is, if it is nothing else.
    pub fn as_cell(&self) -> Option<&Term> {
        match &self.terms[..] {
            [term] if term.coefficient == F::ONE && self.constant == F::ZERO => Some(term),
            _ => None,
        }
    }

    /// An affine expression; `None` for one over selectors or public values, and for a long one.
    fn of_node(air: &Air, node: NodeId, visits: &mut usize) -> Option<Self> {
        let mut form = Self { terms: vec![], constant: F::ZERO };
        // Weights flow back from the node, in reverse topological order.
        let mut weights = BTreeMap::from([(node.index(), F::ONE)]);
        let mut num_nodes = 0;
        while let Some((i, weight)) = weights.pop_last() {
            num_nodes += 1;
            *visits += 1;
            if num_nodes > MAX_NODES || *visits > MAX_VISITS || form.terms.len() > MAX_TERMS {
                return None;
            }
            let mut give = |node: NodeId, weight: F| *weights.entry(node.index()).or_default() += weight;
            match air.nodes[i] {
                Node::Constant(value) => form.constant += weight * value,
                Node::Column(column) => form.terms.push(Term { part_idx: air.part_idx(column.part), column, coefficient: weight }),
                Node::Add(a, b) => {
                    give(a, weight);
                    give(b, weight);
                }
                Node::Sub(a, b) => {
                    give(a, weight);
                    give(b, -weight);
                }
                Node::Neg(a) => give(a, -weight),
                Node::Mul(a, b) => match (air.nodes[a.index()], air.nodes[b.index()]) {
                    (Node::Constant(value), _) => give(b, weight * value),
                    (_, Node::Constant(value)) => give(a, weight * value),
                    _ => return None,
                },
                Node::PublicValue(_) | Node::IsFirstRow | Node::IsLastRow | Node::IsTransition => return None,
            }
        }
        form.terms.retain(|term| term.coefficient != F::ZERO);
        Some(form)
    }
}

impl Forms {
    /// The forms that are worth it below these roots.
    pub fn new(air: &Air, roots: &[Root]) -> Self {
        // Of the affine expressions in products and beside them, the largest that are forms; and the columns that are needed anyway.
        let mut candidates: Vec<(usize, Arc<Form>)> = vec![];
        let mut single: BTreeSet<Column> = BTreeSet::new();
        let mut visits = 0;
        let mut visited = vec![false; air.nodes.len()];
        let mut stack: Vec<NodeId> = roots.iter().map(|&(root, _)| root).collect();
        while let Some(node) = stack.pop() {
            let i = node.index();
            if air.degrees[i] == 0 || std::mem::replace(&mut visited[i], true) {
                continue;
            }
            if let Node::Column(column) = air.nodes[i] {
                single.insert(column);
                continue;
            }
            if air.degrees[i] == 1
                && let Some(form) = Form::of_node(air, node, &mut visits)
                && form.terms.len() > 1
            {
                candidates.push((i, Arc::new(form)));
                continue;
            }
            stack.extend(air.nodes[i].operands().rev());
        }
        let forms = clusters(candidates, &single).into_iter().filter(|cluster| cluster.is_worth_it()).flat_map(|cluster| cluster.forms);
        Self(forms.collect())
    }

    /// The form that a node is, if it is one.
    pub fn get(&self, node: NodeId) -> Option<&Arc<Form>> {
        self.0.get(&node.index())
    }
}

/// Forms that share columns, and those of their columns that are not needed otherwise.
#[derive(Default)]
struct Cluster {
    forms: Vec<(usize, Arc<Form>)>,
    columns: BTreeSet<Column>,
}

impl Cluster {
    /// Whether there is less to take to a coset with forms than without, or so much that only a table holds it.
    fn is_worth_it(&self) -> bool {
        let num_terms: usize = self.forms.iter().map(|(_, form)| form.terms.len()).sum();
        !self.columns.is_empty() && (self.forms.len() < self.columns.len() || num_terms > MANY_TERMS)
    }
}

fn clusters(candidates: Vec<(usize, Arc<Form>)>, single: &BTreeSet<Column>) -> Vec<Cluster> {
    // Union-find over the forms; each column remembers the first form that has it.
    let mut parents: Vec<usize> = (0..candidates.len()).collect();
    fn root(parents: &mut [usize], mut at: usize) -> usize {
        while parents[at] != at {
            parents[at] = parents[parents[at]];
            at = parents[at];
        }
        at
    }
    let mut first_with: HashMap<Column, usize> = HashMap::new();
    for (at, (_, form)) in candidates.iter().enumerate() {
        for term in form.terms.iter().filter(|term| !single.contains(&term.column)) {
            let other = *first_with.entry(term.column).or_insert(at);
            let (a, b) = (root(&mut parents, at), root(&mut parents, other));
            parents[a.max(b)] = a.min(b);
        }
    }
    let mut clusters: BTreeMap<usize, Cluster> = BTreeMap::new();
    for (at, (node, form)) in candidates.into_iter().enumerate() {
        let cluster = clusters.entry(root(&mut parents, at)).or_default();
        cluster.columns.extend(form.terms.iter().map(|term| term.column).filter(|column| !single.contains(column)));
        cluster.forms.push((node, form));
    }
    clusters.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::air::AirBuilder;

    /// A sum of four columns in a square is one leaf; a sum of two that are needed anyway is none; nor is one with a public value.
    #[test]
    fn forms_are_what_saves_columns() {
        let mut air = AirBuilder::new("forms");
        let main = air.main_part(8);
        air.public_values(1);
        let cells: Vec<NodeId> = (0..8).map(|i| air.column(main, i)).collect();
        let (two, five, public) = (air.constant(F::TWO), air.constant(F::from_u32(5)), air.public_value(0));
        let doubled = air.mul(two, cells[1]);
        let sum = air.sub(cells[0], doubled);
        let sum = air.add(sum, cells[2]);
        let sum = air.add(sum, cells[3]);
        let sum = air.add(sum, five);
        let square = air.mul(sum, sum);
        let product = air.mul(cells[4], cells[5]);
        let known = air.add(cells[4], cells[5]);
        let cube = air.mul(product, known);
        let with_public = air.add(cells[6], public);
        let with_public = air.add(with_public, cells[7]);
        let last = air.mul(with_public, cells[4]);
        for node in [square, cube, last] {
            air.constraint(node);
        }
        let air = air.build().unwrap();
        let forms = Forms::new(&air, &[square, cube, last].map(|root| (root, [true, false])));
        assert_eq!(forms.0.len(), 1);
        let form = forms.get(sum).unwrap();
        let mut terms: Vec<_> = form.terms.iter().map(|term| (term.column.index, term.coefficient)).collect();
        terms.sort_unstable_by_key(|term| term.0);
        assert_eq!(terms, [(0, F::ONE), (1, -F::TWO), (2, F::ONE), (3, F::ONE)]);
        assert_eq!(form.constant, F::from_u32(5));
        assert!(form.as_cell().is_none() && Form::cell(&air, Column { part: main, index: 1, next: true }).as_cell().is_some());
    }
}
