//! A recording as a window that moves over it: only the samples from its position on are held.

use amanuensis_audio::{Audio, Error, HOP_LENGTH, SAMPLE_RATE};

/// Mel frames of a second.
pub(crate) const FRAMES_PER_SECOND: usize = SAMPLE_RATE as usize / HOP_LENGTH;

/// A stream of 16 kHz mono samples.
pub(crate) trait Samples {
    /// The next samples, `None` at the end.
    fn next_block(&mut self) -> Result<Option<&[f32]>, Error>;
    /// Seconds, as far as the recording says.
    fn expected_duration(&self) -> Option<f64>;
    /// What was amiss so far.
    fn warnings(&self) -> Vec<String>;
}

impl Samples for Audio {
    fn next_block(&mut self) -> Result<Option<&[f32]>, Error> {
        self.next_block()
    }

    fn expected_duration(&self) -> Option<f64> {
        self.expected_duration()
    }

    fn warnings(&self) -> Vec<String> {
        self.warnings().iter().map(ToString::to_string).collect()
    }
}

pub(crate) struct Windows<S> {
    source: S,
    /// The samples from `position` on that have been read.
    held: Vec<f32>,
    /// Where the window begins, in frames.
    position: usize,
    /// Samples read.
    read: usize,
    ended: bool,
    failure: Option<Error>,
}

impl<S: Samples> Windows<S> {
    pub(crate) fn new(source: S) -> Self {
        Self { source, held: Vec::new(), position: 0, read: 0, ended: false, failure: None }
    }

    /// Reads on until `frames` frames from the beginning of the recording are there, or it is at its end, and gives `hear`
    /// what is read.
    ///
    /// # Errors
    /// Only where the recording cannot be read from its beginning. What fails later ends the recording early:
    /// [`Self::failure`].
    pub(crate) fn read_to(&mut self, frames: usize, hear: &mut dyn FnMut(&[f32])) -> Result<(), Error> {
        while self.read < frames * HOP_LENGTH && !self.ended {
            match self.source.next_block() {
                Ok(Some(block)) => {
                    self.held.extend_from_slice(block);
                    self.read += block.len();
                    hear(block);
                }
                Ok(None) => self.ended = true,
                Err(error) if self.read == 0 => return Err(error),
                Err(error) => {
                    self.ended = true;
                    self.failure = Some(error);
                }
            }
        }
        Ok(())
    }

    /// Whether there is nothing left to read.
    pub(crate) fn is_at_end(&self) -> bool {
        self.ended
    }

    /// Frames read so far.
    pub(crate) fn frames_read(&self) -> usize {
        self.read / HOP_LENGTH
    }

    /// The samples of a window of `frames` frames; fewer at the end of the recording.
    pub(crate) fn window(&self, frames: usize) -> &[f32] {
        &self.held[..self.held.len().min(frames * HOP_LENGTH)]
    }

    /// Moves the window on, to begin at `position`, in frames.
    pub(crate) fn move_to(&mut self, position: usize) {
        let frames = position.saturating_sub(self.position);
        self.held.drain(..self.held.len().min(frames * HOP_LENGTH));
        self.position += frames;
    }

    /// Where the window begins, in frames.
    pub(crate) fn position(&self) -> usize {
        self.position
    }

    /// Seconds read so far; at the end, the recording's duration.
    pub(crate) fn seconds_read(&self) -> f64 {
        self.read as f64 / f64::from(SAMPLE_RATE)
    }

    /// Why the recording ended early.
    pub(crate) fn failure(&self) -> Option<&Error> {
        self.failure.as_ref()
    }

    pub(crate) fn source(&self) -> &S {
        &self.source
    }
}

/// A time as frames of 10 ms, in seconds.
pub(crate) fn seconds(frames: usize) -> f64 {
    frames as f64 / FRAMES_PER_SECOND as f64
}

/// The frame nearest to a time in seconds.
pub(crate) fn frames_of(seconds: f64) -> usize {
    (seconds * FRAMES_PER_SECOND as f64).round() as usize
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A recording of silence in blocks of these many samples, with a read error at its end if it is to fail.
    #[derive(Default)]
    pub(crate) struct Scripted {
        pub(crate) blocks: Vec<usize>,
        pub(crate) fails: bool,
        pub(crate) warnings: Vec<String>,
        pub(crate) buffer: Vec<f32>,
    }

    impl Scripted {
        /// A second a block.
        pub(crate) fn seconds(count: usize) -> Self {
            Self { blocks: vec![16_000; count], ..Self::default() }
        }
    }

    impl Samples for Scripted {
        fn next_block(&mut self) -> Result<Option<&[f32]>, Error> {
            if self.blocks.is_empty() {
                return if self.fails { Err(std::io::Error::other("cable pulled").into()) } else { Ok(None) };
            }
            self.buffer = vec![0.0; self.blocks.remove(0)];
            Ok(Some(&self.buffer))
        }

        fn expected_duration(&self) -> Option<f64> {
            None
        }

        fn warnings(&self) -> Vec<String> {
            self.warnings.clone()
        }
    }

    #[test]
    fn no_more_is_held_than_a_window_and_a_block() {
        let mut windows = Windows::new(Scripted { blocks: vec![7_000; 1000], ..Scripted::default() });
        let mut total = 0;
        loop {
            windows.read_to(windows.position() + 3000, &mut |_| {}).unwrap();
            assert!(windows.held.len() < 480_000 + 7_000);
            let frames = windows.window(3000).len() / 160;
            if frames == 0 {
                break;
            }
            windows.move_to(windows.position() + frames.min(1234));
            total += frames.min(1234);
        }
        assert_eq!((total, windows.position()), (7_000_000 / 160, 7_000_000 / 160));
        assert!((windows.seconds_read() - 437.5).abs() < 1e-9);
    }

    #[test]
    fn a_failure_later_on_ends_the_recording() {
        let mut windows = Windows::new(Scripted { fails: true, ..Scripted::seconds(2) });
        windows.read_to(3000, &mut |_| {}).unwrap();
        assert_eq!(windows.window(3000).len(), 32_000);
        assert!(windows.failure().is_some());
        let mut nothing = Windows::new(Scripted { fails: true, ..Scripted::seconds(0) });
        assert!(nothing.read_to(3000, &mut |_| {}).is_err());
    }
}
