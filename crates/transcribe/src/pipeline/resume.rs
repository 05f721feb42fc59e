//! Going on behind windows that were read before, as if nothing had been.

use std::ops::Range;

use super::LongForm;
use crate::decoding::WindowDecoder;
use crate::model::Model;
use crate::options::Strategy;
use crate::sample_buffer::{Samples, seconds};
use crate::{Error, Event, Segment, WindowCheckpoint};

impl<M: Model, R: WindowDecoder, S: Samples> LongForm<'_, M, R, S> {
    /// The same, going on behind windows that were read before.
    pub(crate) fn behind(self, windows: Vec<WindowCheckpoint>) -> Self {
        Self { before: windows.into(), ..self }
    }

    /// Moves on behind what was read before: windows are found as they were then, so that those that follow are too.
    pub(super) fn pass_over(&mut self) -> Result<(), Error> {
        while let Some(window) = self.before.pop_front().filter(|_| !self.cancelled) {
            let stretch = self.next_stretch()?.ok_or(Error::CannotResume)?;
            let Range { start, end } = stretch.frames;
            let fits = match self.options.strategy {
                Strategy::Batched => window.end == end,
                Strategy::Sequential => (start + 1..=end).contains(&window.end),
            };
            if !fits || window.start != start {
                return Err(Error::CannotResume);
            }
            self.warnings.extend_from_slice(&window.warnings);
            self.move_behind(window);
            self.tell(Event::Progress { done: seconds(self.done), total: self.total });
        }
        Ok(())
    }

    /// The first segments begin with the prefix, and no others.
    pub(super) fn use_prefix(&mut self, segments: &[Segment]) {
        if !segments.is_empty() {
            self.prefix.clear();
        }
    }

    /// Moves on behind a window that was read, now or before.
    pub(super) fn move_behind(&mut self, window: WindowCheckpoint) {
        self.use_prefix(&window.segments);
        self.language = self.language.or(window.language);
        if window.resets_prompt {
            self.context.reset();
        }
        window.segments.iter().for_each(|segment| self.context.append(&segment.tokens));
        self.segments.extend(window.segments);
        self.windows.move_to(window.end);
        self.done = window.end;
    }
}

#[cfg(test)]
mod tests;
