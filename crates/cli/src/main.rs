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
mod interrupt;
mod language;
mod listen;
mod models;
mod outputs;
mod search;
mod speech;
mod subtitles;
mod transcribe;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};

fn main() -> ExitCode {
    let done = match Args::parse().command {
        Command::Transcribe(args) => transcribe::run(&args),
        Command::Listen(args) => listen::run(&args),
        Command::Models(args) => models::run(args.command),
        Command::Bench(args) => bench::run(&args.command),
        Command::Eval(args) => eval::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
