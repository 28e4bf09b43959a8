//! A shader through naga: parsed, validated, and translated to MSL with the options of wgpu's Metal backend.

use logup_wgpu::{FieldForm, compute::Variant};
use naga::{
    AddressSpace, Handle, Module, ShaderStage, StorageAccess, Type, TypeInner,
    back::msl,
    proc::{BoundsCheckPolicies, BoundsCheckPolicy},
    valid::{Capabilities, ModuleInfo, ValidationFlags, Validator},
};

pub fn parse(name: &str, source: &str) -> Module {
    naga::front::wgsl::parse_str(source).unwrap_or_else(|error| panic!("{name}: {}", error.emit_to_string(source)))
}

pub fn validate(name: &str, source: &str, form: FieldForm, module: &Module) -> ModuleInfo {
    // The 16-bit-limb form must need nothing beyond core WGSL.
    let capabilities = match form {
        FieldForm::U64 => Capabilities::SHADER_INT64,
        FieldForm::U32 => Capabilities::empty(),
    };
    Validator::new(ValidationFlags::all(), capabilities)
        .validate(module)
        .unwrap_or_else(|error| panic!("{name}: {}", error.emit_to_string(source)))
}

/// A shader as Metal gets it.
pub struct Msl {
    pub text: String,
    /// Slots of the buffers whose sizes the text asks for, in the order of `_mslBufferSizes`.
    pub sized: Vec<usize>,
    /// Threads of a threadgroup.
    pub num_threads: u32,
}

/// What decides the text beside the shader.
#[derive(Clone, Copy, Debug)]
pub struct MslOptions {
    /// 2.3 is the first with 64-bit integers (macOS 11), 3.1 that of macOS 14, 3.2 of macOS 15, 4.0 of macOS 26.
    pub lang_version: (u8, u8),
    /// wgpu's runtime checks.
    pub checked: bool,
}

/// Translates as `wgpu-hal` 30 does (`metal/device.rs`: `load_shader`, `create_pipeline_layout`): buffers take slots in the order of group and
/// binding, read-only ones are not `mutable`, the sizes' slot comes behind them.
pub fn to_msl(variant: Variant, source: &str, constants: &[(&str, f64)], MslOptions { lang_version, checked }: MslOptions) -> Msl {
    let name = format!("{variant:?}, MSL {lang_version:?}");
    let module = parse(&name, source);
    let info = validate(&name, source, variant.form, &module);
    // slots are by layout, which has the buffers that constants leave unused too
    let mut bindings: Vec<_> = module.global_variables.iter().filter_map(|(_, v)| Some((v.binding?, v.space))).collect();
    bindings.sort_by_key(|(binding, _)| *binding);
    let buffers = bindings.iter().filter(|(_, space)| matches!(space, AddressSpace::Storage { .. })).count();
    // wgpu resolves pipeline constants before it writes MSL
    let constants = constants.iter().map(|&(name, value)| (name.to_owned(), value)).collect();
    let entry_point = Some((ShaderStage::Compute, "main"));
    let (module, info) = naga::back::pipeline_constants::process_overrides(&module, &info, entry_point, &constants).unwrap();
    let mut resources = msl::EntryPointResources { sizes_buffer: Some(bindings.len() as u8), ..Default::default() };
    for (slot, (binding, space)) in bindings.iter().enumerate() {
        let mutable = matches!(space, AddressSpace::Storage { access } if access.contains(StorageAccess::STORE));
        resources.resources.insert(*binding, msl::BindTarget { buffer: Some(slot as u8), mutable, ..Default::default() });
    }
    let sized = module.global_variables.iter().filter(|(_, v)| module.types[v.ty].inner.needs_host_buffer_byte_size(&module.types));
    let sized = sized.map(|(_, v)| bindings.iter().position(|(binding, _)| Some(*binding) == v.binding).expect("a binding")).collect();
    let policy = if checked { BoundsCheckPolicy::Restrict } else { BoundsCheckPolicy::Unchecked };
    let options = msl::Options {
        lang_version,
        spirv_cross_compatibility: false,
        fake_missing_bindings: false,
        per_entry_point_map: [("main".to_owned(), resources)].into_iter().collect(),
        bounds_check_policies: BoundsCheckPolicies {
            index: policy,
            buffer: policy,
            image_load: policy,
            binding_array: BoundsCheckPolicy::Unchecked,
        },
        zero_initialize_workgroup_memory: false,
        force_loop_bounding: checked,
        emit_int_div_checks: checked,
        ..msl::Options::default()
    };
    let pipeline = msl::PipelineOptions {
        entry_point: Some((ShaderStage::Compute, "main".to_owned())),
        allow_and_force_point_size: false,
        vertex_pulling_transform: true,
        ..msl::PipelineOptions::default()
    };
    let (text, translation) = msl::write_string(&module, &info, &options, &pipeline).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(translation.entry_point_names[0].as_deref().ok(), Some("main_"), "{name}");
    assert_eq!(buffers, variant.needs().storage_buffers as usize, "{name}: storage buffers");
    lint(variant, &name, &module, &text);
    Msl { text, sized, num_threads: module.entry_points[0].workgroup_size[0] }
}

/// Bytes of a kernel's Metal text, checks included. Guess, above what the largest generated kernels have: compilers take longer with more, and
/// Apple's was seen to get large ones wrong (risc0/risc0#3756).
const MAX_TEXT: usize = 256 << 10;

/// What drivers are known to get wrong, or Metal cannot compile; and what the plan counts on, in generated kernels too.
fn lint(variant: Variant, name: &str, module: &Module, msl: &str) {
    assert!(msl.len() <= MAX_TEXT, "{name}: {} bytes of Metal", msl.len());
    let variables = || module.global_variables.iter().map(|(_, variable)| variable);
    let memory = variables().filter(|variable| variable.space == AddressSpace::WorkGroup);
    let memory: u32 = memory.map(|variable| module.types[variable.ty].inner.size(module.to_ctx())).sum();
    assert!(
        memory <= variant.needs().workgroup_bytes && memory <= 16 << 10,
        "{name}: {memory} bytes of workgroup memory; WebGPU has 16 KiB"
    );
    assert!(!msl.contains("ulong naga_div"), "{name}: 64-bit division does not compile on Metal (gfx-rs/wgpu#10277)");
    let entry_points = module.entry_points.iter().map(|entry_point| &entry_point.function);
    for function in module.functions.iter().map(|(_, function)| function).chain(entry_points) {
        for (_, local) in function.local_variables.iter() {
            let is_array = matches!(module.types[local.ty].inner, TypeInner::Array { .. });
            assert!(!is_array, "{name}: {:?} is a private array, which Apple's compiler got wrong in large kernels", local.name);
        }
    }
    for (_, variable) in module.global_variables.iter().filter(|(_, variable)| variable.binding.is_some()) {
        let wide = has_wide_scalar(module, variable.ty);
        assert!(!wide, "{name}: {:?} has 64-bit words, which not every backend can store (gfx-rs/wgpu#5857)", variable.name);
    }
    let threads = module.entry_points[0].workgroup_size[0];
    assert!((64..=256).contains(&threads), "{name}: {threads} threads; Apple's compiler got kernels of 32 wrong (tracel-ai/cubecl#1636)");
    assert!(
        !msl.contains("metal::simd_") && !msl.contains("metal::quad_"),
        "{name}: subgroup operations are got wrong in divergent code (gfx-rs/wgpu#10019)"
    );
}

/// Whether a type has a 64-bit scalar in it.
fn has_wide_scalar(module: &Module, ty: Handle<Type>) -> bool {
    match &module.types[ty].inner {
        TypeInner::Scalar(scalar) | TypeInner::Atomic(scalar) | TypeInner::Vector { scalar, .. } => scalar.width == 8,
        TypeInner::Array { base, .. } => has_wide_scalar(module, *base),
        TypeInner::Struct { members, .. } => members.iter().any(|member| has_wide_scalar(module, member.ty)),
        other => panic!("a buffer of another type: {other:?}"),
    }
}
