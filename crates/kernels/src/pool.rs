//! A thread pool for operations that take microseconds: persistent threads that spin briefly before they sleep.
//!
//! Every thread starts with a fixed share of the tasks. So when consecutive operations are split in the same way,
//! each thread finds its data in the cache of its core. A thread that has finished its own share takes tasks from the
//! shares of the others.
//!
//! An operation never waits for a worker that has not started on it. On a busy machine a worker may not be scheduled
//! for milliseconds; the calling thread then does all the work itself.
//!
//! There is no global pool: a [`Pool`] owns its threads.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::Scratch;
use crate::disjoint::Disjoint;

/// Number of times that a worker polls for its next job before it sleeps. This takes about 100 us. It is longer than
/// the time between two operations of a decoding step, but too short to show up as CPU load.
const MAX_SPINS: usize = 5_000;

type Task<'a> = dyn Fn(usize, &mut Scratch) + Sync + 'a;

/// The current operation, in the form in which workers receive it.
///
/// Only threads that have joined the job dereference the pointer. [`Pool::run`] does not return before all of these
/// threads have left the job.
#[derive(Clone, Copy)]
struct Job {
    task: *const Task<'static>,
    tasks: usize,
}
// SAFETY: the pointee is `Sync`, and `Pool::run` keeps it alive for as long as a worker may dereference the pointer.
unsafe impl Send for Job {}

struct State {
    /// The job that workers may join, if an operation is running.
    job: Option<Job>,
    /// The payload of a panic that a task caused in a worker.
    panic: Option<Box<dyn Any + Send>>,
    /// If true, the workers exit.
    stop: bool,
}

struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    /// Number of jobs so far. An idle worker waits until this number changes.
    epoch: AtomicUsize,
    /// Number of workers that have joined the current job and have not left it. Incremented only while `state` is
    /// locked and holds a job.
    joined: AtomicUsize,
    /// Number of workers that sleep or are about to sleep.
    sleepers: AtomicUsize,
    /// For each thread, the index of the next task in the thread's share.
    cursors: Vec<Cursor>,
}

/// A counter of tasks. It has a cache line of its own, because each thread increments mostly its own counter.
#[repr(align(64))]
#[derive(Default)]
struct Cursor(AtomicUsize);

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Each update of the state is a single assignment, so the state is consistent even after a panic poisoned the
        // lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn threads(&self) -> usize {
        self.cursors.len()
    }

    /// Runs the tasks of `thread`'s own share, then the remaining tasks of the other shares.
    fn run_tasks(&self, job: Job, task: &Task<'_>, thread: usize, scratch: &mut Scratch) {
        let threads = self.threads();
        for share in (thread..threads).chain(0..thread) {
            let end = job.tasks * (share + 1) / threads;
            loop {
                // Relaxed ordering is enough, because the cursor only hands out indices. When a thread joins the job,
                // the lock on `state` synchronises the data of the tasks. When the thread leaves, `joined`
                // synchronises it.
                let index = self.cursors[share].0.fetch_add(1, Ordering::Relaxed);
                if index >= end {
                    break;
                }
                task(index, scratch);
            }
        }
    }
}

/// A fixed set of threads that run the tasks of one operation at a time.
///
/// A pool can be used from several threads. Their operations run one after another.
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// Scratch buffers of the calling thread, which also runs tasks. The lock also makes sure that only one operation
    /// runs at a time.
    caller: Mutex<Scratch>,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("threads", &self.shared.threads()).finish_non_exhaustive()
    }
}

impl Pool {
    /// Creates a pool of `threads` threads. The calling thread is one of them; 0 counts as 1. If the system refuses
    /// to start a thread, the pool has the calling thread only.
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

    /// Number of threads, the calling thread included.
    pub fn threads(&self) -> usize {
        self.shared.threads()
    }

    /// Calls `task(index, scratch)` once for each index in `0..tasks` and returns when all calls have finished.
    ///
    /// # Panics
    ///
    /// If a task panics. The panic is resumed in the calling thread after all other threads have left the operation.
    pub fn run(&self, tasks: usize, task: &Task<'_>) {
        let mut scratch = self.caller.lock().unwrap_or_else(PoisonError::into_inner);
        if self.workers.is_empty() || tasks <= 1 {
            (0..tasks).for_each(|index| task(index, &mut scratch));
            return;
        }
        // SAFETY: only the lifetime changes. Workers dereference the pointer only between joining and leaving the job,
        // and `close` below waits until all have left, even if this thread's own tasks panic (`catch_unwind`).
        let task_static = unsafe { std::mem::transmute::<&Task<'_>, &'static Task<'static>>(task) };
        let job = Job { task: task_static, tasks };
        self.publish(job);
        let own = catch_unwind(AssertUnwindSafe(|| self.shared.run_tasks(job, task, 0, &mut scratch)));
        let panic = self.close();
        if let Some(panic) = own.err().or(panic) {
            resume_unwind(panic);
        }
    }

    /// Splits `data` into chunks of `length` elements (the final chunk may be shorter) and calls `task(index, chunk,
    /// scratch)` for each of them.
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
            // SAFETY: `run` visits each index once, and chunks of different indices do not overlap.
            let chunk = unsafe { data.slice(start, length.min(total - start)) };
            task(index, chunk, scratch);
        });
    }

    /// Makes a job available to the workers and wakes sleeping workers.
    fn publish(&self, job: Job) {
        // No worker has joined yet, so no other thread uses the cursors.
        for (thread, cursor) in self.shared.cursors.iter().enumerate() {
            cursor.0.store(job.tasks * thread / self.threads(), Ordering::Relaxed);
        }
        self.shared.state().job = Some(job);
        self.shared.epoch.fetch_add(1, Ordering::SeqCst);
        if self.shared.sleepers.load(Ordering::SeqCst) > 0 {
            // A worker may have incremented `sleepers` but not yet started to wait. It holds the lock until it waits,
            // so taking the lock here makes sure that it receives the notification.
            let _state = self.shared.state();
            self.shared.wake.notify_all();
        }
    }

    /// Ends a job, so that no worker can join it any more. Waits for the workers that have joined. Returns the
    /// payload of a panic in one of them, if any.
    fn close(&self) -> Option<Box<dyn Any + Send>> {
        self.shared.state().job = None;
        let mut spins = 0;
        while self.shared.joined.load(Ordering::Acquire) > 0 {
            spins += 1;
            if spins < MAX_SPINS { std::hint::spin_loop() } else { std::thread::yield_now() }
        }
        self.shared.state().panic.take()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        stop(&self.shared);
        for worker in self.workers.drain(..) {
            // Joining fails only if the worker panicked, and a worker catches the panics of its tasks.
            let _ = worker.join();
        }
    }
}

/// Tells all workers to exit, and does not wait until they have exited.
fn stop(shared: &Shared) {
    shared.state().stop = true;
    shared.epoch.fetch_add(1, Ordering::SeqCst);
    let _state = shared.state();
    shared.wake.notify_all();
}

/// The main loop of worker `index`.
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
        // SAFETY: `joined` was incremented under the lock while the job was published, so `Pool::run` keeps the task
        // alive until this thread decrements `joined` below.
        let task = unsafe { &*job.task };
        let part = catch_unwind(AssertUnwindSafe(|| shared.run_tasks(job, task, index, &mut scratch)));
        if let Err(panic) = part {
            shared.state().panic = Some(panic);
        }
        shared.joined.fetch_sub(1, Ordering::Release);
    }
}

/// Waits until the epoch (the number of jobs so far) differs from `seen`, spinning first and then sleeping. Returns
/// the new epoch.
fn next_epoch(shared: &Shared, seen: usize) -> usize {
    for _ in 0..MAX_SPINS {
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
    fn sleeping_workers_wake_up_for_a_job() {
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
    fn operations_of_several_threads_do_not_overlap() {
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
    fn a_panic_of_a_task_reaches_the_caller_and_the_pool_stays_usable() {
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
