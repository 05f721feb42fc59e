//! The command line: arguments in, calls of the library, text and files out. Glue only.
#![forbid(unsafe_code)]

mod args;
mod bench;
mod console;
mod decoding;
mod eval;
mod failure;
mod fetch;
mod file;
mod inputs;
mod inspect;
mod interrupt;
mod language;
mod listen;
mod models;
mod npu;
mod outputs;
mod search;
mod serve;
mod speech;
mod subtitles;
mod trace;
mod transcribe;
mod values;

use std::process::ExitCode;

use amanuensis_decode_worker::{WORKER_ARGUMENT, run_worker};
use clap::{CommandFactory, FromArgMatches};

use args::{Args, Command};

fn main() -> ExitCode {
    // First of all: the server starts this program as a worker for each recording.
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|argument| argument == WORKER_ARGUMENT) {
        return run_worker(arguments.next().as_deref());
    }
    let matches = Args::command().get_matches();
    let args = Args::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let done = match args.command {
        Command::Transcribe(args) => transcribe::run(&args),
        Command::Listen(args) => listen::run(&args),
        Command::Models(args) => models::run(args.command),
        Command::Bench(args) => bench::run(&args.command),
        Command::Eval(args) => eval::run(&args),
        Command::Devices(args) => npu::devices::run(&args),
        Command::Doctor(args) => npu::doctor::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Trace(args) => trace::run(&args),
        Command::Serve(args) => serve::run(&args, matches.subcommand_matches("serve")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
