//! What a compute kernel is: its text, what it binds and what it needs of a device, all in one value.
//!
//! Each crate that has kernels keeps one table of them, `&[&Kernel]`; this crate's is [`kernels::ALL`](crate::kernels::ALL). Whatever compiles,
//! runs or lints kernels takes those of any table.

mod assemble;
mod program_text;

use std::{
    fmt,
    hash::{Hash, Hasher},
};

pub use self::program_text::ProgramText;

/// How products of two words are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FieldForm {
    /// 64-bit products: needs `SHADER_INT64`, which Metal and Vulkan devices nearly always have.
    U64,
    /// 16-bit limbs: runs everywhere.
    U32,
}

impl FieldForm {
    /// Both forms.
    pub const ALL: [Self; 2] = [Self::U64, Self::U32];

    /// What `{form}` in an import stands for.
    fn suffix(self) -> &'static str {
        match self {
            Self::U64 => "u64",
            Self::U32 => "u32",
        }
    }
}

/// WGSL files that kernels share, under the names by which kernels import them.
#[derive(Debug)]
pub struct Library {
    /// Name and text of each file; the name is the path below `wgsl/` without its ending.
    pub files: &'static [(&'static str, &'static str)],
    /// Where names are looked up that this library does not have.
    pub parent: Option<&'static Library>,
}

/// How a kernel accesses a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// `var<uniform>`
    Uniform,
    /// `var<storage, read>`
    Read,
    /// `var<storage, read_write>`
    ReadWrite,
}

/// A buffer of a kernel's bind group 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argument {
    /// The WGSL variable.
    pub name: &'static str,
    /// How it is accessed.
    pub access: Access,
}

impl Argument {
    /// A buffer that is read.
    pub const fn read(name: &'static str) -> Self {
        Self { name, access: Access::Read }
    }

    /// A buffer that is read and written.
    pub const fn read_write(name: &'static str) -> Self {
        Self { name, access: Access::ReadWrite }
    }

    /// A uniform buffer.
    pub const fn uniform(name: &'static str) -> Self {
        Self { name, access: Access::Uniform }
    }
}

/// A kernel. Its name is its file's, its pipeline's label and its bench's id. Kernels are statics, and each is equal to itself alone.
///
/// The text imports what it shares with others by lines of their own, `//#import shared/ext4`; `{form}` in such a name is the field form. The
/// tests compare everything else that is said here with naga's reflection of the assembled text.
pub struct Kernel {
    /// The file's name without its ending.
    pub name: &'static str,
    /// The WGSL text; its entry point is `main`.
    pub source: &'static str,
    /// Where its imports are looked up.
    pub library: &'static Library,
    /// Statistics add up the dispatches of a stage.
    pub stage: &'static str,
    /// Threads of a workgroup.
    pub workgroup_size: u32,
    /// Bytes of a workgroup's memory.
    pub workgroup_bytes: u32,
    /// Bind group 0, in binding order.
    pub arguments: &'static [Argument],
    /// The numbers of trace windows in bind group 1 for which the kernel exists; `&[0]` for a kernel that reads no trace.
    pub windows: &'static [u32],
    /// Pipeline constants beside `LOG_WINDOW`.
    pub constants: &'static [&'static str],
    /// For a kernel around a generated program: a small program, with which the tests validate the kernel.
    pub stub: Option<&'static str>,
}

impl Kernel {
    /// Whether it reads traces.
    pub fn reads_traces(&self) -> bool {
        self.windows.iter().any(|&windows| windows > 0)
    }

    /// Every shader that a device can be asked to compile for it, but for generated programs.
    pub fn variants(&'static self) -> impl Iterator<Item = Variant> {
        let forms = FieldForm::ALL.into_iter();
        forms.flat_map(move |form| self.windows.iter().map(move |&slots| Variant { kernel: self, form, slots }))
    }
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for Kernel {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for Kernel {}

impl Hash for Kernel {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::ptr::hash(self, state);
    }
}

/// One shader: a kernel, a field form and, where the kernel reads traces, a number of trace windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Variant {
    /// The kernel.
    pub kernel: &'static Kernel,
    /// The field arithmetic.
    pub form: FieldForm,
    /// Trace windows, one of [`Kernel::windows`].
    pub slots: u32,
}

/// What a variant needs of a device's limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// Storage buffers.
    pub storage_buffers: u32,
    /// Bind groups.
    pub bind_groups: u32,
    /// Bindings of the larger group.
    pub bindings: u32,
    /// Threads of a workgroup.
    pub threads: u32,
    /// Bytes of a workgroup's memory.
    pub workgroup_bytes: u32,
}

impl Variant {
    /// What it needs.
    pub fn needs(self) -> Needs {
        let arguments = self.kernel.arguments;
        let num_storage = arguments.iter().filter(|argument| argument.access != Access::Uniform).count() as u32;
        Needs {
            storage_buffers: num_storage + self.slots,
            bind_groups: 1 + u32::from(self.slots > 0),
            bindings: self.slots.max(arguments.len() as u32),
            threads: self.kernel.workgroup_size,
            workgroup_bytes: self.kernel.workgroup_bytes,
        }
    }

    /// The complete WGSL text, with the small program in a kernel that is made for one.
    pub fn source(self) -> String {
        self.source_with(self.kernel.stub.unwrap_or_default())
    }

    /// The complete WGSL text with a generated program at its end.
    ///
    /// # Panics
    /// If a file imports what its library does not have.
    pub fn source_with(self, program: &str) -> String {
        assemble::assemble(self, program)
    }

    /// Values of the text's pipeline constants: `LOG_WINDOW`, the log2 of a trace window's words, and of those that are `chosen` the ones that
    /// the kernel has.
    pub fn constants(self, log_window: u32, chosen: &[(&'static str, u32)]) -> Vec<(&'static str, f64)> {
        let window = (self.slots > 1).then_some(("LOG_WINDOW", log_window));
        let own = chosen.iter().copied().filter(|(name, _)| self.kernel.constants.contains(name));
        window.into_iter().chain(own).map(|(name, value)| (name, f64::from(value))).collect()
    }
}

/// The fields of a struct that Rust writes and WGSL reads: WGSL name, size in bytes, and each member's name and offset.
pub type StructLayout = (&'static str, usize, &'static [(&'static str, usize)]);

/// Declares structs of `u32` fields that a kernel reads, and their layouts for the tests.
macro_rules! shader_structs {
    ($($(#[$doc:meta])* $vis:vis struct $name:ident { $($field:ident),+ $(,)? })+) => {
        $($(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
        #[repr(C)]
        $vis struct $name { $(pub $field: u32),+ })+

        /// Every struct that Rust writes and a kernel reads.
        pub const LAYOUTS: &[$crate::kernel::StructLayout] =
            &[$((stringify!($name), size_of::<$name>(), &[$((stringify!($field), std::mem::offset_of!($name, $field))),+])),+];
    };
}
pub(crate) use shader_structs;
