//! Replays a recording: an encoder for each submission, which is one in all normal sizes; one wait, one map.

use std::{
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Buffer, Gpu, Memory,
    arena::{Arena, Slot},
    pipelines::{Compiled, Key},
    readback::{self, Mapping},
};
use crate::{
    error::{Error, Result},
    kernel::Kernel,
    recording::{Binding, Dispatch, Recording, Resource, TraceWindow},
    stats::StageTime,
};

/// What a recording gave.
#[derive(Debug)]
pub struct RunReport<T> {
    /// What was made of the result words; the nonces were checked.
    pub results: T,
    /// Host time spent waiting.
    pub wait: Duration,
    /// GPU time per pass; one pass for all kernels of a submission unless stage times were asked for.
    pub passes: Vec<StageTime>,
    /// Buffers created.
    pub allocations: usize,
    /// Bytes uploaded.
    pub upload_bytes: u64,
}

/// A recording that the device is working on.
#[derive(Debug)]
pub struct Submission {
    work: Work,
    num_submissions: usize,
    /// Bytes that come back.
    pub(crate) result_bytes: u64,
    nonce: u32,
    /// Kernels of the timed passes.
    timed: Vec<&'static Kernel>,
    /// Buffers created.
    pub(crate) allocations: usize,
    /// Bytes uploaded.
    pub(crate) upload_bytes: u64,
}

/// What the device was given to do.
#[derive(Debug)]
enum Work {
    /// The last submission, and the maps behind it.
    Running { index: wgpu::SubmissionIndex, readback: Mapping, upload: Mapping },
    /// None.
    Counted,
}

/// The bind groups of a recording's arguments, for its next run in the same buffers. They hold no trace.
#[derive(Debug, Default)]
pub(crate) struct ArgumentGroups {
    /// Of the arena; 0 before the first run.
    generation: u64,
    /// Of each dispatch.
    groups: Vec<wgpu::BindGroup>,
}

/// Buffers, and what runs in them: replays recordings, one at a time.
#[derive(Debug)]
pub struct Executor {
    gpu: Gpu,
    memory: Memory,
    arena: Arena,
    /// Whether the upload buffer is mapped, so that the next call can write it at once.
    upload_mapped: bool,
}

/// Passes of one submission that get timestamps of their own.
const MAX_TIMED_PASSES: usize = 512;

impl Executor {
    /// An executor without buffers. They grow with the recordings and are kept.
    pub fn new(gpu: &Gpu) -> Self {
        Self::of(gpu, Memory::Device)
    }

    /// An executor that runs nothing: it says what [`bytes`](Self::bytes) of buffers its recordings take. Results are zeros.
    pub fn counting(gpu: &Gpu) -> Self {
        Self::of(gpu, Memory::Counted)
    }

    pub(crate) fn of(gpu: &Gpu, memory: Memory) -> Self {
        Self { gpu: gpu.clone(), memory, arena: Arena::new(gpu, memory), upload_mapped: false }
    }

    /// Forgets a buffer, so that the next run allocates it anew.
    pub(crate) fn release(&mut self, resource: Resource) {
        self.arena.release(Slot::Device(resource));
    }

    /// Compiles a recording's kernels, runs it and waits: the words of its results, with the nonces' entries, each of which was written. Kernels
    /// are not asked for known answers; [`Round0::warm_up`](crate::Round0::warm_up) does that for those of this crate.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a recording that does not fit together; [`Error::DeviceLimit`] for kernels and buffers that the device has no
    /// room for; [`Error::Device`], [`Error::OutOfMemory`], [`Error::DeviceLost`], [`Error::WrongAnswer`] for what the device reports or did;
    /// [`Error::Deadline`]; [`Error::Environment`] where `LOGUP_WGPU_DUMP` names no folder.
    pub fn run(&mut self, recording: &Recording) -> Result<Vec<u32>> {
        let submission = self.start(recording, false)?;
        Ok(self.finish(submission, <[u32]>::to_vec)?.results)
    }

    /// Compiles a recording's kernels and submits it. `per_stage` times each run of dispatches of one kernel by itself. [`finish`](Self::finish)
    /// must follow before the next of this executor's.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn start(&mut self, recording: &Recording, per_stage: bool) -> Result<Submission> {
        recording.check()?;
        let kernels = Self::kernels(&self.gpu, self.memory, recording)?;
        self.submit(recording, &kernels, &mut ArgumentGroups::default(), per_stage)
    }

    /// Waits for what was started; `read` sees the result words, with the nonces' entries, where they are mapped.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn finish<T>(&mut self, submission: Submission, read: impl FnOnce(&[u32]) -> T) -> Result<RunReport<T>> {
        let report = self.wait(submission, read);
        if report.is_err() {
            self.abandon();
        }
        report
    }

    /// Bytes of its buffers.
    pub fn bytes(&self) -> u64 {
        self.arena.bytes()
    }

    /// The kernels of a recording's dispatches, in order; none where nothing will run.
    pub(crate) fn kernels(gpu: &Gpu, memory: Memory, recording: &Recording) -> Result<Vec<Arc<Compiled>>> {
        match memory {
            Memory::Device => recording.dispatches.iter().map(|dispatch| gpu.kernel(&Key::of(dispatch))).collect(),
            Memory::Counted => Ok(vec![]),
        }
    }

    /// Submits a recording, with its [`kernels`](Self::kernels) and what is left of an earlier run of the same dispatches here. `per_stage` puts every run of the same kernel into a pass of its own, for
    /// their times; otherwise all dispatches share one pass. [`wait`](Self::wait) or [`abandon`](Self::abandon) must follow before the next
    /// submission.
    pub(crate) fn submit(
        &mut self,
        recording: &Recording,
        kernels: &[Arc<Compiled>],
        arguments: &mut ArgumentGroups,
        per_stage: bool,
    ) -> Result<Submission> {
        let gpu = self.gpu.clone();
        let passes = passes(recording, per_stage);
        let timestamps = if passes.len() <= MAX_TIMED_PASSES { gpu.timestamps(2 * passes.len() as u32) } else { None };
        let timed = if timestamps.is_some() { passes.len() as u64 } else { 0 };
        let timestamp_bytes = 16 * timed;
        let result_bytes = recording.bytes(recording.results);
        let readback_bytes = timestamps_at(result_bytes) + timestamp_bytes;

        for buffer in &recording.buffers {
            self.arena.ensure(Slot::Device(buffer.resource), buffer.bytes)?;
        }
        self.arena.ensure(Slot::Readback, readback_bytes)?;
        self.arena.ensure(Slot::Timestamps, timestamp_bytes.max(16))?;
        let upload_bytes = self.write_upload(recording)?;
        let allocations = self.arena.take_allocations();
        let submission = |work| Submission {
            work,
            num_submissions: recording.ends.len(),
            result_bytes,
            nonce: recording.nonce,
            timed: passes[..timed as usize].iter().map(|range| recording.dispatches[range.start].kernel).collect(),
            allocations,
            upload_bytes,
        };
        if self.memory == Memory::Counted {
            return Ok(submission(Work::Counted));
        }

        let index = gpu.checked("a submission", || {
            let new_encoder = || gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("recording") });
            let mut encoder = new_encoder();
            self.encode_uploads(&mut encoder, recording);
            if arguments.generation != self.arena.generation() {
                let group = |(dispatch, kernel): (&Dispatch, &Arc<Compiled>)| self.argument_group(recording, dispatch, kernel);
                arguments.groups = recording.dispatches.iter().zip(kernels).map(group).collect();
                arguments.generation = self.arena.generation();
            }
            let windows = self.window_groups(recording, kernels);
            for (i, range) in passes.iter().enumerate() {
                if i > 0 && recording.ends.contains(&range.start) {
                    gpu.queue().submit([std::mem::replace(&mut encoder, new_encoder()).finish()]);
                }
                let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                    label: Some(recording.dispatches[range.start].kernel.name),
                    timestamp_writes: timestamps.map(|(query_set, first)| wgpu::ComputePassTimestampWrites {
                        query_set,
                        beginning_of_pass_write_index: Some(first + 2 * i as u32),
                        end_of_pass_write_index: Some(first + 2 * i as u32 + 1),
                    }),
                });
                for i in range.clone() {
                    let dispatch = &recording.dispatches[i];
                    pass.set_pipeline(&kernels[i].pipeline);
                    pass.set_bind_group(0, &arguments.groups[i], &[]);
                    if let Some((_, group)) = windows.iter().find(|(windows, _)| *windows == dispatch.traces) {
                        pass.set_bind_group(1, group, &[]);
                    }
                    pass.dispatch_workgroups(dispatch.grid[0], dispatch.grid[1], 1);
                }
            }
            let readback = self.arena.get(Slot::Readback).memory();
            let results = self.arena.get(Slot::Device(recording.results)).memory();
            encoder.copy_buffer_to_buffer(results, 0, readback, 0, result_bytes);
            if let Some((queries, first)) = timestamps {
                let ticks = self.arena.get(Slot::Timestamps).memory();
                encoder.resolve_query_set(queries, first..first + 2 * timed as u32, ticks, 0);
                encoder.copy_buffer_to_buffer(ticks, 0, readback, readback_bytes - timestamp_bytes, timestamp_bytes);
            }
            gpu.queue().submit([encoder.finish()])
        })?;

        Ok(submission(Work::Running {
            index,
            readback: Mapping::request(self.arena.get(Slot::Readback).memory(), wgpu::MapMode::Read),
            upload: Mapping::request(self.arena.get(Slot::Upload).memory(), wgpu::MapMode::Write),
        }))
    }

    /// Waits for a recording's submissions, for the readback's map and for the upload buffer's map for the next call: one wait.
    pub(crate) fn wait<T>(&mut self, submission: Submission, read: impl FnOnce(&[u32]) -> T) -> Result<RunReport<T>> {
        let start = Instant::now();
        let Submission { work, num_submissions, result_bytes, nonce, timed, allocations, upload_bytes } = submission;
        let (index, mut results_mapping, upload_mapping) = match work {
            Work::Running { index, readback, upload } => (index, readback, upload),
            Work::Counted => {
                let results = read(&vec![0; result_bytes as usize / 4]);
                return Ok(RunReport { results, wait: Duration::ZERO, passes: vec![], allocations, upload_bytes });
            }
        };
        let readback = self.arena.get(Slot::Readback).memory();
        let timestamps_at = timestamps_at(result_bytes);
        let bytes = timestamps_at + 16 * timed.len() as u64;
        let polled = readback::poll_for(&self.gpu, &mut results_mapping);
        let waited = polled.and_then(|()| readback::wait(&self.gpu, index));
        let wait = start.elapsed();
        let content = waited.and_then(|()| {
            self.upload_mapped = upload_mapping.succeeded();
            readback::read_with(&self.gpu, readback, results_mapping, bytes, |content| {
                let (results, ticks) = content.split_at(timestamps_at as usize);
                let words: &[u32] = bytemuck::cast_slice(&results[..result_bytes as usize]);
                let ticks: Vec<u64> = ticks.chunks_exact(8).map(bytemuck::pod_read_unaligned).collect();
                let checked = Recording::check_nonces(words, num_submissions, nonce);
                (checked.map(|()| read(words)), ticks)
            })
        });
        if content.is_err() {
            // A map that failed or is still pending must not outlive this call.
            self.arena.release(Slot::Readback);
        }
        let (results, ticks) = content?;
        let period = f64::from(self.gpu.queue().get_timestamp_period());
        let passes = ticks.chunks_exact(2).zip(&timed).map(|(ticks, &kernel)| StageTime {
            kernel,
            gpu: Duration::from_nanos((ticks[1].saturating_sub(ticks[0]) as f64 * period) as u64),
        });
        let passes = passes.collect();
        let results = results.map_err(|error| self.gpu.lost_or(error))?;
        Ok(RunReport { results, wait, passes, allocations, upload_bytes })
    }

    /// Forgets a submission: the device finishes it, nobody reads its results. The buffers that it maps are replaced.
    pub(crate) fn abandon(&mut self) {
        self.arena.release(Slot::Readback);
        self.arena.release(Slot::Upload);
        self.upload_mapped = false;
    }

    /// Writes the buffers' contents, one behind another, into the mapped upload buffer: their bytes.
    fn write_upload(&mut self, recording: &Recording) -> Result<u64> {
        if !self.upload_mapped {
            self.arena.release(Slot::Upload);
        }
        let bytes = recording.buffers.iter().map(|buffer| size_of_val(&buffer.content[..]) as u64).sum();
        self.arena.ensure(Slot::Upload, bytes)?;
        self.upload_mapped = self.memory == Memory::Counted;
        if self.memory == Memory::Counted {
            return Ok(bytes);
        }
        let upload = self.arena.get(Slot::Upload).memory();
        // A device that is lost meanwhile takes its buffers along: then unmapping is an error of wgpu's.
        self.gpu.checked("the upload", || {
            let mut mapped = (upload.slice(..bytes).get_mapped_range_mut())
                .map_err(|error| self.gpu.lost_or(Error::Device { what: "the upload buffer's memory".into(), source: error.into() }))?;
            let mut at = 0;
            for buffer in &recording.buffers {
                let content: &[u8] = bytemuck::cast_slice(&buffer.content);
                mapped.slice(at..at + content.len()).copy_from_slice(content);
                at += content.len();
            }
            drop(mapped);
            upload.unmap();
            Ok(bytes)
        })?
    }

    fn encode_uploads(&self, encoder: &mut wgpu::CommandEncoder, recording: &Recording) {
        let upload = self.arena.get(Slot::Upload).memory();
        let mut at = 0;
        for buffer in recording.buffers.iter().filter(|buffer| !buffer.content.is_empty()) {
            let bytes = size_of_val(&buffer.content[..]) as u64;
            encoder.copy_buffer_to_buffer(upload, at, self.arena.get(Slot::Device(buffer.resource)).memory(), 0, bytes);
            at += bytes;
        }
    }

    /// A dispatch's bind group 0.
    fn argument_group(&self, recording: &Recording, dispatch: &Dispatch, kernel: &Compiled) -> wgpu::BindGroup {
        let buffer = |resource| recording.kept_buffer(resource).unwrap_or_else(|| self.arena.get(Slot::Device(resource)));
        let ranges = dispatch.bindings.iter().map(|Binding { resource, bytes }| (buffer(*resource), bytes.clone()));
        bind_group(&self.gpu, &kernel.layouts[0], dispatch.kernel.name, ranges)
    }

    /// Bind groups 1: one for all dispatches that bind the same trace windows.
    fn window_groups<'a>(&self, recording: &'a Recording, kernels: &[Arc<Compiled>]) -> Vec<(&'a [TraceWindow], wgpu::BindGroup)> {
        let mut groups: Vec<(&[TraceWindow], wgpu::BindGroup)> = Vec::new();
        for (dispatch, kernel) in recording.dispatches.iter().zip(kernels) {
            if dispatch.traces.is_empty() || groups.iter().any(|(known, _)| *known == dispatch.traces) {
                continue;
            }
            let ranges = dispatch.traces.iter().map(|window| (&*recording.trace_buffers[window.buffer], window.bytes.clone()));
            groups.push((&dispatch.traces, bind_group(&self.gpu, &kernel.layouts[1], "trace windows", ranges)));
        }
        groups
    }
}

/// Where the timestamps start in the readback, in bytes.
fn timestamps_at(result_bytes: u64) -> u64 {
    result_bytes.next_multiple_of(8)
}

fn bind_group<'a>(
    gpu: &Gpu,
    layout: &wgpu::BindGroupLayout,
    label: &'static str,
    ranges: impl Iterator<Item = (&'a Buffer, Range<u64>)>,
) -> wgpu::BindGroup {
    let entry = |(i, (buffer, bytes)): (usize, (&'a Buffer, Range<u64>))| wgpu::BindGroupEntry {
        binding: i as u32,
        resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
            buffer: buffer.memory(),
            offset: bytes.start,
            size: wgpu::BufferSize::new(bytes.end - bytes.start),
        }),
    };
    let entries: Vec<_> = ranges.enumerate().map(entry).collect();
    gpu.device().create_bind_group(&wgpu::BindGroupDescriptor { label: Some(label), layout, entries: &entries })
}

/// The dispatches of each compute pass, none of which is part of two submissions.
fn passes(recording: &Recording, per_stage: bool) -> Vec<Range<usize>> {
    let submissions = recording.submissions().filter(|submission| !submission.is_empty());
    if !per_stage {
        return submissions.collect();
    }
    let mut passes: Vec<Range<usize>> = Vec::new();
    for submission in submissions {
        for of_kernel in recording.dispatches[submission.clone()].chunk_by(|one, next| one.kernel == next.kernel) {
            let begin = passes.last().map_or(0, |pass| pass.end);
            passes.push(begin..begin + of_kernel.len());
        }
    }
    passes
}
