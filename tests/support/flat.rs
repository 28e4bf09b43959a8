//! Memory that stays flat, measured in a process of its own, whose memory is then no other test's.

use logup_wgpu::{Gpu, wgpu};
use memory_stats::memory_stats;

use super::watchdog::{alone, is_alone};

/// What allocators and drivers may keep more at the end than after the first tenth.
const SLACK: usize = 8 << 20;
/// wgpu keeps as many command encoders as were ever recording or in flight at one time, and that is for timing to say: a submission is put away when
/// a later call polls. What leaks encoders leaks one each time.
const ENCODERS_IN_FLIGHT: isize = 4;

/// Does it so many times, in a process of its own: the memory in use, host's and device's, is at the end what it was after a tenth of them.
pub fn is_flat(test: &str, gpu: impl FnOnce() -> Gpu, times: usize, what: &str, once: impl FnMut(&Gpu, usize)) {
    if !is_alone(test) {
        let output = alone(test, &[]);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
        let figures = text.lines().find(|line| line.contains("MiB after")).expect("figures");
        println!("{figures}");
        return;
    }
    let (gpu, mut once) = (gpu(), once);
    let in_use = || {
        gpu.queue().submit([]);
        gpu.device().poll(wgpu::PollType::wait_indefinitely()).unwrap();
        let counters = gpu.device().get_internal_counters().hal;
        let objects = [counters.buffers, counters.bind_groups, counters.compute_pipelines, counters.query_sets];
        (memory_stats().unwrap().physical_mem, objects.map(|objects| objects.read()), counters.command_encoders.read())
    };
    (0..times / 10).for_each(|i| once(&gpu, i));
    let (early, early_objects, early_encoders) = in_use();
    (times / 10..times).for_each(|i| once(&gpu, i));
    let (late, late_objects, late_encoders) = in_use();
    let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
    println!("{what}: {:.1} MiB after {}, {:.1} MiB after {times}", mib(early), times / 10, mib(late));
    assert!(late <= early + SLACK, "{what} grow: {early} bytes, then {late}");
    assert_eq!(late_objects, early_objects, "{what}: wgpu's buffers, bind groups, pipelines, query sets");
    assert!(late_encoders <= early_encoders + ENCODERS_IN_FLIGHT, "{what}: command encoders grow from {early_encoders} to {late_encoders}");
}
