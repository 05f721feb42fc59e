//! Designs: compiled programs that make an NPU multiply matrices, with a description of how to use them.
//!
//! A design multiplies matrices of one shape: a launch (one run) takes `A` `(m, k)` and `B` `(k, n)` and computes `C`
//! `(m, n)`. Matrices of other shapes are padded with zeros and take several launches. [`load`] reads a design from a
//! directory. [`Design::for_fake`] makes one that only the fake device understands.

mod description;
mod program;
mod shape;

use std::path::PathBuf;

pub use description::load;
pub(crate) use program::Program;
pub use shape::{Argument, Layout, Output, Shape};

use crate::packet::{CHAIN_BYTES, Start, slot_bytes};
use crate::target::{LOCAL_MEMORY, Target};

/// A compiled program for an NPU, and a description of how to use it.
#[derive(Clone, Debug)]
pub struct Design {
    /// The directory that the design was loaded from, for messages.
    pub directory: PathBuf,
    /// The generation of NPUs that the design is built for.
    pub target: Target,
    /// Number of columns of the array that the design uses.
    pub columns: u16,
    /// The PDI: the image with which the firmware configures the array.
    pub pdi: Vec<u8>,
    /// The number that identifies the design's kernel in a command, as given in the xclbin file.
    pub function: u8,
    /// The instructions that the array's command processor executes in each launch.
    pub instructions: Vec<u32>,
    /// The type of command that starts a launch.
    pub start: Start,
    /// The buffer arguments of a launch, in order.
    pub arguments: Vec<Argument>,
    /// The shape of the product that one launch computes.
    pub launch: Shape,
    /// The number of columns, depths and rows of the product that one core computes at a time.
    pub tile: Shape,
    /// The memory layout of `B`.
    pub b: Layout,
    /// The type of the elements of the result `C`.
    pub output: Output,
}

/// Maximum size in bytes of each matrix (`A`, `B` or `C`) of a launch.
const MAX_OPERAND: usize = 64 << 20;

impl Design {
    /// Makes a design that only the fake device (a software model of an NPU) understands.
    pub fn for_fake(target: Target, launch: Shape, tile: Shape, output: Output) -> Self {
        let b = if output == Output::Int32 { Layout::ColumnMajor } else { Layout::RowMajor };
        Self {
            directory: PathBuf::from("the fake device"),
            target,
            columns: target.columns(),
            pdi: Program::pdi(target),
            function: 0,
            instructions: Program { target, launch, tile, b, output }.instructions(),
            start: Start::Cu,
            arguments: Argument::DEFAULT.to_vec(),
            launch,
            tile,
            b,
            output,
        }
    }

    /// Makes a design that computes exact sums, as the encoder needs them. Only the fake device (a software model of
    /// an NPU) understands it. In each launch (one run), every core of the array computes at least one tile of 64
    /// rows and 64 columns.
    pub fn for_fake_encoder(target: Target) -> Self {
        let tile = Shape::new(64, 64, 64);
        let n = tile.n * usize::from(target.columns());
        Self::for_fake(target, Shape::new(256, 512, n), tile, Output::Int32)
    }

    /// Maximum number of launches (runs of the design) that can be submitted together as one chain of commands.
    pub fn chain_length(&self) -> usize {
        CHAIN_BYTES / slot_bytes(self.start, self.arguments.len())
    }

    /// Describes why the design cannot be used: its fields contradict each other or exceed a limit. `None` if it can
    /// be used.
    pub fn problem(&self) -> Option<String> {
        let Self { launch, tile, .. } = self;
        let [r, s, t] = self.target.block();
        let sides = [("m", launch.m, tile.m, r), ("k", launch.k, tile.k, s), ("n", launch.n, tile.n, t)];
        for (name, launch, tile, block) in sides {
            if tile == 0 || launch == 0 || !launch.is_multiple_of(tile) {
                return Some(format!("its launches are not made of whole tiles: {name} is {launch} and {tile}"));
            }
            if !tile.is_multiple_of(block) {
                return Some(format!(
                    "{name} of its tiles, {tile}, is no multiple of {block}, as {} needs",
                    self.target
                ));
            }
        }
        let operands = [(launch.m, launch.k, 1), (launch.k, launch.n, 1), (launch.m, launch.n, self.output.bytes())];
        let bytes = |(rows, columns, bytes): (usize, usize, usize)| rows.checked_mul(columns)?.checked_mul(bytes);
        if operands.iter().any(|operand| bytes(*operand).is_none_or(|bytes| bytes > MAX_OPERAND)) {
            return Some("its launches are too large".to_owned());
        }
        let local = local_bytes(*tile, self.output);
        if local > LOCAL_MEMORY {
            return Some(format!("its tiles take {local} bytes of a core's {LOCAL_MEMORY}"));
        }
        if self.output == Output::Int8 && launch != tile {
            return Some("int8 results are of single tiles".to_owned());
        }
        let times = |argument| self.arguments.iter().filter(|given| **given == argument).count();
        if [Argument::A, Argument::B, Argument::C].into_iter().any(|argument| times(argument) != 1) {
            return Some("its arguments are not a, b and c, once each".to_owned());
        }
        if self.arguments.len() > 8 || self.instructions.is_empty() || self.columns == 0 {
            return Some("it has too many arguments, no instructions, or no columns".to_owned());
        }
        None
    }

    /// The sizes in bytes of the matrices `A`, `B` and `C` of one launch (one run of the design).
    pub fn operand_bytes(&self) -> [usize; 3] {
        let Shape { m, k, n } = self.launch;
        [m * k, k * n, m * n * self.output.bytes()]
    }
}

/// Bytes of a core's memory that a tile takes: both operands twice (one copy is filled while the other is
/// multiplied), and the result once.
pub(crate) fn local_bytes(tile: Shape, output: Output) -> usize {
    let Shape { m, k, n } = tile;
    let product = |a: usize, b: usize, times: usize| a.saturating_mul(b).saturating_mul(times);
    product(m, k, 2).saturating_add(product(k, n, 2)).saturating_add(product(m, n, output.bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contradictions_are_found() {
        let design = Design::for_fake_encoder(Target::Npu1);
        assert_eq!(design.problem(), None);
        assert_eq!(Design::for_fake_encoder(Target::Npu4).problem(), None);
        let found = |change: &dyn Fn(&mut Design)| {
            let mut design = design.clone();
            change(&mut design);
            design.problem().unwrap_or_default()
        };
        assert!(found(&|design| design.launch.k = 100).contains("whole tiles"));
        assert!(found(&|design| design.tile.k = 0).contains("whole tiles"));
        assert!(found(&|design| (design.launch.m, design.tile.m) = (6, 6)).contains("multiple of 4"));
        assert!(found(&|design| (design.launch.m, design.tile.m) = (256, 256)).contains("of a core's"));
        assert!(found(&|design| design.launch.n = 1 << 40).contains("too large"));
        assert!(found(&|design| design.output = Output::Int8).contains("single tiles"));
        assert!(found(&|design| design.arguments[0] = Argument::C).contains("once each"));
        assert!(found(&|design| design.instructions.clear()).contains("no instructions"));
        // On a core of the second generation, the number of rows of a tile must be a multiple of eight.
        assert!(
            found(&|design| (design.target, design.launch.m, design.tile.m) = (Target::Npu4, 12, 12)).contains("of 8")
        );
    }
}
