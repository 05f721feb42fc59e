//! A session: a design (a compiled program) that is loaded into an NPU, with everything that its launches (runs)
//! need: the heap, the context, the command buffers, and the data buffers.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use crate::design::{Argument, Design};
use crate::driver::{BufferKind, BufferObject, ComputeUnit, Context, Direction, Driver, HEAP_SIZE, Info};
use crate::error::Error;
use crate::launch::{Buffer, Counters, Launch, Ticket};
use crate::packet::{Command, CommandState, Instructions, bytes, chain, error_index, start};
use crate::target::Target;

/// Time after which a submission counts as failed. A working device needs orders of magnitude less.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum number of chains (commands that execute other commands) that the driver queues per context. Before another
/// one is submitted, the session waits for the oldest.
const MAX_CHAINS: usize = 4;
/// Size of a command buffer in bytes.
const COMMAND_BYTES: usize = 4096;

/// A command buffer, and the submission that uses it.
#[derive(Debug)]
struct Slot {
    handle: u32,
    /// The timeline point of the pending submission that uses the buffer. `None` if the buffer is free.
    point: Option<u64>,
}

/// A pending submission: its timeline point, and the handle of its command buffer.
#[derive(Debug)]
struct Submitted {
    point: u64,
    command: u32,
}

/// A design (a compiled program) that is loaded into an NPU and ready to run.
pub struct Session {
    driver: Box<dyn Driver>,
    design: Design,
    info: Info,
    context: Context,
    instructions: Instructions,
    /// The handle of the buffer that holds the instructions.
    program: u32,
    /// Device address and size in bytes of each data buffer, by handle.
    buffers: BTreeMap<u32, (u64, usize)>,
    /// Command buffers. Each is reused after its submission has finished.
    slots: Vec<Slot>,
    pending: Vec<Submitted>,
    counters: Counters,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("design", &self.design.directory)
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}

impl Session {
    /// Loads a design (a compiled program) into the device of `driver`. Returns an error if the design is for another
    /// type of NPU, or if the driver refuses an operation.
    pub fn open(mut driver: Box<dyn Driver>, design: Design) -> Result<Self, Error> {
        let info = driver.info()?;
        if Target::of_columns(info.columns) != Some(design.target) || design.columns > info.columns {
            let device = Target::of_columns(info.columns)
                .map_or_else(|| format!("an unknown array of {} columns", info.columns), |target| target.to_string());
            return Err(Error::OtherTarget { design: design.target.name(), device });
        }
        // The driver requires that a heap exists before a context is created.
        driver.create_buffer(BufferKind::Heap, HEAP_SIZE)?;
        let context = driver.create_context(u32::from(design.columns) * u32::from(info.core_rows))?;
        let pdi = upload(&mut *driver, &design.pdi)?;
        driver.configure(context, &[ComputeUnit { buffer: pdi.handle, function: design.function }])?;
        let program: Vec<u8> = bytes(&design.instructions).collect();
        let program = upload(&mut *driver, &program)?;
        let instructions = Instructions { address: program.address, words: design.instructions.len() as u32 };
        Ok(Self {
            driver,
            design,
            info,
            context,
            instructions,
            program: program.handle,
            buffers: BTreeMap::new(),
            slots: Vec::new(),
            pending: Vec::new(),
            counters: Counters::default(),
        })
    }

    /// The design (the NPU's program) that is loaded.
    pub fn design(&self) -> &Design {
        &self.design
    }

    /// The properties of the device, as the driver reported them.
    pub fn info(&self) -> Info {
        self.info
    }

    /// Counts of what the device was asked to do since the session was opened.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Creates a buffer of `size` bytes, which are zero for both host and device.
    pub fn allocate(&mut self, size: usize) -> Result<Buffer, Error> {
        let buffer = self.driver.create_buffer(BufferKind::Data, size)?;
        self.buffers.insert(buffer.handle, (buffer.address, size));
        Ok(Buffer(buffer.handle))
    }

    /// Closes a buffer. The caller must not close a buffer that a pending launch uses.
    pub fn free(&mut self, buffer: Buffer) -> Result<(), Error> {
        self.buffers.remove(&buffer.0);
        Ok(self.driver.close_buffer(buffer.0)?)
    }

    /// The bytes of a buffer as the host sees them.
    pub fn bytes(&self, buffer: Buffer) -> Result<&[u8], Error> {
        Ok(self.driver.bytes(buffer.0)?)
    }

    /// The bytes of a buffer as the host sees them, for writing.
    pub fn bytes_mut(&mut self, buffer: Buffer) -> Result<&mut [u8], Error> {
        Ok(self.driver.bytes_mut(buffer.0)?)
    }

    /// Makes what one side wrote to a range of a buffer (in bytes) visible to the other side: to the device or to the
    /// host.
    pub fn sync(&mut self, buffer: Buffer, direction: Direction, range: Range<usize>) -> Result<(), Error> {
        let bytes = range.len() as u64;
        self.driver.sync(buffer.0, direction, range)?;
        self.counters.syncs += 1;
        match direction {
            Direction::ToDevice => self.counters.bytes_to_device += bytes,
            Direction::FromDevice => self.counters.bytes_from_device += bytes,
        }
        Ok(())
    }

    /// Queues launches (runs of the kernel, at least one) after all that are already queued, in as few chains of
    /// commands as possible. If the driver's queue is full, waits for its oldest chain. The returned ticket stands
    /// for all these launches.
    pub fn submit(&mut self, launches: &[Launch]) -> Result<Ticket, Error> {
        let mut point = 0;
        for launches in launches.chunks(self.design.chain_length()) {
            // The queue is full, so the driver would wait. Waiting here instead also frees the command buffers of the
            // oldest chain.
            if let Some(oldest) = self.pending.first().filter(|_| self.pending.len() == MAX_CHAINS) {
                self.wait(Ticket(oldest.point))?;
            }
            point = self.submit_chain(launches)?;
            self.counters.submissions += 1;
            self.counters.launches += launches.len() as u64;
        }
        Ok(Ticket(point))
    }

    fn submit_chain(&mut self, launches: &[Launch]) -> Result<u64, Error> {
        // The driver requires that the list of buffers includes the buffer of the instructions.
        let mut arguments = vec![self.program];
        let mut commands = Vec::with_capacity(launches.len());
        for launch in launches {
            let addresses = self.addresses(launch, &mut arguments)?;
            let words = start(self.design.start, self.instructions, &addresses);
            commands.push(self.write_command(&words)?);
        }
        arguments.sort_unstable();
        arguments.dedup();
        let command = if let [single] = commands[..] {
            single
        } else {
            let chain = self.write_command(&chain(&commands))?;
            commands.push(chain);
            chain
        };
        let outcome = self.driver.execute(self.context, command, &arguments);
        let point = outcome.as_ref().ok().copied();
        // If the submission failed, `point` is `None`, so the command buffers become free again.
        for slot in self.slots.iter_mut().filter(|slot| commands.contains(&slot.handle)) {
            slot.point = point;
        }
        let point = outcome?;
        self.pending.push(Submitted { point, command });
        Ok(point)
    }

    /// Returns the device addresses of the matrices of a launch, in the order of the design's arguments. Appends the
    /// handles of the matrices' buffers to `handles`. A matrix that lies outside of its buffer is an error.
    fn addresses(&self, launch: &Launch, handles: &mut Vec<u32>) -> Result<Vec<u64>, Error> {
        let [a, b, c] = self.design.operand_bytes();
        let mut addresses = Vec::with_capacity(self.design.arguments.len());
        for argument in &self.design.arguments {
            let (location, length) = match argument {
                Argument::A => (launch.a, a),
                Argument::B => (launch.b, b),
                Argument::C => (launch.c, c),
                Argument::None => {
                    addresses.push(0);
                    continue;
                }
            };
            let (address, size) = self.buffers.get(&location.buffer.0).copied().unwrap_or_default();
            let end = location.offset.checked_add(length);
            if end.is_none_or(|end| end > size) || !location.offset.is_multiple_of(4) {
                return Err(Error::Range { offset: location.offset, length, size });
            }
            addresses.push(address + location.offset as u64);
            handles.push(location.buffer.0);
        }
        Ok(addresses)
    }

    /// Writes a command into a free command buffer, or into a new one if none is free. Returns the buffer's handle.
    fn write_command(&mut self, words: &[u32]) -> Result<u32, Error> {
        // Marks a command buffer as taken. After the submission, the submission's timeline point replaces this value.
        const TAKEN: Option<u64> = Some(u64::MAX);
        let free = self.slots.iter_mut().find(|slot| slot.point.is_none());
        let handle = if let Some(slot) = free {
            slot.point = TAKEN;
            slot.handle
        } else {
            let handle = self.driver.create_buffer(BufferKind::Command, COMMAND_BYTES)?.handle;
            self.slots.push(Slot { handle, point: TAKEN });
            handle
        };
        let buffer = self.driver.bytes_mut(handle)?;
        buffer.iter_mut().zip(bytes(words)).for_each(|(to, from)| *to = from);
        Ok(handle)
    }

    /// Waits until `ticket` and all earlier submissions have finished. Returns the error of the first command that
    /// failed, or [`Error::Timeout`].
    pub fn wait(&mut self, ticket: Ticket) -> Result<(), Error> {
        self.driver.wait(self.context, ticket.0, TIMEOUT).map_err(|failure| match failure.errno {
            crate::driver::errno::TIME => Error::Timeout(TIMEOUT),
            _ => failure.into(),
        })?;
        self.counters.waits += 1;
        let mut outcome = Ok(());
        for submitted in self.pending.extract_if(.., |submitted| submitted.point <= ticket.0) {
            let command = self.driver.bytes(submitted.command)?;
            let state = command
                .first_chunk()
                .map_or(CommandState::Invalid, |header| CommandState::of_header(u32::from_le_bytes(*header)));
            if state != CommandState::Completed && outcome.is_ok() {
                let is_chain = matches!(Command::parse(command), Some(Command::Chain(_)));
                let index = if is_chain { error_index(command) } else { 0 };
                outcome = Err(Error::Command { state, index });
            }
        }
        for slot in &mut self.slots {
            slot.point = slot.point.filter(|point| *point > ticket.0);
        }
        outcome
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Errors are ignored here, because the kernel frees everything when the device file is closed.
        let _ = self.driver.destroy_context(self.context);
    }
}

/// Copies bytes into a new buffer in the heap and makes them visible to the device.
fn upload(driver: &mut dyn Driver, bytes: &[u8]) -> Result<BufferObject, Error> {
    let buffer = driver.create_buffer(BufferKind::Device, bytes.len())?;
    driver.bytes_mut(buffer.handle)?[..bytes.len()].copy_from_slice(bytes);
    driver.sync(buffer.handle, Direction::ToDevice, 0..bytes.len())?;
    Ok(buffer)
}
