//! The commands of the program. The arguments of each command are defined in the folder or file of that command.

use clap::{Parser, Subcommand};

use crate::bench::args::BenchArgs;
use crate::devices::DevicesArgs;
use crate::eval::args::EvalArgs;
use crate::inspect::args::InspectArgs;
use crate::listen::args::ListenArgs;
use crate::models::args::ModelsArgs;
use crate::npu::doctor::args::DoctorArgs;
use crate::serve::ServeArgs;
use crate::trace::args::TraceArgs;
use crate::transcribe::args::TranscribeArgs;

/// Offline speech to text: transcribes recordings and live speech on this machine.
#[derive(Debug, Parser)]
#[command(name = "amanuensis", version, max_term_width = 100)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Transcribe recordings to text, subtitles or JSON
    Transcribe(Box<TranscribeArgs>),
    /// Transcribe live speech from a microphone or a stream
    Listen(Box<ListenArgs>),
    /// List, download, verify and remove models
    Models(ModelsArgs),
    /// Measure the speed of this machine and of a model on it
    Bench(BenchArgs),
    /// Transcribe recordings with known text and report the error rate
    Eval(Box<EvalArgs>),
    /// List the devices that can run the encoder, and why other devices cannot
    Devices(DevicesArgs),
    /// Check whether an AMD NPU can be used, and what is missing
    Doctor(DoctorArgs),
    /// Show the contents of a model: sizes, tokens, tensors, inputs and outputs
    Inspect(InspectArgs),
    /// Show the values a model computes for one window, and compare two models
    Trace(Box<TraceArgs>),
    /// Run an HTTP server with an OpenAI-compatible transcription API
    Serve(Box<ServeArgs>),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn definitions_of_all_commands_are_consistent() {
        Args::command().debug_assert();
    }
}
