//! Many windows decoded at once: every step takes one token of each of their texts, and reads the weights once for all of
//! them.
//!
//! Windows join and leave between two steps. A window gets the same tokens alone as in any company.

use super::hypothesis::Hypothesis;
use super::slot::{Outcome, Scope, Slot};
use super::{DecodeOptions, DecodingResult};
use crate::sequence::{Step, StepBuffers};
use crate::window::EncoderOutput;
use crate::{Engine, Error};

/// Windows being decoded together.
pub struct Batch<'e> {
    engine: &'e Engine,
    slots: Vec<Slot>,
    buffers: StepBuffers,
}

/// A text whose logits are read.
struct Work<'s> {
    scope: &'s Scope,
    text: &'s Hypothesis,
    logits: &'s mut [f32],
    outcome: Option<Outcome>,
}

impl<'e> Batch<'e> {
    /// An empty batch.
    pub fn new(engine: &'e Engine) -> Self {
        Self { engine, slots: Vec::new(), buffers: engine.step_buffers() }
    }

    /// Windows that are being decoded.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is nothing to decode.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Adds a window; `ticket` is what [`Self::step`] will call it by.
    ///
    /// # Errors
    /// Where the model cannot do what `options` ask.
    pub fn join(&mut self, ticket: u64, window: &EncoderOutput, options: &DecodeOptions) -> Result<(), Error> {
        self.slots.push(Slot::new(self.engine, ticket, window, options)?);
        Ok(())
    }

    /// Gives a window up.
    pub fn leave(&mut self, ticket: u64) {
        self.slots.retain(|slot| slot.ticket != ticket);
    }

    /// Takes the texts of every window one token further and returns the windows that are finished: their texts are at
    /// their end tokens, or the model has no position left.
    ///
    /// # Errors
    /// Where an ONNX runtime cannot run its graphs. Every window is given up then.
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
        let texts = slots.iter().flat_map(Slot::texts).zip(logits);
        let mut work: Vec<_> =
            texts.map(|((scope, text), logits)| Work { scope, text, logits, outcome: None }).collect();
        engine.context().pool.chunks_mut(&mut work, 1, &|_, work, _| {
            let Work { scope, text, logits, outcome } = &mut work[0];
            *outcome = Some(scope.examine(engine, text, logits));
        });
        let mut outcomes: Vec<Outcome> = work.into_iter().filter_map(|work| work.outcome).collect();
        let mut finished = Vec::new();
        slots.retain_mut(|slot| {
            let rest = outcomes.split_off(slot.count());
            let own = std::mem::replace(&mut outcomes, rest);
            let decoded = slot.advance(engine, own);
            let goes_on = decoded.is_none();
            finished.extend(decoded.map(|decoded| (slot.ticket, decoded)));
            goes_on
        });
        Ok(finished)
    }
}
