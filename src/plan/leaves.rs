//! Leaves of coset programs: affine forms of a row's cells.
//!
//! A kernel takes each leaf to a coset, which costs half a skip domain of products, and evaluates products there. A leaf is a cell, or a sum
//! of cells with constant coefficients, made on `D` before it is taken to the coset: an expression that many columns enter is one leaf and not
//! as many. Forms are data, so that kernels for different ones can have one text. A cell of a column that the constraints say is 0 or 1 is a bit,
//! and what a skip domain's bits give on the coset is looked up, eight of them at a time.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::RangeInclusive,
    sync::Arc,
};

use p3_field::PrimeCharacteristicRing;

use super::program::Root;
use crate::{
    air::{Air, Column, Node, NodeId, Part},
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

/// A leaf of a program.
#[derive(Clone, Debug)]
pub(crate) struct Leaf {
    pub form: Arc<Form>,
    pub kind: LeafKind,
    /// Whether its value is that of the form and of the leaf before it together.
    pub is_difference: bool,
}

impl Leaf {
    pub fn new(form: Arc<Form>, kind: LeafKind) -> Self {
        Self { form, kind, is_difference: false }
    }
}

/// How a leaf gets to a coset, in the order in which a program has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LeafKind {
    /// A dot product of a column's cells.
    Cell,
    /// A look-up by a column's bits, of this row or of the next one.
    Bit,
    NextBit,
    /// A dot product of values that are made first.
    Form,
}

/// The leaves of an AIR's programs: its columns, some of them bits, and the nodes that are forms.
#[derive(Clone, Debug, Default)]
pub(crate) struct Leaves {
    forms: HashMap<usize, Arc<Form>>,
    booleans: BTreeSet<(Part, usize)>,
}

/// Skip domains of which columns' bits are looked up: those of a row's word, 16 and 32.
const BIT_SKIPS: RangeInclusive<usize> = 4..=5;

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

    /// What is left when another is taken away. One term at least, whose coefficient may be zero.
    fn minus(&self, other: &Self) -> Self {
        let mut coefficients: BTreeMap<(usize, Column), F> = BTreeMap::new();
        for (form, sign) in [(self, F::ONE), (other, F::NEG_ONE)] {
            for term in &form.terms {
                *coefficients.entry((term.part_idx, term.column)).or_default() += sign * term.coefficient;
            }
        }
        let terms = coefficients.into_iter().map(|((part_idx, column), coefficient)| Term { part_idx, column, coefficient });
        let (mut terms, zero): (Vec<Term>, Vec<Term>) = terms.partition(|term| term.coefficient != F::ZERO);
        if terms.is_empty() {
            terms.extend(zero.into_iter().next());
        }
        Self { terms, constant: self.constant - other.constant }
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

impl Leaves {
    /// With the forms that are worth it below these roots. No column is a bit.
    pub fn new(air: &Air, roots: &[Root]) -> Self {
        let (candidates, single) = candidates(air, roots.iter().map(|&(root, _)| root));
        let forms = clusters(candidates, &single).into_iter().filter(|cluster| cluster.is_worth_it()).flat_map(|cluster| cluster.forms);
        Self { forms: forms.collect(), booleans: BTreeSet::new() }
    }

    /// With all forms below these roots of so many terms at least. No column is a bit.
    pub fn with_long_forms(air: &Air, roots: &[NodeId], min_terms: usize) -> Self {
        let (candidates, _) = candidates(air, roots.iter().copied());
        Self { forms: candidates.into_iter().filter(|(_, form)| form.terms.len() >= min_terms).collect(), booleans: BTreeSet::new() }
    }

    /// With boolean columns as bits, on traces that satisfy the AIR's constraints.
    pub fn with_bits(self, air: &Air, l_skip: usize) -> Self {
        if BIT_SKIPS.contains(&l_skip) { Self { booleans: air.boolean_columns(), ..self } } else { self }
    }

    /// The form that a node is, if it is one.
    pub fn form(&self, node: NodeId) -> Option<&Arc<Form>> {
        self.forms.get(&node.index())
    }

    /// How a column gets to a coset.
    pub fn kind(&self, column: Column) -> LeafKind {
        match (self.booleans.contains(&(column.part, column.index)), column.next) {
            (false, _) => LeafKind::Cell,
            (true, false) => LeafKind::Bit,
            (true, true) => LeafKind::NextBit,
        }
    }

    /// The leaf that a node is, if it is one.
    pub fn get(&self, air: &Air, node: NodeId) -> Option<Leaf> {
        if let Node::Column(column) = air.nodes[node.index()] {
            return Some(Leaf::new(Arc::new(Form::cell(air, column)), self.kind(column)));
        }
        self.form(node).map(|form| Leaf::new(Arc::clone(form), LeafKind::Form))
    }
}

/// Of the affine expressions in products and beside them, the largest that are forms; and the columns that are needed anyway.
fn candidates(air: &Air, roots: impl Iterator<Item = NodeId>) -> (Vec<(usize, Arc<Form>)>, BTreeSet<Column>) {
    let mut candidates: Vec<(usize, Arc<Form>)> = vec![];
    let mut single: BTreeSet<Column> = BTreeSet::new();
    let mut visits = 0;
    let mut visited = vec![false; air.nodes.len()];
    let mut stack: Vec<NodeId> = roots.collect();
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
    (candidates, single)
}

/// Bits of a program below which they are cells: making words of them takes as long as taking a few cells to a coset. An H200 took 14 us longer for
/// one of 2^20 rows, 11 us less for 16 (2026-11-28).
const MIN_BITS: usize = 12;

/// Makes cells of a program's bits where they are few.
pub(crate) fn few_bits_are_cells(leaves: &mut [Leaf]) {
    let is_bit = |leaf: &Leaf| [LeafKind::Bit, LeafKind::NextBit].contains(&leaf.kind);
    if leaves.iter().filter(|leaf| is_bit(leaf)).count() < MIN_BITS {
        leaves.iter_mut().filter(|leaf| is_bit(leaf)).for_each(|leaf| leaf.kind = LeafKind::Cell);
    }
}

/// Makes each of these forms but the first its difference from the one before, if they have far fewer terms so, as sums up to each of many columns
/// have. All or none, so that kernels of equal shape keep equal texts.
pub(crate) fn make_differences(forms: &mut [Leaf]) {
    let differences: Vec<Form> = forms.windows(2).map(|two| two[1].form.minus(&two[0].form)).collect();
    let num_terms = |forms: &mut dyn Iterator<Item = &Form>| forms.map(|form| form.terms.len()).sum::<usize>();
    if 3 * num_terms(&mut differences.iter()) < 2 * num_terms(&mut forms.iter().skip(1).map(|leaf| &*leaf.form)) {
        for (leaf, difference) in forms.iter_mut().skip(1).zip(differences) {
            *leaf = Leaf { form: Arc::new(difference), kind: LeafKind::Form, is_difference: true };
        }
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

    /// Sums up to each of many columns are cheaper one after another; sums of different columns are not.
    #[test]
    fn forms_that_differ_little_are_differences() {
        let mut air = AirBuilder::new("differences");
        let main = air.main_part(8);
        for column in 0..8 {
            air.column(main, column);
        }
        let air = air.build().unwrap();
        let form = |columns: std::ops::Range<usize>, constant: u32| {
            let cell = |index| Form::cell(&air, Column { part: main, index, next: false }).terms.remove(0);
            Leaf::new(Arc::new(Form { terms: columns.map(cell).collect(), constant: F::from_u32(constant) }), LeafKind::Form)
        };
        let mut sums = [form(0..5, 1), form(0..6, 3), form(1..6, 3), form(1..6, 4)];
        make_differences(&mut sums);
        let of = |leaf: &Leaf| {
            let terms: Vec<_> = leaf.form.terms.iter().map(|term| (term.column.index, term.coefficient)).collect();
            (leaf.is_difference, terms, leaf.form.constant)
        };
        assert_eq!(of(&sums[0]).1.len(), 5);
        assert_eq!(of(&sums[1]), (true, vec![(5, F::ONE)], F::TWO));
        assert_eq!(of(&sums[2]), (true, vec![(0, F::NEG_ONE)], F::ZERO));
        assert_eq!(of(&sums[3]), (true, vec![(1, F::ZERO)], F::ONE));
        let mut different = [form(0..4, 0), form(4..8, 0)];
        make_differences(&mut different);
        assert!(different.iter().all(|leaf| !leaf.is_difference));
    }

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
        let leaves = Leaves::new(&air, &[square, cube, last].map(|root| (root, [true, false])));
        assert_eq!(leaves.forms.len(), 1);
        let form = leaves.form(sum).unwrap();
        let mut terms: Vec<_> = form.terms.iter().map(|term| (term.column.index, term.coefficient)).collect();
        terms.sort_unstable_by_key(|term| term.0);
        assert_eq!(terms, [(0, F::ONE), (1, -F::TWO), (2, F::ONE), (3, F::ONE)]);
        assert_eq!(form.constant, F::from_u32(5));
        let kinds = [cells[0], sum, public].map(|node| leaves.get(&air, node).map(|leaf| leaf.kind));
        assert_eq!(kinds, [Some(LeafKind::Cell), Some(LeafKind::Form), None]);
    }
}
