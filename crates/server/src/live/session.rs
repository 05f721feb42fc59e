//! A session on a thread of its own: commands go in through one channel, and what was heard comes out of another. Both are
//! bounded, so that whoever sends faster than the model reads, or does not listen, has to wait. When either end is
//! dropped, the session ends.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread;

use amanuensis_transcribe::{
    Audio, Ending, Error, Event, Language, LiveEvent, LiveTranscriber, RawFormat, RawStream, TranscribeOptions,
    Transcriber, UtteranceOptions, Word,
};
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Commands, and things to tell, that may wait.
const WAITING: usize = 64;

const SAMPLE_RATE: u32 = 16_000;

/// Samples that a turn has at least where it is committed by hand: a tenth of a second.
const SHORTEST: usize = SAMPLE_RATE as usize / 10;

/// Samples that are held until they are committed by hand: ten minutes, 38 MB.
const MOST_HELD: usize = 600 * SAMPLE_RATE as usize;

/// How to listen.
#[derive(Debug, Clone)]
pub struct SessionSettings {
    /// The model.
    pub transcriber: Arc<Transcriber>,
    /// What to make of speech.
    pub options: TranscribeOptions,
    /// What makes a turn; none where the client says so.
    pub utterances: Option<UtteranceOptions>,
    /// What the bytes are.
    pub format: RawFormat,
    /// Samples a second.
    pub rate: u32,
}

/// What a session is told.
#[derive(Debug)]
pub enum Command {
    /// More samples.
    Bytes(Vec<u8>),
    /// The turn ends here.
    Commit,
    /// What is not committed is forgotten.
    Clear,
    /// From now on, listen in another way. The turn ends here.
    Configure(Box<SessionSettings>),
    /// The turn ends here, and so does the session once it is written down.
    End,
}

/// What a session tells. Turns are numbered from 1; times are seconds from the beginning of the session.
#[derive(Debug, PartialEq)]
pub enum SessionEvent {
    /// Somebody begins to speak.
    SpeechStarted { utterance: u64, at: f64 },
    /// Nobody speaks any more.
    SpeechStopped { utterance: u64, at: f64 },
    /// A turn is complete, and its last words will follow.
    Committed { utterance: u64 },
    /// The text of a turn goes on, with these words.
    Delta { utterance: u64, text: String, words: Vec<Word> },
    /// What may follow the text so far; the next of these replaces it.
    Provisional { utterance: u64, text: String },
    /// All of a turn is written down.
    Completed { utterance: u64, text: String, words: Vec<Word>, seconds: f64, language: Option<Language> },
    /// A turn could not be written down.
    Failed { utterance: u64, reason: String },
    /// There was nothing to commit.
    NothingToCommit,
    /// What was not committed is forgotten.
    Cleared,
    /// There is no room for samples that are not committed; they are lost.
    BufferFull,
}

/// Starts a session. `Err` where the system has no thread left.
pub fn start(settings: SessionSettings) -> std::io::Result<(Sender<Command>, Receiver<SessionEvent>)> {
    let (commands, incoming) = channel(WAITING);
    let (told, outgoing) = channel(WAITING);
    let session = Session {
        commands: incoming,
        told,
        utterance: 0,
        seconds: 0.0,
        began: 0.0,
        ended: 0.0,
        next: None,
        held: Vec::new(),
    };
    thread::Builder::new().name("amanuensis-live".to_owned()).spawn(move || session.run(settings))?;
    Ok((commands, outgoing))
}

struct Session {
    commands: Receiver<Command>,
    told: Sender<SessionEvent>,
    /// The number of the last turn.
    utterance: u64,
    /// Seconds of the stream before the current settings.
    seconds: f64,
    /// Where the last turn began and ended.
    began: f64,
    ended: f64,
    /// A command that was taken too early.
    next: Option<Command>,
    /// Samples that wait to be committed, or, where turns begin to be detected, to be listened to.
    held: Vec<f32>,
}

impl Session {
    fn run(mut self, mut settings: SessionSettings) {
        loop {
            let next = match settings.utterances {
                Some(turns) => self.listen(&settings, turns),
                None => self.collect(&settings),
            };
            match next {
                Some(next) => settings = next,
                None => return,
            }
        }
    }

    /// Writes along with speech, turn by turn, until there are other settings or nobody is left.
    fn listen(&mut self, settings: &SessionSettings, turns: UtteranceOptions) -> Option<SessionSettings> {
        // Both were checked before the settings were taken.
        let mut live = LiveTranscriber::new(&settings.transcriber, &settings.options, turns).ok()?;
        let mut raw = RawStream::new(settings.format, settings.rate).ok()?;
        // They are counted with the others.
        let mut samples = std::mem::take(&mut self.held);
        self.seconds -= seconds_of(samples.len());
        let (mut next, mut has_ended) = (None, false);
        while next.is_none() && !has_ended && !self.told.is_closed() {
            let result = match self.next()? {
                Command::Bytes(bytes) => {
                    raw.push(&bytes, &mut samples);
                    // What came during the last reading comes all at once.
                    while let Some(Command::Bytes(bytes)) = self.next_at_once() {
                        raw.push(&bytes, &mut samples);
                    }
                    live.push(&samples, &mut |event| self.tell_of(event))
                }
                command @ (Command::Commit | Command::Configure(_) | Command::End) => {
                    // The resampler still holds a part of the turn.
                    raw.finish(&mut samples);
                    raw = RawStream::new(settings.format, settings.rate).ok()?;
                    let mut result = live.push(&samples, &mut |event| self.tell_of(event));
                    let is_in_utterance = live.is_in_utterance();
                    result = result.and(live.end_utterance(&mut |event| self.tell_of(event)));
                    match command {
                        Command::Configure(settings) => next = Some(*settings),
                        Command::End => has_ended = true,
                        _ if !is_in_utterance => self.tell(SessionEvent::NothingToCommit),
                        _ => {}
                    }
                    result
                }
                Command::Clear => {
                    samples.clear();
                    raw = RawStream::new(settings.format, settings.rate).ok()?;
                    live.clear();
                    self.tell(SessionEvent::Cleared);
                    Ok(())
                }
            };
            samples.clear();
            if let Err(error) = result {
                self.fail(&error);
                live.clear();
            }
        }
        self.seconds += live.seconds();
        next
    }

    fn tell_of(&mut self, event: LiveEvent<'_>) {
        match event {
            LiveEvent::UtteranceStarted { start } => {
                self.utterance += 1;
                self.began = self.seconds + start;
                self.tell(SessionEvent::SpeechStarted { utterance: self.utterance, at: self.began });
            }
            LiveEvent::Words { committed, provisional } => {
                if !committed.is_empty() {
                    self.tell(SessionEvent::Delta {
                        utterance: self.utterance,
                        text: text(committed),
                        words: committed.to_vec(),
                    });
                }
                self.tell(SessionEvent::Provisional { utterance: self.utterance, text: text(provisional) });
            }
            LiveEvent::UtteranceEnded { end } => {
                self.ended = self.seconds + end;
                self.tell(SessionEvent::SpeechStopped { utterance: self.utterance, at: self.ended });
                self.tell(SessionEvent::Committed { utterance: self.utterance });
            }
            LiveEvent::UtteranceTranscribed { words, language } => {
                let seconds = self.ended - self.began;
                self.tell(SessionEvent::Completed {
                    utterance: self.utterance,
                    text: text(words),
                    words: words.to_vec(),
                    seconds,
                    language,
                });
            }
            _ => {}
        }
    }

    /// Holds samples until they are committed, until there are other settings or nobody is left.
    fn collect(&mut self, settings: &SessionSettings) -> Option<SessionSettings> {
        let mut raw = RawStream::new(settings.format, settings.rate).ok()?;
        let mut is_full = self.held.len() > MOST_HELD;
        loop {
            match self.next()? {
                Command::Bytes(_) if is_full => {}
                Command::Bytes(bytes) => {
                    let before = self.held.len();
                    raw.push(&bytes, &mut self.held);
                    self.seconds += seconds_of(self.held.len() - before);
                    is_full = self.held.len() > MOST_HELD;
                    if is_full {
                        self.tell(SessionEvent::BufferFull);
                    }
                }
                Command::Commit => {
                    raw.finish(&mut self.held);
                    raw = RawStream::new(settings.format, settings.rate).ok()?;
                    if self.held.len() < SHORTEST {
                        self.tell(SessionEvent::NothingToCommit);
                    } else {
                        let held = std::mem::take(&mut self.held);
                        self.transcribe(settings, held);
                    }
                    is_full = false;
                }
                Command::Clear => {
                    raw = RawStream::new(settings.format, settings.rate).ok()?;
                    self.held.clear();
                    is_full = false;
                    self.tell(SessionEvent::Cleared);
                }
                Command::Configure(next) => {
                    // What comes may be in another format; what came stays.
                    let before = self.held.len();
                    raw.finish(&mut self.held);
                    self.seconds += seconds_of(self.held.len() - before);
                    return Some(*next);
                }
                Command::End => {
                    raw.finish(&mut self.held);
                    let held = std::mem::take(&mut self.held);
                    if held.len() >= SHORTEST {
                        self.transcribe(settings, held);
                    }
                    return None;
                }
            }
            if self.told.is_closed() {
                return None;
            }
        }
    }

    /// Transcribes a turn as a recording.
    fn transcribe(&mut self, settings: &SessionSettings, samples: Vec<f32>) {
        self.utterance += 1;
        let utterance = self.utterance;
        self.tell(SessionEvent::Committed { utterance });
        let (mut heard, mut words) = (String::new(), Vec::new());
        let transcript = Audio::from_samples(samples, SAMPLE_RATE).map_err(Error::from).and_then(|audio| {
            settings.transcriber.transcribe(audio, &settings.options, &mut |event| {
                if let Event::Segment(segment) = event {
                    let text = if heard.is_empty() { segment.text.trim_start() } else { &segment.text };
                    heard += text;
                    words.extend_from_slice(&segment.words);
                    self.tell(SessionEvent::Delta { utterance, text: text.to_owned(), words: segment.words.clone() });
                }
                if self.told.is_closed() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
        });
        match transcript {
            Ok(transcript) => {
                if let Ending::Failed(reason) = transcript.ending {
                    return self.tell(SessionEvent::Failed { utterance, reason });
                }
                let (seconds, language) = (transcript.duration, transcript.language);
                self.tell(SessionEvent::Completed { utterance, text: heard, words, seconds, language });
            }
            Err(error) => self.fail(&error),
        }
    }

    fn fail(&mut self, error: &Error) {
        self.tell(SessionEvent::Failed { utterance: self.utterance, reason: error.to_string() });
    }

    fn tell(&self, told: SessionEvent) {
        // Whoever does not listen any more does not want to know; the session ends after the command.
        let _ = self.told.blocking_send(told);
    }

    /// The next command; none when nobody is left.
    fn next(&mut self) -> Option<Command> {
        self.next.take().or_else(|| self.commands.blocking_recv())
    }

    /// The next command if it is more samples and there already; another is kept for later.
    fn next_at_once(&mut self) -> Option<Command> {
        if self.next.is_some() {
            return None;
        }
        match self.commands.try_recv().ok()? {
            bytes @ Command::Bytes(_) => Some(bytes),
            other => {
                self.next = Some(other);
                None
            }
        }
    }
}

fn text(words: &[Word]) -> String {
    words.iter().map(|word| word.word.as_str()).collect()
}

/// How long so many samples last.
fn seconds_of(samples: usize) -> f64 {
    samples as f64 / f64::from(SAMPLE_RATE)
}

#[cfg(test)]
mod tests {
    use amanuensis_transcribe::EngineOptions;
    use amanuensis_weights::fixture::write_gibberish;

    use super::*;

    /// What a session tells that hears three seconds of a tone, and ends.
    async fn told(turns: Option<UtteranceOptions>) -> Vec<SessionEvent> {
        let directory = tempfile::tempdir().unwrap();
        write_gibberish(directory.path()).unwrap();
        let engine = EngineOptions { threads: 1, ..EngineOptions::default() };
        let transcriber = Arc::new(Transcriber::load(directory.path(), &engine).unwrap());
        let options = TranscribeOptions { vad: None, temperatures: vec![0.0], ..TranscribeOptions::default() };
        let settings =
            SessionSettings { transcriber, options, utterances: turns, format: RawFormat::S16, rate: SAMPLE_RATE };
        let (commands, mut outgoing) = start(settings).unwrap();
        let tone = |i: u32| (8000.0 * (f64::from(i) / 8.0).sin()) as i16;
        let bytes = (0..3 * SAMPLE_RATE).flat_map(|i| tone(i).to_le_bytes()).collect();
        commands.send(Command::Bytes(bytes)).await.unwrap();
        commands.send(Command::End).await.unwrap();
        let mut told = Vec::new();
        while let Some(next) = outgoing.recv().await {
            told.push(next);
        }
        told
    }

    #[tokio::test]
    async fn what_was_said_is_written_down_at_the_end() {
        for turns in [None, Some(UtteranceOptions::default())] {
            let told = told(turns).await;
            let Some(SessionEvent::Completed { utterance: 1, seconds, .. }) = told.last() else { panic!("{told:?}") };
            assert!((2.9..3.1).contains(seconds), "{told:?}");
            assert!(
                told.contains(&SessionEvent::Committed { utterance: 1 })
                    && !told.contains(&SessionEvent::NothingToCommit),
                "{told:?}"
            );
        }
    }
}
