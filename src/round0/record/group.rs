//! Launches that are being filled: jobs and tiles that share a kernel and its windows.

use std::{ops::Range, rc::Rc};

use crate::{
    error::{Error, Result},
    kernel::{FieldForm, Kernel, ProgramText, Variant},
    kernels::{CheckJob, ColumnJob, CosetJob, ReduceJob, ReduceRun, Tile},
    limits::DeviceLimits,
    plan::{
        budget::{Budget, Submissions},
        windows::{Slots, WindowRun},
    },
};

/// A launch's table of jobs, typed until it is laid out.
#[derive(Clone, Debug)]
pub(super) enum Jobs {
    Columns(Vec<ColumnJob>),
    Cosets(Vec<CosetJob>),
    Checks(Vec<CheckJob>),
    Reduce(Vec<ReduceJob>),
}

impl Jobs {
    pub fn len(&self) -> usize {
        match self {
            Self::Columns(jobs) => jobs.len(),
            Self::Cosets(jobs) => jobs.len(),
            Self::Checks(jobs) => jobs.len(),
            Self::Reduce(jobs) => jobs.len(),
        }
    }
}

/// A row of a job table.
pub(super) trait Job: Copy {
    /// The same in a launch whose tiles are the group's from `first_tile` on.
    fn cut_at(self, _first_tile: u32) -> Self {
        self
    }

    fn table(jobs: Vec<Self>) -> Jobs;
}

impl Job for ColumnJob {
    fn table(jobs: Vec<Self>) -> Jobs {
        Jobs::Columns(jobs)
    }
}

impl Job for CosetJob {
    fn cut_at(self, first_tile: u32) -> Self {
        Self { first_tile: self.first_tile.wrapping_sub(first_tile), ..self }
    }

    fn table(jobs: Vec<Self>) -> Jobs {
        Jobs::Cosets(jobs)
    }
}

impl Job for CheckJob {
    fn cut_at(self, first_tile: u32) -> Self {
        Self { first_tile: self.first_tile.wrapping_sub(first_tile), ..self }
    }

    fn table(jobs: Vec<Self>) -> Jobs {
        Jobs::Checks(jobs)
    }
}

/// What the jobs of a launch share.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub kernel: &'static Kernel,
    /// The generated part of the kernel.
    pub program: Option<ProgramText>,
    pub constants: Vec<(&'static str, u32)>,
    /// Cosets whose values are computed or folded.
    pub cosets: Range<u32>,
}

impl Head {
    /// Of a kernel that is not generated.
    pub fn fixed(kernel: &'static Kernel, cosets: Range<u32>) -> Self {
        Self { kernel, program: None, constants: vec![], cosets }
    }
}

/// A launch whose tables have no place yet.
#[derive(Debug)]
pub(super) struct Launch {
    pub head: Head,
    pub tiles: Rc<Vec<Tile>>,
    pub jobs: Jobs,
    /// Of a reduction.
    pub runs: Rc<Vec<ReduceRun>>,
    pub slots: Slots,
}

/// Jobs and tiles of a launch that is still being filled.
#[derive(Debug)]
pub(super) struct Group<J> {
    pub head: Head,
    pub jobs: Vec<J>,
    /// What a tile of each job takes, in seconds.
    pub tile_seconds: Vec<f64>,
    pub tiles: Vec<Tile>,
    pub slots: Slots,
    /// Words of temporaries of all jobs.
    pub temp_words: u64,
}

impl<J> Group<J> {
    pub fn new(head: Head) -> Self {
        Self { head, jobs: vec![], tile_seconds: vec![], tiles: vec![], slots: Slots::default(), temp_words: 0 }
    }

    /// Adds a job whose tiles each take so long: its index.
    pub fn push(&mut self, job: J, tile_seconds: f64) -> u32 {
        self.jobs.push(job);
        self.tile_seconds.push(tile_seconds);
        self.jobs.len() as u32 - 1
    }
}

/// The launches of a step in order, dealt out to submissions.
#[derive(Debug)]
pub(super) struct Launches<'a> {
    pub limits: &'a DeviceLimits,
    pub submissions: Submissions,
    pub all: Vec<Launch>,
    /// Where the launches of each submission end, once all are there.
    pub ends: Vec<usize>,
}

impl<'a> Launches<'a> {
    pub fn new(limits: &'a DeviceLimits, budget: Option<Budget>) -> Self {
        Self { limits, submissions: Submissions::new(budget), all: vec![], ends: vec![] }
    }

    /// Each run's first slot among the group's windows. Where they have no room beside the others, the group becomes a launch and a new one
    /// begins; `None` if they have no room there either.
    ///
    /// # Errors
    /// As [`close`](Self::close).
    pub fn place<J: Job>(&mut self, group: &mut Group<J>, runs: &[WindowRun]) -> Result<Option<Vec<u32>>> {
        let max_slots = self.limits.max_slots();
        let mut first_slots = group.slots.place(runs, max_slots);
        if first_slots.is_none() && !group.jobs.is_empty() {
            self.begin_anew(group)?;
            first_slots = group.slots.place(runs, max_slots);
        }
        Ok(first_slots)
    }

    /// Closes a group and begins an empty one with the same head.
    ///
    /// # Errors
    /// As [`close`](Self::close).
    pub fn begin_anew<J: Job>(&mut self, group: &mut Group<J>) -> Result<()> {
        let empty = Group::new(group.head.clone());
        self.close(std::mem::replace(group, empty))
    }

    /// Makes a launch of a group, or several where submissions end within it; of an empty one none.
    ///
    /// # Errors
    /// [`Error::DeviceLimit`].
    pub fn close<J: Job>(&mut self, mut group: Group<J>) -> Result<()> {
        if group.jobs.is_empty() {
            return Ok(());
        }
        // The forms bind the same.
        let slots = group.slots.bound().len() as u32;
        self.limits.check_kernel(Variant { kernel: group.head.kernel, form: FieldForm::U64, slots })?;
        let seconds = group.tiles.iter().map(|tile| group.tile_seconds[tile.job as usize]);
        let parts = self.submissions.cut(self.all.len(), seconds);
        let is_whole = parts.len() == 1;
        for tiles in parts {
            let jobs = group.jobs.iter().map(|job| job.cut_at(tiles.start as u32)).collect();
            self.all.push(Launch {
                head: group.head.clone(),
                tiles: Rc::new(if is_whole { std::mem::take(&mut group.tiles) } else { group.tiles[tiles].to_vec() }),
                jobs: J::table(jobs),
                runs: Rc::default(),
                slots: group.slots.clone(),
            });
        }
        Ok(())
    }
}

/// The error of windows that fit no launch.
pub(super) fn too_many_windows(air: &str, kernel: &Kernel, what: &'static str, runs: &[WindowRun], limits: &DeviceLimits) -> Error {
    let requested = runs.iter().map(|run| run.last - run.first + 1).sum();
    Error::DeviceLimit { subject: air.into(), kernel: kernel.name, what, requested, limit: limits.max_slots().into() }
}

/// Where word `first_word` of a buffer is in the flat array of a launch's windows, when the buffer's window `first_window` is in slot
/// `first_slot`. Wraps: only sums with an offset that lands in a bound window are used.
pub(super) fn flat_word(first_word: u64, first_slot: u32, first_window: u64, limits: &DeviceLimits) -> u32 {
    let log_window = limits.log_window();
    first_word.wrapping_add(u64::from(first_slot) << log_window).wrapping_sub(first_window << log_window) as u32
}
