//! Commands as the driver reads them from command buffers: a header word, then payload words (little-endian).
//!
//! | bits of the header | |
//! |---|---|
//! | 3..0 | state: set to "new" by the writer, updated by the driver |
//! | 22..12 | number of payload words |
//! | 27..23 | opcode |
//! | 31..28 | type: 3 starts a kernel, as in the vendor's runtime; the driver ignores it |

use std::fmt;

/// The state of a command. The driver writes the final state into the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // The variants have the names of the driver.
pub enum CommandState {
    Invalid,
    New,
    Queued,
    Running,
    Completed,
    Error,
    Abort,
    Submitted,
    Timeout,
    NoResponse,
}

impl CommandState {
    const ALL: [Self; 10] = [
        Self::Invalid,
        Self::New,
        Self::Queued,
        Self::Running,
        Self::Completed,
        Self::Error,
        Self::Abort,
        Self::Submitted,
        Self::Timeout,
        Self::NoResponse,
    ];

    /// The state that a header contains. An unknown number counts as [`Self::Invalid`].
    pub fn of_header(header: u32) -> Self {
        Self::ALL.get((header & STATE) as usize).copied().unwrap_or(Self::Invalid)
    }

    /// Returns the header with its state replaced by this state.
    pub(crate) fn into_header(self, header: u32) -> u32 {
        header & !STATE | self as u32
    }
}

impl fmt::Display for CommandState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Invalid => "invalid",
            Self::New => "new",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Error => "error",
            Self::Abort => "aborted",
            Self::Submitted => "submitted",
            Self::Timeout => "timed out",
            Self::NoResponse => "no response",
        })
    }
}

const STATE: u32 = 0xF;
const COUNT_SHIFT: u32 = 12;
const COUNT: u32 = 0x7FF;
const OPCODE_SHIFT: u32 = 23;
const OPCODE: u32 = 0x1F;
const TYPE_SHIFT: u32 = 28;
/// The driver's command type `ERT_CU`: the command starts a compute unit.
const TYPE_CU: u32 = 3;
/// The driver's default command type, `ERT_DEFAULT`.
const TYPE_DEFAULT: u32 = 0;

/// Opcode `ERT_START_CU`. The payload consists of the kernel's arguments, in the design's order.
pub(crate) const START_CU: u32 = 0;
/// Opcode `ERT_CMD_CHAIN`. The payload contains the handles of the chain's commands.
pub(crate) const CMD_CHAIN: u32 = 19;
/// Opcode `ERT_START_NPU`. The payload contains the address and the size of the instructions, followed by the
/// arguments.
pub(crate) const START_NPU: u32 = 20;

/// The value of the kernel's first argument (its opcode) that means "run the instructions".
const RUN_INSTRUCTIONS: u64 = 3;
/// Bit mask that selects the first compute unit.
const FIRST_CU: u32 = 1;
/// Number of payload words in a chain command (one that executes others) before the list of command handles.
const CHAIN_HEAD: usize = 6;

/// The type of command that starts a launch (one run) of a design.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// The command `ERT_START_CU`. Its payload contains opcode 3, the address of the instructions, their number of
    /// words, and the addresses of the buffers.
    #[default]
    Cu,
    /// The command `ERT_START_NPU`. Its payload contains the address of the instructions, their size in bytes, a zero
    /// (no properties), and the addresses of the buffers.
    Npu,
}

/// Instructions in device memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instructions {
    /// The device address of the instructions.
    pub address: u64,
    /// The number of instruction words of 32 bits.
    pub words: u32,
}

/// Encodes a command that runs `instructions` on the buffers at the device addresses `buffers`.
pub fn start(how: Start, instructions: Instructions, buffers: &[u64]) -> Vec<u32> {
    let mut payload = vec![FIRST_CU];
    match how {
        Start::Cu => {
            push(&mut payload, RUN_INSTRUCTIONS);
            push(&mut payload, instructions.address);
            payload.push(instructions.words);
        }
        Start::Npu => {
            push(&mut payload, instructions.address);
            payload.extend([instructions.words * size_of::<u32>() as u32, 0]);
        }
    }
    for address in buffers {
        push(&mut payload, *address);
    }
    command(TYPE_CU, if how == Start::Cu { START_CU } else { START_NPU }, payload)
}

/// Encodes a chain: a command that executes other commands in order. `commands` holds the handles of the buffers that
/// contain these commands.
pub fn chain(commands: &[u32]) -> Vec<u32> {
    let mut payload = vec![commands.len() as u32, 0, 0, 0, 0, 0];
    for handle in commands {
        push(&mut payload, u64::from(*handle));
    }
    command(TYPE_DEFAULT, CMD_CHAIN, payload)
}

fn command(kind: u32, opcode: u32, payload: Vec<u32>) -> Vec<u32> {
    let count = payload.len() as u32;
    let header = CommandState::New as u32 | count << COUNT_SHIFT | opcode << OPCODE_SHIFT | kind << TYPE_SHIFT;
    std::iter::once(header).chain(payload).collect()
}

fn push(words: &mut Vec<u32>, value: u64) {
    words.extend([value as u32, (value >> 32) as u32]);
}

/// Converts the words of a command to bytes (little-endian).
pub fn bytes(words: &[u32]) -> impl Iterator<Item = u8> + '_ {
    words.iter().flat_map(|word| word.to_le_bytes())
}

/// A parsed command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// One execution of instructions: the device address of the instructions, their size in bytes, and the device
    /// addresses of the buffers.
    Start { opcode: u32, instructions: u64, bytes: u64, buffers: Vec<u64> },
    /// A chain: the handles of the buffers that contain its commands.
    Chain(Vec<u32>),
}

impl Command {
    /// Parses a command; `None` if the driver would refuse it.
    pub(crate) fn parse(command: &[u8]) -> Option<Self> {
        let (words, _) = command.as_chunks::<4>();
        let mut words = words.iter().map(|word| u32::from_le_bytes(*word));
        let header = words.next()?;
        let count = (header >> COUNT_SHIFT & COUNT) as usize;
        let payload: Vec<u32> = words.take(count).collect();
        if payload.len() < count {
            return None;
        }
        let long = |at: usize| Some(u64::from(*payload.get(at)?) | u64::from(*payload.get(at + 1)?) << 32);
        let longs = |from: usize| -> Option<Vec<u64>> { (from..count).step_by(2).map(long).collect() };
        match header >> OPCODE_SHIFT & OPCODE {
            opcode @ START_CU => {
                let is_run = *payload.first()? == FIRST_CU && long(1)? == RUN_INSTRUCTIONS;
                let bytes = u64::from(*payload.get(5)?) * size_of::<u32>() as u64;
                is_run.then_some(Self::Start { opcode, instructions: long(3)?, bytes, buffers: longs(6)? })
            }
            opcode @ START_NPU => {
                let is_run = *payload.first()? == FIRST_CU && *payload.get(4)? == 0;
                let bytes = u64::from(*payload.get(3)?);
                is_run.then_some(Self::Start { opcode, instructions: long(1)?, bytes, buffers: longs(5)? })
            }
            CMD_CHAIN => {
                let commands = *payload.first()? as usize;
                let handles = longs(CHAIN_HEAD)?;
                (commands > 0 && commands <= handles.len())
                    .then(|| Self::Chain(handles[..commands].iter().map(|handle| *handle as u32).collect()))
            }
            _ => None,
        }
    }
}

/// The index of the failed command of a chain. The driver writes it into the chain's command buffer.
pub(crate) fn error_index(chain: &[u8]) -> u32 {
    // The payload begins with the number of commands, the number of submitted commands, and the error index.
    chain.as_chunks::<4>().0.get(3).map_or(0, |word| u32::from_le_bytes(*word))
}

/// Upper bound for the bytes that one command takes when the driver passes a chain to the firmware. The header before
/// the arguments has 8 to 56 bytes, depending on the firmware.
pub(crate) fn slot_bytes(how: Start, buffers: usize) -> usize {
    let arguments = if how == Start::Cu { 20 } else { 0 };
    56 + arguments + 8 * buffers
}

/// Size in bytes of the buffer in which the driver passes a chain to the firmware.
pub(crate) const CHAIN_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    /// Converts hexadecimal digits to bytes.
    fn hex(digits: &str) -> Vec<u8> {
        let pairs = digits.as_bytes().as_chunks::<2>().0;
        pairs.iter().map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    fn bytes_of(words: &[u32]) -> Vec<u8> {
        bytes(words).collect()
    }

    const INSTRUCTIONS: Instructions = Instructions { address: 0x0000_0004_0001_2340, words: 0x155 };
    const BUFFERS: [u64; 3] = [0x7F12_3456_7000, 0x7F12_3456_8000, 0x7F12_3456_9040];

    #[test]
    fn a_start_cu_command_has_the_expected_bytes() {
        // Header: state 1, count 12 << 12, opcode 0, type 3 << 28. Mask 1, opcode 3, address, words, three addresses.
        let expected = concat!(
            "01c00030",
            "01000000",
            "0300000000000000",
            "4023010004000000",
            "55010000",
            "00705634127f0000",
            "00805634127f0000",
            "40905634127f0000",
        );
        assert_eq!(bytes_of(&start(Start::Cu, INSTRUCTIONS, &BUFFERS)), hex(expected));
    }

    #[test]
    fn a_start_npu_command_has_the_expected_bytes() {
        // Header: state 1, count 11 << 12 = 0xB000, opcode 20 << 23 = 0x0A000000, type 3 << 28.
        // 0x155 words are 0x554 bytes.
        let expected = concat!(
            "01b0003a",
            "01000000",
            "4023010004000000",
            "54050000",
            "00000000",
            "00705634127f0000",
            "00805634127f0000",
            "40905634127f0000",
        );
        assert_eq!(bytes_of(&start(Start::Npu, INSTRUCTIONS, &BUFFERS)), hex(expected));
    }

    #[test]
    fn a_chain_has_the_expected_bytes() {
        // Header: state 1, count 10 << 12 = 0xA000, opcode 19 << 23 = 0x09800000.
        let expected = concat!(
            "01a08009",
            "02000000",
            "00000000",
            "00000000",
            "000000000000000000000000",
            "0700000000000000",
            "0900000000000000",
        );
        assert_eq!(bytes_of(&chain(&[7, 9])), hex(expected));
    }

    #[test]
    fn a_written_command_is_parsed_unchanged() {
        for (how, opcode) in [(Start::Cu, START_CU), (Start::Npu, START_NPU)] {
            let command: Vec<u8> = bytes(&start(how, INSTRUCTIONS, &BUFFERS)).collect();
            let expected = Command::Start {
                opcode,
                instructions: INSTRUCTIONS.address,
                bytes: u64::from(INSTRUCTIONS.words) * 4,
                buffers: BUFFERS.to_vec(),
            };
            assert_eq!(Command::parse(&command), Some(expected));
            for end in 0..command.len() {
                assert_eq!(Command::parse(&command[..end]), None, "{end} bytes");
            }
        }
        let command: Vec<u8> = bytes(&chain(&[7, 9])).collect();
        assert_eq!(Command::parse(&command), Some(Command::Chain(vec![7, 9])));
    }

    #[test]
    fn the_low_bits_of_a_header_are_the_state() {
        assert_eq!(CommandState::of_header(0x01a0_8004), CommandState::Completed);
        assert_eq!(CommandState::of_header(0xF), CommandState::Invalid);
        assert_eq!(CommandState::Timeout.into_header(0x01a0_8001), 0x01a0_8008);
    }
}
