//! The processor as a device that multiplies tiles.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use amanuensis_kernels::tile::{TileSize, product};
use amanuensis_kernels::{Aligned, Cpu};

use crate::driver::Direction;
use crate::launch::{Buffer, Counters, Launch, Location, Ticket};

use super::device::TileDevice;

/// A device that is always available, because it uses the processor's own tile kernels.
///
/// As with a real device, host and device have separate memories that only [`TileDevice::sync`] makes equal. Launches
/// (runs of the kernel) happen on a worker thread, in queue order. A device created by [`Self::on_calling_thread`]
/// has no worker thread, so that the cost of handing launches over can be measured.
#[derive(Debug)]
pub struct CpuDevice {
    cpu: Cpu,
    tile: TileSize,
    buffers: BTreeMap<Buffer, Memory>,
    next_buffer: u32,
    submitted: Ticket,
    worker: Option<Worker>,
    /// Memory in which the calling thread computes the result of a launch (one run of the kernel). Unused if there is
    /// a worker thread.
    result: Vec<i8>,
    counters: Counters,
}

/// An error of the processor device.
#[derive(Debug, thiserror::Error)]
pub enum CpuDeviceError {
    /// The buffer does not exist or was closed.
    #[error("there is no buffer {}", .0.0)]
    NoBuffer(Buffer),
    /// A byte range lies outside of its buffer.
    #[error("bytes {} to {} are outside of a buffer of {length} bytes", range.start, range.end)]
    OutOfBounds {
        /// The range in bytes.
        range: Range<usize>,
        /// The size of the buffer in bytes.
        length: usize,
    },
    /// The result of a launch (one run of the kernel) would overwrite a part of its operands.
    #[error("the result of a launch overlaps one of its operands at byte {0}")]
    Overlap(usize),
    /// A submission has no launches.
    #[error("a submission needs at least one launch")]
    NoLaunches,
    /// The ticket is not the number of any submission.
    #[error("there is no submission {}", .0.0)]
    NoSubmission(Ticket),
    /// The system cannot start a thread.
    #[error("cannot start a thread for the launches: {0}")]
    NoThread(#[source] io::Error),
    /// The worker thread has stopped.
    #[error("the thread that runs launches has stopped")]
    Stopped,
}

/// The bytes of a buffer as the device sees them.
type Shared = Arc<Mutex<Aligned<i8>>>;

/// The bytes of a buffer as the host sees them, and as the device sees them.
#[derive(Debug)]
struct Memory {
    host: Aligned<i8>,
    device: Shared,
}

/// A buffer that a submission of launches uses, with its handle.
struct Named {
    buffer: Buffer,
    length: usize,
    memory: Shared,
}

/// A submission: its launches, and the buffers that they use.
struct Job {
    buffers: Vec<Named>,
    launches: Vec<Launch>,
    ticket: Ticket,
}

/// The worker thread that runs launches (runs of the kernel), and the host's ends of the queues to and from this
/// thread.
#[derive(Debug)]
struct Worker {
    /// The queue to the worker thread. It becomes `None` when the device is dropped, which ends the thread.
    queue: Option<Sender<Job>>,
    done: Receiver<Ticket>,
    last_done: Ticket,
    thread: Option<JoinHandle<()>>,
}

impl CpuDevice {
    /// Creates a device for tiles of one size, with a worker thread. Fails if the thread cannot be started.
    pub fn new(cpu: Cpu, tile: TileSize) -> Result<Self, CpuDeviceError> {
        let mut device = Self::on_calling_thread(cpu, tile);
        device.worker = Some(Worker::new(cpu, tile).map_err(CpuDeviceError::NoThread)?);
        Ok(device)
    }

    /// Creates a device without a worker thread: [`TileDevice::submit`] itself runs the launches.
    pub fn on_calling_thread(cpu: Cpu, tile: TileSize) -> Self {
        Self {
            cpu,
            tile,
            buffers: BTreeMap::new(),
            next_buffer: 1,
            submitted: Ticket(0),
            worker: None,
            result: Vec::new(),
            counters: Counters::default(),
        }
    }

    fn memory(&self, buffer: Buffer) -> Result<&Memory, CpuDeviceError> {
        self.buffers.get(&buffer).ok_or(CpuDeviceError::NoBuffer(buffer))
    }

    /// Returns the buffers that the launches use, each listed once. Returns an error if a tile lies outside of its
    /// buffer or if a result overlaps an operand.
    fn named(&self, launches: &[Launch]) -> Result<Vec<Named>, CpuDeviceError> {
        let bytes = self.tile.elements();
        let mut named: Vec<Named> = Vec::new();
        for Launch { a, b, c } in launches {
            for location in [a, b, c] {
                let known = named.iter().position(|named| named.buffer == location.buffer);
                let index = known.unwrap_or(named.len());
                if known.is_none() {
                    let memory = self.memory(location.buffer)?;
                    named.push(Named {
                        buffer: location.buffer,
                        length: memory.host.len(),
                        memory: Arc::clone(&memory.device),
                    });
                }
                check_range(&(location.offset..location.offset.saturating_add(bytes)), named[index].length)?;
            }
            let overlaps =
                |location: &Location| location.buffer == c.buffer && location.offset.abs_diff(c.offset) < bytes;
            if overlaps(a) || overlaps(b) {
                return Err(CpuDeviceError::Overlap(c.offset));
            }
        }
        Ok(named)
    }
}

fn check_range(range: &Range<usize>, length: usize) -> Result<(), CpuDeviceError> {
    if range.start <= range.end && range.end <= length {
        Ok(())
    } else {
        Err(CpuDeviceError::OutOfBounds { range: range.clone(), length })
    }
}

fn lock(memory: &Mutex<Aligned<i8>>) -> MutexGuard<'_, Aligned<i8>> {
    // Any bytes are valid values, so the buffer can be used even if a thread panicked while it held the lock.
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

impl TileDevice for CpuDevice {
    type Error = CpuDeviceError;

    fn tile(&self) -> TileSize {
        self.tile
    }

    fn allocate(&mut self, bytes: usize) -> Result<Buffer, CpuDeviceError> {
        let buffer = Buffer(self.next_buffer);
        self.next_buffer += 1;
        let mut host = Aligned::default();
        host.resize(bytes);
        let device = Arc::new(Mutex::new(host.clone()));
        self.buffers.insert(buffer, Memory { host, device });
        Ok(buffer)
    }

    fn free(&mut self, buffer: Buffer) -> Result<(), CpuDeviceError> {
        self.buffers.remove(&buffer).map(drop).ok_or(CpuDeviceError::NoBuffer(buffer))
    }

    fn host(&self, buffer: Buffer) -> Result<&[i8], CpuDeviceError> {
        Ok(&self.memory(buffer)?.host)
    }

    fn host_mut(&mut self, buffer: Buffer) -> Result<&mut [i8], CpuDeviceError> {
        Ok(&mut self.buffers.get_mut(&buffer).ok_or(CpuDeviceError::NoBuffer(buffer))?.host)
    }

    fn sync(&mut self, buffer: Buffer, range: Range<usize>, direction: Direction) -> Result<(), CpuDeviceError> {
        let Memory { host, device } = self.buffers.get_mut(&buffer).ok_or(CpuDeviceError::NoBuffer(buffer))?;
        check_range(&range, host.len())?;
        let bytes = range.len() as u64;
        let mut device = lock(device);
        self.counters.syncs += 1;
        match direction {
            Direction::ToDevice => {
                device[range.clone()].copy_from_slice(&host[range]);
                self.counters.bytes_to_device += bytes;
            }
            Direction::FromDevice => {
                host[range.clone()].copy_from_slice(&device[range]);
                self.counters.bytes_from_device += bytes;
            }
        }
        Ok(())
    }

    fn submit(&mut self, launches: &[Launch]) -> Result<Ticket, CpuDeviceError> {
        if launches.is_empty() {
            return Err(CpuDeviceError::NoLaunches);
        }
        let ticket = Ticket(self.submitted.0 + 1);
        let job = Job { buffers: self.named(launches)?, launches: launches.to_vec(), ticket };
        match &self.worker {
            Some(worker) => worker.submit(job)?,
            None => job.run(self.cpu, self.tile, &mut self.result),
        }
        self.submitted = ticket;
        self.counters.submissions += 1;
        self.counters.launches += launches.len() as u64;
        Ok(ticket)
    }

    fn wait(&mut self, ticket: Ticket) -> Result<(), CpuDeviceError> {
        if ticket > self.submitted {
            return Err(CpuDeviceError::NoSubmission(ticket));
        }
        self.counters.waits += 1;
        self.worker.as_mut().map_or(Ok(()), |worker| worker.wait(ticket))
    }

    fn counters(&self) -> Counters {
        self.counters
    }
}

impl Job {
    /// Runs all launches of the submission. `result` is memory in which the result of a launch is computed before it
    /// is copied to its buffer.
    fn run(&self, cpu: Cpu, tile: TileSize, result: &mut Vec<i8>) {
        let bytes = tile.elements();
        let mut memories: Vec<_> = self.buffers.iter().map(|named| lock(&named.memory)).collect();
        let index = |location: Location| {
            let at = self.buffers.iter().position(|named| named.buffer == location.buffer);
            at.expect("a job has all buffers that its launches name")
        };
        // Operands and result may be in the same buffer, which is locked once. So the result is computed in separate
        // memory first.
        result.resize(bytes, 0);
        for launch in &self.launches {
            let read = |location: Location| &memories[index(location)][location.offset..][..bytes];
            product(cpu, tile, read(launch.a), read(launch.b), result);
            memories[index(launch.c)][launch.c.offset..][..bytes].copy_from_slice(result);
        }
    }
}

impl Worker {
    fn new(cpu: Cpu, tile: TileSize) -> io::Result<Self> {
        let (queue, jobs) = channel::<Job>();
        let (finished, done) = channel();
        let run = move || {
            let mut result = Vec::new();
            for job in jobs {
                job.run(cpu, tile, &mut result);
                if finished.send(job.ticket).is_err() {
                    break;
                }
            }
        };
        let thread = thread::Builder::new().name("tile launches".to_owned()).spawn(run)?;
        Ok(Self { queue: Some(queue), done, last_done: Ticket(0), thread: Some(thread) })
    }

    fn submit(&self, job: Job) -> Result<(), CpuDeviceError> {
        self.queue.as_ref().and_then(|queue| queue.send(job).ok()).ok_or(CpuDeviceError::Stopped)
    }

    fn wait(&mut self, ticket: Ticket) -> Result<(), CpuDeviceError> {
        while self.last_done < ticket {
            self.last_done = self.done.recv().map_err(|_| CpuDeviceError::Stopped)?;
        }
        Ok(())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // If the thread panicked, `submit` and `wait` report it as an error, so the panic is ignored here.
            let _ = thread.join();
        }
    }
}
