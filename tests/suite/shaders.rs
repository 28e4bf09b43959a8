//! Every shader that a device can be asked to compile, without a device: naga validates it, its structs are laid out as Rust lays them
//! out, and it becomes MSL with the options of wgpu's Metal backend.

use std::collections::BTreeMap;

use crate::support::translate::{self, MslOptions};
use logup_wgpu::shaders::{FieldForm, Kernel, LAYOUTS, Needs, Variant};
use naga::{AddressSpace, Module, TypeInner};

fn parse(variant: Variant) -> Module {
    translate::parse(&format!("{variant:?}"), &variant.source())
}

#[test]
fn every_variant_is_valid() {
    let variants = Variant::all();
    assert_eq!(variants.len(), 2 * (3 + 2 * 4 + 2 * 5)); // the column kernels for 4 numbers of windows, the coset kernels also for none
    for variant in variants {
        translate::validate(&format!("{variant:?}"), &variant.source(), variant.form, &parse(variant));
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
                assert!(
                    ["Acc", "Block", "ExtAcc", "Octet", "Point", "Weighted"].contains(&name.as_str()),
                    "{variant:?}: struct {name} has no Rust side"
                );
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

/// What each kernel needs of a device's limits, as naga reads it out of the text. WebGPU has 256 threads, 16 KiB and, in groups of a kernel
/// without windows, 8 storage buffers.
#[test]
fn kernels_need_what_they_say() {
    for variant in Variant::all() {
        let module = parse(variant);
        let [entry_point] = &module.entry_points[..] else { panic!("{variant:?}: one entry point") };
        assert_eq!((entry_point.name.as_str(), &entry_point.workgroup_size[1..]), ("main", &[1, 1][..]), "{variant:?}");
        let variables = || module.global_variables.iter().map(|(_, variable)| variable);
        let bindings = |group| variables().filter(|v| v.binding.as_ref().is_some_and(|binding| binding.group == group)).count() as u32;
        let memory = variables().filter(|v| v.space == AddressSpace::WorkGroup);
        let needs = Needs {
            storage_buffers: variables().filter(|v| matches!(v.space, AddressSpace::Storage { .. })).count() as u32,
            bind_groups: 1 + u32::from(bindings(1) > 0),
            bindings: bindings(0).max(bindings(1)),
            threads: entry_point.workgroup_size[0],
            workgroup_bytes: memory.map(|v| module.types[v.ty].inner.size(module.to_ctx())).sum(),
        };
        assert_eq!(variant.needs(), needs, "{variant:?}");
        assert_eq!(bindings(1), variant.slots, "{variant:?}");
        // `DeviceLimits::max_slots` counts on five beside the windows.
        assert!(bindings(0) <= if variant.kernel.reads_traces() { 5 } else { 8 }, "{variant:?}");
        assert!(needs.threads <= 256 && needs.workgroup_bytes <= 4096, "{variant:?}");
    }
}

/// Metal as wgpu 30 drives it.
#[test]
fn every_variant_becomes_msl() {
    for variant in Variant::all() {
        for lang_version in [(2, 3), (3, 1), (3, 2), (4, 0)] {
            for checked in [true, false] {
                let options = MslOptions { lang_version, checked };
                let msl = translate::to_msl(variant, &variant.source(), &variant.constants(29, false), options).text;
                // Each shader has the field's functions, used or not.
                assert_eq!(msl.contains("ulong"), variant.form == FieldForm::U64, "{variant:?}: 64-bit products");
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
