//! Contexts and their command queues. Commands run as late as possible: when the host waits for them, or when the
//! queue is full. Before that, the result is missing. So a program that reads a result without waiting for it is
//! revealed.

use std::collections::VecDeque;

use super::array;
use super::fault::{Controls, Fault, Point};
use super::memory::Memory;
use crate::design::Program;
use crate::driver::{BufferKind, Call, ComputeUnit, Context, Failure, errno};
use crate::packet::{Command, CommandState};
use crate::target::Target;

/// Maximum number of queued commands per context. Before another command is queued, the oldest one runs.
const MAX_COMMANDS: usize = 4;

#[derive(Debug)]
pub(super) struct Queue {
    target: Target,
    contexts: Vec<State>,
    next_handle: u32,
}

/// A hardware context: a share of the array, with a queue of commands.
#[derive(Debug)]
struct State {
    context: Context,
    design: Loaded,
    submitted: u64,
    queued: VecDeque<Queued>,
}

/// The program that is loaded into a context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loaded {
    Nothing,
    /// A design of the fake device (not a real one), for this generation of NPUs.
    Fake(Target),
    /// Any other design, which the fake array cannot run.
    Other,
}

/// A command in the queue of a context.
#[derive(Debug)]
struct Queued {
    point: u64,
    command: u32,
    runs: Vec<Run>,
    arguments: Vec<u32>,
}

/// One execution of a design's instructions, with the device addresses of the instructions and of the matrices.
#[derive(Debug)]
struct Run {
    instructions: u64,
    bytes: u64,
    buffers: Vec<u64>,
}

impl Queue {
    pub(super) fn new(target: Target) -> Self {
        Self { target, contexts: Vec::new(), next_handle: 1 }
    }

    pub(super) fn create_context(&mut self, tiles: u32) -> Result<Context, Failure> {
        let rows = u32::from(self.target.core_rows());
        let columns = u32::from(self.target.columns());
        if tiles == 0 || !tiles.is_multiple_of(rows) || tiles / rows > columns {
            return Err(Failure::new(Call::CreateContext, errno::INVAL));
        }
        if self.contexts.len() >= self.target.contexts() {
            return Err(Failure::new(Call::CreateContext, errno::NOSPC));
        }
        let context = Context { handle: self.next_handle, timeline: self.next_handle };
        self.next_handle += 1;
        self.contexts.push(State { context, design: Loaded::Nothing, submitted: 0, queued: VecDeque::new() });
        Ok(context)
    }

    pub(super) fn destroy_context(&mut self, context: Context) -> Result<(), Failure> {
        let at = self.contexts.iter().position(|state| state.context == context);
        self.contexts.remove(at.ok_or(Failure::new(Call::Release, errno::INVAL))?);
        Ok(())
    }

    fn state(&mut self, context: Context, call: Call) -> Result<&mut State, Failure> {
        let state = self.contexts.iter_mut().find(|state| state.context == context);
        state.ok_or(Failure::new(call, errno::INVAL))
    }

    pub(super) fn configure(
        &mut self,
        context: Context,
        units: &[ComputeUnit],
        memory: &Memory,
    ) -> Result<(), Failure> {
        let refused = Failure::new(Call::Configure, errno::INVAL);
        let state = self.state(context, Call::Configure)?;
        let [unit] = units else { return Err(refused) };
        if state.design != Loaded::Nothing || memory.kind(unit.buffer) != Some(BufferKind::Device) {
            return Err(refused);
        }
        // Accept any PDI (configuration image), as the firmware does. If it is for another generation, its commands
        // fail when they run.
        let target = memory.device(unit.buffer).and_then(Program::target_of);
        state.design = target.map_or(Loaded::Other, Loaded::Fake);
        Ok(())
    }

    pub(super) fn submit(
        &mut self,
        context: Context,
        command: u32,
        arguments: &[u32],
        memory: &mut Memory,
        controls: &Controls,
    ) -> Result<u64, Failure> {
        let refused = |errno| Failure::new(Call::Execute, errno);
        let target = self.target;
        let state = self.state(context, Call::Execute)?;
        if state.design == Loaded::Nothing || memory.kind(command) != Some(BufferKind::Command) {
            return Err(refused(errno::INVAL));
        }
        if arguments.iter().any(|handle| memory.kind(*handle).is_none()) {
            return Err(refused(errno::NOENT));
        }
        let mut sorted = arguments.to_vec();
        sorted.sort_unstable();
        if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(refused(errno::ALREADY));
        }
        let runs = runs(command, memory)?;
        set_state(memory, command, CommandState::Queued);
        while state.queued.len() >= MAX_COMMANDS {
            state.carry_out(target, memory, controls);
        }
        let point = state.submitted;
        state.submitted += 1;
        state.queued.push_back(Queued { point, command, runs, arguments: arguments.to_vec() });
        Ok(point)
    }

    pub(super) fn wait(
        &mut self,
        context: Context,
        point: u64,
        memory: &mut Memory,
        controls: &Controls,
    ) -> Result<(), Failure> {
        let target = self.target;
        let state = self.state(context, Call::Wait)?;
        if point >= state.submitted {
            // A timeline point that no command has is never reached, so waiting for it times out.
            return Err(Failure::new(Call::Wait, errno::TIME));
        }
        // Waiting for point 0 of a timeline means waiting for the newest point.
        while state.queued.front().is_some_and(|next| point == 0 || next.point <= point) {
            state.carry_out(target, memory, controls);
        }
        Ok(())
    }
}

impl State {
    /// Runs the next command of the queue and writes its final state into the header of its command buffer.
    fn carry_out(&mut self, target: Target, memory: &mut Memory, controls: &Controls) {
        let Some(next) = self.queued.pop_front() else { return };
        set_state(memory, next.command, CommandState::Running);
        let fits = self.design == Loaded::Fake(target);
        let mut end = if fits { CommandState::Completed } else { CommandState::Error };
        for (index, run) in next.runs.iter().enumerate().take_while(|_| fits) {
            end = run.carry_out(target, &next.arguments, memory, controls);
            if end != CommandState::Completed {
                set_error_index(memory, next.command, index as u32);
                break;
            }
        }
        set_state(memory, next.command, end);
    }
}

impl Run {
    fn carry_out(&self, target: Target, arguments: &[u32], memory: &mut Memory, controls: &Controls) -> CommandState {
        let fault = controls.strike(Point::Launch);
        match fault {
            Some(Fault::CommandTimeout) => return CommandState::Timeout,
            Some(Fault::CommandError) => return CommandState::Error,
            Some(Fault::CommandAborted) => return CommandState::Abort,
            Some(Fault::NoResponse) => return CommandState::NoResponse,
            _ => {}
        }
        let Some(result) = self.compute(target, arguments, memory) else { return CommandState::Error };
        let Some(out) = self.buffers.get(2).and_then(|address| memory.write(arguments, *address, result.len())) else {
            return CommandState::Error;
        };
        out.copy_from_slice(&result);
        if fault == Some(Fault::FlippedBit) {
            out[0] ^= 1;
        }
        controls.count(|counters| counters.launches += 1);
        CommandState::Completed
    }

    /// Computes the product that the instructions describe. `None` if a real array would stop without a result.
    fn compute(&self, target: Target, arguments: &[u32], memory: &Memory) -> Option<Vec<u8>> {
        let instructions = memory.read_heap(self.instructions, usize::try_from(self.bytes).ok()?)?;
        let program = Program::parse(target, instructions)?;
        let [a, b, ..] = self.buffers[..] else { return None };
        // The array transfers words of four bytes, so addresses must be multiples of four.
        if self.buffers.iter().any(|address| !address.is_multiple_of(4)) {
            return None;
        }
        let launch = program.launch;
        let a = memory.read(arguments, a, launch.m.checked_mul(launch.k)?)?;
        let b = memory.read(arguments, b, launch.k.checked_mul(launch.n)?)?;
        array::multiply(&program, bytemuck::cast_slice(a), bytemuck::cast_slice(b))
    }
}

/// Returns the executions of instructions that the command in the buffer `command` requests. If the command is
/// invalid, returns the error with which the driver refuses it.
fn runs(command: u32, memory: &Memory) -> Result<Vec<Run>, Failure> {
    let malformed = Failure::new(Call::Execute, errno::INVAL);
    let parse = |handle: u32| {
        let bytes = memory.host(handle)?;
        let header = bytes.first_chunk().map_or(0, |header| u32::from_le_bytes(*header));
        let parsed = Command::parse(bytes).filter(|_| CommandState::of_header(header) == CommandState::New);
        parsed.ok_or(malformed)
    };
    match parse(command)? {
        Command::Start { instructions, bytes, buffers, .. } => Ok(vec![Run { instructions, bytes, buffers }]),
        Command::Chain(handles) => {
            let mut opcodes = Vec::new();
            let mut runs = Vec::new();
            for handle in handles {
                if memory.kind(handle) != Some(BufferKind::Command) {
                    return Err(Failure::new(Call::Execute, errno::NOENT));
                }
                // A chain must not contain another chain, and all its commands must have the same opcode.
                let Command::Start { opcode, instructions, bytes, buffers } = parse(handle)? else {
                    return Err(Failure::new(Call::Execute, errno::OPNOTSUPP));
                };
                opcodes.push(opcode);
                runs.push(Run { instructions, bytes, buffers });
            }
            if opcodes.windows(2).any(|pair| pair[0] != pair[1]) {
                return Err(malformed);
            }
            Ok(runs)
        }
    }
}

fn set_state(memory: &mut Memory, command: u32, state: CommandState) {
    word_of(memory, command, 0, |header| state.into_header(header));
}

fn set_error_index(memory: &mut Memory, command: u32, index: u32) {
    // Only a chain has an error index. In a single command, arguments are stored in its place.
    let is_chain = memory.host(command).is_ok_and(|bytes| matches!(Command::parse(bytes), Some(Command::Chain(_))));
    if is_chain {
        word_of(memory, command, 3, |_| index);
    }
}

fn word_of(memory: &mut Memory, command: u32, word: usize, change: impl FnOnce(u32) -> u32) {
    // If the host has already closed the command buffer, the state is written nowhere.
    if let Ok(bytes) = memory.host_mut(command)
        && let Some(bytes) = bytes.as_chunks_mut::<4>().0.get_mut(word)
    {
        *bytes = change(u32::from_le_bytes(*bytes)).to_le_bytes();
    }
}
