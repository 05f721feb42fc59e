//! The output of a transcription: the events while it runs, and the transcript at the end.

use std::ops::ControlFlow;
use std::time::Instant;

use amanuensis_engine::Frames;

use crate::{Ending, Event, Language, Segment, Timings, TranscribeOptions, Transcript, WindowCheckpoint};

/// Collects the results of a transcription, and sends each result as an event.
pub(super) struct Report<'a> {
    on_event: &'a mut dyn FnMut(Event<'_>) -> ControlFlow<()>,
    segments: Vec<Segment>,
    warnings: Vec<String>,
    /// The language of the transcript: the language that was given, or the first one that was detected.
    language: Option<Language>,
    /// The duration in seconds that the file declares; `None` if it declares none.
    expected_duration: Option<f64>,
    is_cancelled: bool,
    pub(super) timings: Timings,
}

impl<'a> Report<'a> {
    /// Creates an empty report. `language` is the given language, or the only language that the model supports.
    /// `None` if the language has to be detected.
    pub(super) fn new(
        on_event: &'a mut dyn FnMut(Event<'_>) -> ControlFlow<()>,
        language: Option<Language>,
        expected_duration: Option<f64>,
    ) -> Self {
        Self {
            on_event,
            segments: Vec::new(),
            warnings: Vec::new(),
            language,
            expected_duration,
            is_cancelled: false,
            timings: Timings::default(),
        }
    }

    /// Whether the client has cancelled the transcription.
    pub(super) fn is_cancelled(&self) -> bool {
        self.is_cancelled
    }

    pub(super) fn warnings(&self) -> &[String] {
        &self.warnings
    }

    pub(super) fn warn(&mut self, warning: String) {
        self.send(Event::Warning(&warning));
        self.warnings.push(warning);
    }

    pub(super) fn detected(&mut self, language: Language, probability: f32) {
        self.language = Some(language);
        self.send(Event::Language { language, probability });
    }

    pub(super) fn progress(&mut self, done: Frames) {
        self.send(Event::Progress { done: done.seconds(), total: self.expected_duration });
    }

    /// Assigns ids to the segments of a window that was just decoded, sends the segments, and then sends the
    /// checkpoint of the window. Returns the window with these ids.
    pub(super) fn window(&mut self, mut window: WindowCheckpoint) -> WindowCheckpoint {
        for (segment, id) in window.segments.iter_mut().zip(self.segments.len()..) {
            segment.id = id;
            self.send(Event::Segment(segment));
        }
        self.send(Event::Checkpoint(&window));
        window
    }

    /// Adds the warnings and the language of a window from an earlier run, without sending events for them.
    pub(super) fn replayed(&mut self, window: &WindowCheckpoint) {
        self.warnings.extend_from_slice(&window.warnings);
        self.language = self.language.or(window.language);
    }

    /// Adds the segments of a window to the transcript.
    pub(super) fn add_segments(&mut self, segments: Vec<Segment>) {
        self.segments.extend(segments);
    }

    /// Returns the transcript. `model` is the name of the model.
    pub(super) fn into_transcript(
        self,
        model: &str,
        options: &TranscribeOptions,
        duration: f64,
        ending: Ending,
    ) -> Transcript {
        Transcript {
            task: options.task,
            language: self.language,
            duration,
            segments: self.segments,
            model: model.to_owned(),
            timings: self.timings,
            warnings: self.warnings,
            ending,
        }
    }

    fn send(&mut self, event: Event<'_>) {
        self.is_cancelled |= (self.on_event)(event).is_break();
    }
}

/// Runs `work` and returns its result. Adds the time in seconds that `work` took to `total_s`.
pub(super) fn timed<T>(total_s: &mut f64, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    *total_s += start.elapsed().as_secs_f64();
    result
}
