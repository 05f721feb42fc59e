//! Decodes recordings in worker processes.
//!
//! Media decoders parse files that may be hostile. A worker is this same program, started again with
//! [`WORKER_ARGUMENT`] as its first argument. The worker limits its own memory and processor time, decodes one
//! recording from its standard input, and writes the samples to its standard output. A file that exceeds these limits
//! or crashes the decoder ends only its own worker.
//!
//! The program has to call [`run_worker`] at the very beginning of `main`:
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! use amanuensis_decode_worker::{WORKER_ARGUMENT, run_worker};
//!
//! fn main() -> ExitCode {
//!     let mut arguments = std::env::args_os().skip(1);
//!     if arguments.next().is_some_and(|argument| argument == WORKER_ARGUMENT) {
//!         return run_worker(arguments.next().as_deref());
//!     }
//!     // The normal work of the program.
//!     ExitCode::SUCCESS
//! }
//! ```
//!
//! The same program then decodes recordings through a [`Decoder`]:
//!
//! ```no_run
//! use std::fs::File;
//! use std::sync::Arc;
//! use std::sync::atomic::{AtomicBool, Ordering};
//!
//! use amanuensis_decode_worker::Decoder;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let decoder = Decoder::Worker { program: std::env::current_exe()?, memory_mib: 512 };
//! // Fails if no worker can be started or the memory is too small for any recording.
//! decoder.check()?;
//!
//! // Another thread may set this to true. Then the worker is killed, and reading fails.
//! let cancelled = Arc::new(AtomicBool::new(false));
//! let token = Arc::clone(&cancelled);
//! let (mut audio, exit) =
//!     decoder.open(File::open("talk.mp3")?, move || token.load(Ordering::Relaxed))?;
//! let mut n_samples = 0;
//! let result = loop {
//!     match audio.next_block() {
//!         Ok(Some(block)) => n_samples += block.len(),
//!         Ok(None) => break Ok(n_samples),
//!         Err(error) => break Err(error),
//!     }
//! };
//! // If the worker was killed from outside, the recording may be fine, so another attempt may succeed.
//! match (result, exit.killed()) {
//!     (Ok(n_samples), _) => println!("{n_samples} samples at 16 kHz"),
//!     (Err(_), Some(reason)) => println!("{reason}; try again"),
//!     (Err(error), None) => println!("the recording is damaged: {error}"),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! All functions are synchronous. Asynchronous programs should call [`Decoder::open`] and read the samples on a
//! blocking thread.
#![forbid(unsafe_code)]

mod cancellation;
mod decoder;
mod exit;
mod limits;
mod process;
mod worker;

pub use decoder::{Decoder, OpenError};
pub use exit::WorkerExit;
pub use worker::{WORKER_ARGUMENT, run_worker};
