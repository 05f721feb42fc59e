//! `amanuensis listen`: transcribes live speech.

pub mod args;
#[cfg(feature = "microphone")]
mod microphone;
mod screen;
mod source;

use std::io::{self, IsTerminal, StdoutLock};
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use amanuensis_transcribe::{EngineOptions, Error, LiveEvent, LiveTranscriber};

use crate::console::Console;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::load::{ModelRequest, thread_count};
use args::{ListenArgs, Source};
use screen::Screen;
use source::SampleStream;

/// While no samples arrive, the program checks for Ctrl-C at this interval.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

pub fn run(args: &ListenArgs) -> Result<(), Failure> {
    source::check(args)?;
    let console = Console::new(args.quiet);
    let interrupt = Interrupt::install()?;
    let request = ModelRequest {
        model: &args.model,
        engine: EngineOptions {
            compute_type: args.compute_type,
            threads: thread_count(args.threads),
            ..EngineOptions::default()
        },
        offline: args.offline,
        needs_vad: args.vad_filter,
    };
    let transcriber = request.load(&console, &interrupt)?;
    let live = LiveTranscriber::new(&transcriber, &args.options(), args.utterance_options());
    let live = live.map_err(|error| Failure::Usage(error.to_string()))?;
    if args.vad_filter && transcriber.vad().is_none() {
        console.warning("without speech detection, the whole stream is one utterance");
    }
    let samples = source::open(args)?;
    if args.input == Source::Microphone {
        console.info_on_terminal("listening; press Ctrl-C to stop");
    }
    let out = io::stdout();
    let columns = out.is_terminal().then(|| usize::from(console::Term::stdout().size().1));
    let mut session = Session { live, screen: Screen::new(out.lock(), columns), stdout_result: Ok(()) };
    interrupt.run_interruptible(|| session.run(&samples, &interrupt))
}

struct Session<'t> {
    live: LiveTranscriber<'t>,
    screen: Screen<StdoutLock<'static>>,
    /// The first error that occurred while writing to standard output, or `Ok` if there was none.
    stdout_result: io::Result<()>,
}

impl<'t> Session<'t> {
    /// Transcribes until the input ends or the user asks the program to stop. In both cases, the utterance that has
    /// begun is completed and written.
    fn run(&mut self, samples: &SampleStream, interrupt: &Interrupt) -> Result<(), Failure> {
        let result = loop {
            if interrupt.is_requested() {
                break Err(Failure::Interrupted);
            }
            let mut block = match samples.blocks.recv_timeout(POLL_INTERVAL) {
                Ok(Ok(block)) => block,
                Ok(Err(reason)) => break Err(Failure::Failed(reason)),
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => break Ok(()),
            };
            // Also take all blocks that arrived while the model was busy, up to the first error. An error means that
            // the sender has stopped. It is skipped here, because the next iteration ends the loop.
            block.extend(samples.blocks.try_iter().map_while(Result::ok).flatten());
            self.show_events(|live, on_event| live.push(&block, on_event))?;
        };
        self.show_events(LiveTranscriber::end_utterance)?;
        result
    }

    /// Runs `work`, which gives audio to the live transcriber. Writes the words in the events that this produces.
    fn show_events(
        &mut self,
        work: impl FnOnce(&mut LiveTranscriber<'t>, &mut dyn FnMut(LiveEvent<'_>)) -> Result<(), Error>,
    ) -> Result<(), Failure> {
        let Self { live, screen, stdout_result } = self;
        let result = work(live, &mut |event| {
            if stdout_result.is_ok() {
                *stdout_result = match event {
                    LiveEvent::Words { committed, provisional } => screen.show_words(committed, provisional),
                    LiveEvent::UtteranceTranscribed { .. } => screen.end_utterance(),
                    _ => Ok(()),
                };
            }
        });
        stdout_result.as_ref().map_err(Failure::from_stdout)?;
        result.map_err(|error| Failure::Failed(error.to_string()))
    }
}
