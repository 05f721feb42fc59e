//! Where a window is silent: words begin where silence ends, more exactly than attention can tell.
//!
//! Silence is what stands out of the window's steady background in none of the mel bins, so that hiss and hum count as
//! silence too.

use std::ops::Range;

/// Frames that a silence has at least: less is the closure of a stop consonant.
const SHORTEST: usize = 10;

/// Decibels of a unit of Whisper's log-mel: four powers of ten.
const UNIT: f32 = 40.0;

/// The share of frames that show what the background is.
const BACKGROUND: f32 = 0.1;

/// The share of frames that are no louder than loud speech, in a window where little is said.
const LOUD: f32 = 0.98;

/// Between the background and loud speech, silence ends here.
const THRESHOLD: f32 = 0.25;

/// Speech stands out by this many dB at least.
const LEAST_CONTRAST: f32 = 4.0;

/// The silences of a log-mel spectrogram `(frames, n_mels)`, in frames, in order.
pub(super) fn silences(mel: &[f32], n_mels: usize) -> Vec<Range<usize>> {
    if mel.is_empty() {
        return Vec::new();
    }
    let frames = || mel.chunks_exact(n_mels);
    let background: Vec<f32> =
        (0..n_mels).map(|bin| quantile(frames().map(|frame| frame[bin]).collect(), BACKGROUND)).collect();
    let contrast = |frame: &[f32]| {
        let above = frame.iter().zip(&background).map(|(value, background)| (value - background).max(0.0));
        above.sum::<f32>() * UNIT / n_mels as f32
    };
    let contrasts: Vec<f32> = frames().map(contrast).collect();
    let [quiet, loud] = [BACKGROUND, LOUD].map(|share| quantile(contrasts.clone(), share));
    if loud - quiet < LEAST_CONTRAST {
        return Vec::new();
    }
    let threshold = quiet + THRESHOLD * (loud - quiet);
    let mut silences = Vec::new();
    let mut start = 0;
    for run in contrasts.chunk_by(|a, b| (*a < threshold) == (*b < threshold)) {
        if run[0] < threshold && run.len() >= SHORTEST {
            silences.push(start..start + run.len());
        }
        start += run.len();
    }
    silences
}

/// The value that `share` of all values, of which there are some, do not exceed.
fn quantile(mut values: Vec<f32>, share: f32) -> f32 {
    let index = (share * (values.len() - 1) as f32) as usize;
    *values.select_nth_unstable_by(index, f32::total_cmp).1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames of 3 bins over a background of its own level in each, with a ripple; 1 where somebody speaks.
    fn mel(speech: &[Range<usize>], level: f32) -> Vec<f32> {
        let frame = |frame: usize| {
            let spoken = speech.iter().any(|speech| speech.contains(&frame));
            [0, 1, 2].map(|bin| {
                let ripple = ((frame * 3 + bin) * 7919 % 101) as f32 * 1e-4;
                bin as f32 * 0.3 + ripple + if spoken && bin > 0 { level } else { 0.0 }
            })
        };
        (0..300).flat_map(frame).collect()
    }

    #[test]
    fn silence_is_what_does_not_stand_out() {
        let found = silences(&mel(&[50..120, 140..200, 205..260], 0.5), 3);
        assert_eq!(found, [0..50, 120..140, 260..300]);
    }

    #[test]
    fn without_speech_nothing_can_be_told() {
        assert!(silences(&mel(&[], 0.0), 3).is_empty());
        assert!(silences(&mel(&[50..120, 140..200], 0.05), 3).is_empty());
        assert!(silences(&[], 3).is_empty());
        assert!(silences(&[0.0; 30], 3).is_empty());
    }
}
