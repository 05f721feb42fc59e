//! The command line program: parses arguments, calls the library, and writes text and files.
#![forbid(unsafe_code)]

mod args;
mod atomic_file;
mod bench;
mod console;
mod devices;
mod download;
mod eval;
mod failure;
mod input;
mod inspect;
mod interrupt;
mod listen;
mod load;
mod models;
#[cfg(feature = "npu")]
mod npu;
#[cfg(not(feature = "npu"))]
#[path = "npu/disabled.rs"]
mod npu;
mod options;
mod serve;
mod stdout;
mod trace;
mod transcribe;
mod values;

use std::process::ExitCode;

use amanuensis_decode_worker::{WORKER_ARGUMENT, run_worker};
use clap::{CommandFactory, FromArgMatches};

use args::{Args, Command};

fn main() -> ExitCode {
    // Check first whether this process must be a worker: the server starts this same program as a worker process for
    // every recording.
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|argument| argument == WORKER_ARGUMENT) {
        return run_worker(arguments.next().as_deref());
    }
    let matches = Args::command().get_matches();
    let args = Args::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let result = match args.command {
        Command::Transcribe(args) => transcribe::run(&args),
        Command::Listen(args) => listen::run(&args),
        Command::Models(args) => models::run(args.command),
        Command::Bench(args) => bench::run(&args.command),
        Command::Eval(args) => eval::run(&args),
        Command::Devices(args) => devices::run(&args),
        Command::Doctor(args) => npu::doctor::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Trace(args) => trace::run(&args),
        Command::Serve(args) => serve::run(&args, matches.subcommand_matches("serve")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
