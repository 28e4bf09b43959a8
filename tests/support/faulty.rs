//! A driver with faults: a Vulkan layer between wgpu and the driver, in a process of its own.

use std::{fs, ops::Range, path::PathBuf, process::Command, sync::OnceLock};

use super::{
    root,
    watchdog::{is_alone, passes_alone},
};

/// What the driver does wrong.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Every wait reports a lost device.
    Lose,
    /// Of the dispatches recorded from now on, these are left out; the command buffer succeeds.
    Drop(Range<u64>),
    /// There is no memory for allocations of more bytes.
    Refuse(u64),
}

/// The switch of a test's driver.
pub struct Faulty {
    switch: PathBuf,
}

impl Faulty {
    /// Runs the test again in a process of its own with the layer, where this gives the switch; here it gives `None`.
    pub fn driver(test: &str) -> Option<Self> {
        if is_alone(test) {
            return Some(Self { switch: std::env::var_os("LOGUP_FAULT").unwrap().into() });
        }
        let folder = layer();
        let switch = folder.join(format!("fault_of_{}", test.replace(':', "_")));
        let _ = fs::remove_file(&switch);
        let variables = [
            ("VK_LAYER_PATH", folder.to_str().unwrap()),
            ("VK_INSTANCE_LAYERS", "VK_LAYER_LOGUP_faulty"),
            ("LOGUP_FAULT", switch.to_str().unwrap()),
        ];
        passes_alone(test, &variables);
        None
    }

    /// From now on the driver does this.
    pub fn is(&self, fault: Fault) {
        let text = match fault {
            Fault::Lose => "lose".into(),
            Fault::Drop(dispatches) => format!("drop {} {}", dispatches.start, dispatches.end),
            Fault::Refuse(bytes) => format!("refuse {bytes}"),
        };
        fs::write(&self.switch, text).unwrap();
    }

    /// From now on the driver does what it should.
    pub fn is_well(&self) {
        fs::remove_file(&self.switch).unwrap();
    }
}

/// Compiles the layer and writes its manifest; the folder that holds both. Once: other tests' processes have it loaded.
fn layer() -> PathBuf {
    static LAYER: OnceLock<PathBuf> = OnceLock::new();
    LAYER.get_or_init(compile_layer).clone()
}

fn compile_layer() -> PathBuf {
    // Test programs run one after another, but each has a copy of its own: a loaded one must not be written over.
    let program = std::env::current_exe().unwrap();
    let folder = program.with_extension("faulty_layer");
    fs::create_dir_all(&folder).unwrap();
    let source = root().join("tests/support/faulty_layer.c");
    let library = folder.join("libfaulty_layer.so");
    let cc = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror"]).arg(source).arg("-o").arg(&library).output().unwrap();
    assert!(cc.status.success(), "{}", String::from_utf8_lossy(&cc.stderr));
    let manifest = format!(
        r#"{{"file_format_version": "1.1.2", "layer": {{"name": "VK_LAYER_LOGUP_faulty", "type": "GLOBAL", "library_path": {:?},
        "api_version": "1.3.0", "implementation_version": "1", "description": "fails as it is told to"}}}}"#,
        library.to_str().unwrap()
    );
    fs::write(folder.join("faulty_layer.json"), manifest).unwrap();
    folder
}
