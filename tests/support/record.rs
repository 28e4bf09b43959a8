//! Where a record comes from: the head that all records share.

use std::{path::Path, process::Command, time::SystemTime};

use logup_wgpu::Gpu;
use serde_json::{Value, json};

/// Date, adapter, processor, commit, toolchain and command. Without git beside it, the commit is what `LOGUP_WGPU_COMMIT` says.
pub fn head(gpu: &Gpu) -> Value {
    let command: Vec<String> = std::env::args().collect();
    let program = Path::new(&command[0]).file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    json!({
        "date": today(),
        "adapter": gpu.adapter(),
        "cpu": cpu(),
        "cpu_threads": std::thread::available_parallelism().map_or(0, usize::from),
        "vector_instructions": if cfg!(target_feature = "avx2") { "avx2" } else if cfg!(target_feature = "neon") { "neon" } else { "default build" },
        "commit": std::env::var("LOGUP_WGPU_COMMIT").ok().or_else(commit),
        "toolchain": format!("rustc {}", rustc_version_runtime::version()),
        "command": std::iter::once(program).chain(command.into_iter().skip(1)).collect::<Vec<_>>().join(" "),
    })
}

/// Adds another object's keys.
pub fn extend(record: &mut Value, with: Value) {
    let (Value::Object(record), Value::Object(with)) = (record, with) else { panic!("objects") };
    record.extend(with);
}

/// Today, as year-month-day.
pub fn today() -> String {
    humantime::format_rfc3339(SystemTime::now()).to_string()[..10].to_owned()
}

fn commit() -> Option<String> {
    let output = Command::new("git").args(["describe", "--always", "--dirty"]).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The processor's name, where the system tells.
fn cpu() -> Option<String> {
    if cfg!(target_vendor = "apple") {
        let output = Command::new("sysctl").args(["-n", "machdep.cpu.brand_string"]).output().ok()?;
        return Some(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    let info = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = info.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split(':').nth(1)?.trim().to_owned())
}
