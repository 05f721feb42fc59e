//! The arguments of `amanuensis bench`, and their help.

use std::path::PathBuf;

use amanuensis_transcribe::{Language, Strategy};
use clap::Subcommand;

use super::matmul::args::BenchMatmulArgs;
use crate::input::Input;
use crate::options::device::DeviceArgs;
use crate::options::language::LanguageChoice;
use crate::values::{self, batch_size, name_of, thread_count};

/// Measure the speed of this machine and of a model on it.
#[derive(Debug, clap::Args)]
pub struct BenchArgs {
    #[command(subcommand)]
    pub command: BenchCommand,
}

#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Speed limits of the machine: arithmetic in registers, and reading from caches and memory
    Roofline(BenchRooflineArgs),
    /// Speed of int8 matrix products, also as a share of the machine's limit
    Matmul(BenchMatmulArgs),
    /// Speed of loading, mel spectrogram, encoder and decoder of an installed model
    Model(BenchModelArgs),
    /// Speed of transcribing whole recordings with an installed model
    Transcribe(BenchTranscribeArgs),
    /// Delay of words and error rate of live transcription
    Live(BenchLiveArgs),
}

const ROOFLINE_HELP: &str = "\
A multiply-add counts as two operations. `read` is the bandwidth if each thread reads its own buffer repeatedly. The row \
names the size of the buffer, and the memory level that holds it on most machines.

JSON:
  threads: [N, ...], rows: [{what, unit, values: [one for each number of threads]}]";

/// Measure the speed limits of this machine.
#[derive(Debug, clap::Args)]
#[command(after_help = ROOFLINE_HELP)]
pub struct BenchRooflineArgs {
    /// Maximum number of threads to measure with [default: number of cores]
    #[arg(long, value_name = "N", value_parser = thread_count())]
    pub threads: Option<usize>,

    /// Print one line of JSON instead of a table
    #[arg(long)]
    pub json: bool,
}

/// Measure an installed model.
#[derive(Debug, clap::Args)]
pub struct BenchModelArgs {
    /// Name of an installed model, or path of a model directory or weight file
    #[arg(short, long, value_name = "NAME|PATH", default_value = "base", value_parser = values::model())]
    pub model: String,

    /// Number of CPU threads [default: number of cores]
    #[arg(long, value_name = "N", value_parser = thread_count())]
    pub threads: Option<usize>,

    /// Print one line of JSON instead of a table
    #[arg(long)]
    pub json: bool,
}

const TRANSCRIBE_HELP: &str = "\
The recordings are transcribed once, one after the other, in int8. Speed is seconds of audio per second of wall time. \
Wall time is measured from opening a recording to its last segment; it does not include loading the model. The phases are \
sums over all recordings. They overlap, so that their sum can exceed the total.

JSON:
  model, isa, threads, batch_size, files, audio_s, wall_s, speed, load_ms,
  phases_ms: {audio_decode, vad, mel, encode, decode, total}
    (vad is 0 if silero-vad is not installed),
  peak_rss_mb (null if the system does not report it), device, npu (null if none is used): {
    target, launches, submissions, syncs, bytes_to_device, bytes_from_device,
    predicted_s: [MIN, MAX]}";

/// Measure the transcription of recordings.
#[derive(Debug, clap::Args)]
#[command(after_help = TRANSCRIBE_HELP)]
pub struct BenchTranscribeArgs {
    /// Recordings to transcribe
    #[arg(required = true, value_name = "FILE", value_parser = values::recording())]
    pub files: Vec<Input>,

    /// Name of an installed model, or path of a model directory or weight file
    #[arg(short, long, value_name = "NAME|PATH", default_value = "base", value_parser = values::model(), help_heading = "Model")]
    pub model: String,

    /// Language spoken in the audio, as a code or a name; `auto` detects it
    #[arg(short, long, default_value = "auto")]
    pub language: LanguageChoice,

    /// How a long recording is split into windows (see `amanuensis transcribe --help`)
    #[arg(long, default_value = "batched", value_parser = name_of::<Strategy>())]
    pub strategy: Strategy,

    /// Print one line of JSON instead of a table
    #[arg(long)]
    pub json: bool,

    /// Number of CPU threads [default: number of cores]
    #[arg(long, value_name = "N", value_parser = thread_count(), help_heading = "Performance")]
    pub threads: Option<usize>,

    /// Number of windows decoded together with --strategy batched [default: depends on the model size]
    #[arg(long, value_name = "N", value_parser = batch_size(), help_heading = "Performance")]
    pub batch_size: Option<usize>,

    #[command(flatten)]
    pub device: DeviceArgs,
}

const LIVE_HELP: &str = "\
The recordings are transcribed as a live stream, in blocks of 100 ms. The clock is simulated: computing takes its real \
time, but waiting for the next block is skipped.

A delay is measured from the end of a word, with its committed time, until:
  provisional         the word is shown as it stays, apart from case and punctuation
  first of utterance  the same, for the first word after a pause
  committed           the word cannot change any more

The error rates are those of all recordings with a reference, transcribed live and as files.

JSON:
  model, isa, threads, audio_s, busy_share,
  delays: {provisional, first_of_turn, settled: {words, median_s, p95_s}},
  words_compared, error_rate_percent: {live, file}";

/// Measure the delay of words and the error rate of live transcription.
#[derive(Debug, clap::Args)]
#[command(after_help = LIVE_HELP)]
pub struct BenchLiveArgs {
    /// File that lists recordings and their reference texts (see `amanuensis eval --help`)
    #[arg(long, value_name = "FILE")]
    pub manifest: PathBuf,

    /// Use only the recordings in this language, given as a code
    #[arg(short, long, value_name = "CODE")]
    pub language: Option<Language>,

    /// Name of an installed model, or path of a model directory or weight file
    #[arg(short, long, value_name = "NAME|PATH", default_value = "base", value_parser = values::model())]
    pub model: String,

    /// Number of CPU threads [default: number of cores]
    #[arg(long, value_name = "N", value_parser = thread_count())]
    pub threads: Option<usize>,

    /// Print one line of JSON instead of a table
    #[arg(long)]
    pub json: bool,
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        bench: BenchArgs,
    }

    #[test]
    fn invalid_values_are_rejected() {
        let invalid: [&[&str]; 5] = [
            &["transcribe"],
            &["transcribe", ""],
            &["transcribe", "--batch-size", "33", "a"],
            &["transcribe", "--format", "srt", "a"],
            &["roofline", "--threads", "0"],
        ];
        for arguments in invalid {
            let parsed = Command::try_parse_from(["bench"].iter().chain(arguments));
            assert!(parsed.is_err(), "{arguments:?}: {:?}", parsed.map(|command| command.bench));
        }
    }
}
