//! How many frames of a window are encoded, and how many the decoder attends to.
//!
//! Whisper was trained on windows padded with silence to 30 s. Most of that padding can be left out without changing the
//! transcript, which makes short windows cheaper.

use crate::units::Frames;

/// Silence that is encoded after the recorded frames. The silence tells the model where to stop: without it, the model goes
/// on and repeats itself, and with four seconds some windows still need the temperature fallback. With ten seconds the
/// results are as good as with the full padding.
const ENCODED_SILENCE: Frames = Frames(1000);

/// Silence that the decoder attends to after the recorded frames. The decoder reads the keys and values of every visible
/// frame for each token, and the rest of the encoded silence does not change the results. With one second or less, some
/// windows produce repeated text.
const VISIBLE_SILENCE: Frames = Frames(250);

/// The decoder attends to at least this many frames, because fewer make short recordings less accurate.
const MIN_VISIBLE: Frames = Frames(1500);

/// Numbers of frames are rounded up to a multiple of this, to limit the number of different shapes.
const ROUND_TO: usize = 64;

/// Number of frames to encode for a window with `recorded` frames of a recording. The caller limits it to the frames of a
/// full window.
pub(crate) fn encoded_frames(recorded: Frames) -> Frames {
    Frames((recorded + ENCODED_SILENCE).0.next_multiple_of(ROUND_TO))
}

/// Number of frames that the decoder attends to in such a window. The caller limits it to the frames of the window.
pub(crate) fn visible_frames(recorded: Frames) -> Frames {
    Frames((recorded + VISIBLE_SILENCE).max(MIN_VISIBLE).0.next_multiple_of(ROUND_TO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_decoder_sees_some_silence_and_never_less_than_the_minimum() {
        for (recorded, encoded, visible) in
            [(100, 1152, 1536), (400, 1408, 1536), (1100, 2112, 1536), (2000, 3008, 2304)]
        {
            let found = (encoded_frames(Frames(recorded)), visible_frames(Frames(recorded)));
            assert_eq!(found, (Frames(encoded), Frames(visible)), "{recorded} frames");
        }
    }
}
