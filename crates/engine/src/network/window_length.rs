//! The number of frames of a window that are encoded, and the number that the decoder attends to.
//!
//! Whisper was trained on windows padded with silence to 30 s. Most of that padding can be left out without changing
//! the transcript, which makes short windows cheaper.

use crate::units::Frames;

/// The silence that is encoded after the recorded frames. It tells the model where to stop. Without it, the model
/// continues and repeats itself; with four seconds, some windows still need the temperature fallback. With ten
/// seconds, the results are as good as with the full padding.
const ENCODED_SILENCE: Frames = Frames(1000);

/// The silence that the decoder attends to after the recorded frames. It is kept short, because the decoder reads the
/// keys and values of every visible frame for each token. More silence does not change the results; with one second
/// or less, some windows produce repeated text.
const VISIBLE_SILENCE: Frames = Frames(250);

/// The minimum number of frames that the decoder attends to. With fewer frames, short recordings are transcribed less
/// accurately.
const MIN_VISIBLE: Frames = Frames(1500);

/// Frame counts are rounded up to a multiple of this, which limits the number of different shapes.
const ROUND_TO: usize = 64;

/// Number of frames to encode for a window with `recorded` frames of a recording. The caller limits it to the frames of a
/// full window.
pub(crate) fn encoded_frames(recorded: Frames) -> Frames {
    Frames((recorded + ENCODED_SILENCE).0.next_multiple_of(ROUND_TO))
}

/// Number of frames that the decoder attends to in a window with `recorded` frames of a recording. The caller limits
/// it to the frames of the window.
pub(crate) fn visible_frames(recorded: Frames) -> Frames {
    Frames((recorded + VISIBLE_SILENCE).max(MIN_VISIBLE).0.next_multiple_of(ROUND_TO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_decoder_attends_to_some_silence_and_at_least_the_minimum() {
        for (recorded, encoded, visible) in
            [(100, 1152, 1536), (400, 1408, 1536), (1100, 2112, 1536), (2000, 3008, 2304)]
        {
            let found = (encoded_frames(Frames(recorded)), visible_frames(Frames(recorded)));
            assert_eq!(found, (Frames(encoded), Frames(visible)), "{recorded} frames");
        }
    }
}
