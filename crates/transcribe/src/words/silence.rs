//! Finds the silences of a window in its log-mel spectrogram.
//!
//! The end of a silence is the exact start of a word, while cross-attention gives this start only approximately. A
//! frame counts as silent if it is hardly louder than the steady background. The background level is estimated
//! separately for each mel bin, so that hiss and hum also count as silence.

use std::ops::Range;

use amanuensis_engine::Frames;

/// Silences shorter than this are ignored. They may be the moment in which a stop consonant such as `t` closes the
/// mouth.
const MIN_SILENCE: Frames = Frames(10);

/// The number of decibels in one unit of Whisper's log-mel scale, which is `log10(power) / 4`.
const DB_PER_UNIT: f32 = 40.0;

/// The quantile of the frame levels that is taken as the background level.
const BACKGROUND_QUANTILE: f32 = 0.1;

/// The quantile of the frame levels that is taken as the level of loud speech. It is high because a window may
/// contain only a few words.
const SPEECH_QUANTILE: f32 = 0.98;

/// The position of the silence threshold between the background level (0) and the level of loud speech (1).
const THRESHOLD_SHARE: f32 = 0.25;

/// If loud speech is less than this many decibels above the background, no silence is reported.
const MIN_CONTRAST_DB: f32 = 4.0;

/// The silences of a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SilenceMap {
    /// The start of the window, in frames from the beginning of the recording.
    pub(super) window_start: Frames,
    /// The number of frames of the window that hold audio; the frames after them are padding.
    pub(crate) n_frames: Frames,
    /// The silences in order, in frames from the start of the window.
    pub(super) silences: Vec<Range<Frames>>,
}

impl SilenceMap {
    /// Finds the silences of a window that begins at the frame `window_start` of the recording. `mel` has the shape
    /// `(n_frames, n_mels)` and may end with padding; only its first `n_frames` frames hold audio.
    pub(crate) fn new(window_start: Frames, n_frames: Frames, mel: &[f32], n_mels: usize) -> Self {
        let mel = &mel[..mel.len().min(n_frames.0 * n_mels)];
        Self { window_start, n_frames, silences: find_silences(mel, n_mels) }
    }
}

/// The silences of a log-mel spectrogram `(n_frames, n_mels)`, in order.
fn find_silences(mel: &[f32], n_mels: usize) -> Vec<Range<Frames>> {
    if mel.is_empty() {
        return Vec::new();
    }
    let frames = || mel.chunks_exact(n_mels);
    let background: Vec<f32> =
        (0..n_mels).map(|bin| quantile(frames().map(|frame| frame[bin]).collect(), BACKGROUND_QUANTILE)).collect();
    let level_db = |frame: &[f32]| {
        let above = frame.iter().zip(&background).map(|(value, background)| (value - background).max(0.0));
        above.sum::<f32>() * DB_PER_UNIT / n_mels as f32
    };
    let levels_db: Vec<f32> = frames().map(level_db).collect();
    let [quiet, loud] = [BACKGROUND_QUANTILE, SPEECH_QUANTILE].map(|share| quantile(levels_db.clone(), share));
    if loud - quiet < MIN_CONTRAST_DB {
        return Vec::new();
    }
    let threshold = quiet + THRESHOLD_SHARE * (loud - quiet);
    let mut silences = Vec::new();
    let mut start = Frames::ZERO;
    for run in levels_db.chunk_by(|a, b| (*a < threshold) == (*b < threshold)) {
        let end = start + Frames(run.len());
        if run[0] < threshold && end - start >= MIN_SILENCE {
            silences.push(start..end);
        }
        start = end;
    }
    silences
}

/// The quantile `share` (0 to 1) of `values`. `values` must not be empty.
fn quantile(mut values: Vec<f32>, share: f32) -> f32 {
    let index = (share * (values.len() - 1) as f32) as usize;
    *values.select_nth_unstable_by(index, f32::total_cmp).1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A spectrogram of 300 frames with 3 bins. Each bin has its own background level with a small ripple. In the
    /// frames of `speech`, two bins are louder by `level` (in units of the log-mel scale).
    fn mel(speech: &[Range<usize>], level: f32) -> Vec<f32> {
        let frame = |frame: usize| {
            let is_speech = speech.iter().any(|speech| speech.contains(&frame));
            [0, 1, 2].map(|bin| {
                let ripple = ((frame * 3 + bin) * 7919 % 101) as f32 * 1e-4;
                bin as f32 * 0.3 + ripple + if is_speech && bin > 0 { level } else { 0.0 }
            })
        };
        (0..300).flat_map(frame).collect()
    }

    #[test]
    fn frames_at_background_level_are_silent() {
        let found = find_silences(&mel(&[50..120, 140..200, 205..260], 0.5), 3);
        assert_eq!(found, [0..50, 120..140, 260..300].map(|run| Frames(run.start)..Frames(run.end)));
    }

    #[test]
    fn without_contrast_no_silence_is_reported() {
        assert!(find_silences(&mel(&[], 0.0), 3).is_empty());
        assert!(find_silences(&mel(&[50..120, 140..200], 0.05), 3).is_empty());
        assert!(find_silences(&[], 3).is_empty());
        assert!(find_silences(&[0.0; 30], 3).is_empty());
    }
}
