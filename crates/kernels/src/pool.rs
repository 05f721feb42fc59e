//! A thread pool for operations that last microseconds: persistent threads that spin briefly before they sleep.
//!
//! Every thread begins with a fixed share of the tasks, so that equal splits of consecutive operations find their data
//! in the same core's cache; who is done takes over what is left of the others' shares. An operation never waits for a
//! thread that has not begun: on a busy machine, where a worker may not be scheduled for milliseconds, the caller does
//! the work alone. There is no global pool: whoever makes a [`Pool`] owns its threads.

use std::any::Any;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::aligned::{Aligned, Number};

/// How often a worker polls for its next job before it sleeps: some 100 us, longer than the gap between two operations
/// of a decoding step, shorter than anything a user would notice as load.
const SPINS: usize = 5_000;

/// Buffers that a thread keeps from one operation to the next, so that a block of results is never allocated twice.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(crate) sums: Aligned<i32>,
    pub(crate) bytes: Aligned<i8>,
    pub(crate) unsigned: Aligned<u8>,
    pub(crate) half: Aligned<u16>,
    pub(crate) block: Aligned<f32>,
    pub(crate) block2: Aligned<f32>,
}

/// `length` elements of a scratch buffer, their contents whatever the last user left.
pub(crate) fn scratch_of<T: Number>(buffer: &mut Aligned<T>, length: usize) -> &mut [T] {
    if buffer.len() < length {
        buffer.resize(length);
    }
    &mut buffer[..length]
}

type Task<'a> = dyn Fn(usize, &mut Scratch) + Sync + 'a;

/// A job as the workers see it. The pointer is followed only by threads that have joined the job, and [`Pool::run`] does
/// not return before the last of them has left.
#[derive(Clone, Copy)]
struct Job {
    task: *const Task<'static>,
    tasks: usize,
}
// SAFETY: the pointee is `Sync`, and `Pool::run` keeps it alive while any worker may follow the pointer.
unsafe impl Send for Job {}

struct State {
    /// What can be joined.
    job: Option<Job>,
    panic: Option<Box<dyn Any + Send>>,
    stop: bool,
}

struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    /// Counts jobs; a worker waits for it to change.
    epoch: AtomicUsize,
    /// Workers that have joined the job and not left it. Raised only with `state` locked and a job in it.
    joined: AtomicUsize,
    sleepers: AtomicUsize,
    /// For each thread, the next task of its share.
    cursors: Vec<Cursor>,
}

/// On a cache line of its own: each thread counts its own up.
#[repr(align(64))]
#[derive(Default)]
struct Cursor(AtomicUsize);

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // The state is valid between any two statements that hold the lock, so a poisoned lock is as good as any.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn threads(&self) -> usize {
        self.cursors.len()
    }

    /// Runs tasks of the job's share of `thread`, then of the shares after it, until none is left.
    fn run_tasks(&self, job: Job, task: &Task<'_>, thread: usize, scratch: &mut Scratch) {
        let threads = self.threads();
        for share in (thread..threads).chain(0..thread) {
            let end = job.tasks * (share + 1) / threads;
            loop {
                // Only the count itself is shared; what tasks write is handed over by `state` and `joined`.
                let index = self.cursors[share].0.fetch_add(1, Ordering::Relaxed);
                if index >= end {
                    break;
                }
                task(index, scratch);
            }
        }
    }
}

/// A fixed set of threads that run the parts of one operation at a time. Cheap to share by reference: callers from
/// several threads take turns.
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// The calling thread works too; this is its scratch, and its lock is what makes callers take turns.
    caller: Mutex<Scratch>,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("threads", &self.shared.threads()).finish_non_exhaustive()
    }
}

impl Pool {
    /// A pool of `threads` threads, the calling one included; zero counts as one. Where the system refuses a thread, the
    /// pool has only the caller.
    pub fn new(threads: usize) -> Self {
        let wanted = threads.max(1);
        let shared = |threads: usize| {
            Arc::new(Shared {
                state: Mutex::new(State { job: None, panic: None, stop: false }),
                wake: Condvar::new(),
                epoch: AtomicUsize::new(0),
                joined: AtomicUsize::new(0),
                sleepers: AtomicUsize::new(0),
                cursors: (0..threads).map(|_| Cursor::default()).collect(),
            })
        };
        let start = |shared: &Arc<Shared>| -> std::io::Result<Vec<JoinHandle<()>>> {
            (1..shared.threads())
                .map(|index| {
                    let shared = Arc::clone(shared);
                    let name = format!("amanuensis-{index}");
                    std::thread::Builder::new().name(name).spawn(move || work(&shared, index))
                })
                .collect()
        };
        let full = shared(wanted);
        if let Ok(workers) = start(&full) {
            Self { shared: full, workers, caller: Mutex::default() }
        } else {
            stop(&full);
            Self { shared: shared(1), workers: Vec::new(), caller: Mutex::default() }
        }
    }

    /// Number of threads, the caller included.
    pub fn threads(&self) -> usize {
        self.shared.threads()
    }

    /// Runs `task(0..tasks)`, each index once, and returns when all are done.
    ///
    /// # Panics
    /// Passes on a panic of a task, after every other thread has finished.
    pub fn run(&self, tasks: usize, task: &Task<'_>) {
        let mut scratch = self.caller.lock().unwrap_or_else(PoisonError::into_inner);
        if self.workers.is_empty() || tasks <= 1 {
            (0..tasks).for_each(|index| task(index, &mut scratch));
            return;
        }
        // SAFETY: only the lifetime changes. Workers follow the pointer only between joining and leaving the job, and
        // `close` below waits for that, also when this thread's own part panics.
        let task_static = unsafe { std::mem::transmute::<&Task<'_>, &'static Task<'static>>(task) };
        let job = Job { task: task_static, tasks };
        self.publish(job);
        let own = catch_unwind(AssertUnwindSafe(|| self.shared.run_tasks(job, task, 0, &mut scratch)));
        let panic = self.close();
        if let Some(panic) = own.err().or(panic) {
            resume_unwind(panic);
        }
    }

    fn publish(&self, job: Job) {
        // Nobody has joined, so nobody else touches the cursors.
        for (thread, cursor) in self.shared.cursors.iter().enumerate() {
            cursor.0.store(job.tasks * thread / self.threads(), Ordering::Relaxed);
        }
        self.shared.state().job = Some(job);
        self.shared.epoch.fetch_add(1, Ordering::SeqCst);
        if self.shared.sleepers.load(Ordering::SeqCst) > 0 {
            // Taking the lock orders this after a worker that has counted itself asleep but not yet begun to wait.
            let _state = self.shared.state();
            self.shared.wake.notify_all();
        }
    }

    /// Lets nobody else join, waits for those that have, and returns the panic of one of them.
    fn close(&self) -> Option<Box<dyn Any + Send>> {
        self.shared.state().job = None;
        let mut spins = 0;
        while self.shared.joined.load(Ordering::Acquire) > 0 {
            spins += 1;
            if spins < SPINS { std::hint::spin_loop() } else { std::thread::yield_now() }
        }
        self.shared.state().panic.take()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        stop(&self.shared);
        for worker in self.workers.drain(..) {
            // A worker catches the panics of its tasks, so joining cannot fail.
            let _ = worker.join();
        }
    }
}

fn stop(shared: &Shared) {
    shared.state().stop = true;
    shared.epoch.fetch_add(1, Ordering::SeqCst);
    let _state = shared.state();
    shared.wake.notify_all();
}

fn work(shared: &Shared, index: usize) {
    let mut scratch = Scratch::default();
    let mut seen = 0;
    loop {
        seen = next_epoch(shared, seen);
        let job = {
            let state = shared.state();
            if state.stop {
                return;
            }
            let Some(job) = state.job else { continue };
            shared.joined.fetch_add(1, Ordering::Relaxed);
            job
        };
        // SAFETY: the job was there to be joined, and `Pool::run` waits for this thread to leave it.
        let task = unsafe { &*job.task };
        let part = catch_unwind(AssertUnwindSafe(|| shared.run_tasks(job, task, index, &mut scratch)));
        if let Err(panic) = part {
            shared.state().panic = Some(panic);
        }
        shared.joined.fetch_sub(1, Ordering::Release);
    }
}

fn next_epoch(shared: &Shared, seen: usize) -> usize {
    for _ in 0..SPINS {
        let epoch = shared.epoch.load(Ordering::Acquire);
        if epoch != seen {
            return epoch;
        }
        std::hint::spin_loop();
    }
    let mut state = shared.state();
    shared.sleepers.fetch_add(1, Ordering::SeqCst);
    let epoch = loop {
        let epoch = shared.epoch.load(Ordering::SeqCst);
        if epoch != seen {
            break epoch;
        }
        state = shared.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
    };
    shared.sleepers.fetch_sub(1, Ordering::SeqCst);
    epoch
}

/// A mutable slice that the tasks of one operation cut up among themselves.
pub(crate) struct Disjoint<'a, T> {
    start: *mut T,
    length: usize,
    slice: PhantomData<&'a mut [T]>,
}
// SAFETY: threads only reach the elements through `slice`, whose callers promise disjoint ranges; `T: Send` lets each
// element be used from the thread that took it.
unsafe impl<T: Send> Sync for Disjoint<'_, T> {}

impl<'a, T> Disjoint<'a, T> {
    pub(crate) fn new(slice: &'a mut [T]) -> Self {
        Self { start: slice.as_mut_ptr(), length: slice.len(), slice: PhantomData }
    }

    /// The elements `start..start + length`.
    ///
    /// # Safety
    /// No element may be part of two slices that are alive at once.
    ///
    /// # Panics
    /// If the range does not lie inside the slice.
    #[allow(clippy::mut_from_ref, reason = "disjointness is the caller's promise")]
    pub(crate) unsafe fn slice(&self, start: usize, length: usize) -> &mut [T] {
        assert!(start <= self.length && length <= self.length - start, "range outside the slice");
        // SAFETY: the range was just checked to be inside the slice, and the caller keeps ranges apart.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), length) }
    }

    /// `N` columns of a matrix: `count` times the `N` elements from `start` on, `stride` apart.
    ///
    /// # Safety
    /// As [`Self::slice`]: no element may be part of two that are alive at once.
    ///
    /// # Panics
    /// If the last of them does not lie inside the slice.
    pub(crate) unsafe fn columns<const N: usize>(
        &self,
        start: usize,
        stride: usize,
        count: usize,
    ) -> impl Iterator<Item = &mut [T; N]> {
        let last = count.saturating_sub(1).checked_mul(stride).and_then(|last| last.checked_add(start));
        let is_inside = last.and_then(|last| last.checked_add(N)).is_some_and(|end| end <= self.length);
        assert!(count == 0 || is_inside, "columns outside the slice");
        // SAFETY: all were just checked to be inside the slice, and the caller keeps them apart.
        (0..count).map(move |index| unsafe { &mut *self.start.add(start + index * stride).cast() })
    }
}

impl Pool {
    /// Splits `data` into chunks of `length` elements (the last may be shorter) and runs `task(index, chunk)` on each.
    pub fn chunks_mut<T: Send>(
        &self,
        data: &mut [T],
        length: usize,
        task: &(dyn Fn(usize, &mut [T], &mut Scratch) + Sync),
    ) {
        let total = data.len();
        let data = Disjoint::new(data);
        self.run(total.div_ceil(length.max(1)), &|index, scratch| {
            let start = index * length;
            // SAFETY: chunk `index` is visited once, and chunks do not overlap.
            let chunk = unsafe { data.slice(start, length.min(total - start)) };
            task(index, chunk, scratch);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_runs_once() {
        for threads in [1, 2, 3, 5] {
            let pool = Pool::new(threads);
            for tasks in [0, 1, 2, 7, 100] {
                let counts: Vec<_> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
                pool.run(tasks, &|index, _| {
                    counts[index].fetch_add(1, Ordering::Relaxed);
                });
                assert!(
                    counts.iter().all(|count| count.load(Ordering::Relaxed) == 1),
                    "{threads} threads, {tasks} tasks"
                );
            }
        }
    }

    #[test]
    fn workers_wake_after_they_slept() {
        let pool = Pool::new(3);
        let sum = AtomicUsize::new(0);
        for round in 0..20 {
            while round % 5 == 0 && pool.shared.sleepers.load(Ordering::SeqCst) < 2 {
                std::thread::yield_now();
            }
            pool.run(3, &|index, _| {
                sum.fetch_add(index + 1, Ordering::Relaxed);
            });
        }
        assert_eq!(sum.into_inner(), 20 * 6);
    }

    #[test]
    fn callers_take_turns() {
        let pool = Pool::new(2);
        let inside = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        pool.run(2, &|_, _| {
                            assert!(inside.fetch_add(1, Ordering::SeqCst) < 2, "two operations at once");
                            inside.fetch_sub(1, Ordering::SeqCst);
                        });
                    }
                });
            }
        });
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_pool_lives_on() {
        let pool = Pool::new(2);
        for bad in 0..2 {
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                pool.run(2, &|index, _| assert!(index != bad, "task {index} failed"));
            }));
            assert!(outcome.is_err());
        }
        let mut data = vec![0; 10];
        pool.chunks_mut(&mut data, 3, &|index, chunk, _| chunk.fill(index));
        assert_eq!(data, [0, 0, 0, 1, 1, 1, 2, 2, 2, 3]);
    }
}
