//! Functions for runs in a list of chunks. A run consists of consecutive chunks that are all speech or all silence.

use std::ops::Range;

use amanuensis_engine::Chunks;

/// The index ranges of the runs (consecutive equal values), in order.
pub(super) fn runs(values: &[bool]) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    values.chunk_by(|a, b| a == b).map(move |run| {
        let range = start..start + run.len();
        start = range.end;
        range
    })
}

/// Inverts all runs (consecutive equal values) that have the value `value` and are shorter than `min_length`. The
/// first and the last run are not inverted, because they may continue before or after `values`.
pub(super) fn invert_short_runs(values: &mut [bool], value: bool, min_length: Chunks) {
    let short: Vec<_> = runs(values)
        .filter(|run| values[run.start] == value && run.len() < min_length.0 && run.start > 0 && run.end < values.len())
        .collect();
    for run in short {
        values[run].fill(!value);
    }
}

/// Finds the first silence at or after `start` that is at least `min_length` long. Returns the index after the first
/// chunk of this silence. So the range from `start` to the result is never empty, even if the silence begins at
/// `start`.
pub(super) fn find_silence(speech: &[bool], start: usize, min_length: Chunks) -> Option<usize> {
    let silence = runs(&speech[start..]).find(|run| !speech[start + run.start] && run.len() >= min_length.0)?;
    Some(start + silence.start + 1)
}

/// The index after the last speech chunk in `speech`. If there is no speech, the length of `speech`.
pub(super) fn end_of_speech(speech: &[bool]) -> usize {
    speech.iter().rposition(|is_speech| *is_speech).map_or(speech.len(), |last| last + 1)
}
