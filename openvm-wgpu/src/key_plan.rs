//! What a proving key's AIRs need, decided once per key.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use logup_wgpu::{
    Air, Column, Error, F, Node, NodeId, Result, Round0Plan, Strategy,
    compute::{Buffer, RowForm, RowProgram},
};
use openvm_cpu_backend::CpuBackend;
use openvm_stark_backend::{
    air_builders::symbolic::SymbolicConstraintsDag,
    keygen::types::{StarkVerifyingKey, StarkVerifyingParams},
    prover::{DeviceMultiStarkProvingKey, DeviceStarkProvingKey},
};
use rayon::prelude::*;

use crate::{
    Digest, SC, air,
    compute::Compute,
    forms::products,
    kernels::{MLE_ROUND, ROW_PRODUCTS},
    rows::RowShape,
};

/// The plans of all AIRs of a proving key, in its order, and what they were made of.
#[derive(Debug)]
pub(crate) struct KeyPlan {
    pub airs: Arc<[AirPlan]>,
    pub batch_instructions: BatchInstructions,
    l_skip: usize,
    made_of: Arc<[AirContent]>,
}

/// What an [`AirPlan`] is made of. A key's stored hash does not tell: a caller may carry it along to a key whose AIRs have changed.
#[derive(Debug)]
struct AirContent {
    name: String,
    params: StarkVerifyingParams,
    dag: SymbolicConstraintsDag<F>,
    max_constraint_degree: u8,
}

impl AirContent {
    fn of(key: &DeviceStarkProvingKey<CpuBackend<SC>>) -> Self {
        let vk = &key.vk;
        Self {
            name: key.air_name.clone(),
            params: vk.params.clone(),
            dag: vk.symbolic_constraints.clone(),
            max_constraint_degree: vk.max_constraint_degree,
        }
    }

    fn is_of(&self, key: &DeviceStarkProvingKey<CpuBackend<SC>>) -> bool {
        let params = |params: &StarkVerifyingParams| {
            let width = &params.width;
            (width.preprocessed, width.cached_mains.clone(), width.common_main, params.num_public_values, params.need_rot)
        };
        let (vk, dag) = (&key.vk, &key.vk.symbolic_constraints);
        self.name == key.air_name
            && self.max_constraint_degree == vk.max_constraint_degree
            && params(&self.params) == params(&vk.params)
            && self.dag.interactions == dag.interactions
            && self.dag.constraints == dag.constraints
    }
}

/// One AIR's plan.
#[derive(Debug)]
pub(crate) struct AirPlan {
    pub shape: RowShape,
    /// The AIR as its key has it: what the programs are over.
    pub air: Air,
    /// `None` for an AIR without interactions and without constraints.
    pub round0: Option<Round0Plan>,
    /// `None` without interactions.
    pub logup: Option<Logup>,
    pub batch: Batch,
}

/// An AIR's interactions.
#[derive(Debug)]
pub(crate) struct Logup {
    /// What they are affine in beside cells, ascending.
    pub products: Vec<NodeId>,
    /// Programs that compute the products, one after the other.
    pub programs: Vec<RowProgram>,
}

/// For the rounds after round 0: all that an AIR's constraints and interactions are affine in beside cells.
#[derive(Debug)]
pub(crate) struct Batch {
    /// Ascending.
    pub products: Vec<NodeId>,
    /// Pieces that compute the products, one after the other, all over the same leaves: the columns, then the forms.
    pub pieces: Vec<RowProgram>,
    /// Where the pieces' begin among those of [`BatchInstructions`].
    pub first_instruction: u32,
    /// What programs and forms read, ascending.
    pub columns: Vec<Column>,
    /// Affine expressions of them that programs read, too.
    pub forms: Vec<RowForm>,
    /// Of the polynomial of a round: 1 at least.
    pub degree: usize,
}

/// The instructions of the rounds after round 0, of all AIRs of a key. The first proof brings them to the device, where they stay.
#[derive(Debug)]
pub(crate) struct BatchInstructions {
    pub words: Arc<[u32]>,
    buffer: OnceLock<Arc<Buffer>>,
    are_there: AtomicBool,
}

impl BatchInstructions {
    /// Those of all pieces, which learn where theirs are.
    pub fn new(airs: &mut [AirPlan]) -> Self {
        let mut instructions: Vec<[u32; 4]> = vec![];
        for air in airs {
            air.batch.first_instruction = instructions.len() as u32;
            air.batch.pieces.iter().for_each(|piece| instructions.extend(&piece.instructions));
        }
        // A binding has some.
        instructions.resize(instructions.len().max(1), [0; 4]);
        Self::of_words(instructions.into_flattened().into())
    }

    fn of_words(words: Arc<[u32]>) -> Self {
        Self { words, buffer: OnceLock::new(), are_there: AtomicBool::new(false) }
    }

    /// Of the device's memory.
    pub fn bytes(&self) -> u64 {
        4 * self.words.len() as u64
    }

    /// Where they are, or will be.
    ///
    /// # Errors
    /// As `BufferPool::take`.
    pub fn buffer(&self, compute: &Compute) -> Result<Arc<Buffer>> {
        match self.buffer.get() {
            Some(buffer) => Ok(Arc::clone(buffer)),
            None => {
                let buffer = compute.pool.take("instructions", self.bytes())?;
                Ok(Arc::clone(self.buffer.get_or_init(|| buffer)))
            }
        }
    }

    /// Whether a proof has brought them there.
    pub fn are_there(&self) -> bool {
        self.are_there.load(Ordering::Acquire)
    }

    /// Says that one has.
    pub fn stay(&self) {
        self.are_there.store(true, Ordering::Release);
    }
}

/// Steps of a program over the rows of traces at most, of which there are many, and over those of folded traces, of which there are fewer the later the round:
/// one thread's steps are a round's time.
const MAX_ROW_STEPS: usize = 1 << 13;
const MAX_PIECE_STEPS: usize = 1 << 7;
/// Cells from which on an affine expression of them and of constants in a product is a folded column of its own (up to 128), so that no piece has to add it up in each round.
const FORM_TERMS: usize = 8;

impl Logup {
    /// Nothing for an AIR without interactions.
    ///
    /// # Errors
    /// As [`RowProgram::split`].
    pub fn new(air: &Air) -> Result<Option<Self>> {
        if air.interactions().is_empty() {
            return Ok(None);
        }
        let products = products(air, sent(air));
        Ok(Some(Self { programs: RowProgram::split(air, &products, MAX_ROW_STEPS, None, &ROW_PRODUCTS)?, products }))
    }
}

/// What an AIR's interactions are made of.
fn sent(air: &Air) -> impl Iterator<Item = &NodeId> {
    air.interactions().iter().flat_map(|interaction| interaction.message.iter().chain([&interaction.count]))
}

impl Batch {
    /// # Errors
    /// As [`RowProgram::split`].
    fn new(air: &Air) -> Result<Self> {
        let products = products(air, sent(air).chain(air.constraints()));
        let pieces = RowProgram::split(air, &products, MAX_PIECE_STEPS, Some(FORM_TERMS), &MLE_ROUND)?;
        let mut known: HashSet<&RowForm> = HashSet::new();
        let all_forms = pieces.iter().flat_map(|piece| &piece.forms);
        let forms: Vec<RowForm> = all_forms.filter(|form| known.insert(form)).cloned().collect();
        let of_forms = forms.iter().flat_map(RowForm::terms).map(|(column, _)| column);
        let mut columns: Vec<Column> = pieces.iter().flat_map(|piece| piece.columns.iter().copied()).chain(of_forms).collect();
        columns.sort_unstable();
        columns.dedup();
        let places: HashMap<RowForm, usize> = forms.iter().cloned().zip(columns.len()..).collect();
        let pieces = pieces.into_iter().map(|piece| piece.over(&columns, &places)).collect();
        let degree = products.iter().map(|&product| air.degree(product)).max().unwrap_or(1);
        Ok(Self { products, pieces, first_instruction: 0, columns, forms, degree })
    }
}

impl KeyPlan {
    /// # Errors
    /// As [`air::from_dag`], [`RowProgram::split`] and [`Round0Plan::new`], for the first AIR that has no plan.
    pub fn new(key: &DeviceMultiStarkProvingKey<CpuBackend<SC>>) -> Result<Self> {
        let l_skip = key.params.l_skip;
        let mut airs = key.per_air.par_iter().map(|air| AirPlan::new(air, l_skip)).collect::<Result<Vec<_>>>()?;
        let batch_instructions = BatchInstructions::new(&mut airs);
        Ok(Self { airs: airs.into(), batch_instructions, l_skip, made_of: key.per_air.iter().map(AirContent::of).collect() })
    }

    /// The same plan for another device: what this one's has brought to the device is not that one's.
    pub fn for_another_device(&self) -> Self {
        let Self { airs, batch_instructions, l_skip, made_of } = self;
        let batch_instructions = BatchInstructions::of_words(Arc::clone(&batch_instructions.words));
        Self { airs: Arc::clone(airs), batch_instructions, l_skip: *l_skip, made_of: Arc::clone(made_of) }
    }

    /// Whether this is the plan of such a key: a comparison of all that it was made of, a millisecond for a VM's key.
    pub fn is_of(&self, key: &DeviceMultiStarkProvingKey<CpuBackend<SC>>) -> bool {
        let same_airs = || self.made_of.iter().zip(&key.per_air).all(|(content, air)| content.is_of(air));
        self.l_skip == key.params.l_skip && self.made_of.len() == key.per_air.len() && same_airs()
    }

    /// The plans for round 0.
    pub fn round0_plans(&self) -> Vec<&Round0Plan> {
        self.airs.iter().filter_map(|air| air.round0.as_ref()).collect()
    }
}

impl AirPlan {
    fn new(key: &DeviceStarkProvingKey<CpuBackend<SC>>, l_skip: usize) -> Result<Self> {
        let name = &key.air_name;
        let vk: &StarkVerifyingKey<F, Digest> = &key.vk;
        let air = air::from_verifying_key(name, vk)?;
        let shape = RowShape::new(&vk.params);
        if !shape.needs_next && air.nodes().iter().any(|node| matches!(node, Node::Column(column) if column.next)) {
            return Err(Error::Unsupported {
                subject: name.as_str().into(),
                what: "the next row in an expression, which the key says there is not".into(),
            });
        }

        Self::with_shape(air, shape, l_skip)
    }

    /// The plan of an AIR of this crate: it is of one main part and reads the next row.
    pub fn of_air(air: Air, l_skip: usize) -> Result<Self> {
        let shape = RowShape::of_main(air.main_widths()[0], air.num_public_values());
        Self::with_shape(air, shape, l_skip)
    }

    fn with_shape(air: Air, shape: RowShape, l_skip: usize) -> Result<Self> {
        let (logup, batch) = (Logup::new(&air)?, Batch::new(&air)?);
        let has_any = logup.is_some() || !air.constraints().is_empty();
        let round0 = has_any.then(|| Round0Plan::new(air.clone(), l_skip, Strategy::Split)).transpose()?;
        Ok(Self { round0, logup, batch, shape, air })
    }
}
