//! A kernel's Metal text as a library: compiled by clang++ against `include/metal_stdlib`, loaded, and called one thread at a time.

use std::{
    ffi::c_void,
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU64, Ordering},
};

use crate::support::{root, translate::Msl};

/// What one thread of a dispatch is given: `metal_call` in `library_source`.
#[repr(C)]
pub struct Call {
    pub buffers: *const *mut c_void,
    pub sizes: *const u32,
    pub threadgroup_memory: *mut c_void,
    pub group: [u32; 3],
    pub grid: [u32; 3],
    pub thread_idx: u32,
    pub num_threads: u32,
}

/// How the text is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Build {
    /// Signed overflow wraps, as on a GPU.
    Plain,
    /// Undefined behaviour is counted: signed overflow, shifts by too much, misaligned or null accesses, missing returns.
    Sanitized,
}

/// A loaded kernel.
pub struct Kernel {
    _library: libloading::Library,
    pub thread: unsafe extern "C" fn(*const Call),
    pub threadgroup_bytes: usize,
    /// Indices that the bounds check moved.
    outside: *const AtomicU64,
    /// What the sanitizer saw.
    findings: *const AtomicU64,
    pub num_threads: u32,
    /// Slots of the buffers whose sizes the kernel asks for, in order.
    pub sized: Vec<usize>,
}

// SAFETY: the library's code has no state but two counters, which are atomic, and the barrier, which is set before the library is shared.
unsafe impl Send for Kernel {}
// SAFETY: as above.
unsafe impl Sync for Kernel {}

impl Kernel {
    /// Compiles and loads a text. Libraries stay on disk, by the hash of all that they come from.
    pub fn load(msl: &Msl, build: Build, barrier: extern "C" fn(u32)) -> Self {
        let source = library_source(msl);
        let path = &library_path(&source, build);
        if !path.exists() {
            compile(&source, path, build);
        }
        // SAFETY: the library was compiled from our own text; it has no initialisers. Its symbols have the types that `library_source` and
        // `metal_stdlib` give them.
        unsafe {
            let library = libloading::Library::new(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let thread = *library.get::<unsafe extern "C" fn(*const Call)>(b"metal_thread").unwrap();
            **library.get::<*mut extern "C" fn(u32)>(b"metal_barrier").unwrap() = barrier;
            let number = |name: &[u8]| **library.get::<*const usize>(name).unwrap();
            let counter = |name: &[u8]| *library.get::<*const AtomicU64>(name).unwrap();
            let threadgroup_bytes = number(b"metal_threadgroup_bytes");
            let (outside, findings) = (counter(b"metal_outside"), counter(b"metal_findings"));
            let (num_threads, sized) = (msl.num_threads, msl.sized.clone());
            Self { _library: library, thread, threadgroup_bytes, outside, findings, num_threads, sized }
        }
    }

    /// Indices that the bounds check moved, and findings of the sanitizer, in all runs of this process.
    pub fn counts(&self) -> [u64; 2] {
        // SAFETY: the counters live as long as the library.
        [self.outside, self.findings].map(|counter| unsafe { &*counter }.load(Ordering::Relaxed))
    }
}

fn library_path(source: &str, build: Build) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    (source, build, include_str!("include/metal_stdlib"), include_str!("kernel.rs")).hash(&mut hasher);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("msl");
    fs::create_dir_all(&folder).unwrap();
    folder.join(format!("{:016x}.so", hasher.finish()))
}

fn compile(source: &str, library: &Path, build: Build) {
    // Other threads and processes may compile the same text.
    static NUM_COMPILED: AtomicU64 = AtomicU64::new(0);
    let unique = NUM_COMPILED.fetch_add(1, Ordering::Relaxed);
    let beside = |ending: &str| library.with_extension(format!("{}.{unique}.{ending}", std::process::id()));
    let (text, object, linked) = (beside("cpp"), beside("o"), beside("so"));
    fs::write(&text, source).unwrap();
    let run = |args: &[&str]| {
        let output = Command::new("clang++").args(args).output().unwrap_or_else(|error| panic!("clang++: {error}; install clang"));
        assert!(output.status.success(), "{}:\n{}", text.display(), String::from_utf8_lossy(&output.stderr));
    };
    let flags: &[&str] = match build {
        Build::Plain => &["-O1", "-fwrapv"],
        // The handlers are ours (`library_source`), so that no runtime is linked.
        Build::Sanitized => &["-O1", "-fsanitize=undefined", "-fno-sanitize=vptr,function", "-fsanitize-minimal-runtime"],
    };
    let common = ["-std=c++17", "-fPIC", "-fno-strict-aliasing", "-fno-exceptions", "-Wno-ignored-attributes", "-Wno-unknown-attributes"];
    let (text_path, object_path, linked_path) = (text.to_str().unwrap(), object.to_str().unwrap(), linked.to_str().unwrap());
    let include = root().join("tests/support/msl/include");
    run(&[flags, &common, &["-I", include.to_str().unwrap(), "-c", text_path, "-o", object_path]].concat());
    run(&["-shared", object_path, "-o", linked_path]);
    fs::rename(&linked, library).unwrap();
    fs::remove_file(&text).unwrap();
    fs::remove_file(&object).unwrap();
}

/// The Metal text, changed where the machine has to look, and `metal_thread`, which calls the kernel with its arguments.
fn library_source(msl: &Msl) -> String {
    let mut text = String::new();
    // An index as the `Restrict` policy writes it; nothing else converts to `unsigned`.
    let mut rest = msl.text.replace("metal::min(unsigned(", "metal_index(unsigned(");
    // Each barrier gets a number, so that threads which wait at different ones are seen.
    const BARRIER: &str = "metal::threadgroup_barrier(";
    for site in 0.. {
        let Some(at) = rest.find(BARRIER) else { break };
        text += &format!("{}metal::threadgroup_barrier_at({site}u, ", &rest[..at]);
        rest.drain(..at + BARRIER.len());
    }
    text += &rest;
    // Arrays without a length are written with length 1 and passed by reference: C++ would hold the kernel to it.
    let text: String = text
        .lines()
        .map(|line| match line.strip_prefix("typedef ").and_then(|line| line.strip_suffix("[1];")) {
            Some(array) => format!("typedef {array}[0x8000000];\n"),
            None => format!("{line}\n"),
        })
        .collect();
    let (_, entry) = text.split_once("kernel void main_(").expect("an entry point");
    let (parameters, _) = entry.split_once(") {").expect("parameters");
    let mut threadgroup_bytes = "0".to_owned();
    let arguments: Vec<String> = parameters
        .split("\n, ")
        .map(str::trim)
        .map(|parameter| {
            match parameter.split_once(" [[").map(|(declaration, attribute)| (declaration, attribute.trim_end_matches("]]"))) {
                Some((_, "threadgroup_position_in_grid")) => "metal::uint3(c->group[0], c->group[1], c->group[2])".into(),
                Some((_, "threadgroups_per_grid")) => "metal::uint3(c->grid[0], c->grid[1], c->grid[2])".into(),
                Some((_, "thread_index_in_threadgroup")) => "c->thread_idx".into(),
                Some((_, "thread_position_in_grid")) => {
                    "metal::uint3(c->group[0] * c->num_threads + c->thread_idx, c->group[1], c->group[2])".into()
                }
                Some((declaration, attribute)) => {
                    let slot = attribute.strip_prefix("buffer(").and_then(|slot| slot.strip_suffix(')'));
                    let slot = slot.unwrap_or_else(|| panic!("a parameter of another kind: {parameter}"));
                    let (ty, name) = reference(declaration);
                    let from = if name == "_buffer_sizes" { "c->sizes".into() } else { format!("c->buffers[{slot}]") };
                    format!("*({ty}*)({from})")
                }
                None => {
                    let (ty, _) = reference(parameter.strip_prefix("threadgroup ").expect("the threadgroup's memory"));
                    // One variable after another.
                    let first = std::mem::take(&mut threadgroup_bytes);
                    threadgroup_bytes = format!("{first} + (sizeof({ty}) + 15ul) / 16ul * 16ul");
                    format!("*({ty}*)((char*)c->memory + {first})")
                }
            }
        })
        .collect();
    format!(
        "{text}
struct metal_call {{
    void* const* buffers;
    uint const* sizes;
    void* memory;
    uint group[3];
    uint grid[3];
    uint thread_idx;
    uint num_threads;
}};
extern \"C\" void metal_thread(metal_call const* c) {{
    main_({arguments});
}}
extern \"C\" {{
extern const unsigned long metal_threadgroup_bytes = {threadgroup_bytes};
extern unsigned long metal_findings;
unsigned long metal_findings = 0;
__attribute__((used)) unsigned long* metal_keep() {{ return metal_barrier ? &metal_outside : &metal_findings; }}
#define FINDING(name) void __ubsan_handle_##name##_minimal() {{ __atomic_fetch_add(&metal_findings, 1ul, __ATOMIC_RELAXED); }}
FINDING(type_mismatch) FINDING(alignment_assumption) FINDING(add_overflow) FINDING(sub_overflow) FINDING(mul_overflow)
FINDING(negate_overflow) FINDING(divrem_overflow) FINDING(shift_out_of_bounds) FINDING(out_of_bounds) FINDING(builtin_unreachable)
FINDING(missing_return) FINDING(load_invalid_value) FINDING(invalid_builtin) FINDING(nonnull_arg) FINDING(nonnull_return)
FINDING(pointer_overflow) FINDING(float_cast_overflow) FINDING(vla_bound_not_positive)
}}
",
        arguments = arguments.join(", "),
    )
}

/// Type and name of a reference parameter, without its address space.
fn reference(declaration: &str) -> (&str, &str) {
    let (ty, name) = declaration.split_once("& ").unwrap_or_else(|| panic!("a reference: {declaration}"));
    let ty = ["device ", "constant "].iter().find_map(|space| ty.strip_prefix(space)).unwrap_or(ty);
    (ty.trim(), name)
}
