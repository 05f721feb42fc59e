//! A buffer for the samples of a recording from the current position on. Earlier samples are dropped, so that memory
//! does not grow with the length of the recording.

use amanuensis_audio::{Audio, Error};
use amanuensis_engine::{Frames, Samples};

/// A stream of 16 kHz mono samples.
pub(crate) trait SampleSource {
    /// Returns the next block of samples; `None` at the end of the recording.
    fn next_block(&mut self) -> Result<Option<&[f32]>, Error>;
    /// The duration in seconds that the file declares; `None` if it declares none.
    fn expected_duration(&self) -> Option<f64>;
    /// Warnings about the recording so far.
    fn warnings(&self) -> Vec<String>;
}

impl SampleSource for Audio {
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

/// Reads a source, and holds its samples from the current position on.
pub(crate) struct SampleBuffer<S> {
    source: S,
    /// The samples from `position` up to the end of the audio that was read so far.
    samples: Vec<f32>,
    position: Frames,
    read: Samples,
    is_at_end: bool,
    failure: Option<Error>,
}

impl<S: SampleSource> SampleBuffer<S> {
    pub(crate) fn new(source: S) -> Self {
        Self {
            source,
            samples: Vec::new(),
            position: Frames::ZERO,
            read: Samples::ZERO,
            is_at_end: false,
            failure: None,
        }
    }

    /// Reads the source up to `end`, counted from the beginning of the recording, or to the end of the source. Passes
    /// each new block to `on_block`.
    ///
    /// # Errors
    /// Only if the very first block cannot be read. A later read error is not returned, but ends the recording early;
    /// see [`Self::failure`].
    pub(crate) fn read_to(&mut self, end: Frames, on_block: &mut dyn FnMut(&[f32])) -> Result<(), Error> {
        while self.read < end.samples() && !self.is_at_end {
            match self.source.next_block() {
                Ok(Some(block)) => {
                    self.samples.extend_from_slice(block);
                    self.read += Samples(block.len());
                    on_block(block);
                }
                Ok(None) => self.is_at_end = true,
                Err(error) if self.read == Samples::ZERO => return Err(error),
                Err(error) => {
                    self.is_at_end = true;
                    self.failure = Some(error);
                }
            }
        }
        Ok(())
    }

    /// Whether no more samples can be read, because the source was read to its end or reading failed.
    pub(crate) fn is_at_end(&self) -> bool {
        self.is_at_end
    }

    /// The amount of audio that was read so far. At the end of the recording, this is the duration of the recording.
    pub(crate) fn read(&self) -> Samples {
        self.read
    }

    /// The samples of the `length` frames from the current position on. There are fewer at the end of the recording.
    pub(crate) fn samples(&self, length: Frames) -> &[f32] {
        &self.samples[..self.samples.len().min(length.samples().0)]
    }

    /// Moves the current position to `position` and drops the samples before it. Does nothing if the current position
    /// is later.
    pub(crate) fn advance_to(&mut self, position: Frames) {
        let dropped = position.saturating_sub(self.position);
        self.samples.drain(..self.samples.len().min(dropped.samples().0));
        self.position += dropped;
    }

    /// The position in the recording of the first buffered sample.
    pub(crate) fn position(&self) -> Frames {
        self.position
    }

    /// The read error that ended the recording early, if any.
    pub(crate) fn failure(&self) -> Option<&Error> {
        self.failure.as_ref()
    }

    pub(crate) fn source(&self) -> &S {
        &self.source
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A source of silent blocks.
    #[derive(Default)]
    pub(crate) struct SilentSource {
        /// The number of samples in each block.
        pub(crate) blocks: Vec<usize>,
        /// Whether reading fails after the last block.
        pub(crate) fails: bool,
        pub(crate) warnings: Vec<String>,
        pub(crate) buffer: Vec<f32>,
    }

    impl SilentSource {
        /// Creates a source with `count` blocks of one second each.
        pub(crate) fn seconds(count: usize) -> Self {
            Self { blocks: vec![16_000; count], ..Self::default() }
        }
    }

    impl SampleSource for SilentSource {
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
    fn the_buffer_holds_at_most_a_window_and_a_block() {
        let window = Frames(3000);
        let mut buffer = SampleBuffer::new(SilentSource { blocks: vec![7_000; 1000], ..SilentSource::default() });
        let mut total = Frames::ZERO;
        loop {
            buffer.read_to(buffer.position() + window, &mut |_| {}).unwrap();
            assert!(buffer.samples.len() < 480_000 + 7_000);
            let held = Samples(buffer.samples(window).len()).whole_frames();
            if held == Frames::ZERO {
                break;
            }
            let step = held.min(Frames(1234));
            buffer.advance_to(buffer.position() + step);
            total += step;
        }
        assert_eq!((total, buffer.position()), (Frames(7_000_000 / 160), Frames(7_000_000 / 160)));
        assert!((buffer.read().seconds() - 437.5).abs() < 1e-9);
    }

    #[test]
    fn a_failure_after_the_first_block_ends_the_recording() {
        let mut buffer = SampleBuffer::new(SilentSource { fails: true, ..SilentSource::seconds(2) });
        buffer.read_to(Frames(3000), &mut |_| {}).unwrap();
        assert_eq!(buffer.samples(Frames(3000)).len(), 32_000);
        assert!(buffer.failure().is_some());
        let mut empty = SampleBuffer::new(SilentSource { fails: true, ..SilentSource::seconds(0) });
        assert!(empty.read_to(Frames(3000), &mut |_| {}).is_err());
    }
}
