//! Where a window is silent, by its level: words begin where silence ends, more exactly than attention can tell.

use std::ops::Range;

use amanuensis_audio::HOP_LENGTH;

/// Frames that a silence has at least: less is the closure of a stop consonant.
const SHORTEST: usize = 10;

/// Silence is at least this much below the loudest speech, in dB.
const LEAST_BELOW_SPEECH: f32 = 22.0;

/// Whatever is this much below the loudest speech is silence, in dB.
const MOST_BELOW_SPEECH: f32 = 35.0;

/// Noise changes in level by about this much, in dB.
const ABOVE_NOISE: f32 = 6.0;

/// How much of the frame before is subtracted: speech at its onset is often weak but high, hum is low.
const PRE_EMPHASIS: f32 = 0.97;

/// The silences among samples at 16 kHz, in frames of 10 ms, in order.
pub(super) fn silences(samples: &[f32]) -> Vec<Range<usize>> {
    let levels = levels(samples);
    let mut sorted = levels.clone();
    sorted.sort_by(f32::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else { return Vec::new() };
    let (noise, speech) = (sorted[last / 20], sorted[last - last / 50]);
    let threshold = (noise + ABOVE_NOISE).clamp(speech - MOST_BELOW_SPEECH, speech - LEAST_BELOW_SPEECH);
    let mut silences = Vec::new();
    let mut start = 0;
    for run in levels.chunk_by(|a, b| (*a < threshold) == (*b < threshold)) {
        if run[0] < threshold && run.len() >= SHORTEST {
            silences.push(start..start + run.len());
        }
        start += run.len();
    }
    silences
}

/// The level of every whole frame in dB, over the three frames around it.
fn levels(samples: &[f32]) -> Vec<f32> {
    let mut before = 0.0;
    let power = |frame: &[f32]| {
        frame.iter().fold(0.0, |power: f32, sample| {
            let value = sample - PRE_EMPHASIS * before;
            before = *sample;
            value.mul_add(value, power)
        })
    };
    let powers: Vec<f32> = samples.chunks_exact(HOP_LENGTH).map(power).collect();
    let level = |frame: usize| {
        let around = &powers[frame.saturating_sub(1)..powers.len().min(frame + 2)];
        let mean = around.iter().sum::<f32>() / (around.len() * HOP_LENGTH) as f32;
        10.0 * mean.max(1e-10).log10()
    };
    (0..powers.len()).map(level).collect()
}
