//! Runs of equal values.

use std::ops::Range;

use amanuensis_engine::Chunks;

/// The ranges of equal values, in order.
pub(super) fn runs(values: &[bool]) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    values.chunk_by(|a, b| a == b).map(move |run| {
        let range = start..start + run.len();
        start = range.end;
        range
    })
}

/// Inverts the runs of `value` that are shorter than `min_length`, except the first and the last run: more of the recording
/// may make them longer.
pub(super) fn invert_short_runs(values: &mut [bool], value: bool, min_length: Chunks) {
    let short: Vec<_> = runs(values)
        .filter(|run| values[run.start] == value && run.len() < min_length.0 && run.start > 0 && run.end < values.len())
        .collect();
    for run in short {
        values[run].fill(!value);
    }
}

/// Finds the first silence at or after `start` that is at least `min_length` long. Returns the chunk after its first one, so
/// that the part before always has a chunk, also if the silence begins at `start`.
pub(super) fn find_silence(speech: &[bool], start: usize, min_length: Chunks) -> Option<usize> {
    let silence = runs(&speech[start..]).find(|run| !speech[start + run.start] && run.len() >= min_length.0)?;
    Some(start + silence.start + 1)
}

/// The chunk after the last speech in `speech`; its length if there is no speech.
pub(super) fn end_of_speech(speech: &[bool]) -> usize {
    speech.iter().rposition(|is_speech| *is_speech).map_or(speech.len(), |last| last + 1)
}
