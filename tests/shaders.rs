//! Every shader that a device can be asked to compile, without a device: naga validates it, its structs are laid out as Rust lays them
//! out, and it becomes MSL with the options of wgpu's Metal backend.

use std::collections::BTreeMap;

use logup_wgpu::shaders::{FieldForm, Kernel, LAYOUTS, Variant};
use naga::{
    AddressSpace, Module, ShaderStage, TypeInner,
    back::msl,
    valid::{Capabilities, ModuleInfo, ValidationFlags, Validator},
};

fn parse(variant: Variant) -> Module {
    let source = variant.source();
    naga::front::wgsl::parse_str(&source).unwrap_or_else(|error| panic!("{variant:?}: {}", error.emit_to_string(&source)))
}

fn validate(variant: Variant, module: &Module) -> ModuleInfo {
    // The 16-bit-limb form must need nothing beyond core WGSL.
    let capabilities = match variant.form {
        FieldForm::U64 => Capabilities::SHADER_INT64,
        FieldForm::U32 => Capabilities::empty(),
    };
    Validator::new(ValidationFlags::all(), capabilities)
        .validate(module)
        .unwrap_or_else(|error| panic!("{variant:?}: {}", error.emit_to_string(&variant.source())))
}

#[test]
fn every_variant_is_valid() {
    let variants = Variant::all();
    assert_eq!(variants.len(), 2 * (4 + 4 + 5)); // column_sums for 4 numbers of windows, coset_pass also for none
    for variant in variants {
        validate(variant, &parse(variant));
    }
}

#[test]
fn structs_are_laid_out_as_rust_writes_them() {
    let mut seen = BTreeMap::new();
    for variant in Variant::all() {
        let module = parse(variant);
        for (_, ty) in module.types.iter() {
            let (Some(name), TypeInner::Struct { members, span }) = (&ty.name, &ty.inner) else { continue };
            let Some((_, size, fields)) = LAYOUTS.iter().find(|(known, ..)| known == name) else {
                assert!(["Acc", "ExtAcc"].contains(&name.as_str()), "{variant:?}: struct {name} has no Rust side");
                continue;
            };
            assert_eq!(*span as usize, *size, "{name}");
            let members: Vec<(&str, usize)> = members.iter().map(|m| (m.name.as_deref().unwrap(), m.offset as usize)).collect();
            assert_eq!(&members, fields, "{name}");
            seen.insert(name.clone(), ());
        }
    }
    assert_eq!(seen.len(), LAYOUTS.len(), "a Rust struct that no kernel reads: {seen:?}");
}

#[test]
fn workgroups_have_256_threads_and_little_memory() {
    for variant in Variant::all() {
        let module = parse(variant);
        let [entry_point] = &module.entry_points[..] else { panic!("{variant:?}: one entry point") };
        assert_eq!((entry_point.name.as_str(), entry_point.workgroup_size), ("main", [256, 1, 1]), "{variant:?}");
        let memory: u32 = module
            .global_variables
            .iter()
            .filter(|(_, variable)| variable.space == AddressSpace::WorkGroup)
            .map(|(_, variable)| module.types[variable.ty].inner.size(module.to_ctx()))
            .sum();
        assert!(memory <= 4096, "{variant:?}: {memory} bytes of workgroup memory");
    }
}

/// Storage buffers that a kernel binds beside its trace windows; `DeviceLimits::max_slots` counts on at most five.
#[test]
fn kernels_bind_what_the_limits_count_on() {
    for variant in Variant::all() {
        let module = parse(variant);
        let groups = |group| {
            let bindings = module.global_variables.iter().filter_map(|(_, variable)| variable.binding.as_ref());
            bindings.filter(|binding| binding.group == group).count() as u32
        };
        assert!(groups(0) <= 5, "{variant:?}");
        assert_eq!(groups(1), variant.slots, "{variant:?}");
    }
}

/// Metal as wgpu 30 drives it: MSL 2.3 is the first with 64-bit integers, 3.1 that of macOS 14. With and without runtime checks.
#[test]
fn every_variant_becomes_msl() {
    for variant in Variant::all() {
        let module = parse(variant);
        let info = validate(variant, &module);
        // wgpu resolves pipeline constants before it writes MSL
        let constants = if variant.slots > 1 { [("LOG_WINDOW".to_owned(), 29.0)].into_iter().collect() } else { Default::default() };
        let (module, info) =
            naga::back::pipeline_constants::process_overrides(&module, &info, Some((ShaderStage::Compute, "main")), &constants).unwrap();
        let mut resources = msl::EntryPointResources { sizes_buffer: Some(30), ..Default::default() };
        let bindings = module.global_variables.iter().filter_map(|(_, variable)| variable.binding);
        for (slot, binding) in bindings.enumerate() {
            let target = msl::BindTarget { buffer: Some(slot as u8), mutable: true, ..Default::default() };
            resources.resources.insert(binding, target);
        }
        for lang_version in [(2, 3), (3, 1)] {
            for checked in [true, false] {
                let policy = if checked { naga::proc::BoundsCheckPolicy::Restrict } else { naga::proc::BoundsCheckPolicy::Unchecked };
                let options = msl::Options {
                    lang_version,
                    spirv_cross_compatibility: false,
                    fake_missing_bindings: false,
                    per_entry_point_map: [("main".to_owned(), resources.clone())].into_iter().collect(),
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
                let (source, translation) = msl::write_string(&module, &info, &options, &pipeline)
                    .unwrap_or_else(|error| panic!("{variant:?}, MSL {lang_version:?}: {error}"));
                assert!(translation.entry_point_names[0].is_ok(), "{variant:?}");
                let wide = variant.form == FieldForm::U64;
                let wide = wide && variant.kernel != Kernel::PlainRead;
                assert_eq!(source.contains("ulong"), wide, "{variant:?}: 64-bit products in the u64 form only");
                // u64 division does not compile on Metal (gfx-rs/wgpu#10277)
                assert!(!source.contains("naga_div(") || !source.contains("ulong naga_div"), "{variant:?}");
                // A dynamically indexed private array was miscompiled in large kernels: none here.
                for (_, function) in module.functions.iter() {
                    for (_, local) in function.local_variables.iter() {
                        assert!(!matches!(module.types[local.ty].inner, TypeInner::Array { .. }), "{variant:?}: {:?}", local.name);
                    }
                }
            }
        }
    }
}

#[test]
fn kernel_names_are_their_files() {
    for kernel in Kernel::ALL {
        let path = format!("{}/wgsl/{}.wgsl", env!("CARGO_MANIFEST_DIR"), kernel.name());
        let text = std::fs::read_to_string(&path).unwrap();
        let source = Variant { kernel, form: FieldForm::U32, slots: u32::from(kernel.reads_traces()) }.source();
        assert!(source.contains(text.trim_end()), "{path}");
    }
}
