//! The arguments of `amanuensis bench`, and their help.

use std::path::PathBuf;

use amanuensis_kernels::Isa;
use amanuensis_kernels::tile::TileSize;
use amanuensis_transcribe::{Language, Strategy};
use clap::Subcommand;
use clap::builder::{NonEmptyStringValueParser, OsStringValueParser, PossibleValuesParser, TypedValueParser};

use super::shape::Shape;
use crate::args::input;
use crate::inputs::Input;
use crate::language::Spoken;
use crate::npu::args::DeviceArgs;
use crate::values::{batch_sizes, name_of, thread_counts};

/// Measure what this machine can do, and what a model takes on it.
#[derive(Debug, clap::Args)]
pub struct BenchArgs {
    #[command(subcommand)]
    pub command: BenchCommand,
}

#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// The machine's own limits: arithmetic in registers, and reading from caches and memory
    Roofline(BenchRooflineArgs),
    /// Products of int8 matrices, and their share of the machine's limit
    Matmul(BenchMatmulArgs),
    /// Loading, mel, encoding and decoding with an installed model
    Model(BenchModelArgs),
    /// Whole recordings with an installed model: how much faster than they play
    Transcribe(BenchTranscribeArgs),
    /// Speech that is transcribed while it goes on: how long words take, and how many are wrong
    Live(BenchLiveArgs),
}

const ROOFLINE_HELP: &str = "\
int8, bf16 and f32 count two operations for each product that is added up, as the kernels of that instruction set do it.
`read` says how much each thread reads over and over, and which cache that fits into on most machines.

JSON: threads: [N, ...], rows: [{what, unit, values: [one for each number of threads]}]";

#[derive(Debug, clap::Args)]
#[command(after_help = ROOFLINE_HELP)]
pub struct BenchRooflineArgs {
    /// Most threads to measure with [default: all cores]
    #[arg(long, value_name = "N", value_parser = thread_counts())]
    pub threads: Option<usize>,
    /// Print one line of JSON instead of a table
    #[arg(long)]
    pub json: bool,
}

const MATMUL_HELP: &str = "\
Two contracts. Full: exact i32 sums over the whole depth, as the engine needs them. Tile-exact: what
an NPU makes of launches of an int8 tile kernel, clamp((a x b) >> 7, -128, 127) each, added up and
clamped once.

Tile-exact, cubes up to 1024: the processor is the device, its launches run on a thread behind a queue.
  sequential  for each pair of tiles: write, synchronise, launch, wait, synchronise, accumulate
  batched     many launches a wave, synchronised once each way, submitted and waited for together
`hand-over left out` is the same with launches on the calling thread. `from one shift` compares a right
result with clamp((A x B) >> 7): mean absolute error, and the share that differs by 1 at most. They
tell of the data (here -64..63) and of the tile size, not of errors.

Full: a shape MxKxN multiplies M rows of activations with N channels of weights, K deep: 2 M K N operations.
  bare      the exact i32 sums, block by block
  f32       scales and bias too, and all of it written as f32
  quantise  scales and bias too, and all of it quantised to int8 for the next product
Shares are of what the int8 instructions of the set reach in registers on as many threads, measured in the same run.
`full` in the table of both contracts is f32; its speed-up is over sequential in the first of --tiles.
--threads is for full; tiles have the device's thread and the host's.

`equal` says whether results are the reference's, bit for bit; of big shapes some rows of full are compared, evenly
spread. Where they are not equal, the exit code is 1.

JSON:
  threads; isa and roofline_tops of the first instruction set; rows: [{
    size (null: no cube), tile (null: full), contract: tile-exact|full, mode: sequential|batched|kernel,
    ms, gops (of full: f32), equal, speedup (over sequential; null: no such row), shape: [M, K, N], isa,
  and tile-exact
    direct_ms, direct_speedup (hand-over left out), mae, within_1, syncs, submissions, launches
  or full
    roofline_tops, bare_gops, bare_share, f32_gops, f32_share,
    quantise_gops, quantise_share, rows_compared}], shares from 0 to 1

Environment:
  AMANUENSIS_ISA  the instruction set, where --isa names none (default: the best)";

#[derive(Debug, clap::Args)]
#[command(after_help = MATMUL_HELP)]
pub struct BenchMatmulArgs {
    /// Square shapes, N by N by N [default: 16,64,128,512,1024, where no --shapes are given]
    #[arg(long, value_name = "N,...", value_delimiter = ',', value_parser = Shape::square)]
    pub sizes: Vec<Shape>,
    /// Shapes [default: those of the layers of the model `base`, where no --sizes are given]
    #[arg(long, value_name = "MxKxN,...", value_delimiter = ',')]
    pub shapes: Vec<Shape>,
    /// Sides of the tiles of square shapes, 16, 32 or 64 [default: all]
    #[arg(long, value_name = "T,...", value_delimiter = ',', value_parser = tile_sizes(), hide_possible_values = true)]
    pub tiles: Vec<TileSize>,
    /// Instruction sets, or `all` that this machine has [default: the best]
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', value_parser = isas())]
    pub isa: Vec<Choice>,
    /// Processor cores to use [default: all]
    #[arg(long, value_name = "N", value_parser = thread_counts())]
    pub threads: Option<usize>,
    /// Print one line of JSON instead of a table
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, clap::Args)]
pub struct BenchModelArgs {
    /// An installed model, or a model's directory or weight file
    #[arg(short, long, value_name = "NAME|PATH", default_value = "base")]
    pub model: String,
    /// Processor cores to use [default: all]
    #[arg(long, value_name = "N", value_parser = thread_counts())]
    pub threads: Option<usize>,
    /// Print one line of JSON instead of a table
    #[arg(long)]
    pub json: bool,
}

const TRANSCRIBE_HELP: &str = "\
The recordings are transcribed once, one after the other, in int8. `speed` is seconds of audio by seconds of wall time.
Wall time runs from the opening of a recording to its last segment; loading the model is not in it. Phases are sums over
all recordings and run beside one another, so that they need not add up to the total.

JSON:
  model, isa, threads, batch_size, files, audio_s, wall_s, speed, load_ms,
  phases_ms: {audio_decode, vad, mel, encode, decode, total} (vad is 0 where silero-vad is not installed),
  peak_rss_mb (null where the system does not tell), device, npu (null where none is used): {
    target, launches, submissions, syncs, bytes_to_device, bytes_from_device, predicted_s: [LEAST, MOST]}";

#[derive(Debug, clap::Args)]
#[command(after_help = TRANSCRIBE_HELP)]
pub struct BenchTranscribeArgs {
    /// Recordings
    #[arg(required = true, value_name = "FILE", value_parser = OsStringValueParser::new().try_map(input))]
    pub files: Vec<Input>,
    /// An installed model, or a model's directory or weight file
    #[arg(short, long, value_name = "NAME|PATH", default_value = "base", value_parser = NonEmptyStringValueParser::new())]
    pub model: String,
    /// The language spoken, as a code or a name; `auto` detects it
    #[arg(short, long, default_value = "auto")]
    pub language: Spoken,
    /// How to go through a long recording
    #[arg(long, default_value = "batched", value_parser = name_of::<Strategy>())]
    pub strategy: Strategy,
    /// Windows to decode at once with the batched strategy [default: by memory]
    #[arg(long, value_name = "N", value_parser = batch_sizes())]
    pub batch_size: Option<usize>,
    #[command(flatten)]
    pub device: DeviceArgs,
    /// Processor cores to use [default: all]
    #[arg(long, value_name = "N", value_parser = thread_counts())]
    pub threads: Option<usize>,
    /// Print one line of JSON instead of a table
    #[arg(long)]
    pub json: bool,
}

const LIVE_HELP: &str = "\
The recordings are heard as a stream at the speed of speech, in blocks of 100 ms. All computing is done as it would be; only
nobody waits for the next block to come. A delay is the time from the end of a word, as it was settled, until it was there:
  provisional    as it stayed, case and punctuation left out; it might still have changed
  first of turn  the same of the first word after a pause
  settled        never to change
Errors are those of all recordings with a reference: live, and of the same recordings transcribed as files.

JSON:
  model, isa, threads, audio_s, busy_share, delays: {provisional, first_of_turn, settled: {words, median_s, p95_s}},
  words_compared, error_rate_percent: {live, file}";

#[derive(Debug, clap::Args)]
#[command(after_help = LIVE_HELP)]
pub struct BenchLiveArgs {
    /// The recordings and what is said in them, as for `amanuensis eval`
    #[arg(long, value_name = "FILE")]
    pub manifest: PathBuf,
    /// Only recordings in this language, by its code
    #[arg(short, long, value_name = "CODE")]
    pub language: Option<Language>,
    /// An installed model, or a model's directory or weight file
    #[arg(short, long, value_name = "NAME|PATH", default_value = "base", value_parser = NonEmptyStringValueParser::new())]
    pub model: String,
    /// Processor cores to use [default: all]
    #[arg(long, value_name = "N", value_parser = thread_counts())]
    pub threads: Option<usize>,
    /// Print one line of JSON instead of a table
    #[arg(long)]
    pub json: bool,
}

/// What `--isa` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    All,
    One(Isa),
}

fn tile_sizes() -> impl TypedValueParser<Value = TileSize> {
    PossibleValuesParser::new(["16", "32", "64"]).map(|side| {
        let size = side.parse().ok().and_then(TileSize::of);
        size.expect("these are the sides of tiles")
    })
}

fn isas() -> impl TypedValueParser<Value = Choice> {
    let names = Isa::ALL.iter().map(|isa| isa.name());
    PossibleValuesParser::new(names.chain(["all"])).map(|name| {
        let isa = Isa::ALL.iter().find(|isa| isa.name() == name);
        isa.map_or(Choice::All, |isa| Choice::One(*isa))
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Args, Command};

    fn bench(arguments: &[&str]) -> Result<BenchCommand, clap::Error> {
        let arguments = ["amanuensis", "bench"].iter().chain(arguments);
        match Args::try_parse_from(arguments)?.command {
            Command::Bench(args) => Ok(args.command),
            _ => unreachable!("the command is `bench`"),
        }
    }

    #[test]
    fn lists_are_separated_by_commas() {
        let command =
            bench(&["matmul", "--sizes", "16,64", "--shapes", "1x2x3,4x5x6", "--isa", "avx2,all", "--tiles", "64,16"])
                .unwrap();
        let BenchCommand::Matmul(args) = command else { unreachable!("the command is `matmul`") };
        assert_eq!((args.sizes.len(), args.shapes.len()), (2, 2));
        assert_eq!(args.isa, [Choice::One(Isa::Avx2), Choice::All]);
        assert_eq!(args.tiles, [TileSize::T64, TileSize::T16]);
    }

    #[test]
    fn nonsense_is_refused() {
        let refused: [&[&str]; 14] = [
            &["matmul", "--sizes", "0"],
            &["matmul", "--sizes", ""],
            &["matmul", "--sizes", "16,"],
            &["matmul", "--shapes", "axb"],
            &["matmul", "--shapes", "1x0x1"],
            &["matmul", "--isa", "sse9"],
            &["matmul", "--threads", "0"],
            &["matmul", "--tiles", "17"],
            &["matmul", "--tiles", ""],
            &["transcribe"],
            &["transcribe", ""],
            &["transcribe", "--batch-size", "33", "a"],
            &["transcribe", "--format", "srt", "a"],
            &["roofline", "--threads", "0"],
        ];
        for arguments in refused {
            assert!(bench(arguments).is_err(), "{arguments:?}");
        }
    }
}
