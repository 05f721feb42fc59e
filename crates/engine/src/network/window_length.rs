//! The number of frames of a window that are encoded, and the number that the decoder attends to.
//!
//! Whisper was trained on windows padded with silence to 30 s. Most of that padding can be left out without changing
//! the transcript, which makes short windows cheaper.

use crate::units::Frames;

/// The number of frames (10 ms each) of silence that are encoded after the recorded frames. The silence tells the
/// model where to stop. Without it, the model continues and repeats itself; with four seconds, some windows still
/// fail and must be decoded again at a higher temperature. With ten seconds, the results are as good as with the full
/// padding.
const ENCODED_SILENCE: Frames = Frames(1000);

/// The number of frames (10 ms each) of silence after the recorded frames that the decoder attends to. It is kept
/// low, because for each token the decoder reads the keys and values of every such frame. More silence does not
/// change the results; with one second or less, some windows produce repeated text.
const VISIBLE_SILENCE: Frames = Frames(250);

/// The minimum number of frames (10 ms each) that the decoder attends to. With fewer frames, short recordings are
/// transcribed less accurately.
const MIN_VISIBLE: Frames = Frames(1500);

/// Frame counts are rounded up to a multiple of this number, which limits the number of different window lengths.
const ROUND_TO: usize = 64;

/// Number of frames to encode for a window that contains `recorded` frames of a recording. It can exceed a full
/// window, so the caller must limit it.
pub(crate) fn encoded_frames(recorded: Frames) -> Frames {
    Frames((recorded + ENCODED_SILENCE).0.next_multiple_of(ROUND_TO))
}

/// Number of frames that the decoder attends to in a window that contains `recorded` frames of a recording. It can
/// exceed the frames of the window, so the caller must limit it.
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
