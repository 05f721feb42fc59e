//! `amanuensis bench`: measures the speed of this machine, and how much of that speed a model reaches.

pub mod args;
mod installed;
mod live;
mod matmul;
mod memory;
mod model;
mod roofline;
mod timing;
mod transcribe;

use crate::failure::Failure;
use crate::stdout::print;
use args::BenchCommand;

pub fn run(command: &BenchCommand) -> Result<(), Failure> {
    match command {
        BenchCommand::Roofline(args) => print(&roofline::measure(args)),
        BenchCommand::Matmul(args) => matmul::run(args),
        BenchCommand::Model(args) => print(&model::measure(args)?),
        BenchCommand::Transcribe(args) => print(&transcribe::measure(args)?),
        BenchCommand::Live(args) => print(&live::measure(args)?),
    }
}
