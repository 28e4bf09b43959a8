//! OpenVM's virtual machines on [`WgpuEngine`].

use openvm_circuit::arch::{AirInventory, ChipInventoryError, VmBuilder, VmChipComplex};
use openvm_cpu_backend::CpuBackend;
use openvm_stark_sdk::config::baby_bear_poseidon2::BabyBearPoseidon2CpuEngine;

use crate::{EngineTranscript, SC, WgpuEngine};

/// Builds what a stock CPU builder builds, for [`WgpuEngine`].
///
/// The stock builders ask for an engine whose device is the stock CPU device, although what they build depends on the engine's backend
/// alone. Both engines have the backend [`CpuBackend`].
///
/// ```no_run
/// use openvm_circuit::arch::{VirtualMachine, VirtualMachineError};
/// use openvm_keccak256_circuit::{Keccak256Rv32Config, Keccak256Rv32CpuBuilder};
/// use openvm_wgpu::{WgpuEngine, vm::OnWgpu};
///
/// fn keccak_vm(engine: WgpuEngine) -> Result<VirtualMachine<WgpuEngine, OnWgpu<Keccak256Rv32CpuBuilder>>, VirtualMachineError> {
///     let (vm, _pk) = VirtualMachine::new_with_keygen(engine, OnWgpu(Keccak256Rv32CpuBuilder), Keccak256Rv32Config::default())?;
///     Ok(vm)
/// }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct OnWgpu<B>(pub B);

impl<B, TS> VmBuilder<WgpuEngine<TS>> for OnWgpu<B>
where
    B: VmBuilder<BabyBearPoseidon2CpuEngine>,
    TS: EngineTranscript,
{
    type VmConfig = B::VmConfig;
    type RecordArena = B::RecordArena;
    type SystemChipInventory = B::SystemChipInventory;

    fn create_chip_complex(
        &self,
        config: &B::VmConfig,
        circuit: AirInventory<SC>,
        device_ctx: &(),
    ) -> Result<VmChipComplex<SC, B::RecordArena, CpuBackend<SC>, B::SystemChipInventory>, ChipInventoryError> {
        self.0.create_chip_complex(config, circuit, device_ctx)
    }
}
