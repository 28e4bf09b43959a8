//! Random AIRs: any DAG over every kind of leaf, up to a degree.

use logup_wgpu::{AirBuilder, F, NodeId};
use p3_field::PrimeCharacteristicRing;
use rand::{Rng, rngs::StdRng, seq::IndexedRandom};

use super::Case;

/// How large a random AIR may be.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub max_degree: usize,
    pub num_ops: usize,
    pub num_interactions: usize,
    pub max_message_len: usize,
}

/// A random AIR with up to three main parts, perhaps a preprocessed one, and columns that nothing uses; with random inputs.
pub fn random_case(rng: &mut StdRng, size: Size, l_skip: usize, height: usize) -> Case {
    let mut air = AirBuilder::new(format!("random AIR, {size:?}"));
    let preprocessed = rng.random_bool(0.4).then(|| rng.random_range(1..4));
    let main_widths: Vec<usize> = (0..rng.random_range(1..4)).map(|_| rng.random_range(1..6)).collect();
    let num_public = rng.random_range(0..3);
    let mut parts: Vec<_> = preprocessed.map(|width| (air.preprocessed_part(width), width)).into_iter().collect();
    parts.extend(main_widths.iter().map(|&width| (air.main_part(width), width)));
    air.public_values(num_public);

    let mut nodes: Vec<(NodeId, usize)> = vec![];
    for (part, width) in parts {
        for column in 0..width {
            if rng.random_bool(0.6) {
                nodes.push((air.column(part, column), 1));
            }
            if rng.random_bool(0.4) {
                nodes.push((air.next(part, column), 1));
            }
        }
    }
    nodes.extend((0..num_public).map(|i| (air.public_value(i), 0)));
    for constant in [F::ZERO, F::ONE, F::NEG_ONE, rng.random()] {
        nodes.push((air.constant(constant), 0));
    }
    nodes.extend([(air.is_first_row(), 1), (air.is_last_row(), 1), (air.is_transition(), 1)]);

    for _ in 0..size.num_ops {
        // Young nodes are likelier operands, so that chains grow.
        let pick = |rng: &mut StdRng| {
            let from = if rng.random() { nodes.len().saturating_sub(6) } else { 0 };
            *nodes[from..].choose(rng).unwrap()
        };
        let ((a, deg_a), (b, deg_b)) = (pick(rng), pick(rng));
        nodes.push(match rng.random_range(0..5) {
            0 => (air.add(a, b), deg_a.max(deg_b)),
            1 => (air.sub(a, b), deg_a.max(deg_b)),
            2 => (air.neg(a), deg_a),
            _ if deg_a + deg_b <= size.max_degree => (air.mul(a, b), deg_a + deg_b),
            _ => continue,
        });
    }
    for _ in 0..size.num_interactions {
        let from = if rng.random() { nodes.len().saturating_sub(8) } else { 0 };
        let len = rng.random_range(0..=size.max_message_len);
        let message: Vec<NodeId> = (0..len).map(|_| nodes[from..].choose(rng).unwrap().0).collect();
        let count = nodes[from..].choose(rng).unwrap().0;
        air.interaction(rng.random(), message, count);
    }
    // The reference says what they come to on a trace that does not satisfy them.
    for _ in 0..rng.random_range(0..4) {
        air.constraint(nodes.choose(rng).unwrap().0);
    }
    if rng.random() {
        air.constraint_degree(size.max_degree + 1);
    }
    Case::random(air.build().unwrap(), l_skip, height, (preprocessed, &main_widths), num_public, rng)
}
