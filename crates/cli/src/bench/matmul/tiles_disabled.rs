//! Replaces the module `tiles` in a build without the cargo feature `npu`. Such a build does not measure products in
//! tiles.

use amanuensis_kernels::tile::TileSize;
use amanuensis_kernels::{Cpu, Isa};
use serde_json::Value;

use crate::failure::Failure;

/// A type without values, because this build cannot measure products in tiles.
pub enum TileRow {}

impl TileRow {
    pub fn size(&self) -> usize {
        match *self {}
    }

    pub fn tile(&self) -> TileSize {
        match *self {}
    }

    pub fn isa(&self) -> Isa {
        match *self {}
    }

    pub fn sequential_seconds(&self) -> f64 {
        match *self {}
    }

    pub fn equal(&self) -> bool {
        match *self {}
    }

    pub fn json(&self) -> [Value; 2] {
        match *self {}
    }
}

pub fn table(_rows: &[&TileRow], _full: impl Fn(usize) -> Option<(f64, bool)>) -> Vec<String> {
    Vec::new()
}

pub fn predictions(_rows: &[&TileRow]) -> Vec<String> {
    Vec::new()
}

/// Returns an error, because this build cannot compute products in tiles.
pub fn check_supported() -> Result<(), Failure> {
    Err(Failure::Usage("--tiles: this program was built without NPU support, the cargo feature `npu`".to_owned()))
}

#[expect(clippy::unnecessary_wraps, reason = "the same signature as in a build with NPU support")]
pub fn measure(_size: usize, _tiles: &[TileSize], _cpus: &[Cpu]) -> Result<Vec<TileRow>, Failure> {
    Ok(Vec::new())
}
