//! The one place that lays tables out: typed tables become words of the input buffer, arguments become ranges of buffers.

use std::{mem::offset_of, ops::Range, rc::Rc, sync::Arc};

use bytemuck::Pod;

use super::{
    changing::Changing,
    eq::EqTables,
    group::{Jobs, Launch, Launches},
    tables::{Scratch, Words},
};
use crate::{
    error::{Error, Result, Subject},
    field::{EXT_WORDS, NOT_AN_ELEMENT},
    gpu::Buffer,
    kernels::{CosetJob, DUAL_REDUCE, ReduceJob},
    limits::DeviceLimits,
    recording::{Binding, BufferUse, Dispatch, Recording, Resource, TraceWindow},
};

/// Everything small that the host knows: tables, weights, programs.
pub(crate) const INPUTS: Resource = Resource("inputs");
/// `eq` of every cube, as split tables.
pub(crate) const EQ: Resource = Resource("eq");
/// Partial sums and temporaries.
pub(crate) const SCRATCH: Resource = Resource("scratch");
/// What is read back: the polynomials' evaluations, words that are no field elements beforehand; or what a check counts.
pub(crate) const RESULTS: Resource = Resource("results");

/// All that the rooms have left.
pub(super) struct Layout<'a> {
    pub limits: &'a DeviceLimits,
    pub words: Words,
    pub scratch: Scratch,
    pub launches: Launches<'a>,
    pub eq: EqTables,
    /// What the results hold beforehand, in whole EF elements, without the nonces' entries.
    pub results: Vec<u32>,
    pub nonce: u32,
    pub trace_bytes: u64,
}

impl Layout<'_> {
    /// The recording, and what of it changes from call to call. `largest` names the AIR to blame for buffers that are too large.
    ///
    /// # Errors
    /// [`Error::DeviceLimit`].
    pub fn finish(self, buffers: &[Arc<Buffer>], largest: impl Fn() -> String) -> Result<(Recording, Changing)> {
        let Self { limits, words, scratch, launches, eq, mut results, nonce, trace_bytes } = self;
        let eq_bytes = eq.bytes();
        let (temps_base, scratch_bytes) = scratch.finish(&largest)?;
        let ends = launches.ends;
        let result_elements = (results.len() / EXT_WORDS) as u64;
        results.resize(results.len() + EXT_WORDS * ends.len(), NOT_AN_ELEMENT);

        // About as many words as there will be, so that the buffer does not grow by copies.
        let (words, changing) = words.finish();
        let of_launch =
            |launch: &Launch| 4 * launch.tiles.len() + 24 * launch.jobs.len() + 8 * launch.runs.len() + limits.binding_alignment as usize;
        let num_words = launches.all.iter().map(of_launch).sum::<usize>() + words.len() + limits.binding_alignment as usize;
        let mut inputs = Inputs { limits, words: Vec::with_capacity(num_words), shared: vec![], nonces: vec![] };
        let tables: Vec<Tables> = launches.all.iter().map(|launch| inputs.tables(launch, temps_base as u32)).collect();
        let words = inputs.section(&words);
        let first_word = words.start as usize / 4;
        let changing = Changing {
            inputs: changing.into_iter().map(|(at, input)| (first_word + at, input)).collect(),
            nonces: std::mem::take(&mut inputs.nonces),
            eq: eq.sources,
        };
        let all_words = Binding { resource: INPUTS, bytes: words };
        let sizes = [
            ("eq", "bytes of eq", eq_bytes),
            ("inputs", "bytes of tables", 4 * inputs.words.len() as u64),
            ("results", "bytes of results", 4 * results.len() as u64),
        ];
        for (kernel, what, requested) in sizes {
            let limit = limits.binding_bytes;
            if requested > limit {
                return Err(Error::DeviceLimit { subject: largest().into(), kernel, what, requested, limit });
            }
        }

        let window_bytes = 4u64 << limits.log_window();
        let dispatch = |(i, (launch, tables)): (usize, (&Launch, Tables))| -> Result<Dispatch> {
            let bind = |resource, bytes: Range<u64>| Binding { resource, bytes };
            // The last entry that a reduction binds is its submission's, for the nonce.
            let submission = ends.partition_point(|&end| end <= i) as u64;
            let argument = |name: &str| match name {
                "tiles" => bind(INPUTS, tables.tiles.clone()),
                "jobs" => bind(INPUTS, tables.jobs.clone()),
                "runs" => bind(INPUTS, tables.runs.clone()),
                "words" => all_words.clone(),
                "eq" => bind(EQ, 0..eq_bytes),
                "partials" | "scratch" => bind(SCRATCH, 0..scratch_bytes),
                "results" => bind(RESULTS, 0..16 * (result_elements + submission + 1)),
                other => unreachable!("nothing fills argument {other} of {}", launch.head.kernel.name),
            };
            let traces = launch.slots.bound().into_iter().map(|(buffer, window)| {
                let begin = window * window_bytes;
                TraceWindow { buffer, bytes: begin..(begin + window_bytes).min(buffers[buffer].size() / 16 * 16) }
            });
            Ok(Dispatch {
                kernel: launch.head.kernel,
                program: launch.head.program.clone(),
                constants: launch.head.constants.clone(),
                bindings: launch.head.kernel.arguments.iter().map(|own| argument(own.name)).collect(),
                traces: traces.collect(),
                grid: grid(launch, limits)?,
                cosets: launch.head.cosets.clone(),
            })
        };
        let dispatches = launches.all.iter().zip(tables).enumerate().map(dispatch).collect::<Result<_>>()?;
        let recording = Recording {
            trace_buffers: buffers.to_vec(),
            log_window: limits.log_window(),
            kept: vec![],
            buffers: vec![
                BufferUse { resource: INPUTS, bytes: 4 * inputs.words.len() as u64, content: inputs.words },
                BufferUse { resource: EQ, bytes: eq_bytes, content: eq.content },
                BufferUse { resource: SCRATCH, bytes: scratch_bytes, content: vec![] },
                BufferUse { resource: RESULTS, bytes: 4 * results.len() as u64, content: results },
            ],
            results: RESULTS,
            dispatches,
            ends,
            nonce,
            trace_bytes,
        };
        Ok((recording, changing))
    }
}

/// Where a launch's tables are in the input buffer, in bytes.
struct Tables {
    tiles: Range<u64>,
    jobs: Range<u64>,
    runs: Range<u64>,
}

/// The input buffer.
struct Inputs<'a> {
    limits: &'a DeviceLimits,
    words: Vec<u32>,
    /// Tables that launches share, known by where they lie in the host's memory, with their bytes in the buffer.
    shared: Vec<(*const u8, Range<u64>)>,
    /// The words that are the nonce.
    nonces: Vec<usize>,
}

impl Inputs<'_> {
    /// Lays out a launch's tables. Temporaries start at word `temps_base` of scratch.
    fn tables(&mut self, launch: &Launch, temps_base: u32) -> Tables {
        Tables {
            tiles: self.shared(&launch.tiles),
            jobs: match &launch.jobs {
                Jobs::Columns(jobs) => self.section(jobs),
                Jobs::Cosets(jobs) => {
                    let placed = |job: &CosetJob| CosetJob { temps_base: job.temps_base.wrapping_add(temps_base), ..*job };
                    self.section(&jobs.iter().map(placed).collect::<Vec<_>>())
                }
                // Without partial sums, temporaries start where scratch does.
                Jobs::Checks(jobs) => self.section(jobs),
                Jobs::Reduce(jobs) => {
                    let section = self.section(jobs);
                    let nonce_of = |job: usize| (section.start as usize + job * size_of::<ReduceJob>() + offset_of!(ReduceJob, nonce)) / 4;
                    self.nonces.extend((0..jobs.len()).map(nonce_of));
                    section
                }
            },
            runs: if launch.head.kernel == &DUAL_REDUCE { self.shared(&launch.runs) } else { 0..0 },
        }
    }

    fn shared<T: Pod>(&mut self, table: &Rc<Vec<T>>) -> Range<u64> {
        let at = table.as_ptr().cast();
        if let Some((_, bytes)) = self.shared.iter().find(|(known, _)| *known == at) {
            return bytes.clone();
        }
        let bytes = self.section(table);
        self.shared.push((at, bytes.clone()));
        bytes
    }

    /// Adds an aligned table: its bytes.
    fn section<T: Pod>(&mut self, items: &[T]) -> Range<u64> {
        let words: &[u32] = bytemuck::cast_slice(items);
        let start = self.words.len().next_multiple_of((self.limits.binding_alignment as usize / 4).max(4));
        let end = start + words.len().max(4); // a binding is never empty
        self.words.resize(start, 0);
        self.words.extend_from_slice(words);
        self.words.resize(end, 0);
        4 * start as u64..4 * end as u64
    }
}

fn grid(launch: &Launch, limits: &DeviceLimits) -> Result<[u32; 2]> {
    let requested = launch.tiles.len() as u64;
    limits.grid(requested).map_err(|limit| {
        let (subject, kernel, what) = (Subject::Call, launch.head.kernel.name, "workgroups");
        Error::DeviceLimit { subject, kernel, what, requested, limit }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        kernels::{COLUMN_SUMS, ColumnJob, ReduceRun, Sides, Tile},
        plan::windows::Slots,
        round0::record::group::{Group, Head},
    };

    const LIMITS: DeviceLimits = DeviceLimits {
        binding_bytes: 1 << 20,
        buffer_bytes: 1 << 20,
        storage_buffers: 16,
        bind_groups: 4,
        bindings_per_group: 16,
        workgroup_threads: 256,
        workgroup_bytes: 16384,
        workgroups_per_dimension: 65535,
        binding_alignment: 256,
    };

    /// Arguments are bound in the kernel's order, at aligned offsets; tables that launches share are there once; temporaries follow the partial
    /// sums; each submission's last reduction binds one entry more of the results.
    #[test]
    fn arguments_are_bound_in_the_kernels_order() {
        let mut launches = Launches::new(&LIMITS, None);
        let mut group = Group::<ColumnJob>::new(Head::fixed(&COLUMN_SUMS, 0..1));
        let job = group.push(ColumnJob::default(), 0.0);
        group.tiles = vec![Tile { job, ..Tile::default() }; 3];
        launches.close(group).unwrap();
        let (tiles, runs) = (Rc::new(vec![Tile::default(); 2]), Rc::new(vec![ReduceRun::default()]));
        for sides in [Sides::new(true, false), Sides::new(false, true)] {
            launches.all.push(Launch {
                head: Head::fixed(&DUAL_REDUCE, 0..1),
                tiles: Rc::clone(&tiles),
                jobs: Jobs::Reduce(vec![ReduceJob { sides: sides.bits(), ..ReduceJob::default() }]),
                runs: Rc::clone(&runs),
                slots: Slots::default(),
            });
        }
        launches.ends = vec![2, 3];
        let mut scratch = Scratch::new(&LIMITS);
        assert_eq!(scratch.partials("air", 10).unwrap(), 0);
        scratch.temporaries("air", 7).unwrap();
        let (words, eq) = (Words::with_capacity(0), EqTables::default());
        let layout = Layout { limits: &LIMITS, words, scratch, launches, eq, results: vec![0; 8 * EXT_WORDS], nonce: 5, trace_bytes: 0 };
        let (recording, _) = layout.finish(&[], || "air".into()).unwrap();

        assert_eq!((recording.bytes(SCRATCH), recording.bytes(RESULTS)), (4 * (40 + 7), 16 * (8 + 2)));
        let [sums, first, second] = &recording.dispatches[..] else { panic!("three dispatches") };
        let resources = |dispatch: &Dispatch| dispatch.bindings.iter().map(|binding| binding.resource.0).collect::<Vec<_>>();
        assert_eq!(resources(sums), ["inputs", "inputs", "inputs", "eq", "scratch"]); // tiles, jobs, words
        assert_eq!(resources(first), ["inputs", "inputs", "inputs", "inputs", "scratch", "results"]); // tiles, jobs, runs, words
        let bytes = |dispatch: &Dispatch, i: usize| dispatch.bindings[i].bytes.clone();
        assert_eq!((bytes(sums, 0), bytes(sums, 1).start), (0..48, 256));
        assert_eq!((bytes(first, 0), bytes(first, 2)), (bytes(second, 0), bytes(second, 2)), "tiles and runs are shared");
        assert_ne!(bytes(first, 1), bytes(second, 1), "jobs are not");
        assert_eq!((bytes(first, 5), bytes(second, 5)), (0..16 * 9, 0..16 * 10));
        assert!(recording.dispatches.iter().flat_map(|dispatch| &dispatch.bindings).all(|binding| binding.bytes.start % 256 == 0));
        assert_eq!(sums.grid, [3, 1]);
    }
}
