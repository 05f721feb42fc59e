//! Where windows begin and end: around speech, from pause to pause.
//!
//! Speech is what is probable enough, with some time around it, where voices rise and fade. A window goes on over short
//! pauses, ends before long ones, which are not read at all, and where there is none in time it is cut where speech is
//! least probable.

use std::ops::Range;

use amanuensis_audio::{HOP_LENGTH, SAMPLE_RATE};
use amanuensis_engine::SileroVad;
use amanuensis_engine::units::SAMPLES_PER_CHUNK;

use crate::sample_buffer::frames_of;
use crate::vad::{Hysteresis, VadOptions};

/// How windows are cut out of speech, in chunks.
#[derive(Debug, Clone)]
struct Cutting {
    /// Silence that ends a window.
    long_pause: usize,
    /// A window that has to be cut is so at the least probable speech between these.
    places: Range<usize>,
}

impl Cutting {
    /// Few windows. Some silence is left at their end: of a window that is full to the brim, a model keeps back a sentence
    /// that may go on.
    const LONG: Self = Self { long_pause: chunks_of(5.0), places: chunks_of(20.0)..chunks_of(28.0) };
    /// Windows in which one person speaks, as far as pauses tell.
    const TURNS: Self = Self { long_pause: chunks_of(0.1), places: chunks_of(8.0)..chunks_of(16.0) };
}

/// Silence that is read between two windows.
const SHORT_PAUSE: usize = chunks_of(1.0);
/// Chunks on both sides that a place to cut at is judged by: less would be the closure of a stop consonant.
const AROUND: usize = 5;

/// Voiced frames without a text that are read again: shorter ones are sighs, or times that are not exact.
const GAP: usize = 100;

const fn chunks_of(seconds: f64) -> usize {
    (seconds * SAMPLE_RATE as f64 / SAMPLES_PER_CHUNK as f64) as usize
}

/// A stretch of a recording to be read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Planned {
    /// Frames of 10 ms from the beginning of the recording.
    pub(crate) frames: Range<usize>,
    /// Where in it somebody speaks, in order, in frames of the recording; not beyond it by more than a part of a chunk.
    pub(crate) voiced: Vec<Range<usize>>,
}

/// How much of a stretch is voiced, in frames.
pub(crate) fn voiced_frames(voiced: &[Range<usize>], stretch: &Range<usize>) -> usize {
    voiced.iter().map(|run| run.end.min(stretch.end).saturating_sub(run.start.max(stretch.start))).sum()
}

/// Parts of a window in which somebody speaks for longer than [`GAP`] while nothing of it was written down. `written` are
/// the times of its segments, in order; all are frames of the recording.
pub(crate) fn gaps(
    written: impl Iterator<Item = Range<usize>>,
    voiced: &[Range<usize>],
    window: Range<usize>,
) -> Vec<Range<usize>> {
    let mut begin = window.start;
    let mut found = Vec::new();
    for segment in written.chain(std::iter::once(window.end..window.end)) {
        found.push(begin..segment.start.clamp(begin, window.end));
        begin = begin.max(segment.end.min(window.end));
    }
    found.retain(|gap| voiced_frames(voiced, gap) >= GAP);
    found
}

/// The speech of a recording, as far as it is known.
pub(crate) struct Planner {
    options: VadOptions,
    /// The most frames of a window, and the whole chunks in it.
    n_frames: usize,
    longest: usize,
    /// The first chunk that no window has, and how probable speech is from there on.
    first: usize,
    /// The chunk at which the window before ended.
    read: usize,
    probabilities: Vec<f32>,
    /// What is to be read at all, in frames; everything where there is none.
    clips: Vec<Range<usize>>,
    cutting: Cutting,
    ended: bool,
}

impl Planner {
    /// For windows of up to `n_frames` frames, within `clips`, in seconds, if there are any.
    pub(crate) fn new(options: VadOptions, n_frames: usize, clips: &[Range<f64>]) -> Self {
        let longest = n_frames * HOP_LENGTH / SAMPLES_PER_CHUNK;
        let clips = clips.iter().map(|clip| frames_of(clip.start)..frames_of(clip.end)).collect();
        Self {
            options,
            n_frames,
            longest,
            first: 0,
            read: 0,
            probabilities: Vec::new(),
            clips,
            cutting: Cutting::LONG,
            ended: false,
        }
    }

    /// With windows that are shorter, and end where somebody else may begin to speak.
    pub(crate) fn by_turns(self) -> Self {
        Self { cutting: Cutting::TURNS, ..self }
    }

    /// Takes how probable speech is in the chunks that follow.
    pub(crate) fn push(&mut self, probabilities: &[f32]) {
        self.probabilities.extend_from_slice(probabilities);
    }

    /// There is nothing more to come.
    pub(crate) fn finish(&mut self) {
        self.ended = true;
    }

    /// The next window, once enough is known; none at all when everything was read that ends.
    pub(crate) fn next_window(&mut self) -> Option<Planned> {
        let speech = self.speech();
        let start = speech.iter().position(|is_speech| *is_speech);
        // A short pause between two windows is read too: it may hold what is hardly heard.
        let pause = |start: usize| (self.first + start).saturating_sub(self.read);
        let start = start.map(|start| match pause(start) {
            pause if pause <= SHORT_PAUSE && self.clips.is_empty() => start - pause.min(start),
            _ => start,
        });
        let Some(start) = start else {
            self.drop_silence();
            return None;
        };
        let end = self.end(&speech, start)?;
        let stretch = self.stretch(start, end);
        self.drop_first(end);
        self.read = self.first;
        Some(stretch)
    }

    /// The next window that begins at or after a frame: at the first speech there, and to the end of the last that it has
    /// room for. None until that is known.
    pub(crate) fn window_from(&mut self, frame: usize) -> Option<Planned> {
        self.drop_first((frame * HOP_LENGTH / SAMPLES_PER_CHUNK).saturating_sub(self.first));
        let speech = self.speech();
        let Some(start) = speech.iter().position(|is_speech| *is_speech) else {
            self.drop_silence();
            return None;
        };
        // A window begins where it was asked to, also within a chunk, and may end within another.
        let room = start + self.longest + 2;
        if !self.ended && speech.len() < room + self.margin() {
            return None;
        }
        let most = speech.len().min(room).min(self.clip_end(start));
        let within = &speech[..long_pause(&speech[..most], start, self.cutting.long_pause).unwrap_or(most)];
        let end = within.iter().rposition(|is_speech| *is_speech).map_or(start, |last| last + 1);
        let stretch = self.stretch(start, end);
        let first = stretch.frames.start.max(frame);
        let frames = first..stretch.frames.end.clamp(first + 1, first + self.n_frames);
        Some(Planned { frames, ..stretch })
    }

    /// The frame up to which nothing is left to be read.
    pub(crate) fn done(&self) -> usize {
        frame_of(self.first)
    }

    fn stretch(&self, start: usize, end: usize) -> Planned {
        let frames_of = |chunks: Range<usize>| frame_of(self.first + chunks.start)..frame_of(self.first + chunks.end);
        let clip = self.clip_at(start).map_or(0..usize::MAX, Clone::clone);
        let voiced = &self.voiced()[start..end];
        let runs = runs(voiced).filter(|run| voiced[run.start]);
        Planned {
            frames: frames_of(start..end).start.max(clip.start)..frames_of(start..end).end.min(clip.end),
            voiced: runs.map(|run| frames_of(start + run.start..start + run.end)).collect(),
        }
    }

    /// The clip that a chunk is part of, from [`Self::first`] on.
    fn clip_at(&self, chunk: usize) -> Option<&Range<usize>> {
        let frames = frame_of(self.first + chunk)..frame_of(self.first + chunk + 1);
        self.clips.iter().find(|clip| clip.start < frames.end && frames.start < clip.end)
    }

    /// The chunk in which the clip that `chunk` is part of ends, or would.
    fn clip_end(&self, chunk: usize) -> usize {
        let end = self
            .clip_at(chunk)
            .map_or(usize::MAX, |clip| clip.end.saturating_mul(HOP_LENGTH).div_ceil(SAMPLES_PER_CHUNK));
        end.saturating_sub(self.first).max(chunk + 1)
    }

    /// Chunks at the end of which nothing is certain yet.
    fn margin(&self) -> usize {
        chunks_of(self.options.padding + self.options.min_silence.max(self.options.min_speech)) + 1
    }

    /// Where the window that begins at `start` ends, if that can be told already.
    fn end(&self, speech: &[bool], start: usize) -> Option<usize> {
        let certain = if self.ended { speech.len() } else { speech.len().saturating_sub(self.margin()) };
        // A clip ends like a recording.
        let clip_end = self.clip_end(start);
        let is_end = self.ended || clip_end <= certain;
        let (certain, speech) = (certain.min(clip_end), &speech[..speech.len().min(clip_end)]);
        let last_speech = |end: usize| speech[..end].iter().rposition(|is_speech| *is_speech).map_or(end, |at| at + 1);
        if let Some(pause) =
            long_pause(&speech[..certain.clamp(start, start + self.longest)], start, self.cutting.long_pause)
        {
            return Some(last_speech(pause));
        }
        if is_end && last_speech(speech.len()) <= start + self.most_at_end() {
            return Some(last_speech(speech.len()));
        }
        (certain > start + self.most_at_end()).then(|| self.cut(start))
    }

    /// Chunks that are left in one window where nothing follows.
    fn most_at_end(&self) -> usize {
        self.longest.min(self.cutting.places.end + chunks_of(2.0))
    }

    /// The chunk at which to cut a window that begins at `start`: where speech is least probable, the later of equals.
    fn cut(&self, start: usize) -> usize {
        let around = |at: usize| {
            let near = &self.probabilities[at - AROUND..(at + AROUND).min(self.probabilities.len())];
            near.iter().sum::<f32>() / near.len() as f32
        };
        let Range { start: earliest, end: latest } = self.cutting.places;
        let places = start + earliest.min(self.longest / 2)..start + latest.min(self.longest);
        let least = places.clone().rev().min_by(|a, b| around(*a).total_cmp(&around(*b)));
        least.unwrap_or(places.end)
    }

    /// Whether each chunk is voiced, from [`Self::first`] on.
    fn voiced(&self) -> Vec<bool> {
        let VadOptions { threshold, min_speech, min_silence, .. } = self.options;
        let mut voiced = Hysteresis::new(threshold).speech_chunks(&self.probabilities);
        // Silence at the beginning or the end may be longer than what is seen of it.
        replace_short(&mut voiced, false, chunks_of(min_silence));
        replace_short(&mut voiced, true, chunks_of(min_speech));
        voiced
    }

    /// Whether each chunk is voiced, or near enough to one that is.
    fn speech(&self) -> Vec<bool> {
        let voiced = self.voiced();
        let padding = chunks_of(self.options.padding);
        let mut speech = vec![false; voiced.len()];
        for run in runs(&voiced).filter(|run| voiced[run.start]) {
            let end = (run.end + padding).min(speech.len());
            speech[run.start.saturating_sub(padding)..end].fill(true);
        }
        if !self.clips.is_empty() {
            for (at, is_speech) in speech.iter_mut().enumerate() {
                *is_speech &= self.clip_at(at).is_some();
            }
        }
        speech
    }

    /// All that is known is silence: what stays so whatever follows is done with, but for a pause that may be read.
    fn drop_silence(&mut self) {
        let lasting = if self.ended { 0 } else { self.margin() } + SHORT_PAUSE;
        self.drop_first(self.probabilities.len().saturating_sub(lasting));
        // A sound too short for speech, of which only the end is left, would pass for the end of speech.
        let threshold = self.options.threshold;
        self.probabilities.iter_mut().take_while(|probability| **probability >= threshold).for_each(|rest| *rest = 0.0);
    }

    fn drop_first(&mut self, chunks: usize) {
        let chunks = chunks.min(self.probabilities.len());
        self.probabilities.drain(..chunks);
        self.first += chunks;
    }
}

/// The windows of up to `n_frames` frames, 10 ms each, in which a recording of 16 kHz mono samples would be read.
pub fn speech_windows(
    detector: &SileroVad,
    options: &VadOptions,
    n_frames: usize,
    samples: &[f32],
) -> Vec<Range<usize>> {
    let (mut stream, mut probabilities) = (detector.stream(), Vec::new());
    stream.push(samples, &mut probabilities);
    stream.finish(&mut probabilities);
    let mut planner = Planner::new(*options, n_frames, &[]);
    planner.push(&probabilities);
    planner.finish();
    let end = samples.len() / HOP_LENGTH;
    let windows = std::iter::from_fn(|| planner.next_window());
    windows.map(|window| window.frames.start..window.frames.end.min(end)).filter(|frames| !frames.is_empty()).collect()
}

fn frame_of(chunk: usize) -> usize {
    chunk * SAMPLES_PER_CHUNK / HOP_LENGTH
}

/// Somewhere in the first pause at or after `start` that is long enough to end a window.
fn long_pause(speech: &[bool], start: usize, least: usize) -> Option<usize> {
    let pause = runs(&speech[start..]).find(|run| !speech[start + run.start] && run.len() >= least)?;
    Some(start + pause.start + 1)
}

/// Turns runs of `value` that are shorter than `least` over, but for those at the ends.
fn replace_short(values: &mut [bool], value: bool, least: usize) {
    let short: Vec<_> = runs(values)
        .filter(|run| values[run.start] == value && run.len() < least && run.start > 0 && run.end < values.len())
        .collect();
    for run in short {
        values[run].fill(!value);
    }
}

/// Stretches of equal values.
fn runs(values: &[bool]) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    values.chunk_by(|a, b| a == b).map(move |run| {
        let range = start..start + run.len();
        start = range.end;
        range
    })
}

#[cfg(test)]
mod tests;
