//! Roots dealt out to kernels so that many kernels have one text: AIRs repeat themselves, limb after limb and bit after bit, and a compiler
//! takes seconds for each text.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap, HashSet},
};

use super::{
    leaves::{LeafKind, Leaves},
    notes::Notes,
    program::{Program, Room, Root},
};
use crate::air::{Air, Node, NodeId};

/// Roots that one kernel computes.
struct Bundle {
    /// Sorted.
    roots: Vec<Root>,
    shape: u64,
}

impl Bundle {
    fn new(mut roots: Vec<Root>, shapes: &[u64]) -> Self {
        roots.sort_unstable_by_key(|(root, _)| root.index());
        let shape = roots
            .iter()
            .fold(0, |shape, (root, reached)| mix(u64::from(reached[0]) + 2 * u64::from(reached[1]), [shape, shapes[root.index()]]));
        Self { roots, shape }
    }
}

/// What each node looks like: equal for expressions that differ in their leaves and degree-0 values alone, whatever the order of sums and
/// products. Different ones are equal by chance about never, and nothing depends on it but how many texts there are.
pub(crate) fn shapes(air: &Air, leaves: &Leaves) -> Vec<u64> {
    const VALUE: u64 = 1;
    const CELL: u64 = 2;
    const NEXT: u64 = 3;
    const FORM: u64 = 11;
    const BIT: u64 = 12;
    const NEXT_BIT: u64 = 13;
    let mut shapes: Vec<u64> = Vec::with_capacity(air.nodes.len());
    for (i, node) in air.nodes.iter().enumerate() {
        let of = |node: NodeId| shapes[node.index()];
        let either_order = |a: u64, b: u64| [a.min(b), a.max(b)];
        shapes.push(match *node {
            _ if air.degrees[i] == 0 => VALUE,
            _ if leaves.form(air.node_id(i)).is_some() => FORM,
            Node::Column(column) => match leaves.kind(column) {
                LeafKind::Bit => BIT,
                LeafKind::NextBit => NEXT_BIT,
                _ if column.next => NEXT,
                _ => CELL,
            },
            Node::IsFirstRow => 4,
            Node::IsLastRow => 5,
            Node::IsTransition => 6,
            Node::Add(a, b) => mix(7, either_order(of(a), of(b))),
            Node::Mul(a, b) => mix(8, either_order(of(a), of(b))),
            Node::Sub(a, b) => mix(9, [of(a), of(b)]),
            Node::Neg(a) => mix(10, [of(a), 0]),
            Node::PublicValue(_) | Node::Constant(_) => unreachable!("degree 0"),
        });
    }
    shapes
}

/// The depth, up to 2^16, above a hash: of two operands the deeper is the larger, and computing it first keeps fewer values alive.
fn mix(operation: u64, operands: [u64; 2]) -> u64 {
    let depth = (operands.map(|operand| operand >> HASH_BITS).into_iter().fold(0, u64::max) + 1).min(0xffff);
    let mut hash = operation;
    for operand in operands {
        hash = (hash ^ operand).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash ^= hash >> 29;
    }
    depth << HASH_BITS | hash & ((1 << HASH_BITS) - 1)
}

const HASH_BITS: u32 = 48;

/// Runs of roots that make equal programs, each at most half of what a kernel has room for, and the roots that are left.
pub(crate) fn equal_runs(air: &Air, roots: &[Root], room: Room, notes: &mut Notes) -> (Vec<Vec<Root>>, Vec<Root>) {
    let mut by_shape: HashMap<u64, Vec<Bundle>> = HashMap::new();
    let mut order = vec![];
    for bundle in sharing_leaves(air, nested(air, roots, &notes.shapes), room, notes) {
        let of_shape = by_shape.entry(bundle.shape).or_default();
        if of_shape.is_empty() {
            order.push(bundle.shape);
        }
        of_shape.push(bundle);
    }
    let (mut runs, mut rest) = (vec![], vec![]);
    for shape in order {
        let bundles = &by_shape[&shape];
        let num_in_run = Program::size(air, &bundles[0].roots, room, notes).map_or(0, |(num_nodes, leaves)| {
            let by_nodes = room.num_nodes / 2 / num_nodes.max(1);
            by_nodes.min(room.num_leaves / 2 / leaves.len().max(1)).max(1)
        });
        let roots_of = |bundles: &[Bundle]| bundles.iter().flat_map(|bundle| bundle.roots.iter().copied()).collect::<Vec<Root>>();
        if num_in_run == 0 || bundles.len() < 2 * num_in_run {
            rest.extend(roots_of(bundles));
            continue;
        }
        let whole = bundles.chunks_exact(num_in_run);
        rest.extend(roots_of(whole.remainder()));
        runs.extend(whole.map(roots_of));
    }
    rest.sort_unstable_by_key(|(root, _)| root.index());
    (runs, rest)
}

/// Bundles that between them have more leaves in common than not, made one: what they share is taken to the coset once.
fn sharing_leaves(air: &Air, bundles: Vec<Bundle>, room: Room, notes: &mut Notes) -> Vec<Bundle> {
    let sizes = bundles.iter().map(|bundle| Program::size(air, &bundle.roots, room, notes).unwrap_or_default());
    let (num_nodes, mut leaves): (Vec<usize>, Vec<Vec<NodeId>>) = sizes.unzip();
    let mut readers: HashMap<NodeId, Vec<usize>> = HashMap::new();
    leaves.iter().enumerate().for_each(|(at, leaves)| leaves.iter().for_each(|&leaf| readers.entry(leaf).or_default().push(at)));
    readers.retain(|_, readers| readers.len() <= MANY_READERS);
    leaves.iter_mut().for_each(|leaves| leaves.retain(|leaf| readers.contains_key(leaf)));

    let mut is_taken = vec![false; bundles.len()];
    let mut merged = vec![];
    for first in 0..bundles.len() {
        if std::mem::replace(&mut is_taken[first], true) {
            continue;
        }
        let mut members = vec![first];
        let mut nodes = num_nodes[first];
        let mut own: HashSet<NodeId> = HashSet::new();
        // How many of its leaves each other bundle has here.
        let mut shared: BTreeMap<usize, usize> = BTreeMap::new();
        let mut newest = first;
        loop {
            for leaf in &leaves[newest] {
                if own.insert(*leaf) {
                    readers[leaf].iter().for_each(|&reader| *shared.entry(reader).or_default() += 1);
                }
            }
            let gain = |(&other, &shared): (&usize, &usize)| {
                let new = leaves[other].len() - shared;
                let fits = own.len() + new <= room.num_leaves / 2 && nodes + num_nodes[other] <= room.num_nodes / 2;
                (!is_taken[other] && shared > new && fits).then(|| (shared - new, Reverse(other)))
            };
            let Some((_, Reverse(best))) = shared.iter().filter_map(gain).max() else { break };
            is_taken[best] = true;
            nodes += num_nodes[best];
            members.push(best);
            newest = best;
        }
        merged.push(Bundle::new(members.iter().flat_map(|&member| bundles[member].roots.iter().copied()).collect(), &notes.shapes));
    }
    merged
}

/// A leaf with more readers is in nearly every kernel anyway, and does not tell which of them belong together.
const MANY_READERS: usize = 32;

/// The roots in bundles, each with those that its expression contains, in the order of each one's last.
fn nested(air: &Air, roots: &[Root], shapes: &[u64]) -> Vec<Bundle> {
    let mut open: HashMap<usize, Root> = roots.iter().map(|root| (root.0.index(), *root)).collect();
    let mut visited = vec![false; air.nodes.len()];
    let mut bundles = vec![];
    for &(root, _) in roots.iter().rev() {
        if !open.contains_key(&root.index()) {
            continue;
        }
        let mut of_bundle = vec![];
        let mut stack = vec![root];
        while let Some(node) = stack.pop() {
            of_bundle.extend(open.remove(&node.index()));
            let is_new = |operand: &NodeId| !std::mem::replace(&mut visited[operand.index()], true);
            stack.extend(air.nodes[node.index()].operands().filter(is_new));
        }
        bundles.push(Bundle::new(of_bundle, shapes));
    }
    bundles.reverse();
    bundles
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{air::AirBuilder, kernels, plan::shares::Shares};

    const ROOM: Room = Room { kernel: &kernels::COSET_PASS, num_nodes: 128, num_leaves: 40, over_rows: false };

    /// `(2 a b - c) d` over columns of its own, whose cone contains the root `a b`.
    fn limb(air: &mut AirBuilder, cells: &[NodeId]) -> NodeId {
        let product = air.mul(cells[0], cells[1]);
        let doubled = air.add(product, product);
        let difference = air.sub(doubled, cells[2]);
        air.mul(difference, cells[3])
    }

    #[test]
    fn repeated_shapes_make_equal_runs() {
        let mut air = AirBuilder::new("limbs");
        let main = air.main_part(4 * 23 + 2);
        let cells: Vec<NodeId> = (0..4 * 23 + 2).map(|i| air.column(main, i)).collect();
        let mut named = vec![];
        for four in cells.chunks_exact(4) {
            let root = limb(&mut air, four);
            named.push(root);
            // Weight arrives at the inner product too.
            named.push(air.mul(four[1], four[0]));
        }
        let other = air.mul(cells[92], cells[93]);
        named.push(other);
        for &node in &named {
            air.constraint(node);
        }
        let air = air.build().unwrap();
        named.sort_unstable();
        let roots: Vec<Root> = named.iter().map(|&node| (node, [true, false])).collect();
        let (runs, rest) = equal_runs(&air, &roots, ROOM, &mut Notes::new(&air, Leaves::default()));
        // Five bundles of four leaves and four nodes each are half a kernel; three are left, and the single product.
        assert_eq!(runs.iter().map(Vec::len).collect::<Vec<_>>(), [10; 4]);
        assert_eq!(rest.len(), 2 * 3 + 1);
        let mut dealt: Vec<Root> = [runs.concat(), rest].concat();
        dealt.sort_unstable();
        assert_eq!(dealt, roots, "each root is somewhere once");
        let texts = runs.iter().map(|run| crate::plan::codegen::Generated::new(&Program::new(&air, run), 4, &Shares::default()).source);
        assert_eq!(texts.collect::<HashSet<_>>().len(), 1);
    }

    /// `xor`s of a bit of their own with two shared ones, as Keccak's theta has them: one kernel loads what they share once.
    #[test]
    fn roots_that_share_leaves_are_together() {
        const SHEETS: usize = 48;
        let mut air = AirBuilder::new("sheets");
        let main = air.main_part(7 * SHEETS);
        let mut named = vec![];
        for sheet in 0..SHEETS {
            let [first, second] = [0, 1].map(|i| air.column(main, 7 * sheet + i));
            for own in 2..7 {
                let own = air.column(main, 7 * sheet + own);
                let product = air.mul(own, first);
                named.push(air.mul(product, second));
            }
        }
        // Rows by rows: what belongs together does not stand together.
        let rows: Vec<NodeId> = (0..5).flat_map(|own| named.iter().skip(own).step_by(5).copied()).collect();
        rows.iter().for_each(|&node| air.constraint(node));
        let air = air.build().unwrap();
        let roots: Vec<Root> = named.iter().map(|&node| (node, [true, false])).collect();
        let mut notes = Notes::new(&air, Leaves::default());
        let (runs, rest) = equal_runs(&air, &roots, ROOM, &mut notes);
        // Two sheets have 14 leaves, and a third would make more than half a kernel.
        assert_eq!((runs.len(), rest.len()), (SHEETS / 2, 0));
        let programs: Vec<Program> = runs.iter().map(|run| Program::new(&air, run)).collect();
        assert!(programs.iter().all(|program| (program.leaves.len(), program.roots.len()) == (14, 10)));
        let texts = programs.iter().map(|program| crate::plan::codegen::Generated::new(program, 4, &Shares::default()).source);
        assert_eq!(texts.collect::<HashSet<_>>().len(), 1);
    }

    #[test]
    fn shapes_do_not_depend_on_columns_and_order() {
        let mut air = AirBuilder::new("shapes");
        let main = air.main_part(4);
        let cells: Vec<NodeId> = (0..4).map(|i| air.column(main, i)).collect();
        let (sum, difference) = (air.add(cells[0], cells[1]), air.sub(cells[0], cells[1]));
        let nodes = [air.mul(cells[2], sum), air.mul(sum, cells[3]), air.mul(cells[2], difference)];
        nodes.iter().for_each(|&node| air.constraint(node));
        let air = air.build().unwrap();
        let shapes = shapes(&air, &Leaves::default());
        let [a, b, c] = nodes.map(|node| shapes[node.index()]);
        assert_eq!(a, b);
        assert_ne!(b, c);
    }
}
