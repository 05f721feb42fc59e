//! A live session, which runs on its own thread. It receives commands through one channel and sends events through
//! another. Both channels are bounded, so a client that sends faster than the model transcribes, or that does not
//! read its events, has to wait. The session ends when the client drops its side of either channel.

use std::ops::ControlFlow;
use std::thread;

use amanuensis_transcribe::{
    Audio, Ending, Error, Event, LiveEvent, LiveTranscriber, RawStream, UtteranceOptions, Word,
};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::messages::{Command, SessionEvent, SessionSettings};

/// Capacity of the command channel and of the event channel, in messages.
const MAX_WAITING_MESSAGES: usize = 64;

const SAMPLE_RATE: u32 = 16_000;

/// The minimum length of an utterance that a client commits: 0.1 s, in samples.
const MIN_COMMIT_SAMPLES: usize = SAMPLE_RATE as usize / 10;

/// Maximum amount of audio that is buffered before a commit: 10 minutes (38 MB), in samples.
const MAX_BUFFERED_SAMPLES: usize = 600 * SAMPLE_RATE as usize;

/// Starts a session on a new thread. Returns the sender of commands and the receiver of events.
///
/// # Errors
/// If the operating system cannot create a thread.
pub fn start(settings: SessionSettings) -> std::io::Result<(Sender<Command>, Receiver<SessionEvent>)> {
    let (command_sender, commands) = channel(MAX_WAITING_MESSAGES);
    let (events, event_receiver) = channel(MAX_WAITING_MESSAGES);
    let session = Session {
        commands,
        events,
        utterance: 0,
        offset_s: 0.0,
        started_s: 0.0,
        stopped_s: 0.0,
        next_command: None,
        buffer: Vec::new(),
    };
    thread::Builder::new().name("amanuensis-live".to_owned()).spawn(move || session.run(settings))?;
    Ok((command_sender, event_receiver))
}

struct Session {
    commands: Receiver<Command>,
    events: Sender<SessionEvent>,
    /// The number of the most recent utterance.
    utterance: u64,
    /// Duration of all audio that the session received before the current settings took effect, in seconds.
    offset_s: f64,
    /// Start and end of the most recent utterance, in seconds since the start of the session.
    started_s: f64,
    stopped_s: f64,
    /// A command that has been received but not executed yet.
    next_command: Option<Command>,
    /// Samples that the client has not committed yet. If the settings change so that the session detects utterances,
    /// detection starts with these samples.
    buffer: Vec<f32>,
}

impl Session {
    fn run(mut self, mut settings: SessionSettings) {
        loop {
            let next = match settings.utterances {
                Some(utterances) => self.run_detected(&settings, utterances),
                None => self.run_committed(&settings),
            };
            match next {
                Some(next) => settings = next,
                None => return,
            }
        }
    }

    /// Runs the session while it detects utterances, and transcribes them while they are spoken. Returns the new
    /// settings when the settings change, or `None` when the session ends.
    fn run_detected(&mut self, settings: &SessionSettings, utterances: UtteranceOptions) -> Option<SessionSettings> {
        // These constructors cannot fail, because the settings were checked before they were sent to the session.
        let mut live = LiveTranscriber::new(&settings.transcriber, &settings.options, utterances).ok()?;
        let mut raw = RawStream::new(settings.format, settings.rate).ok()?;
        let mut samples = std::mem::take(&mut self.buffer);
        // The buffered samples are already counted in the offset. Subtract them, because the transcriber will count
        // them too.
        self.offset_s -= seconds_of(samples.len());
        let (mut next, mut has_ended) = (None, false);
        while next.is_none() && !has_ended && !self.events.is_closed() {
            let result = match self.receive()? {
                Command::Bytes(bytes) => {
                    raw.push(&bytes, &mut samples);
                    // Take all audio that has arrived while the model was decoding, and process it together.
                    while let Some(Command::Bytes(bytes)) = self.try_receive_bytes() {
                        raw.push(&bytes, &mut samples);
                    }
                    live.push(&samples, &mut |event| self.send_live_event(event))
                }
                command @ (Command::Commit | Command::Configure(_) | Command::End) => {
                    // Flush the resampler, which still holds the final samples of the utterance.
                    raw.finish(&mut samples);
                    raw = RawStream::new(settings.format, settings.rate).ok()?;
                    let mut result = live.push(&samples, &mut |event| self.send_live_event(event));
                    let is_in_utterance = live.is_in_utterance();
                    result = result.and(live.end_utterance(&mut |event| self.send_live_event(event)));
                    match command {
                        Command::Configure(settings) => next = Some(*settings),
                        Command::End => has_ended = true,
                        _ if !is_in_utterance => self.send(SessionEvent::NothingToCommit),
                        _ => {}
                    }
                    result
                }
                Command::Clear => {
                    samples.clear();
                    raw = RawStream::new(settings.format, settings.rate).ok()?;
                    live.clear();
                    self.send(SessionEvent::Cleared);
                    Ok(())
                }
            };
            samples.clear();
            if let Err(error) = result {
                self.send_failure(&error);
                live.clear();
            }
        }
        self.offset_s += live.seconds();
        next
    }

    fn send_live_event(&mut self, event: LiveEvent<'_>) {
        match event {
            LiveEvent::UtteranceStarted { start } => {
                self.utterance += 1;
                self.started_s = self.offset_s + start;
                self.send(SessionEvent::SpeechStarted { utterance: self.utterance, at: self.started_s });
            }
            LiveEvent::Words { committed, provisional } => {
                let utterance = self.utterance;
                if !committed.is_empty() {
                    self.send(SessionEvent::Delta { utterance, text: text_of(committed), words: committed.to_vec() });
                }
                self.send(SessionEvent::Provisional { utterance, text: text_of(provisional) });
            }
            LiveEvent::UtteranceEnded { end } => {
                self.stopped_s = self.offset_s + end;
                self.send(SessionEvent::SpeechStopped { utterance: self.utterance, at: self.stopped_s });
                self.send(SessionEvent::Committed { utterance: self.utterance });
            }
            LiveEvent::UtteranceTranscribed { words, language } => {
                let (utterance, seconds) = (self.utterance, self.stopped_s - self.started_s);
                let (text, words) = (text_of(words), words.to_vec());
                self.send(SessionEvent::Completed { utterance, text, words, seconds, language });
            }
            _ => {}
        }
    }

    /// Runs the session while the client commits utterances itself. Buffers audio, and transcribes it at each commit.
    /// Returns the new settings when the settings change, or `None` when the session ends.
    fn run_committed(&mut self, settings: &SessionSettings) -> Option<SessionSettings> {
        let mut raw = RawStream::new(settings.format, settings.rate).ok()?;
        let mut is_full = self.buffer.len() > MAX_BUFFERED_SAMPLES;
        loop {
            match self.receive()? {
                Command::Bytes(_) if is_full => {}
                Command::Bytes(bytes) => {
                    let n_before = self.buffer.len();
                    raw.push(&bytes, &mut self.buffer);
                    self.offset_s += seconds_of(self.buffer.len() - n_before);
                    is_full = self.buffer.len() > MAX_BUFFERED_SAMPLES;
                    if is_full {
                        self.send(SessionEvent::BufferFull);
                    }
                }
                Command::Commit => {
                    raw.finish(&mut self.buffer);
                    raw = RawStream::new(settings.format, settings.rate).ok()?;
                    if self.buffer.len() < MIN_COMMIT_SAMPLES {
                        self.send(SessionEvent::NothingToCommit);
                    } else {
                        let samples = std::mem::take(&mut self.buffer);
                        self.transcribe(settings, samples);
                    }
                    is_full = false;
                }
                Command::Clear => {
                    raw = RawStream::new(settings.format, settings.rate).ok()?;
                    self.buffer.clear();
                    is_full = false;
                    self.send(SessionEvent::Cleared);
                }
                Command::Configure(next) => {
                    // Finish the audio stream, because the next bytes may have another format. The samples stay in
                    // the buffer.
                    let n_before = self.buffer.len();
                    raw.finish(&mut self.buffer);
                    self.offset_s += seconds_of(self.buffer.len() - n_before);
                    return Some(*next);
                }
                Command::End => {
                    raw.finish(&mut self.buffer);
                    let samples = std::mem::take(&mut self.buffer);
                    if samples.len() >= MIN_COMMIT_SAMPLES {
                        self.transcribe(settings, samples);
                    }
                    return None;
                }
            }
            if self.events.is_closed() {
                return None;
            }
        }
    }

    /// Transcribes an utterance that the client has committed, in the same way as a recording.
    fn transcribe(&mut self, settings: &SessionSettings, samples: Vec<f32>) {
        self.utterance += 1;
        let utterance = self.utterance;
        self.send(SessionEvent::Committed { utterance });
        let (mut text, mut words) = (String::new(), Vec::new());
        let transcript = Audio::from_samples(samples, SAMPLE_RATE).map_err(Error::from).and_then(|audio| {
            settings.transcriber.transcribe(audio, &settings.options, &mut |event| {
                if let Event::Segment(segment) = event {
                    let delta = if text.is_empty() { segment.text.trim_start() } else { &segment.text };
                    text += delta;
                    words.extend_from_slice(&segment.words);
                    let words = segment.words.clone();
                    self.send(SessionEvent::Delta { utterance, text: delta.to_owned(), words });
                }
                if self.events.is_closed() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
        });
        match transcript {
            Ok(transcript) => {
                if let Ending::Failed(reason) = transcript.ending {
                    return self.send(SessionEvent::Failed { utterance, reason });
                }
                let (seconds, language) = (transcript.duration, transcript.language);
                self.send(SessionEvent::Completed { utterance, text, words, seconds, language });
            }
            Err(error) => self.send_failure(&error),
        }
    }

    fn send_failure(&mut self, error: &Error) {
        self.send(SessionEvent::Failed { utterance: self.utterance, reason: error.to_string() });
    }

    fn send(&self, event: SessionEvent) {
        // Sending fails only if the client has disconnected. The session then ends after the current command.
        let _ = self.events.blocking_send(event);
    }

    /// Waits for the next command. Returns `None` if the client has disconnected.
    fn receive(&mut self) -> Option<Command> {
        self.next_command.take().or_else(|| self.commands.blocking_recv())
    }

    /// Returns the next command if it is audio and has already arrived. Keeps any other command for
    /// [`Self::receive`].
    fn try_receive_bytes(&mut self) -> Option<Command> {
        if self.next_command.is_some() {
            return None;
        }
        match self.commands.try_recv().ok()? {
            bytes @ Command::Bytes(_) => Some(bytes),
            other => {
                self.next_command = Some(other);
                None
            }
        }
    }
}

fn text_of(words: &[Word]) -> String {
    words.iter().map(|word| word.word.as_str()).collect()
}

/// The duration of this number of samples, in seconds.
fn seconds_of(n_samples: usize) -> f64 {
    n_samples as f64 / f64::from(SAMPLE_RATE)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use amanuensis_transcribe::{EngineOptions, RawFormat, TranscribeOptions, Transcriber};
    use amanuensis_weights::fixture::write_random_model;

    use super::*;

    /// Runs a session that receives three seconds of a tone and then ends. Returns its events.
    async fn session_events(utterances: Option<UtteranceOptions>) -> Vec<SessionEvent> {
        let directory = tempfile::tempdir().unwrap();
        write_random_model(directory.path()).unwrap();
        let engine = EngineOptions { threads: 1, ..EngineOptions::default() };
        let transcriber = Arc::new(Transcriber::load(directory.path(), &engine).unwrap());
        let options = TranscribeOptions { vad: None, temperatures: vec![0.0], ..TranscribeOptions::default() };
        let settings = SessionSettings { transcriber, options, utterances, format: RawFormat::S16, rate: SAMPLE_RATE };
        let (commands, mut event_receiver) = start(settings).unwrap();
        let tone = |i: u32| (8000.0 * (f64::from(i) / 8.0).sin()) as i16;
        let bytes = (0..3 * SAMPLE_RATE).flat_map(|i| tone(i).to_le_bytes()).collect();
        commands.send(Command::Bytes(bytes)).await.unwrap();
        commands.send(Command::End).await.unwrap();
        let mut events = Vec::new();
        while let Some(event) = event_receiver.recv().await {
            events.push(event);
        }
        events
    }

    #[tokio::test]
    async fn the_last_utterance_is_transcribed_when_the_session_ends() {
        for utterances in [None, Some(UtteranceOptions::default())] {
            let events = session_events(utterances).await;
            let Some(SessionEvent::Completed { utterance: 1, seconds, .. }) = events.last() else {
                panic!("{events:?}")
            };
            assert!((2.9..3.1).contains(seconds), "{events:?}");
            assert!(events.contains(&SessionEvent::Committed { utterance: 1 }), "{events:?}");
            assert!(!events.contains(&SessionEvent::NothingToCommit), "{events:?}");
        }
    }
}
