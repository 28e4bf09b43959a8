//! A run of OpenVM's keccak VM: a program made of instructions, and the stock VM on our engine.

use logup_wgpu::{F, openvm::WgpuEngine};
use openvm_circuit::arch::{
    AirInventory, ChipInventoryError, VirtualMachine, VirtualMachineError, VmBuilder, VmChipComplex,
    instructions::{LocalOpcode, SystemOpcode, exe::VmExe, instruction::Instruction, program::Program},
};
use openvm_cpu_backend::CpuBackend;
use openvm_keccak256_circuit::{Keccak256Rv32Config, Keccak256Rv32CpuBuilder};
use openvm_keccak256_transpiler::{KeccakfOpcode, XorinOpcode};
use openvm_rv32im_transpiler::{
    BaseAluOpcode, BranchEqualOpcode, BranchLessThanOpcode, DivRemOpcode, LessThanOpcode, MulHOpcode, MulOpcode, Rv32AuipcOpcode,
    Rv32JalLuiOpcode, Rv32JalrOpcode, Rv32LoadStoreOpcode, ShiftOpcode,
};
use openvm_stark_backend::{
    FiatShamirTranscript,
    keygen::types::MultiStarkProvingKey,
    prover::{AirProvingContext, CommittedTraceData, ProvingContext},
};
use openvm_stark_sdk::config::baby_bear_poseidon2::{BabyBearPoseidon2Config, BabyBearPoseidon2CpuEngine};
use p3_baby_bear::Poseidon2BabyBear;

type SC = BabyBearPoseidon2Config;

/// A stock CPU builder, building for our engine.
///
/// The stock builders ask for an engine whose device is the CPU device, though what they build depends on the backend alone, and that is
/// the CPU backend here too.
#[derive(Clone)]
pub struct OnWgpu<B>(pub B);

impl<B, TS> VmBuilder<WgpuEngine<TS>> for OnWgpu<B>
where
    B: VmBuilder<BabyBearPoseidon2CpuEngine<TS>>,
    TS: FiatShamirTranscript<SC> + From<Poseidon2BabyBear<16>>,
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

/// OpenVM's keccak VM on our engine.
pub type KeccakVm<TS> = VirtualMachine<WgpuEngine<TS>, OnWgpu<Keccak256Rv32CpuBuilder>>;

/// The VM with its default configuration, and its proving key.
pub fn keccak_vm<TS>(engine: WgpuEngine<TS>) -> Result<(KeccakVm<TS>, MultiStarkProvingKey<SC>), VirtualMachineError>
where
    TS: FiatShamirTranscript<SC> + From<Poseidon2BabyBear<16>>,
{
    VirtualMachine::new_with_keygen(engine, OnWgpu(Keccak256Rv32CpuBuilder), Keccak256Rv32Config::default())
}

/// Runs a program and generates the traces of its first segment, which must be its only one.
pub fn run<TS>(vm: &mut KeccakVm<TS>, exe: &VmExe<F>) -> Result<ProvingContext<CpuBackend<SC>>, Box<dyn std::error::Error>>
where
    TS: FiatShamirTranscript<SC> + From<Poseidon2BabyBear<16>>,
{
    let metered = vm.build_metered_ctx(exe);
    let (segments, _) = vm.metered_interpreter(exe)?.execute_metered(vec![], metered)?;
    let [segment] = &segments[..] else { return Err(format!("{} segments: the program is too long for one", segments.len()).into()) };
    let committed_program = vm.commit_program_on_device(&exe.program);
    vm.load_program(committed_program);
    let mut interpreter = vm.preflight_interpreter(exe)?;
    let state = vm.create_initial_state(exe, vec![]);
    vm.transport_init_memory_to_device(&state.memory);
    let output = vm.execute_preflight(&mut interpreter, state, Some(segment.num_insns), &segment.trace_heights)?;
    Ok(vm.generate_proving_ctx(output.system_records, output.record_arenas)?)
}

/// A second copy of a proof's traces.
pub fn copy(context: &ProvingContext<CpuBackend<SC>>) -> ProvingContext<CpuBackend<SC>> {
    let cached = |data: &CommittedTraceData<CpuBackend<SC>>| data.clone();
    let per_trace = context.per_trace.iter().map(|(air, trace)| {
        let cached_mains = trace.cached_mains.iter().map(cached).collect();
        (*air, AirProvingContext::new(cached_mains, trace.common_main.clone(), trace.public_values.clone()))
    });
    ProvingContext::new(per_trace.collect())
}

/// A program that absorbs and permutes `permutations` times, and between two permutations makes a new word of the block with every
/// instruction family of rv32im: loads and stores of all widths, branches, jumps, shifts, comparisons, products, divisions.
pub fn program(permutations: u32) -> VmExe<F> {
    assert!((1..1 << 23).contains(&permutations));
    // Registers. The block lies 512 bytes after the state.
    let [zero, state, block, rate, left, word, product, high, shifted, less, quotient, pc, link] =
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
    let setup = [
        upper(Rv32JalLuiOpcode::LUI, state, 0x10),
        immediate(BaseAluOpcode::ADD, block, state, 512),
        immediate(BaseAluOpcode::ADD, rate, zero, 136),
        upper(Rv32JalLuiOpcode::LUI, left, ((permutations + 0x800) >> 12) as usize),
        immediate(BaseAluOpcode::ADD, left, left, sign_extended(permutations)),
    ];
    let body = [
        load(Rv32LoadStoreOpcode::LOADW, word, block, 0),
        registers(MulOpcode::MUL, product, word, left, 0),
        registers(MulHOpcode::MULHU, high, word, left, 0),
        registers(BaseAluOpcode::ADD, word, product, high, 1),
        registers(BaseAluOpcode::XOR, word, word, left, 1),
        store(Rv32LoadStoreOpcode::STOREW, word, block, 0),
        load(Rv32LoadStoreOpcode::LOADBU, high, block, 1),
        store(Rv32LoadStoreOpcode::STOREB, high, block, 8),
        load(Rv32LoadStoreOpcode::LOADB, high, block, 3),
        immediate(ShiftOpcode::SLL, shifted, high, 5),
        store(Rv32LoadStoreOpcode::STOREH, shifted, block, 16),
        registers(LessThanOpcode::SLTU, less, shifted, word, 1),
        registers(DivRemOpcode::DIVU, quotient, product, rate, 0),
        store(Rv32LoadStoreOpcode::STOREW, quotient, block, 20),
        Instruction::from_usize(Rv32AuipcOpcode::AUIPC.global_opcode(), [4 * pc, 0, 0, 1]),
        // to the next instruction, twice
        Instruction::from_usize(Rv32JalrOpcode::JALR.global_opcode(), [4 * link, 4 * pc, 8, 1, 0, 1]),
        Instruction::from_usize(Rv32JalLuiOpcode::JAL.global_opcode(), [4 * link, 0, 4, 1, 0, 1]),
        // skips an instruction where the comparison was false
        branch(BranchLessThanOpcode::BGEU, zero, less, 8),
        store(Rv32LoadStoreOpcode::STOREW, less, block, 24),
        keccak(XorinOpcode::XORIN, state, block, rate),
        keccak(KeccakfOpcode::KECCAKF, state, zero, zero),
        immediate(BaseAluOpcode::ADD, left, left, (1 << 24) - 1),
    ];
    let back = -4 * body.len() as isize;
    let end = [branch(BranchEqualOpcode::BNE, left, zero, back), Instruction::from_usize(SystemOpcode::TERMINATE.global_opcode(), [0; 5])];
    Program::from_instructions(&[&setup[..], &body, &end].concat()).into()
}

/// The low 12 bits, as a signed number in OpenVM's 24 bits.
fn sign_extended(number: u32) -> usize {
    let low = number & 0xfff;
    (if low < 0x800 { low } else { low + 0xff_f000 }) as usize
}

fn registers(opcode: impl LocalOpcode, target: usize, left: usize, right: usize, right_space: usize) -> Instruction<F> {
    Instruction::from_usize(opcode.global_opcode(), [4 * target, 4 * left, 4 * right, 1, right_space])
}

fn immediate(opcode: impl LocalOpcode, target: usize, left: usize, number: usize) -> Instruction<F> {
    Instruction::from_usize(opcode.global_opcode(), [4 * target, 4 * left, number, 1, 0])
}

fn upper(opcode: impl LocalOpcode, target: usize, number: usize) -> Instruction<F> {
    Instruction::from_usize(opcode.global_opcode(), [4 * target, 0, number, 1, 0, 1])
}

fn load(opcode: impl LocalOpcode, target: usize, address: usize, offset: usize) -> Instruction<F> {
    Instruction::from_usize(opcode.global_opcode(), [4 * target, 4 * address, offset, 1, 2, 1])
}

fn store(opcode: impl LocalOpcode, source: usize, address: usize, offset: usize) -> Instruction<F> {
    Instruction::from_usize(opcode.global_opcode(), [4 * source, 4 * address, offset, 1, 2, 1])
}

fn branch(opcode: impl LocalOpcode, left: usize, right: usize, offset: isize) -> Instruction<F> {
    Instruction::from_isize(opcode.global_opcode(), 4 * left as isize, 4 * right as isize, offset, 1, 1)
}

fn keccak(opcode: impl LocalOpcode, buffer: usize, input: usize, len: usize) -> Instruction<F> {
    Instruction::from_usize(opcode.global_opcode(), [4 * buffer, 4 * input, 4 * len, 1, 2])
}
