//! `amanuensis listen`: text of speech that is still going on.

pub mod args;
#[cfg(feature = "microphone")]
mod microphone;
mod screen;
mod source;

use std::io::{self, IsTerminal, StdoutLock};
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use amanuensis_transcribe::{EngineOptions, Error, LiveEvent, LiveTranscriber, Transcriber};

use crate::console::Console;
use crate::decoding::{Wanted, load, thread_count};
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use args::{ListenArgs, Source};
use screen::Screen;
use source::Samples;

/// How long to wait for samples before looking whether somebody wants to stop.
const PATIENCE: Duration = Duration::from_millis(100);

pub fn run(args: &ListenArgs) -> Result<(), Failure> {
    source::check(args)?;
    let console = Console::new(args.quiet);
    let interrupt = Interrupt::install()?;
    let wanted = Wanted {
        model: &args.model,
        engine: EngineOptions {
            compute_type: args.compute_type,
            threads: thread_count(args.threads),
            ..EngineOptions::default()
        },
        offline: args.offline,
        detects_speech: args.vad_filter,
    };
    let transcriber = load(&wanted, &console, &interrupt)?;
    let live = LiveTranscriber::new(&transcriber, &args.options(), args.turns());
    let live = live.map_err(|error| Failure::Usage(error.to_string()))?;
    warn(&transcriber, args, &console);
    let samples = source::open(args)?;
    if args.input == Source::Microphone {
        console.remark("listening; Ctrl-C ends");
    }
    let out = io::stdout();
    let columns = out.is_terminal().then(|| usize::from(console::Term::stdout().size().1));
    let mut session = Session { live, screen: Screen::new(out.lock(), columns), written: Ok(()) };
    interrupt.heed(|| session.listen(&samples, &interrupt))
}

fn warn(transcriber: &Transcriber, args: &ListenArgs, console: &Console) {
    if args.vad_filter && transcriber.vad().is_none() {
        console.warning("without the voice detector, everything that is heard is one turn");
    }
}

struct Session<'t> {
    live: LiveTranscriber<'t>,
    screen: Screen<StdoutLock<'static>>,
    written: io::Result<()>,
}

impl<'t> Session<'t> {
    /// Listens until the input ends, or somebody wants to stop; what was said is written down in any case.
    fn listen(&mut self, samples: &Samples, interrupt: &Interrupt) -> Result<(), Failure> {
        let end = loop {
            if interrupt.is_requested() {
                break Err(Failure::Interrupted);
            }
            let mut heard = match samples.blocks.recv_timeout(PATIENCE) {
                Ok(Ok(block)) => block,
                Ok(Err(reason)) => break Err(Failure::Failed(reason)),
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => break Ok(()),
            };
            // What came during the last reading comes all at once; an error among it comes again as the end.
            heard.extend(samples.blocks.try_iter().map_while(Result::ok).flatten());
            self.hear(|live, on_event| live.push(&heard, on_event))?;
        };
        self.hear(LiveTranscriber::end_turn)?;
        end
    }

    fn hear(
        &mut self,
        work: impl FnOnce(&mut LiveTranscriber<'t>, &mut dyn FnMut(LiveEvent<'_>)) -> Result<(), Error>,
    ) -> Result<(), Failure> {
        let Self { live, screen, written } = self;
        let result = work(live, &mut |event| {
            if written.is_ok() {
                *written = match event {
                    LiveEvent::Words { settled, provisional } => screen.words(settled, provisional),
                    LiveEvent::Turn { .. } => screen.end_turn(),
                    _ => Ok(()),
                };
            }
        });
        written.as_ref().map_err(Failure::of_stdout)?;
        result.map_err(|error| Failure::Failed(error.to_string()))
    }
}
