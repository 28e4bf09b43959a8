//! A shader through naga: parsed, validated, and translated to MSL with the options of wgpu's Metal backend.

use logup_wgpu::shaders::{FieldForm, Variant};
use naga::{
    Module, ShaderStage, TypeInner,
    back::msl,
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

/// The MSL text of a variant, with wgpu's runtime checks or without. MSL 2.3 is the first with 64-bit integers, 3.1 that of macOS 14.
pub fn to_msl(variant: Variant, source: &str, lang_version: (u8, u8), checked: bool) -> String {
    let name = format!("{variant:?}, MSL {lang_version:?}");
    let module = parse(&name, source);
    let info = validate(&name, source, variant.form, &module);
    // wgpu resolves pipeline constants before it writes MSL
    let constants = if variant.slots > 1 { [("LOG_WINDOW".to_owned(), 29.0)].into_iter().collect() } else { Default::default() };
    let entry_point = Some((ShaderStage::Compute, "main"));
    let (module, info) = naga::back::pipeline_constants::process_overrides(&module, &info, entry_point, &constants).unwrap();
    let mut resources = msl::EntryPointResources { sizes_buffer: Some(30), ..Default::default() };
    let bindings = module.global_variables.iter().filter_map(|(_, variable)| variable.binding);
    for (slot, binding) in bindings.enumerate() {
        let target = msl::BindTarget { buffer: Some(slot as u8), mutable: true, ..Default::default() };
        resources.resources.insert(binding, target);
    }
    let policy = if checked { naga::proc::BoundsCheckPolicy::Restrict } else { naga::proc::BoundsCheckPolicy::Unchecked };
    let options = msl::Options {
        lang_version,
        spirv_cross_compatibility: false,
        fake_missing_bindings: false,
        per_entry_point_map: [("main".to_owned(), resources)].into_iter().collect(),
        bounds_check_policies: naga::proc::BoundsCheckPolicies {
            index: policy,
            buffer: policy,
            image_load: policy,
            binding_array: naga::proc::BoundsCheckPolicy::Unchecked,
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
    let (msl, translation) = msl::write_string(&module, &info, &options, &pipeline).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(translation.entry_point_names[0].is_ok(), "{name}");
    // u64 division does not compile on Metal (gfx-rs/wgpu#10277)
    assert!(!msl.contains("ulong naga_div"), "{name}");
    // A dynamically indexed private array was miscompiled in large kernels: none here.
    for (_, function) in module.functions.iter() {
        for (_, local) in function.local_variables.iter() {
            assert!(!matches!(module.types[local.ty].inner, TypeInner::Array { .. }), "{name}: {:?}", local.name);
        }
    }
    msl
}
