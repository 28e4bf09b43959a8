//! The Merkle tree over a codeword's rows: the digests of queries, then binary layers up to the root.

use std::{ops::Range, sync::Arc};

use logup_wgpu::{
    DeviceLimits, Error, Result, Subject,
    compute::{Binding, Buffer, Resource},
};

use super::columns::Columns;
use crate::{
    kernels::{LAYERS_PER_DISPATCH, MERKLE_LAYERS, MerkleJob, NODES_PER_WORKGROUP, RATE, ROW_HASH, ROWS_PER_WORKGROUP, RowHashJob},
    poseidon2,
    recorder::Recorder,
};

/// Where a recording has a tree's layers.
pub(crate) const LAYERS: Resource = Resource("layers");
const STATES: Resource = Resource("states");
/// Bytes of a permutation's state, and of a digest.
const STATE_BYTES: u64 = 64;
pub(crate) const DIGEST_BYTES: u64 = 32;
/// Positions whose states a wide codeword's dispatches keep at most.
const MAX_STATES: u64 = 1 << 20;

/// Trees of one shape.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tree {
    /// log2 of the codeword's rows.
    pub log_rows: u32,
    /// log2 of the rows of a query.
    pub log_query: u32,
}

impl Tree {
    /// # Errors
    /// [`Error::Unsupported`] for queries of more rows than a workgroup hashes, or than there are.
    pub fn new(log_rows: u32, log_query: u32) -> Result<Self> {
        let most = ROWS_PER_WORKGROUP.ilog2().min(log_rows);
        if log_query > most {
            let what = format!("queries of 2^{log_query} rows of 2^{log_rows}; up to 2^{most} are");
            return Err(Error::Unsupported { subject: Subject::Call, what });
        }
        Ok(Self { log_rows, log_query })
    }

    /// log2 of the digests of the lowest layer.
    pub fn log_queries(&self) -> u32 {
        self.log_rows - self.log_query
    }

    /// Bytes of all layers, from the queries' digests to the root, one behind the other.
    pub fn bytes(&self) -> u64 {
        DIGEST_BYTES * ((2 << self.log_queries()) - 1)
    }

    /// Word of the root behind all other layers.
    pub fn root_word(&self) -> u32 {
        ((self.bytes() - DIGEST_BYTES) / 4) as u32
    }

    /// Permutations of a tree over so many columns.
    pub fn permutations(&self, width: usize) -> u64 {
        let rows = 1u64 << self.log_rows;
        rows * width.div_ceil(RATE) as u64 + rows - 1
    }

    /// Records the layers of a codeword, which is the recording's trace buffers, into a buffer of [`bytes`](Self::bytes).
    ///
    /// # Errors
    /// As [`Recorder::dispatch`] and [`Columns::bound`].
    pub fn record(&self, recorder: &mut Recorder, limits: &DeviceLimits, code: &Columns, layers: &Arc<Buffer>) -> Result<()> {
        recorder.keep(LAYERS, layers);
        let nodes = |bytes: Range<u64>| Binding { resource: LAYERS, bytes };
        let constants = recorder.table(&poseidon2::constants());
        let bound = code.bound(limits, RATE)?;
        let tables: Vec<Binding> = bound.iter().map(|bound| recorder.table(&bound.table())).collect();
        let rows = 1u64 << self.log_rows;
        let products_per_row = poseidon2::PRODUCTS * (code.width.div_ceil(RATE) as u64 + 1);
        let per_budget = recorder.budget().map_or(rows, |budget| (budget / products_per_row).max(1));
        let per_states = if bound.len() > 1 { MAX_STATES.min(limits.binding_bytes.min(limits.buffer_bytes) / STATE_BYTES) } else { rows };
        let log_positions = rows.min(per_budget).min(per_states).max(ROWS_PER_WORKGROUP.into()).ilog2().min(self.log_rows);
        let num_positions = 1u32 << log_positions;
        let states = recorder.scratch(STATES, if bound.len() > 1 { STATE_BYTES << log_positions } else { 16 });
        let digests = nodes(0..DIGEST_BYTES << self.log_queries());
        for chunk in 0..1u32 << (self.log_rows - log_positions) {
            for (i, (bound, table)) in bound.iter().zip(&tables).enumerate() {
                let job = recorder.job(&RowHashJob {
                    log_rows: self.log_rows,
                    log_query: self.log_query,
                    first_position: chunk << log_positions,
                    num_positions,
                    num_columns: bound.columns.len() as u32,
                    is_first: u32::from(i == 0),
                    is_last: u32::from(bound.columns.end == code.width),
                });
                let bindings = vec![job, constants.clone(), table.clone(), states.clone(), digests.clone()];
                let windows = bound.windows.clone();
                let products = poseidon2::PRODUCTS * (bound.columns.len().div_ceil(RATE) as u64 + 1) * u64::from(num_positions);
                let workgroups = num_positions.div_ceil(ROWS_PER_WORKGROUP).into();
                recorder.dispatch(&ROW_HASH, bindings, windows, workgroups, products)?;
            }
        }
        let mut log_nodes = self.log_queries();
        let mut begin = 0;
        while log_nodes > 0 {
            let num_layers = match log_nodes.checked_sub(LAYERS_PER_DISPATCH) {
                // Bindings begin at multiples of 256 bytes, so at layers of eight digests or more.
                Some(1 | 2) => log_nodes - 3,
                _ => log_nodes.min(LAYERS_PER_DISPATCH),
            };
            let num_nodes = 1u32 << log_nodes;
            let written: u64 = (1..=num_layers).map(|layer| DIGEST_BYTES << (log_nodes - layer)).sum();
            let layer = DIGEST_BYTES << log_nodes;
            let job = recorder.job(&MerkleJob { num_nodes, num_layers });
            let bindings = vec![job, constants.clone(), nodes(begin..begin + layer + written)];
            let products = poseidon2::PRODUCTS * u64::from(num_nodes);
            recorder.dispatch(&MERKLE_LAYERS, bindings, vec![], num_nodes.div_ceil(NODES_PER_WORKGROUP).into(), products)?;
            begin += layer + written - (DIGEST_BYTES << (log_nodes - num_layers));
            log_nodes -= num_layers;
        }
        Ok(())
    }
}
