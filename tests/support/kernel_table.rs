//! Every shader of a table of kernels, without a device: naga validates it, everything that the table says of it is what naga reads out of the text,
//! and it becomes MSL with the options of wgpu's Metal backend.

use std::{collections::BTreeSet, path::PathBuf};

use logup_wgpu::{
    FieldForm,
    compute::{Access, Argument, Kernel, Needs, StructLayout, Variant},
};
use naga::{AddressSpace, Handle, Literal, Module, StorageAccess, Type, TypeInner};

use super::translate::{self, MslOptions};

/// A crate's kernels.
pub struct KernelTable {
    pub all: &'static [&'static Kernel],
    pub layouts: &'static [StructLayout],
    pub constants: &'static [(&'static Kernel, &'static [(&'static str, u32)])],
    /// Its `wgsl/`.
    pub folder: PathBuf,
}

fn parse(variant: Variant) -> Module {
    translate::parse(&format!("{variant:?}"), &variant.source())
}

/// The structs that a type is made of.
fn structs(module: &Module, ty: Handle<Type>, found: &mut BTreeSet<Handle<Type>>) {
    match &module.types[ty].inner {
        TypeInner::Array { base, .. } => structs(module, *base, found),
        TypeInner::Struct { .. } => _ = found.insert(ty),
        _ => {}
    }
}

impl KernelTable {
    fn variants(&self) -> impl Iterator<Item = Variant> {
        self.all.iter().flat_map(|kernel| kernel.variants())
    }

    pub fn every_variant_is_valid(&self) {
        for variant in self.variants() {
            translate::validate(&format!("{variant:?}"), &variant.source(), variant.form, &parse(variant));
        }
    }

    pub fn structs_are_laid_out_as_rust_writes_them(&self) {
        let mut seen = BTreeSet::new();
        for variant in self.variants() {
            let module = parse(variant);
            let mut bound = BTreeSet::new();
            let variables = module.global_variables.iter().filter(|(_, variable)| variable.binding.is_some());
            variables.for_each(|(_, variable)| structs(&module, variable.ty, &mut bound));
            for ty in bound {
                let TypeInner::Struct { members, span } = &module.types[ty].inner else { unreachable!() };
                let name = module.types[ty].name.clone().unwrap();
                let layout = self.layouts.iter().find(|(known, ..)| *known == name);
                let (_, size, fields) = layout.unwrap_or_else(|| panic!("{variant:?}: struct {name} has no Rust side"));
                assert_eq!(*span as usize, *size, "{name}");
                let members: Vec<(&str, usize)> = members.iter().map(|m| (m.name.as_deref().unwrap(), m.offset as usize)).collect();
                assert_eq!(&members, fields, "{name}");
                seen.insert(name);
            }
        }
        assert_eq!(seen.len(), self.layouts.len(), "a Rust struct that no kernel reads: {seen:?}");
    }

    /// Constants that Rust and WGSL both name have one value.
    pub fn constants_are_those_of_rust(&self) {
        for (kernel, name, value) in
            self.constants.iter().flat_map(|&(kernel, all)| all.iter().map(move |(name, value)| (kernel, name, value)))
        {
            let variant = kernel.variants().next().unwrap();
            let module = parse(variant);
            let (_, constant) = (module.constants.iter())
                .find(|(_, constant)| constant.name.as_deref() == Some(*name))
                .unwrap_or_else(|| panic!("{variant:?} has no constant {name}"));
            let naga::Expression::Literal(Literal::U32(in_wgsl)) = module.global_expressions[constant.init] else {
                panic!("{name}: no u32")
            };
            assert_eq!(in_wgsl, *value, "{name} of {variant:?}");
        }
    }

    /// What the table says of each kernel, as naga reads it out of the text. WebGPU has 256 threads, 16 KiB and, in groups of a kernel without
    /// windows, 8 storage buffers.
    pub fn kernels_are_what_the_table_says(&self) {
        for variant in self.variants() {
            let (kernel, module) = (variant.kernel, parse(variant));
            let [entry_point] = &module.entry_points[..] else { panic!("{variant:?}: one entry point") };
            assert_eq!((entry_point.name.as_str(), entry_point.workgroup_size), ("main", [kernel.workgroup_size, 1, 1]), "{variant:?}");
            let variables = || module.global_variables.iter().map(|(_, variable)| variable);
            let group = |group| {
                let of_group = variables().filter(|v| v.binding.as_ref().is_some_and(|binding| binding.group == group));
                let mut bound: Vec<_> = of_group.map(|v| (v.binding.unwrap().binding, v.name.clone().unwrap(), v.space)).collect();
                bound.sort_by_key(|(binding, ..)| *binding);
                assert!(bound.iter().map(|(binding, ..)| *binding).eq(0..bound.len() as u32), "{variant:?}: bindings without gaps");
                bound
            };
            let arguments = group(0).into_iter().map(|(_, name, space)| {
                let access = match space {
                    AddressSpace::Uniform => Access::Uniform,
                    AddressSpace::Storage { access } if access.contains(StorageAccess::STORE) => Access::ReadWrite,
                    _ => Access::Read,
                };
                (name, access)
            });
            let said = kernel.arguments.iter().map(|&Argument { name, access }| (name.to_owned(), access));
            assert!(arguments.eq(said), "{variant:?}: {:?}", group(0));
            let memory = variables().filter(|v| v.space == AddressSpace::WorkGroup);
            let memory: u32 = memory.map(|v| module.types[v.ty].inner.size(module.to_ctx())).sum();
            assert_eq!((group(1).len() as u32, memory), (variant.slots, kernel.workgroup_bytes), "{variant:?}");
            let constants: BTreeSet<&str> = module.overrides.iter().map(|(_, constant)| constant.name.as_deref().unwrap()).collect();
            let all: Vec<(&'static str, u32)> = kernel.constants.iter().map(|&name| (name, 1)).collect();
            assert_eq!(constants, variant.constants(29, &all).into_iter().map(|(name, _)| name).collect(), "{variant:?}");

            let storage = variables().filter(|v| matches!(v.space, AddressSpace::Storage { .. })).count() as u32;
            let needs = Needs {
                storage_buffers: storage,
                bind_groups: 1 + u32::from(variant.slots > 0),
                bindings: (kernel.arguments.len() as u32).max(variant.slots),
                threads: kernel.workgroup_size,
                workgroup_bytes: memory,
            };
            assert_eq!(variant.needs(), needs, "{variant:?}");
            // Storage buffers that WebGPU grants; `DeviceLimits::max_slots` counts on five beside the windows.
            let beside = storage - variant.slots;
            assert!(beside <= if kernel.reads_traces() { 5 } else { 8 }, "{variant:?}: {beside} storage buffers");
            assert!(needs.threads <= 256 && needs.workgroup_bytes <= 16384, "{variant:?}: more than WebGPU grants");
        }
    }

    /// Metal as wgpu 30 drives it.
    pub fn every_variant_becomes_msl(&self) {
        for variant in self.variants() {
            for lang_version in [(2, 3), (3, 1), (3, 2), (4, 0)] {
                for checked in [true, false] {
                    let options = MslOptions { lang_version, checked };
                    let msl = translate::to_msl(variant, &variant.source(), &variant.constants(29, &[]), options).text;
                    // Shaders that import the field have all its functions, used or not.
                    let has_field = variant.source().contains("shared/field_");
                    assert_eq!(msl.contains("ulong"), has_field && variant.form == FieldForm::U64, "{variant:?}: 64-bit products");
                }
            }
        }
    }

    /// Each kernel is a file of its name; each file of `wgsl/` is a kernel or imported by one.
    pub fn kernels_are_files_and_files_are_kernels(&self) {
        let folder = &self.folder;
        let texts: Vec<String> = self.variants().map(Variant::source).collect();
        for kernel in self.all {
            let path = folder.join(kernel.name).with_extension("wgsl");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), kernel.source, "{}", path.display());
        }
        for (path, prefix) in [(folder.clone(), ""), (folder.join("shared"), "shared/")] {
            for entry in std::fs::read_dir(path).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_file()) {
                let banner = format!("// ======== {prefix}{} ========", entry.file_name().to_str().unwrap());
                assert!(texts.iter().any(|text| text.contains(&banner)), "{} is in no shader", entry.path().display());
            }
        }
    }
}

/// The tests of a crate's table, which the expression gives.
#[macro_export]
macro_rules! kernel_table_tests {
    ($table:expr) => {
        $crate::kernel_table_tests! { $table;
            every_variant_is_valid
            structs_are_laid_out_as_rust_writes_them
            constants_are_those_of_rust
            kernels_are_what_the_table_says
            every_variant_becomes_msl
            kernels_are_files_and_files_are_kernels
        }
    };
    ($table:expr; $($test:ident)+) => {
        $(#[test]
        fn $test() {
            $table.$test();
        })+
    };
}
