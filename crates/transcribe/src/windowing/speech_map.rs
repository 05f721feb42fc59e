//! Stores which chunks are speech, for the part of a recording that is not divided into windows yet. A chunk is 32 ms
//! of audio.
//!
//! Plain indices count the chunks from [`SpeechMap::first`] on. [`Chunks`] and [`Frames`] count from the beginning of
//! the recording.

use std::ops::Range;

use amanuensis_engine::{Chunks, Frames};

use super::runs::{invert_short_runs, runs};
use super::span::WindowSpan;
use crate::vad::{Hysteresis, VadOptions};

/// A silence between two windows is also transcribed if it is at most this long, because it may contain speech that
/// the detector missed.
pub(super) const MAX_TRANSCRIBED_PAUSE: Chunks = Chunks::within(1.0);

/// The speech map: stores the speech probabilities of chunks, and computes from these probabilities which chunks are
/// speech.
pub(super) struct SpeechMap {
    options: VadOptions,
    /// The position in the recording of the chunk that the first element of `probabilities` belongs to.
    first: Chunks,
    probabilities: Vec<f32>,
    /// The parts of the recording to transcribe; empty means the whole recording.
    clips: Vec<Range<Frames>>,
    is_complete: bool,
}

impl SpeechMap {
    /// Creates an empty map. `clips` are the parts of the recording to transcribe, in seconds; empty means the whole
    /// recording.
    pub(super) fn new(options: VadOptions, clips: &[Range<f64>]) -> Self {
        let clips = clips.iter().map(|clip| Frames::nearest(clip.start)..Frames::nearest(clip.end)).collect();
        Self { options, first: Chunks::ZERO, probabilities: Vec::new(), clips, is_complete: false }
    }

    /// Appends the speech probabilities of the next chunks.
    pub(super) fn push(&mut self, probabilities: &[f32]) {
        self.probabilities.extend_from_slice(probabilities);
    }

    /// Tells the map that the recording has ended.
    pub(super) fn finish(&mut self) {
        self.is_complete = true;
    }

    /// Whether all chunks up to the end of the recording were appended.
    pub(super) fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Whether only parts of the recording are transcribed.
    pub(super) fn has_clips(&self) -> bool {
        !self.clips.is_empty()
    }

    /// The position in the recording of the first chunk that the map still holds.
    pub(super) fn first(&self) -> Chunks {
        self.first
    }

    /// The position in the recording of the first frame that the map still holds.
    pub(super) fn start(&self) -> Frames {
        frame_of(self.first)
    }

    pub(super) fn probabilities(&self) -> &[f32] {
        &self.probabilities
    }

    /// For each chunk, whether it is speech or lies within the padding around speech. Chunks outside of all clips
    /// (the parts of the recording to transcribe) count as silence.
    pub(super) fn padded_speech(&self) -> Vec<bool> {
        let speech = self.speech();
        let padding = Chunks::within(self.options.padding).0;
        let mut padded = vec![false; speech.len()];
        for run in runs(&speech).filter(|run| speech[run.start]) {
            let end = (run.end + padding).min(padded.len());
            padded[run.start.saturating_sub(padding)..end].fill(true);
        }
        if self.has_clips() {
            for (index, is_speech) in padded.iter_mut().enumerate() {
                *is_speech &= self.clip_at(index).is_some();
            }
        }
        padded
    }

    /// For each chunk, whether it is speech, without padding.
    fn speech(&self) -> Vec<bool> {
        let VadOptions { threshold, min_speech, min_silence, .. } = self.options;
        let mut speech = Hysteresis::new(threshold).speech_chunks(&self.probabilities);
        invert_short_runs(&mut speech, false, Chunks::within(min_silence));
        invert_short_runs(&mut speech, true, Chunks::within(min_speech));
        speech
    }

    /// The number of chunks at the end of the map that may still change between speech and silence when later chunks
    /// arrive.
    pub(super) fn margin(&self) -> usize {
        let VadOptions { padding, min_silence, min_speech, .. } = self.options;
        Chunks::within(padding + min_silence.max(min_speech)).0 + 1
    }

    /// The window from chunk `start` up to chunk `end`. If clips (the parts of the recording to transcribe) were
    /// given, the window is limited to its clip.
    pub(super) fn span(&self, start: usize, end: usize) -> WindowSpan {
        let frames_of = |chunks: Range<usize>| self.frame(chunks.start)..self.frame(chunks.end);
        let frames = match self.clip_at(start) {
            Some(clip) => self.frame(start).max(clip.start)..self.frame(end).min(clip.end),
            None => frames_of(start..end),
        };
        let speech = &self.speech()[start..end];
        let runs = runs(speech).filter(|run| speech[run.start]);
        WindowSpan { frames, speech: runs.map(|run| frames_of(start + run.start..start + run.end)).collect() }
    }

    /// The clip (part of the recording to transcribe) that overlaps the chunk with this index. `None` if no clip
    /// overlaps it.
    fn clip_at(&self, index: usize) -> Option<&Range<Frames>> {
        let (start, end) = (self.frame(index), self.frame(index + 1));
        self.clips.iter().find(|clip| clip.start < end && start < clip.end)
    }

    /// The index after the last chunk of the clip (part of the recording to transcribe) that overlaps the chunk with
    /// this index. If no clip overlaps the chunk, an index larger than that of any chunk.
    pub(super) fn clip_end(&self, index: usize) -> usize {
        let end = self.clip_at(index).map_or(Chunks(usize::MAX), |clip| clip.end.samples().chunks_rounded_up());
        end.saturating_sub(self.first).0.max(index + 1)
    }

    /// Drops chunks from the start of a map that contains only silence. Chunks at the end are kept if they may still
    /// become speech, or if they are part of a pause that may be transcribed.
    pub(super) fn drop_silence(&mut self) {
        let kept = if self.is_complete { 0 } else { self.margin() } + MAX_TRANSCRIBED_PAUSE.0;
        self.drop_chunks(self.probabilities.len().saturating_sub(kept));
        // The map may now begin in the middle of a sound that is too short to be speech. Short runs at the edge of
        // the map are not inverted, so this sound would count as speech. Setting its probability to zero prevents
        // that.
        let threshold = self.options.threshold;
        let sound = self.probabilities.iter_mut().take_while(|probability| **probability >= threshold);
        sound.for_each(|probability| *probability = 0.0);
    }

    /// Drops the first `count` chunks, or all chunks if there are fewer.
    pub(super) fn drop_chunks(&mut self, count: usize) {
        let count = count.min(self.probabilities.len());
        self.probabilities.drain(..count);
        self.first += Chunks(count);
    }

    /// The first frame of the chunk with this index.
    fn frame(&self, index: usize) -> Frames {
        frame_of(self.first + Chunks(index))
    }
}

/// The frame in which `chunk` begins.
pub(super) fn frame_of(chunk: Chunks) -> Frames {
    chunk.samples().whole_frames()
}
