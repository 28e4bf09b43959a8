//! The layers of GKR's tree: kept from some level up, those below computed again out of the leaves, a range at a time.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use logup_wgpu::{
    DeviceLimits, EF, F, Result,
    compute::{Binding, Buffer, EXT_WORDS, Resource, copy_words},
};
use p3_field::{BasedVectorSpace, PrimeCharacteristicRing};

use super::leaves::Leaves;
use crate::{
    compute::Compute,
    kernels::{ADD_FRACTIONS, AddJob, FOLD_FRACTIONS, FoldFractionsJob, TABLE_VARIABLES},
    recorder::{Names, Recorder, Results, numbered},
    row_sums::{Tables, To},
    sumcheck::{
        array::words,
        tensor::{eq_pairs, product},
    },
};

/// Words of a fraction.
const WORDS: usize = 2 * EXT_WORDS;

/// Fractions of a layer, from one on, in a binding: see `wgsl/shared/fractions.wgsl`.
#[derive(Clone, Debug)]
pub(super) struct Nodes {
    pub binding: Binding,
    pub first: u32,
    /// Those that are no padding.
    pub len: u32,
    pub stride: u32,
}

/// Fractions in a buffer or, where they are more than a binding holds, in several of a power of two each. An even number of them.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    chunks: Vec<(Resource, Arc<Buffer>, Range<usize>)>,
    /// Those that are no padding.
    num_real: usize,
}

/// Bytes of so many fractions.
pub(super) fn bytes(num: usize) -> u64 {
    4 * WORDS as u64 * num.next_multiple_of(2) as u64
}

/// Fractions that a binding holds.
fn max_per_binding(limits: &DeviceLimits) -> usize {
    (limits.binding_bytes.min(limits.buffer_bytes) as usize / (4 * WORDS)).max(2)
}

impl Layer {
    /// # Errors
    /// As `BufferPool::take`.
    fn new(compute: &Compute, names: &Names, num_real: usize) -> Result<Self> {
        let limit = max_per_binding(&compute.gpu.limits());
        let len = num_real.next_multiple_of(2);
        let per_chunk = if len <= limit { len } else { 1 << limit.ilog2() };
        let chunks = (0..len).step_by(per_chunk.max(2)).zip(names).map(|(begin, &name)| {
            let nodes = begin..len.min(begin + per_chunk);
            Ok((Resource(name), compute.pool.take(name, bytes(nodes.len()))?, nodes))
        });
        Ok(Self { chunks: chunks.collect::<Result<_>>()?, num_real })
    }

    /// Some of the fractions, all in one chunk.
    fn nodes(&self, recorder: &mut Recorder, range: Range<usize>) -> Nodes {
        let (name, buffer, own) = self.chunks.iter().find(|(.., own)| own.contains(&range.start)).expect("one of the layer's");
        recorder.keep(*name, buffer);
        Nodes {
            binding: Binding { resource: *name, bytes: 0..bytes(own.len()) },
            first: (range.start - own.start) as u32,
            len: range.end.min(self.num_real).saturating_sub(range.start) as u32,
            stride: own.len() as u32,
        }
    }

    /// Copies the fractions that are no padding to the results, which get room for them.
    pub fn record_copy(&self, recorder: &mut Recorder, results: &mut Results) -> Result<Copied> {
        let places: Vec<u64> = self.chunks.iter().map(|(.., own)| results.take(bytes(own.len()))).collect();
        recorder.grow_results(results.bytes());
        let mut copied = vec![];
        for ((.., own), place) in self.chunks.iter().zip(places) {
            let nodes = self.nodes(recorder, own.clone());
            recorder.copy(nodes.binding, 0, place / 4, (WORDS * own.len()) as u32)?;
            copied.push((place as usize / 4, own.len()));
        }
        Ok(Copied { chunks: copied, num_real: self.num_real })
    }
}

/// Where a layer's chunks are among results: first word, fractions.
pub(super) struct Copied {
    chunks: Vec<(usize, usize)>,
    num_real: usize,
}

impl Copied {
    /// The fractions that are no padding; nothing if a word is no element.
    pub fn fractions(&self, words: &[u32]) -> Option<Vec<[EF; 2]>> {
        let mut all = vec![];
        for &(first, len) in &self.chunks {
            let mut elements = F::zero_vec(WORDS * len);
            if !copy_words(&words[first..][..WORDS * len], &mut elements) {
                return None;
            }
            let element = |side: usize, i: usize| EF::from_basis_coefficients_fn(|l| elements[(EXT_WORDS * side + l) * len + i]);
            all.extend((0..len).map(|i| [element(0, i), element(1, i)]));
        }
        all.truncate(self.num_real);
        Some(all)
    }
}

/// The tree over some leaves.
pub(super) struct Tree<'a> {
    pub leaves: &'a Leaves<'a>,
    /// By level: level `l` has `2^l` fractions.
    layers: BTreeMap<usize, Layer>,
    /// log2 of the fractions of a range at a time.
    log_range: usize,
}

/// log2 of the fractions that are worked on at a time where memory is no concern, and within a budget: 64 and 4 MiB of leaves, and as much again of sums and
/// of factors each.
const LOG_RANGE: usize = 21;
const LOG_RANGE_IN_BUDGET: usize = 17;
/// log2 of the least range: points are taken by sixteens.
pub(super) const MIN_LOG_RANGE: usize = 5;

impl<'a> Tree<'a> {
    pub fn new(compute: &Compute, leaves: &'a Leaves<'a>) -> Self {
        let wanted = if compute.memory_budget.is_some() { LOG_RANGE_IN_BUDGET } else { LOG_RANGE };
        let log_range = wanted.min(max_per_binding(&compute.gpu.limits()).ilog2() as usize).max(MIN_LOG_RANGE);
        Self { leaves, layers: BTreeMap::new(), log_range }
    }

    /// Fractions of a level that are no padding.
    pub fn num_real(&self, level: usize) -> usize {
        self.leaves.num_real.div_ceil(1 << (self.leaves.log_len - level))
    }

    /// What padding has for q in a level.
    pub fn pad(&self, level: usize) -> EF {
        self.leaves.alpha.exp_power_of_2(self.leaves.log_len - level)
    }

    /// Bytes of the buffers of these levels' layers.
    pub fn layer_bytes(&self, compute: &Compute, levels: Range<usize>) -> u64 {
        levels.map(|level| compute.pool.size_of(bytes(self.num_real(level)))).sum()
    }

    /// Makes the layers of these levels, none of them that of the leaves, and leaves them on the device.
    ///
    /// # Errors
    /// As [`Layer::new`] and [`Recorder::dispatch`].
    pub fn record_layers(&mut self, compute: &Compute, recorder: &mut Recorder, levels: Range<usize>) -> Result<()> {
        let mut tables = None;
        for level in levels.rev() {
            let layer = Layer::new(compute, &LAYERS[level], self.num_real(level))?;
            for range in self.ranges(level + 1) {
                let from = self.record_nodes(recorder, &mut tables, level + 1, range.clone())?;
                let to = layer.nodes(recorder, range.start / 2..range.end.div_ceil(2));
                record_add(recorder, &from, self.pad(level + 1), &to)?;
            }
            self.layers.insert(level, layer);
        }
        Ok(())
    }

    /// Copies the leaves, of which there are few, to the results.
    ///
    /// # Errors
    /// As [`Layer::new`] and [`Recorder::dispatch`].
    pub fn record_leaf_copy(&self, compute: &Compute, recorder: &mut Recorder, results: &mut Results) -> Result<Copied> {
        let leaves = Layer::new(compute, &LAYERS[self.leaves.log_len], self.leaves.num_real)?;
        let mut tables = None;
        for range in self.ranges(self.leaves.log_len) {
            let to = leaves.nodes(recorder, range.clone());
            let tables = tables.get_or_insert_with(|| self.leaves.sums.tables(recorder));
            self.leaves.sums.record(recorder, tables, range, &To { nodes: to.binding, first: to.first, stride: to.stride })?;
        }
        leaves.record_copy(recorder, results)
    }

    pub fn forget_layers(&mut self) {
        self.layers.clear();
    }

    pub fn layer(&self, level: usize) -> Option<&Layer> {
        self.layers.get(&level)
    }

    /// The ranges in which a level is gone through: whole sixteens of points, but for the last.
    pub fn ranges(&self, level: usize) -> Vec<Range<usize>> {
        let log_range = match self.layers.get(&level) {
            Some(_) => self.log_range,
            None => self.log_range.saturating_sub(self.leaves.log_len - level).max(MIN_LOG_RANGE),
        };
        ranges(self.num_real(level), log_range)
    }

    /// Fractions of a level: those that are there, or computed from the leaves.
    ///
    /// # Errors
    /// As [`Recorder::dispatch`].
    pub fn record_nodes(&self, recorder: &mut Recorder, tables: &mut Option<Tables>, level: usize, range: Range<usize>) -> Result<Nodes> {
        if let Some(layer) = self.layers.get(&level) {
            return Ok(layer.nodes(recorder, range));
        }
        let height = self.leaves.log_len - level;
        let leaves = range.start << height..(range.end << height).min(self.leaves.num_real);
        let mut nodes = scratch(recorder, Resource("leaves"), leaves.len());
        let to = To { nodes: nodes.binding.clone(), first: 0, stride: nodes.stride };
        let tables = tables.get_or_insert_with(|| self.leaves.sums.tables(recorder));
        self.leaves.sums.record(recorder, tables, leaves, &to)?;
        for up in 1..=height {
            let sums = scratch(recorder, [Resource("sums"), Resource("sums of sums")][up % 2], (nodes.len as usize).div_ceil(2));
            record_add(recorder, &nodes, self.pad(self.leaves.log_len - up + 1), &sums)?;
            nodes = sums;
        }
        Ok(nodes)
    }
}

/// Ranges of a power of two of fractions each, but for the last.
pub(super) fn ranges(num_real: usize, log_range: usize) -> Vec<Range<usize>> {
    (0..num_real).step_by(1 << log_range).map(|begin| begin..num_real.min(begin + (1 << log_range))).collect()
}

/// Room for fractions for the moment.
fn scratch(recorder: &mut Recorder, name: Resource, len: usize) -> Nodes {
    let stride = len.next_multiple_of(2) as u32;
    Nodes { binding: recorder.scratch(name, bytes(len)), first: 0, len: len as u32, stride }
}

/// Adds up pairs: as many as `to` has fractions that are no padding.
fn record_add(recorder: &mut Recorder, from: &Nodes, pad: EF, to: &Nodes) -> Result<()> {
    let num = to.len;
    let job =
        recorder.job(&AddJob { first: from.first, len: from.len, stride: from.stride, to_first: to.first, to_stride: to.stride, num });
    let pad = recorder.table(&words([pad]));
    let bindings = vec![job, pad, from.binding.clone(), to.binding.clone()];
    recorder.dispatch(&ADD_FRACTIONS, bindings, vec![], num.div_ceil(ADD_FRACTIONS.workgroup_size).into(), 60 * u64::from(num))
}

/// A layer at some challenges: what is left of it.
pub(super) struct Folded {
    pub layer: Layer,
    log_range: usize,
}

impl Folded {
    pub fn ranges(&self) -> Vec<Range<usize>> {
        ranges(self.layer.num_real, self.log_range)
    }

    pub fn nodes(&self, recorder: &mut Recorder, range: Range<usize>) -> Nodes {
        self.layer.nodes(recorder, range)
    }
}

/// Where a layer's sumcheck is: the layer itself, or what is left of it.
pub(super) enum Points<'a> {
    Level(&'a Tree<'a>, usize),
    Folded(&'a Tree<'a>, Folded),
}

impl Points<'_> {
    pub fn tree(&self) -> &Tree<'_> {
        match self {
            Self::Level(tree, _) | Self::Folded(tree, _) => tree,
        }
    }

    /// Fractions that are no padding.
    pub fn num_real(&self) -> usize {
        match self {
            Self::Level(tree, level) => tree.num_real(*level),
            Self::Folded(_, folded) => folded.layer.num_real,
        }
    }

    pub fn ranges(&self) -> Vec<Range<usize>> {
        match self {
            Self::Level(tree, level) => tree.ranges(*level),
            Self::Folded(_, folded) => folded.ranges(),
        }
    }

    /// # Errors
    /// As [`Recorder::dispatch`].
    pub fn record_nodes(&self, recorder: &mut Recorder, tables: &mut Option<Tables>, range: Range<usize>) -> Result<Nodes> {
        match self {
            Self::Level(tree, level) => tree.record_nodes(recorder, tables, *level, range),
            Self::Folded(_, folded) => Ok(folded.nodes(recorder, range)),
        }
    }

    /// What is left at these challenges for the lowest variables of the points, with `pad` for padding's q. `generation` tells it from what it is made of.
    ///
    /// # Errors
    /// As [`Layer::new`] and [`Recorder::dispatch`].
    pub fn record_fold(&self, compute: &Compute, recorder: &mut Recorder, challenges: &[EF], pad: EF, generation: usize) -> Result<Folded> {
        let log_window = challenges.len();
        let mut weights = product(&eq_pairs(challenges), EF::ONE);
        weights.resize(1 << TABLE_VARIABLES, EF::ZERO);
        let constants = recorder.table(&words([pad].into_iter().chain(weights)));
        let num_points = self.num_real().div_ceil(2 << log_window);
        let layer = Layer::new(compute, &FOLDED[generation % 2], 2 * num_points)?;
        let mut tables = None;
        for range in self.ranges() {
            let from = self.record_nodes(recorder, &mut tables, range.clone())?;
            let points = range.start >> (1 + log_window)..range.end.div_ceil(2 << log_window);
            let to = layer.nodes(recorder, 2 * points.start..2 * points.end);
            let job = recorder.job(&FoldFractionsJob {
                first: from.first,
                len: from.len,
                stride: from.stride,
                to_first: to.first / 2,
                to_stride: to.stride,
                num: points.len() as u32,
                log_window: log_window as u32,
            });
            let bindings = vec![job, constants.clone(), from.binding, to.binding];
            let workgroups = (points.len() as u32).div_ceil(FOLD_FRACTIONS.workgroup_size);
            recorder.dispatch(&FOLD_FRACTIONS, bindings, vec![], workgroups.into(), 120 * range.len() as u64)?;
        }
        Ok(Folded { layer, log_range: self.tree().log_range })
    }
}

const FOLDED: [Names; 2] = [numbered!("folded layer"), numbered!("layer folded again")];

macro_rules! layers {
    ($($name:literal)+) => {
        [$(numbered!($name)),+]
    };
}

/// What recordings call the layers, by level.
static LAYERS: [Names; 31] = layers!(
    "layer 0 part" "layer 1 part" "layer 2 part" "layer 3 part" "layer 4 part" "layer 5 part" "layer 6 part" "layer 7 part" "layer 8 part"
    "layer 9 part" "layer 10 part" "layer 11 part" "layer 12 part" "layer 13 part" "layer 14 part" "layer 15 part" "layer 16 part"
    "layer 17 part" "layer 18 part" "layer 19 part" "layer 20 part" "layer 21 part" "layer 22 part" "layer 23 part" "layer 24 part"
    "layer 25 part" "layer 26 part" "layer 27 part" "layer 28 part" "layer 29 part" "layer 30 part"
);
