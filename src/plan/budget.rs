//! How much work one submission takes. Systems end command buffers that run for long: a Mac that drives a display was seen to end them after
//! a few hundred milliseconds (gfx-rs/wgpu#9531, tracel-ai/cubecl#1523). Longer work is cut into several submissions.

use std::{ops::Range, time::Duration};

use super::{PlannedProgram, program::Program};

/// GPU time of a submission, unless the caller says otherwise: what a Mac that drives a display was not seen to end.
const SUBMISSION: Duration = Duration::from_millis(100);
/// On a discrete device but in a Mac, half of the two seconds after which Windows resets one.
const DISCRETE_SUBMISSION: Duration = Duration::from_secs(1);

/// How fast work is done, so that times are rather too long than too short.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Speed {
    /// Bytes of trace read per second.
    read: f64,
    /// 32 by 32 bit products per second, with what comes with them.
    products: f64,
}

/// The least integrated device that is looked after: an M1 with 7 GPU cores, from its published bandwidth (68 GB/s) and width (896 lanes at
/// 1.28 GHz; about 16 cycles for a product with its loads and reduction). Not measured.
const INTEGRATED: Speed = Speed { read: 50e9, products: 70e9 };
/// The least discrete device. Guess: a few times as fast.
const DISCRETE: Speed = Speed { read: 200e9, products: 300e9 };
/// lavapipe on two cores, as `Rates::LAVAPIPE_2_CORES`. It has no watchdog: only used where a caller asks for a budget.
const SOFTWARE: Speed = Speed { read: 2.5e9, products: 1.3e9 };

/// An interpreted instruction takes as long as so many products: 4.15e9 of them, for each row and coset of a segment, took an H200 29 ms
/// (2026-11-25); it does 3e12 products a second in generated kernels.
const INTERPRETED_PRODUCTS: u64 = 21;

/// The time of one submission, and how long work takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Budget {
    seconds: f64,
    speed: Speed,
}

impl Budget {
    /// The caller's, else what suits the device; `None` where there is no bound.
    pub fn new(device: wgpu::DeviceType, backend: wgpu::Backend, wanted: Option<Duration>) -> Option<Self> {
        let (speed, usual) = match device {
            wgpu::DeviceType::Cpu => (SOFTWARE, None),
            wgpu::DeviceType::DiscreteGpu if backend == wgpu::Backend::Metal => (DISCRETE, Some(SUBMISSION)),
            wgpu::DeviceType::DiscreteGpu => (DISCRETE, Some(DISCRETE_SUBMISSION)),
            _ => (INTEGRATED, Some(SUBMISSION)),
        };
        wanted.or(usual).map(|time| Self { seconds: time.as_secs_f64(), speed })
    }

    /// 32 by 32 bit products that one submission may take.
    pub fn products(&self) -> u64 {
        (self.seconds * self.speed.products) as u64
    }

    /// Seconds of summing up so many cells of columns, or of partial sums with four words each.
    pub fn sums(&self, words: u64) -> f64 {
        4.0 * words as f64 / self.speed.read
    }

    /// Seconds of a program on so many points of one coset.
    pub fn coset_pass(&self, planned: &PlannedProgram, l_skip: usize, is_identity: bool, points: u64) -> f64 {
        let instructions = if planned.generated.is_some() { 0 } else { planned.program.instructions.len() as u64 };
        self.program(&planned.program, planned.products(l_skip, is_identity) + INTERPRETED_PRODUCTS * instructions, points)
    }

    /// Seconds of interpreting a program on so many rows.
    pub fn check(&self, program: &Program, rows: u64) -> f64 {
        self.program(program, INTERPRETED_PRODUCTS * program.instructions.len() as u64, rows)
    }

    fn program(&self, program: &Program, products: u64, points: u64) -> f64 {
        points as f64 * (4.0 * program.cells().count() as f64 / self.speed.read + products as f64 / self.speed.products)
    }
}

/// A call's dispatches dealt out to submissions, in order.
#[derive(Debug)]
pub(crate) struct Submissions {
    budget: Option<Budget>,
    /// Seconds of the last submission so far.
    spent: f64,
    /// The dispatches that begin a submission, but for the first.
    begins: Vec<usize>,
}

impl Submissions {
    pub fn new(budget: Option<Budget>) -> Self {
        Self { budget, spent: 0.0, begins: vec![] }
    }

    /// What work takes; nothing where submissions have no bound.
    pub fn seconds(&self, of: impl FnOnce(&Budget) -> f64) -> f64 {
        self.budget.as_ref().map_or(0.0, of)
    }

    /// The ranges of a dispatch's workgroups that become dispatches of their own, the first of them the call's dispatch `dispatch`: one,
    /// unless the submission's time is used up on the way. A workgroup is never cut.
    pub fn cut(&mut self, dispatch: usize, workgroups: impl ExactSizeIterator<Item = f64>) -> Vec<Range<usize>> {
        let (num, mut parts, mut begin) = (workgroups.len(), vec![], 0);
        let Some(budget) = self.budget else { return std::iter::once(0..num).collect() };
        for (i, seconds) in workgroups.enumerate() {
            if self.spent > 0.0 && self.spent + seconds > budget.seconds {
                if i > begin {
                    parts.push(std::mem::replace(&mut begin, i)..i);
                }
                self.begins.push(dispatch + parts.len());
                self.spent = 0.0;
            }
            self.spent += seconds;
        }
        parts.push(begin..num);
        parts
    }

    /// Takes the dispatches that begin a submission, but for the first.
    pub fn take_begins(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.begins)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_with_a_watchdog_have_a_budget() {
        let of_backend = |device, backend, wanted| Budget::new(device, backend, wanted).map(|budget| budget.seconds);
        let seconds = |device, wanted| of_backend(device, wgpu::Backend::Vulkan, wanted);
        assert_eq!(seconds(wgpu::DeviceType::Cpu, None), None);
        assert_eq!(seconds(wgpu::DeviceType::IntegratedGpu, None), Some(0.1));
        assert_eq!(seconds(wgpu::DeviceType::DiscreteGpu, None), Some(1.0));
        assert_eq!(of_backend(wgpu::DeviceType::DiscreteGpu, wgpu::Backend::Metal, None), Some(0.1));
        assert_eq!(seconds(wgpu::DeviceType::Cpu, Some(Duration::from_millis(10))), Some(0.01));
        assert!(seconds(wgpu::DeviceType::DiscreteGpu, Some(Duration::MAX)).unwrap() > 1e18);
    }

    #[test]
    fn work_is_cut_where_the_time_is_used_up() {
        let budget = Budget { seconds: 1.0, speed: SOFTWARE };
        let cut = |submissions: &mut Submissions, dispatch, seconds: &[f64]| -> Vec<(usize, usize)> {
            submissions.cut(dispatch, seconds.iter().copied()).into_iter().map(|part| (part.start, part.end)).collect()
        };
        let mut submissions = Submissions::new(Some(budget));
        assert_eq!(cut(&mut submissions, 0, &[0.5, 0.5]), [(0, 2)]);
        // The next begins a submission, and its third workgroup another; that one takes longer than there is, and is alone.
        assert_eq!(cut(&mut submissions, 1, &[0.25, 0.5, 2.0, 0.75, 0.25]), [(0, 2), (2, 3), (3, 5)]);
        assert_eq!(cut(&mut submissions, 4, &[]), [(0, 0)]);
        assert_eq!(cut(&mut submissions, 5, &[0.0, 0.0, 0.5]), [(0, 2), (2, 3)]);
        assert_eq!(submissions.take_begins(), [1, 2, 3, 6]);

        let mut unbounded = Submissions::new(None);
        assert_eq!(cut(&mut unbounded, 0, &[0.5, 1e9]), [(0, 2)]);
        assert_eq!(unbounded.take_begins(), [0usize; 0]);
    }
}
