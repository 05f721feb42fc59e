//! Designs: the files that make an NPU multiply matrices, and how to use them.
//!
//! A design multiplies matrices of one shape: a launch takes `A` `(m, k)` and `B` `(k, n)` and gives `C` `(m, n)`.
//! Other shapes are padded with zeros and take several launches. [`load`] reads a design from a directory.
//! [`Design::for_fake`] makes one that only the fake device understands.

mod description;
mod program;
mod shape;

use std::path::PathBuf;

pub use description::load;
pub(crate) use program::Program;
pub use shape::{Argument, Layout, Output, Shape};

use crate::packet::{CHAIN_BYTES, Start, slot_bytes};
use crate::target::{LOCAL_MEMORY, Target};

/// A design and how to use it.
#[derive(Clone, Debug)]
pub struct Design {
    /// The directory of the design, for messages.
    pub directory: PathBuf,
    /// The device generation that the design is built for.
    pub target: Target,
    /// Number of columns that the design uses.
    pub columns: u16,
    /// The image that the firmware loads.
    pub pdi: Vec<u8>,
    /// The function number of the design's kernel, from the xclbin.
    pub function: u8,
    /// The instructions of the array's command processor for one launch.
    pub instructions: Vec<u32>,
    /// How a launch is started.
    pub start: Start,
    /// The arguments of a launch, in order.
    pub arguments: Vec<Argument>,
    /// The product of a launch.
    pub launch: Shape,
    /// The product that a core computes at a time.
    pub tile: Shape,
    /// The layout of `B`.
    pub b: Layout,
    /// The type of the result.
    pub output: Output,
}

/// Maximum size of an operand of a launch, in bytes.
const MAX_OPERAND: usize = 64 << 20;

impl Design {
    /// A design for the fake device.
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

    /// The fake device's design for the encoder, with exact sums. A launch is large enough to give every core of the
    /// array a tile with side 64.
    pub fn for_fake_encoder(target: Target) -> Self {
        let tile = Shape::new(64, 64, 64);
        let n = tile.n * usize::from(target.columns());
        Self::for_fake(target, Shape::new(256, 512, n), tile, Output::Int32)
    }

    /// Maximum number of launches in a chain.
    pub fn chain_length(&self) -> usize {
        CHAIN_BYTES / slot_bytes(self.start, self.arguments.len())
    }

    /// A description of a contradiction between the fields; `None` if the design is consistent.
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

    /// Sizes in bytes of `A`, `B` and `C` of a launch.
    pub fn operand_bytes(&self) -> [usize; 3] {
        let Shape { m, k, n } = self.launch;
        [m * k, k * n, m * n * self.output.bytes()]
    }
}

/// Bytes of a core's memory for a tile: both operands twice (one copy is filled while the other is multiplied), and
/// the result.
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
        // A second-generation core multiplies eight rows at a time.
        assert!(
            found(&|design| (design.target, design.launch.m, design.tile.m) = (Target::Npu4, 12, 12)).contains("of 8")
        );
    }
}
