//! Transcribes a recording of any length, window by window.
//!
//! The loop is: next window -> decode -> check -> make segments -> decode uncovered speech again -> commit. With
//! [`Strategy::Sequential`], the algorithm of `openai-whisper` (Radford et al., arXiv 2212.04356, section 3.8), a
//! window begins at the last timestamp of the one before. With [`Strategy::Batched`], windows do not depend on one
//! another, so several are decoded at once.
//!
//! A committed window becomes a [`WindowCheckpoint`]. Replaying checkpoints restores the state after the last of
//! them, so a resumed transcription continues exactly as an uninterrupted transcription would.

mod input;
mod report;
mod state;
mod window_transcriber;

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::time::Instant;

use amanuensis_audio::LogMel;
use amanuensis_engine::{Frames, SileroVad};

use crate::decoding::WindowDecoder;
use crate::model::Model;
use crate::sample_buffer::SampleSource;
use crate::windowing::WindowSpan;
use crate::{Ending, Error, Event, Strategy, TranscribeOptions, Transcript, WindowCheckpoint};
use input::{Input, MIN_WINDOW};
use report::Report;
use state::State;
use window_transcriber::{PendingWindow, WindowTranscriber};

/// The number of windows that are submitted in addition to those that are being decoded. Because of these windows,
/// the decoder does not have to wait until the spectrogram of the next window is computed.
const WINDOWS_AHEAD: usize = 2;

/// The components that a pipeline uses to transcribe a recording.
pub(crate) struct Parts<'a, M, D> {
    pub(crate) model: &'a M,
    pub(crate) model_name: &'a str,
    pub(crate) decoder: &'a D,
    pub(crate) vad: Option<&'a SileroVad>,
    pub(crate) mel: LogMel,
}

/// The transcription of one recording.
pub(crate) struct Pipeline<'a, M, D, S> {
    options: &'a TranscribeOptions,
    model_name: &'a str,
    input: Input<'a, S>,
    windows: WindowTranscriber<'a, M, D>,
    state: State,
    report: Report<'a>,
}

impl<'a, M: Model, D: WindowDecoder, S: SampleSource> Pipeline<'a, M, D, S> {
    pub(crate) fn new(
        parts: Parts<'a, M, D>,
        source: S,
        options: &'a TranscribeOptions,
        on_event: &'a mut dyn FnMut(Event<'_>) -> ControlFlow<()>,
    ) -> Self {
        let Parts { model, model_name, decoder, vad, mel } = parts;
        let vad = vad.filter(|_| options.vad.is_some());
        let state = State::new(model, options);
        let report = Report::new(on_event, state.language(), source.expected_duration());
        Self {
            options,
            model_name,
            input: Input::new(source, vad, options, model.n_frames()),
            windows: WindowTranscriber::new((model, decoder), model_name, mel, options, vad.is_some()),
            state,
            report,
        }
    }

    /// Transcribes the part of the recording after `checkpoints`, or the whole recording if there are none. Stops
    /// when the recording ends, the client cancels, or a window fails.
    pub(crate) fn run(mut self, checkpoints: Vec<WindowCheckpoint>) -> Result<Transcript, Error> {
        let start = Instant::now();
        if self.state.prompt().is_truncated() {
            let warning = "hot words and initial prompt are longer than the model's context; a part is left out";
            self.report.warn(warning.to_owned());
        }
        self.replay(checkpoints)?;
        let ending = self.transcribe()?;
        self.warn_about_recording();
        let duration = self.duration(&ending);
        self.report.timings.total = start.elapsed().as_secs_f64();
        Ok(self.report.into_transcript(self.model_name, self.options, duration, ending))
    }

    /// Restores the state after the windows of an earlier run. The recording is read and divided into windows as in
    /// the earlier run, but the windows are not decoded.
    fn replay(&mut self, checkpoints: Vec<WindowCheckpoint>) -> Result<(), Error> {
        for checkpoint in checkpoints {
            if self.report.is_cancelled() {
                break;
            }
            let window = self.input.next_window(&mut self.report.timings)?.ok_or(Error::CannotResume)?;
            if !self.matches(&checkpoint, &window) {
                return Err(Error::CannotResume);
            }
            self.report.replayed(&checkpoint);
            self.advance(checkpoint);
            self.report.progress(self.state.position());
        }
        Ok(())
    }

    /// Whether a checkpoint of an earlier run can belong to `window`. If not, the recording or the options have
    /// changed.
    fn matches(&self, checkpoint: &WindowCheckpoint, window: &WindowSpan) -> bool {
        let (start, end) = (window.frames.start.0, window.frames.end.0);
        let has_possible_end = match self.options.strategy {
            Strategy::Batched => checkpoint.end == end,
            Strategy::Sequential => (start + 1..=end).contains(&checkpoint.end),
        };
        checkpoint.start == start && has_possible_end
    }

    /// Transcribes the rest of the recording, and returns why the transcription ended.
    fn transcribe(&mut self) -> Result<Ending, Error> {
        if self.report.is_cancelled() {
            return Ok(Ending::Cancelled);
        }
        let mut pending = VecDeque::new();
        loop {
            self.submit_windows(&mut pending)?;
            let Some(window) = pending.pop_front() else { return Ok(self.ending_of_input()) };
            self.report.progress(self.state.position());
            if self.report.is_cancelled() {
                return Ok(Ending::Cancelled);
            }
            match self.windows.finish(window, &self.state, &mut self.report) {
                Ok(checkpoint) => self.commit(checkpoint),
                Err(error) if self.state.position() == Frames::ZERO => return Err(error),
                Err(error) => return Ok(Ending::Failed(error.to_string())),
            }
        }
    }

    /// Submits windows for decoding until the maximum number is pending or the recording ends.
    fn submit_windows(&mut self, pending: &mut VecDeque<PendingWindow<D::Ticket>>) -> Result<(), Error> {
        while pending.len() < self.max_pending() {
            let Some(window) = self.input.next_window(&mut self.report.timings)? else { break };
            let samples = self.input.samples(&window);
            pending.push_back(self.windows.submit(window, samples, &self.state, &mut self.report)?);
        }
        Ok(())
    }

    /// The maximum number of pending windows (submitted, but not finished). It is 1 while each window depends on the
    /// previous one. In sequential mode this is always so; in batched mode, until the language is known and the
    /// prefix was used.
    fn max_pending(&self) -> usize {
        let needs_language = self.state.language().is_none() && !self.options.multilingual;
        match self.options.strategy {
            Strategy::Batched if !needs_language && self.state.prefix().is_empty() => {
                self.windows.slots() + WINDOWS_AHEAD
            }
            _ => 1,
        }
    }

    /// Sends the segments and the checkpoint of a decoded window to the callback, and updates the state.
    fn commit(&mut self, window: WindowCheckpoint) {
        let window = self.report.window(window);
        self.advance(window);
    }

    /// Updates the state after a window, which was decoded just now or in an earlier run.
    fn advance(&mut self, window: WindowCheckpoint) {
        self.state.advance(&window);
        self.input.advance_to(self.state.position());
        self.report.add_segments(window.segments);
    }

    /// How the transcription ended, if there are no more windows: complete, or failed because the recording could not
    /// be read to its end.
    fn ending_of_input(&self) -> Ending {
        match self.input.recording().failure() {
            Some(error) => Ending::Failed(error.to_string()),
            None => Ending::Complete,
        }
    }

    /// The number of seconds of the recording that were transcribed when the transcription ended with `ending`.
    fn duration(&self, ending: &Ending) -> f64 {
        let recording = self.input.recording();
        match ending {
            Ending::Complete => recording.read().seconds(),
            // If reading the recording failed, everything that was read before the failure is transcribed.
            Ending::Failed(_) if recording.failure().is_some() => recording.read().seconds(),
            Ending::Failed(_) | Ending::Cancelled => self.state.position().seconds(),
        }
    }

    fn warn_about_recording(&mut self) {
        let recording = self.input.recording();
        let duration_s = recording.read().seconds();
        let mut warnings = recording.source().warnings();
        if duration_s < MIN_WINDOW.seconds() {
            warnings.push(format!("the recording is too short for speech ({:.0} ms)", 1000.0 * duration_s));
        }
        if recording.is_at_end() && self.options.clips.iter().any(|clip| clip.start >= duration_s) {
            warnings.push("a clip begins after the end of the recording".to_owned());
        }
        for warning in warnings {
            self.report.warn(warning);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
