//! Transcribes one window: build the request, wait for the hypothesis, check it, and make segments. Then each gap
//! (speech that no segment covers) is decoded again.

use amanuensis_audio::LogMel;
use amanuensis_engine::units::length;
use amanuensis_engine::{EncoderOutput, Frames};

use super::report::{Report, timed};
use super::state::State;
use crate::decoding::{DecodeCheck, DecodedWindow, RequestBuilder, WindowDecoder, WindowInput};
use crate::model::Model;
use crate::segments::{SegmentBuilder, Span, SpanWords, TimestampSplit, remove_repetition, split_at_timestamps};
use crate::windowing::{WindowSpan, untranscribed_gaps};
use crate::words::SilenceMap;
use crate::{Error, Language, Segment, Strategy, TranscribeOptions, WindowCheckpoint};

/// If a window was sampled at a higher temperature than this, the text before the window is removed from the prompt
/// of later windows, because this text may have misled the model.
const MAX_PROMPT_TEMPERATURE: f32 = 0.5;

/// The maximum number of times that any part of the recording is decoded: first as part of a window, then as a gap
/// (speech that no segment covers) in that window, then as a gap within that gap.
const MAX_PASSES: usize = 3;

/// A window that was submitted to the decoder.
pub(super) struct PendingWindow<T> {
    ticket: T,
    span: WindowSpan,
    /// The samples of the window. They are kept because parts of the window may have to be decoded again.
    samples: Vec<f32>,
    /// The silences of the window, which are needed for word timestamps; `None` without word timestamps.
    silence_map: Option<SilenceMap>,
}

/// Decodes the windows of one recording.
pub(super) struct WindowTranscriber<'a, M, D> {
    model: &'a M,
    decoder: &'a D,
    model_name: &'a str,
    options: &'a TranscribeOptions,
    requests: RequestBuilder,
    mel: LogMel,
    /// Whether a voice activity detector is used. Without one, the whole recording counts as speech, and no part is
    /// decoded again.
    uses_vad: bool,
}

impl<'a, M: Model, D: WindowDecoder> WindowTranscriber<'a, M, D> {
    pub(super) fn new(
        (model, decoder): (&'a M, &'a D),
        model_name: &'a str,
        mel: LogMel,
        options: &'a TranscribeOptions,
        uses_vad: bool,
    ) -> Self {
        Self { model, decoder, model_name, options, requests: RequestBuilder::new(options), mel, uses_vad }
    }

    /// For tests without a voice activity detector: treats the whole recording as speech that a detector found, so
    /// that speech without a segment is decoded again.
    #[cfg(test)]
    pub(super) fn set_uses_vad(&mut self) {
        self.uses_vad = true;
    }

    /// The number of windows that may be decoded at the same time.
    pub(super) fn slots(&self) -> usize {
        self.decoder.slots()
    }

    /// Submits a window, or a part of a window, for decoding.
    pub(super) fn submit(
        &mut self,
        span: WindowSpan,
        samples: Vec<f32>,
        state: &State,
        report: &mut Report<'_>,
    ) -> Result<PendingWindow<D::Ticket>, Error> {
        let content_frames = span.length();
        let n_mels = self.mel.n_mels();
        let mut mel = Vec::new();
        timed(&mut report.timings.mel, || self.mel.window(&samples, &mut mel))?;
        mel.truncate(self.model.window_frames(content_frames).0 * n_mels);
        let start = span.frames.start;
        let silence_map = self.options.word_timestamps.then(|| SilenceMap::new(start, content_frames, &mel, n_mels));
        let request = self.requests.build(WindowInput {
            mel,
            content_frames,
            cost_s: content_frames.seconds(),
            seed: start.0 as u64,
            language: state.language().filter(|_| !self.options.multilingual),
            prompt: state.prompt(),
            prefix: state.prefix().to_vec(),
            // The hypothesis contains the prefix even if nobody says it, so the length of the hypothesis must not be
            // compared with the amount of speech.
            speech_s: (self.uses_vad && state.prefix().is_empty()).then(|| span.speech_s()),
        });
        Ok(PendingWindow { ticket: self.decoder.submit(request), span, samples, silence_map })
    }

    /// Waits for the hypothesis of a window and makes segments from it. Decodes gaps (speech that no segment covers)
    /// again.
    pub(super) fn finish(
        &mut self,
        window: PendingWindow<D::Ticket>,
        state: &State,
        report: &mut Report<'_>,
    ) -> Result<WindowCheckpoint, Error> {
        let (start, n_warnings) = (window.span.frames.start, report.warnings().len());
        let mut found = WindowCheckpoint {
            start: start.0,
            end: start.0,
            segments: Vec::new(),
            language: None,
            resets_prompt: false,
            warnings: Vec::new(),
        };
        let advance = self.pass(window, MAX_PASSES, state, &mut found, report)?;
        found.end = (start + advance).0;
        found.segments.sort_by(|a, b| a.start.total_cmp(&b.start));
        found.warnings = report.warnings()[n_warnings..].to_vec();
        Ok(found)
    }

    /// Waits for the hypothesis of a window or gap (speech that no segment covered), adds its segments to `found`,
    /// and decodes the gaps that remain. Returns the distance from the start of this window to the start of the next
    /// one.
    fn pass(
        &mut self,
        window: PendingWindow<D::Ticket>,
        passes_left: usize,
        state: &State,
        found: &mut WindowCheckpoint,
        report: &mut Report<'_>,
    ) -> Result<Frames, Error> {
        let PendingWindow { ticket, span, samples, silence_map } = window;
        let mut decoded = self.decode(ticket, report)?;
        // In a gap (speech that no segment covers), the model found no text when the whole window was decoded. So if
        // the new text is improbable, it is most likely invented.
        let is_gap = passes_left < MAX_PASSES;
        if decoded.check.is_silent || (is_gap && decoded.check.is_improbable) {
            return Ok(span.length());
        }
        self.remove_invented_text(&mut decoded.check, &span, report);
        let has_text = self.has_text(&decoded.check, state);
        // If the window has no text, the detected language is meaningless and is ignored. The language is then
        // detected in the next window.
        decoded.detected = decoded.detected.filter(|_| has_text);
        record_language_and_prompt(&decoded, state, found, report);

        let (mut spans, advance) = self.split(&decoded.check, span.length());
        spans.retain(|_| has_text);
        let segments = self.segments(spans, decoded, (span.frames.start, silence_map), &state.within(found), report)?;
        let gaps = if passes_left > 1 { self.gaps(&span, advance, &segments) } else { Vec::new() };
        found.segments.extend(segments);
        for gap in gaps {
            self.fill_gap(gap, (&span, &samples), passes_left - 1, state, found, report)?;
        }
        Ok(advance)
    }

    /// Waits for the hypothesis of a window, and adds the run times of encoder and decoder to the timings.
    fn decode(&self, ticket: D::Ticket, report: &mut Report<'_>) -> Result<DecodedWindow, Error> {
        let decoded = self.decoder.wait(ticket).map_err(|failure| failure.into_error(self.model_name))?;
        report.timings.encode += decoded.encode_s;
        report.timings.decode += decoded.decode_s;
        Ok(decoded)
    }

    /// Removes text that was certainly not spoken and that temperature fallback did not prevent. If a phrase is
    /// repeated over and over, only its first occurrence stays. If the text is too long for the speech in the window,
    /// the whole text is removed.
    fn remove_invented_text(&self, check: &mut DecodeCheck, span: &WindowSpan, report: &mut Report<'_>) {
        let describe = |removed: &[u32]| {
            let text: String = self.model.text(removed).trim().chars().take(60).collect();
            let [start, end] = [span.frames.start, span.frames.end].map(Frames::seconds);
            format!("between {start:.1} and {end:.1} s ({text:?})")
        };
        let tokens = &mut check.result.tokens;
        if check.is_repetitive {
            let removed = remove_repetition(tokens, |token| self.model.timestamp(token).is_some());
            check.is_repetitive = !removed.is_empty();
            if check.is_repetitive {
                report.warn(format!("left out repeated text {}", describe(&removed)));
            }
        } else if check.is_too_long {
            report.warn(format!("left out more text than can be spoken in that time {}", describe(tokens)));
            tokens.clear();
        }
    }

    /// Whether the hypothesis has text in addition to the given prefix.
    fn has_text(&self, check: &DecodeCheck, state: &State) -> bool {
        let text = self.model.text(&check.result.tokens);
        !text.trim().is_empty() && text.trim() != self.model.text(state.prefix()).trim()
    }

    /// The spans (tokens with start and end) that become segments, and the distance from the start of this window to
    /// the start of the next one.
    fn split(&self, check: &DecodeCheck, window: Frames) -> (Vec<Span>, Frames) {
        let timestamp = |token| self.model.timestamp_frame(token);
        let TimestampSplit { mut spans, unfinished, advance } =
            split_at_timestamps(&check.result.tokens, window, timestamp);
        match self.options.strategy {
            // In batched mode the next window was already submitted. It begins at the end of this window or later.
            Strategy::Batched => {
                spans.extend(unfinished);
                (spans, window)
            }
            Strategy::Sequential => (spans, advance),
        }
    }

    /// Makes the segments of a window that begins at `start`. The segments have word timestamps if there is a
    /// `silence_map`, which holds the silences of the window.
    fn segments(
        &self,
        mut spans: Vec<Span>,
        decoded: DecodedWindow,
        (start, silence_map): (Frames, Option<SilenceMap>),
        state: &State,
        report: &mut Report<'_>,
    ) -> Result<Vec<Segment>, Error> {
        let DecodedWindow { check, encoder_output, detected, .. } = decoded;
        let language = detected.map(|(language, _)| language).filter(|_| self.options.multilingual);
        let builder = SegmentBuilder { model: self.model, check: &check, window_start: start, language };
        spans.retain(|span| builder.has_content(span));
        let words = match silence_map.zip(encoder_output) {
            Some(alignment_input) if !spans.is_empty() => {
                self.align(&builder, &mut spans, &alignment_input, state, report)?
            }
            _ => Vec::new(),
        };
        Ok(builder.build(&spans, words))
    }

    /// Returns the words of each span. Moves the start of each span to the start of the first word, and the end to
    /// the end of the last word.
    fn align(
        &self,
        builder: &SegmentBuilder<'_, M>,
        spans: &mut [Span],
        (silence_map, encoder_output): &(SilenceMap, EncoderOutput),
        state: &State,
        report: &mut Report<'_>,
    ) -> Result<Vec<SpanWords>, Error> {
        let language = builder.language.or(state.language()).unwrap_or(Language::ENGLISH);
        let earliest = state.last_segment_end().max(builder.window_start);
        let texts: Vec<_> = spans.iter().map(|span| (span.start..span.end, builder.tokens(span))).collect();
        let aligned = timed(&mut report.timings.decode, || {
            self.model.words(encoder_output, (language, self.options.task), &texts, silence_map, earliest)
        })?;
        let words = spans.iter_mut().zip(aligned).map(|(span, aligned)| {
            (span.start, span.end) = (aligned.span.start, aligned.span.end);
            (aligned.words, aligned.logprobs)
        });
        Ok(words.collect())
    }

    /// The gaps of a window: speech that no segment covers, which is decoded again. If the window has no segments at
    /// all, the result is empty, because the model treated the whole window as silence. It is also empty without a
    /// voice activity detector.
    fn gaps(&self, span: &WindowSpan, advance: Frames, segments: &[Segment]) -> Vec<WindowSpan> {
        if !self.uses_vad || segments.is_empty() {
            return Vec::new();
        }
        let times = segments.iter().map(|segment| Frames::nearest(segment.start)..Frames::nearest(segment.end));
        untranscribed_gaps(span, advance, times).into_iter().map(|gap| span.part(gap)).collect()
    }

    /// Decodes a gap (speech that no segment covers) as a window of its own, and adds its segments to `found`.
    fn fill_gap(
        &mut self,
        gap: WindowSpan,
        (span, samples): (&WindowSpan, &[f32]),
        passes_left: usize,
        state: &State,
        found: &mut WindowCheckpoint,
        report: &mut Report<'_>,
    ) -> Result<(), Error> {
        let offset = (gap.frames.start - span.frames.start).samples().0;
        let samples = samples[offset..][..length(&gap.frames).samples().0].to_vec();
        let state_in_window = state.within(found);
        let window = self.submit(gap, samples, &state_in_window, report)?;
        if let Err(error) = self.pass(window, passes_left, &state_in_window, found, report) {
            // This error is only a warning: the segments that are already in `found` are kept.
            report.warn(format!("a part of the recording could not be decoded again: {error}"));
        }
        Ok(())
    }
}

/// Stores in `found` what affects later windows: the detected language, and whether to remove the previous text from
/// the prompt.
fn record_language_and_prompt(
    decoded: &DecodedWindow,
    state: &State,
    found: &mut WindowCheckpoint,
    report: &mut Report<'_>,
) {
    if let Some((language, probability)) = decoded.detected
        && state.language().or(found.language).is_none()
    {
        found.language = Some(language);
        report.detected(language, probability);
    }
    let DecodeCheck { is_repetitive, result, .. } = &decoded.check;
    found.resets_prompt |= *is_repetitive || result.temperature > MAX_PROMPT_TEMPERATURE;
}
