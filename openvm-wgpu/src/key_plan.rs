//! What a proving key's AIRs need, decided once per key.

use logup_wgpu::{Air, EF, Error, F, Node, NodeId, Result, Round0Plan, Strategy};
use openvm_cpu_backend::CpuBackend;
use openvm_stark_backend::{
    air_builders::symbolic::SymbolicConstraintsDag,
    keygen::types::{StarkVerifyingKey, StarkVerifyingParams},
    prover::{DeviceMultiStarkProvingKey, DeviceStarkProvingKey},
};
use p3_field::PrimeCharacteristicRing;
use rayon::prelude::*;

use crate::{Digest, SC, air, gkr, program::Program, rows::RowShape};

/// The plans of all AIRs of a proving key, in its order, and what they were made of.
#[derive(Debug)]
pub(crate) struct KeyPlan {
    pub airs: Vec<AirPlan>,
    l_skip: usize,
    made_of: Vec<AirContent>,
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
    /// For the rounds after round 0, where all is in `EF`: the roots are the constraints, then `logup`'s roots.
    pub batch: Program,
    /// Where the cells of `batch` are in a wide row.
    pub batch_columns: Vec<u32>,
}

/// An AIR's interactions.
#[derive(Debug)]
pub(crate) struct Logup {
    /// The nodes that they send, ascending, each once: roots of [`AirPlan::batch`].
    pub roots: Vec<NodeId>,
    pub interactions: Vec<InteractionRoots>,
    /// What they are affine in beside cells, ascending.
    pub products: Vec<NodeId>,
    /// Programs that compute the products row by row, one after the other.
    pub programs: Vec<Program>,
}

impl Logup {
    /// Nothing for an AIR without interactions.
    pub fn new(air: &Air) -> Option<Self> {
        let nodes = air.interactions().iter().flat_map(|interaction| interaction.message.iter().chain([&interaction.count]));
        let mut roots: Vec<NodeId> = nodes.copied().collect();
        roots.sort_unstable();
        roots.dedup();
        let root = |node: &NodeId| roots.binary_search(node).expect("collected above");
        let interactions = air.interactions().iter().map(|interaction| InteractionRoots {
            count: root(&interaction.count),
            message: interaction.message.iter().map(root).collect(),
            bus_index: interaction.bus_index,
        });
        let (interactions, products): (Vec<_>, _) = (interactions.collect(), gkr::products(air));
        (!roots.is_empty()).then(|| Self { interactions, programs: row_programs(air, &products), products, roots })
    }
}

/// Steps of a program over rows at most, unless one product alone has more; of those round 0 has refused what a device cannot run.
const MAX_ROW_STEPS: usize = 1 << 13;

/// Programs for these nodes, in order.
fn row_programs(air: &Air, nodes: &[NodeId]) -> Vec<Program> {
    if nodes.is_empty() {
        return vec![];
    }
    let program = Program::new(air, nodes);
    if program.num_device_steps() <= MAX_ROW_STEPS || nodes.len() == 1 {
        return vec![program];
    }
    let (low, high) = nodes.split_at(nodes.len() / 2);
    let mut programs = row_programs(air, low);
    programs.extend(row_programs(air, high));
    programs
}

/// One interaction, its expressions as indices of roots.
#[derive(Debug)]
pub(crate) struct InteractionRoots {
    pub count: usize,
    pub message: Vec<usize>,
    bus_index: u16,
}

impl InteractionRoots {
    /// `beta^len (b + 1)`.
    pub fn bus_term(&self, beta_pows: &[EF]) -> EF {
        beta_pows[self.message.len()] * F::from_u32(u32::from(self.bus_index) + 1)
    }
}

impl KeyPlan {
    /// # Errors
    /// As [`air::from_dag`] and [`Round0Plan::new`], for the first AIR that has no plan.
    pub fn new(key: &DeviceMultiStarkProvingKey<CpuBackend<SC>>) -> Result<Self> {
        let l_skip = key.params.l_skip;
        let airs = key.per_air.par_iter().map(|air| AirPlan::new(air, l_skip)).collect::<Result<_>>()?;
        Ok(Self { airs, l_skip, made_of: key.per_air.iter().map(AirContent::of).collect() })
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

        let logup = Logup::new(&air);
        let batch = Program::new(&air, &[air.constraints(), logup.as_ref().map_or(&[], |logup| &logup.roots)].concat());
        let batch_columns = batch.cells.iter().map(|&cell| shape.wide_column(cell) as u32).collect();
        let round0 = if batch.roots.is_empty() { None } else { Some(Round0Plan::new(air.clone(), l_skip, Strategy::Split)?) };
        Ok(Self { round0, logup, batch, batch_columns, shape, air })
    }
}
