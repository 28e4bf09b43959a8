//! Which windows of which trace buffers one dispatch binds. Arithmetic only.

/// A run of windows of one buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WindowRun {
    /// Which trace buffer of the call.
    pub buffer: usize,
    /// First and last window, in units of `2^log_window` words from the buffer's start.
    pub first: u64,
    pub last: u64,
}

impl WindowRun {
    /// The windows that hold the words `begin..end` of a buffer.
    pub fn of_words(buffer: usize, begin: u64, end: u64, log_window: u32) -> Self {
        Self { buffer, first: begin >> log_window, last: (end - 1) >> log_window }
    }

    fn len(&self) -> u64 {
        self.last - self.first + 1
    }
}

/// The trace windows that one dispatch binds, in slot order: (buffer, window).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slots(Vec<(usize, u64)>);

impl Slots {
    /// Finds or adds slots for all of `runs`. Leaves everything as it was and gives `None` when they do not fit into `max_slots`.
    /// The result is each run's first slot.
    pub fn place(&mut self, runs: &[WindowRun], max_slots: u32) -> Option<Vec<u32>> {
        let before = self.0.len();
        let mut first_slots = Vec::with_capacity(runs.len());
        for run in runs {
            let wanted = || (run.first..=run.last).map(|window| (run.buffer, window));
            let len = run.len() as usize;
            let found = self.0.windows(len).position(|slots| slots.iter().copied().eq(wanted()));
            first_slots.push(found.unwrap_or(self.0.len()) as u32);
            if found.is_none() {
                if self.0.len() as u64 + run.len() > u64::from(max_slots) {
                    self.0.truncate(before);
                    return None;
                }
                self.0.extend(wanted());
            }
        }
        Some(first_slots)
    }

    /// The bound windows, filled up to a number that a kernel exists for by repeating the last.
    pub fn bound(&self) -> Vec<(usize, u64)> {
        let mut slots = self.0.clone();
        if let Some(&last) = slots.last() {
            slots.resize(slots.len().next_power_of_two(), last);
        }
        slots
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_shared_and_bounded() {
        let mut slots = Slots::default();
        let run = |buffer, first, last| WindowRun { buffer, first, last };
        assert_eq!(slots.place(&[run(0, 0, 2)], 4), Some(vec![0]));
        assert_eq!(slots.place(&[run(0, 1, 2), run(1, 0, 0)], 4), Some(vec![1, 3]));
        assert_eq!(slots.place(&[run(1, 0, 0), run(2, 0, 0)], 4), None);
        assert_eq!(slots.bound(), [(0, 0), (0, 1), (0, 2), (1, 0)]);
        assert_eq!(Slots::default().place(&[run(0, 0, 4)], 4), None);
        let mut three = Slots::default();
        three.place(&[run(0, 3, 5)], 8).unwrap();
        assert_eq!(three.bound().len(), 4);
        assert_eq!(WindowRun::of_words(7, 1 << 25, (1 << 25) + 1, 25), run(7, 1, 1));
        assert_eq!(WindowRun::of_words(7, (1 << 25) - 1, (1 << 25) + 1, 25), run(7, 0, 1));
    }
}
