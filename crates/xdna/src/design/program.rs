//! Programs for the fake device, which cannot execute the code of real designs. It recognises a special PDI
//! (configuration image), and the instructions only describe the shape of a product.

use super::{Layout, Output, Shape};
use crate::target::Target;

const PDI_MAGIC: &[u8] = b"amanuensis fake array ";
const INSTRUCTION_MAGIC: u32 = 0x464D_4141;

/// A matrix product, as the fake device's instructions describe it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    pub(crate) target: Target,
    pub(crate) launch: Shape,
    pub(crate) tile: Shape,
    pub(crate) b: Layout,
    pub(crate) output: Output,
}

impl Program {
    /// The special PDI (configuration image) by which the fake device recognises its own designs for the generation
    /// `target`.
    pub(crate) fn pdi(target: Target) -> Vec<u8> {
        [PDI_MAGIC, target.name().as_bytes()].concat()
    }

    /// The generation of NPUs that a special PDI is for. `None` if `pdi` does not begin with a special PDI.
    pub(crate) fn target_of(pdi: &[u8]) -> Option<Target> {
        let name = pdi.strip_prefix(PDI_MAGIC)?;
        Target::ALL.into_iter().find(|target| name.starts_with(target.name().as_bytes()))
    }

    /// Encodes this product as instructions of the fake device.
    pub(crate) fn instructions(&self) -> Vec<u32> {
        let sides = [self.launch, self.tile].into_iter().flat_map(|shape| [shape.m, shape.k, shape.n]);
        let mut words = vec![INSTRUCTION_MAGIC];
        words.extend(sides.map(|side| side as u32));
        words.extend([u32::from(self.b == Layout::ColumnMajor), u32::from(self.output == Output::Int8)]);
        words
    }

    /// Decodes the product that the bytes `instructions` describe. `None` if they are not instructions for the fake
    /// device.
    pub(crate) fn parse(target: Target, instructions: &[u8]) -> Option<Self> {
        let words: Vec<u32> = instructions.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect();
        let [INSTRUCTION_MAGIC, m, k, n, tile_m, tile_k, tile_n, b @ 0..=1, output @ 0..=1] = words[..] else {
            return None;
        };
        let shape = |m: u32, k: u32, n: u32| Shape::new(m as usize, k as usize, n as usize);
        Some(Self {
            target,
            launch: shape(m, k, n),
            tile: shape(tile_m, tile_k, tile_n),
            b: if b == 1 { Layout::ColumnMajor } else { Layout::RowMajor },
            output: if output == 1 { Output::Int8 } else { Output::Int32 },
        })
    }
}
