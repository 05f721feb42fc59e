//! The arguments of `amanuensis bench matmul`, and their help.

use amanuensis_kernels::Isa;
use amanuensis_kernels::tile::TileSize;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::shape::Shape;
use crate::values::thread_count;

const HELP: &str = "\
Two contracts are measured. Full: exact i32 sums, as the engine needs them. Tile-exact: the result of an NPU with an int8 \
tile kernel. Each launch computes clamp((A_tile x B_tile) >> 7, -128, 127); the results of launches are summed and clamped \
once.

Full contract. A shape MxKxN multiplies M rows of activations with N channels of weights of depth K:
2 M K N operations. Three variants are measured:
  bare      the i32 sums alone, block by block
  f32       with scales and bias, written to memory as f32
  quantise  with scales and bias, quantised to int8 for the next product
Shares are relative to the limit of the int8 instructions in registers, measured in the same run with the same number of \
threads.

Tile-exact contract, for cubes up to 1024. The CPU acts as the device: a thread runs launches from a queue.
  sequential  for each pair of tiles: write, synchronise, launch, wait, synchronise, accumulate
  batched     many launches together: one synchronisation in each direction, and one wait
`direct` leaves out the queue: launches run on the calling thread. `one shift` compares the result with \
clamp((A x B) >> 7): the mean absolute error, and the share of elements that differ by at most 1. Both depend on the data \
(here -64..63) and the tile size; they are not errors. --threads does not apply. The line `full` shows the f32 variant of \
the same cube; its speed-up is relative to sequential with the first tile size.

`equal` tells whether all results are bit for bit those of the reference. For large shapes, only some rows of the full \
contract are compared. If results differ, the exit code is 1.

JSON:
  threads; isa and roofline_tops of the first instruction set; rows: [{
    size (null if not a cube), tile (null for full), contract: tile-exact|full,
    mode: sequential|batched|kernel, ms, gops (for full: f32), equal,
    speedup (over sequential; null without such a row), shape: [M, K, N], isa,
  and for tile-exact
    direct_ms, direct_speedup (without the queue), mae, within_1,
    syncs, submissions, launches, predicted_npu1_ms, predicted_npu4_ms: [MIN, MAX]
  or for full
    roofline_tops, bare_gops, bare_share, f32_gops, f32_share,
    quantise_gops, quantise_share, rows_compared}], shares from 0 to 1

Environment:
  AMANUENSIS_ISA  the instruction set, if --isa is not given (default: the best one)";

/// Measure the speed of int8 matrix products.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct BenchMatmulArgs {
    /// Sizes of square matrices; N means a product of two N x N matrices [default: 16,64,128,512,1024 without
    /// --shapes]
    #[arg(long, value_name = "N,...", value_delimiter = ',', value_parser = Shape::cube)]
    pub sizes: Vec<Shape>,

    /// Shapes of products; `MxKxN` means an M x K matrix times a K x N matrix [default: shapes of the layers of `base`
    /// without --sizes]
    #[arg(long, value_name = "MxKxN,...", value_delimiter = ',')]
    pub shapes: Vec<Shape>,

    /// Sizes of the tiles that the products of --sizes are split into: 16, 32 or 64 [default: all]
    #[arg(long, value_name = "T,...", value_delimiter = ',', value_parser = tile_size(), hide_possible_values = true)]
    pub tiles: Vec<TileSize>,

    /// Instruction sets, or `all` for every set of this machine [default: the best one]
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', value_parser = isa())]
    pub isa: Vec<IsaChoice>,

    /// Number of CPU threads [default: number of cores]
    #[arg(long, value_name = "N", value_parser = thread_count())]
    pub threads: Option<usize>,

    /// Print one line of JSON instead of a table
    #[arg(long)]
    pub json: bool,
}

/// One of the values given with `--isa`: the name of an instruction set, or `all`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IsaChoice {
    All,
    One(Isa),
}

fn tile_size() -> impl TypedValueParser<Value = TileSize> {
    PossibleValuesParser::new(["16", "32", "64"]).map(|side| {
        let size = side.parse().ok().and_then(TileSize::of);
        size.expect("every possible value is a tile size")
    })
}

fn isa() -> impl TypedValueParser<Value = IsaChoice> {
    let names = Isa::ALL.iter().map(|isa| isa.name());
    PossibleValuesParser::new(names.chain(["all"])).map(|name| {
        let isa = Isa::ALL.iter().find(|isa| isa.name() == name);
        isa.map_or(IsaChoice::All, |isa| IsaChoice::One(*isa))
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        matmul: BenchMatmulArgs,
    }

    fn parse(arguments: &[&str]) -> Result<BenchMatmulArgs, clap::Error> {
        Command::try_parse_from(["matmul"].iter().chain(arguments)).map(|command| command.matmul)
    }

    #[test]
    fn lists_are_separated_by_commas() {
        let args = ["--sizes", "16,64", "--shapes", "1x2x3,4x5x6", "--isa", "avx2,all", "--tiles", "64,16"];
        let args = parse(&args).unwrap();
        assert_eq!((args.sizes.len(), args.shapes.len()), (2, 2));
        assert_eq!(args.isa, [IsaChoice::One(Isa::Avx2), IsaChoice::All]);
        assert_eq!(args.tiles, [TileSize::T64, TileSize::T16]);
    }

    #[test]
    fn invalid_values_are_rejected() {
        let invalid = [
            ["--sizes", "0"],
            ["--sizes", ""],
            ["--sizes", "16,"],
            ["--shapes", "axb"],
            ["--shapes", "1x0x1"],
            ["--isa", "sse9"],
            ["--threads", "0"],
            ["--tiles", "17"],
            ["--tiles", ""],
        ];
        for arguments in invalid {
            assert!(parse(&arguments).is_err(), "{arguments:?}");
        }
    }
}
