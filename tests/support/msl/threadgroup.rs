//! A threadgroup whose threads meet at real barriers: one coroutine for each thread, on one thread of the host.

use std::cell::{Cell, RefCell};

use corosensei::{Coroutine, CoroutineResult, Yielder, stack::DefaultStack};

use super::kernel::{Call, Kernel};

/// In which order threads run between two barriers. A missing barrier can be harmless in one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Ascending,
    Descending,
}

/// Yields the barrier's number.
type Suspend = Yielder<(), u32>;

thread_local! {
    /// The running coroutine's way out.
    static RUNNING: Cell<*const Suspend> = const { Cell::new(std::ptr::null()) };
    static STACKS: RefCell<Vec<DefaultStack>> = const { RefCell::new(Vec::new()) };
}

/// What kernels call at a barrier.
pub extern "C" fn barrier(site: u32) {
    let running = RUNNING.get();
    // SAFETY: set by the coroutine that this runs in, whose yielder lives as long as it.
    unsafe { &*running }.suspend(site);
    RUNNING.set(running); // others ran meanwhile
}

const STACK_BYTES: usize = 256 << 10;

/// Runs one threadgroup.
///
/// # Errors
/// If threads wait at different barriers, or some wait while others have ended: neither has a meaning.
pub fn run(kernel: &Kernel, call: impl Fn(u32) -> Call, order: Order) -> Result<(), String> {
    let mut stacks = STACKS.take();
    let mut threads: Vec<Coroutine<(), u32, (), DefaultStack>> = (0..kernel.num_threads)
        .map(|thread| match order {
            Order::Ascending => thread,
            Order::Descending => kernel.num_threads - 1 - thread,
        })
        .map(|thread| {
            let (call, entry) = (call(thread), kernel.thread);
            let stack = stacks.pop().unwrap_or_else(|| DefaultStack::new(STACK_BYTES).expect("memory for a stack"));
            Coroutine::with_stack(stack, move |suspend: &Suspend, ()| {
                RUNNING.set(suspend);
                // SAFETY: the pointers are valid while the dispatch runs, and every index is checked against the sizes given with them.
                unsafe { entry(&call) };
            })
        })
        .collect();
    let met = loop {
        let mut sites = threads.iter_mut().map(|thread| match thread.resume(()) {
            CoroutineResult::Yield(site) => Some(site),
            CoroutineResult::Return(()) => None,
        });
        let first = sites.next().expect("a thread");
        let others: Vec<Option<u32>> = sites.collect(); // all of them run, whatever the first did
        if let Some(other) = others.iter().find(|&&other| other != first) {
            break Err(format!("a thread is at barrier {first:?}, another at {other:?} (None: it ended)"));
        }
        if first.is_none() {
            break Ok(());
        }
    };
    for mut thread in threads {
        if thread.started() && !thread.done() {
            // SAFETY: the kernel's frames own nothing.
            unsafe { thread.force_reset() };
        }
        stacks.push(thread.into_stack());
    }
    STACKS.set(stacks);
    met
}
