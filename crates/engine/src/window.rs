//! Windows: how much silence they have, and what the encoder made of them.

use std::sync::Arc;

use amanuensis_kernels::attention::KeyValues;

use crate::Frames;
use crate::onnx;
use crate::spares::Lent;

/// Frames of silence that a window has behind what it holds of a recording, 10 ms each. Models were trained on windows that
/// silence fills up to 30 s, which is how they know where to stop: without any they go on and repeat themselves, and with
/// four seconds of it some texts still have to be decoded again. With ten, they are as with all of it.
const SILENCE: Frames = Frames(1000);
/// Of those frames, as many as the decoder looks at: it reads what it sees of a window again for every token, and texts are as
/// good without the others. With one second, or none, some repeat themselves.
const SEEN: Frames = Frames(250);
/// Frames that it looks at in any case, if the window has as many: with less, short recordings are heard less well.
const LEAST_SEEN: Frames = Frames(1500);
/// The frames of a window are a multiple of this, so that there are not too many shapes.
const STEP: usize = 64;

/// Frames that are encoded of a window that holds `frames` frames of a recording, if it has as many.
pub(crate) fn encoded_frames(frames: Frames) -> Frames {
    Frames((frames + SILENCE).0.next_multiple_of(STEP))
}

/// Frames that the decoder looks at of such a window.
pub(crate) fn seen_frames(frames: Frames) -> Frames {
    Frames((frames + SEEN).max(LEAST_SEEN).0.next_multiple_of(STEP))
}

/// What the encoder made of a window. Cheap to clone: all clones are the same window.
#[derive(Debug, Clone)]
pub struct EncoderOutput(Arc<Contents>);

#[derive(Debug)]
enum Contents {
    /// Keys and values for the decoder's cross-attention, a layer each.
    Native(Lent<Vec<KeyValues>>),
    Onnx(onnx::Window),
}

impl EncoderOutput {
    pub(crate) fn native(cross: Lent<Vec<KeyValues>>) -> Self {
        Self(Arc::new(Contents::Native(cross)))
    }

    pub(crate) fn onnx(window: onnx::Window) -> Self {
        Self(Arc::new(Contents::Onnx(window)))
    }

    /// Whether both are the same window.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Keys and values for the decoder's cross-attention, a layer each.
    ///
    /// # Panics
    /// If an ONNX runtime made the window.
    pub(crate) fn cross(&self) -> &[KeyValues] {
        match &*self.0 {
            Contents::Native(cross) => cross,
            Contents::Onnx(_) => panic!("a window of another engine"),
        }
    }

    /// What the ONNX runtime made of the window.
    ///
    /// # Panics
    /// If our own encoder made the window.
    pub(crate) fn of_onnx(&self) -> &onnx::Window {
        match &*self.0 {
            Contents::Onnx(window) => window,
            Contents::Native(_) => panic!("a window of another engine"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_decoder_sees_some_of_the_silence_and_all_of_a_short_window() {
        for (frames, encoded, seen) in [(100, 1152, 1536), (400, 1408, 1536), (1100, 2112, 1536), (2000, 3008, 2304)] {
            let found = (encoded_frames(Frames(frames)), seen_frames(Frames(frames)));
            assert_eq!(found, (Frames(encoded), Frames(seen)), "{frames}");
        }
    }
}
