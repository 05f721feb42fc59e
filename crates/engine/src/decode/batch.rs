//! Decoding many windows at once. Every step computes one token for each hypothesis (candidate token sequence) of
//! every window, and reads the weights once for all of them.
//!
//! Windows can join and leave the batch between two steps. The tokens of a window do not depend on the other windows
//! in the batch.

use super::candidates::{SlotSettings, StepOutcome};
use super::hypothesis::Hypothesis;
use super::options::{DecodeOptions, DecodingResult};
use super::slot::Slot;
use crate::engine::Engine;
use crate::error::Error;
use crate::network::{EncoderOutput, Step, StepBuffers};

/// A batch of windows that are decoded together.
pub struct Batch<'e> {
    engine: &'e Engine,
    slots: Vec<Slot>,
    buffers: StepBuffers,
}

/// A hypothesis (a candidate token sequence), and the logits after its final token.
struct Work<'s> {
    settings: &'s SlotSettings,
    hypothesis: &'s Hypothesis,
    logits: &'s mut [f32],
    outcome: Option<StepOutcome>,
}

impl<'e> Batch<'e> {
    /// An empty batch.
    pub fn new(engine: &'e Engine) -> Self {
        Self { engine, slots: Vec::new(), buffers: engine.step_buffers() }
    }

    /// Number of windows in the batch.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether the batch contains no windows.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Adds a window to the batch. When the window has finished, [`Self::step`] returns its result together with the
    /// number `ticket`.
    ///
    /// # Errors
    /// If the model does not support what `options` request.
    pub fn join(&mut self, ticket: u64, window: &EncoderOutput, options: &DecodeOptions) -> Result<(), Error> {
        self.slots.push(Slot::new(self.engine, ticket, window, options)?);
        Ok(())
    }

    /// Removes the window that was added with `ticket`, without a result. Does nothing if there is none.
    pub fn leave(&mut self, ticket: u64) {
        self.slots.retain(|slot| slot.ticket != ticket);
    }

    /// Extends every hypothesis of every window by one token. Removes the windows that have finished from the batch,
    /// and returns the ticket and the result of each removed window.
    ///
    /// # Errors
    /// If the ONNX runtime cannot run its graphs. In that case, all windows are removed from the batch.
    pub fn step(&mut self) -> Result<Vec<(u64, DecodingResult)>, Error> {
        let Self { engine, slots, buffers } = self;
        if slots.is_empty() {
            return Ok(Vec::new());
        }
        let mut steps: Vec<Step<'_>> = slots.iter_mut().flat_map(Slot::steps).collect();
        if let Err(error) = engine.step_into(&mut steps, buffers) {
            slots.clear();
            return Err(error);
        }
        let logits = buffers.logits.chunks_exact_mut(engine.vocabulary().n_vocab());
        let hypotheses = slots.iter().flat_map(Slot::hypotheses).zip(logits);
        let mut work: Vec<_> = hypotheses
            .map(|((settings, hypothesis), logits)| Work { settings, hypothesis, logits, outcome: None })
            .collect();
        engine.context().pool.chunks_mut(&mut work, 1, &|_, work, _| {
            let Work { settings, hypothesis, logits, outcome } = &mut work[0];
            *outcome = Some(settings.evaluate(engine, hypothesis, logits));
        });
        let mut outcomes: Vec<StepOutcome> = work.into_iter().filter_map(|work| work.outcome).collect();
        let mut finished = Vec::new();
        slots.retain_mut(|slot| {
            let of_later_slots = outcomes.split_off(slot.n_hypotheses());
            let own = std::mem::replace(&mut outcomes, of_later_slots);
            let result = slot.advance(engine, own);
            let is_unfinished = result.is_none();
            finished.extend(result.map(|result| (slot.ticket, result)));
            is_unfinished
        });
        Ok(finished)
    }
}

impl Engine {
    /// Decodes a single window, from the prompt to the end token.
    ///
    /// # Errors
    /// If the model does not support what `options` request, or the ONNX runtime cannot run its graphs.
    pub fn decode(&self, window: &EncoderOutput, options: &DecodeOptions) -> Result<DecodingResult, Error> {
        let mut batch = Batch::new(self);
        batch.join(0, window, options)?;
        loop {
            if let Some((_, result)) = batch.step()?.pop() {
                return Ok(result);
            }
        }
    }
}
