//! Many windows decoded at once: every step takes one token of each, and reads the weights once for all of them.
//!
//! Windows join and leave between two steps. A window gets the same tokens alone as in any company.

use amanuensis_kernels::Cpu;
use amanuensis_kernels::vector::log_sum_exp;

use super::filters::Filters;
use super::{DecodeOptions, Decoded, prompt};
use crate::decoder::{Sequence, Step, StepBuffers};
use crate::encoder::Encoded;
use crate::{Engine, Error};

/// Windows being decoded together.
pub struct Batch<'e> {
    engine: &'e Engine,
    slots: Vec<Slot>,
    buffers: StepBuffers,
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
    pub fn join(&mut self, ticket: u64, window: &Encoded, options: &DecodeOptions) -> Result<(), Error> {
        let prompt = prompt(self.engine, options)?;
        let filters = Filters::new(self.engine.config(), self.engine.vocabulary(), options.timestamps);
        self.slots.push(Slot {
            ticket,
            sequence: self.engine.start(window),
            next: 0..1,
            prompt_len: prompt.len(),
            tokens: prompt,
            filters,
            no_speech_prob: 0.0,
            sum_logprob: 0.0,
            ended: false,
        });
        Ok(())
    }

    /// Gives a window up.
    pub fn leave(&mut self, ticket: u64) {
        self.slots.retain(|slot| slot.ticket != ticket);
    }

    /// Decodes one token of every window, the most probable, and returns the windows that are finished: at their end
    /// token, or because the model has no position left.
    pub fn step(&mut self) -> Vec<(u64, Decoded)> {
        let Self { engine, slots, buffers } = self;
        if slots.is_empty() {
            return Vec::new();
        }
        let mut steps: Vec<Step<'_>> = slots.iter_mut().map(Slot::next_step).collect();
        engine.step_into(&mut steps, buffers);
        let logits = buffers.logits.chunks_exact_mut(engine.vocabulary().n_vocab());
        let mut work: Vec<(&mut Slot, &mut [f32])> = slots.iter_mut().zip(logits).collect();
        let context = engine.context();
        context.pool.chunks_mut(&mut work, 1, &|_, work, _| {
            let (slot, logits) = &mut work[0];
            slot.accept(engine, context.cpu, logits);
        });
        slots.extract_if(.., |slot| slot.ended).map(Slot::finish).collect()
    }
}

/// A window and its text so far.
struct Slot {
    ticket: u64,
    sequence: Sequence,
    /// The prompt, then what was sampled.
    tokens: Vec<u32>,
    prompt_len: usize,
    /// Which of the tokens the decoder takes next.
    next: std::ops::Range<usize>,
    filters: Filters,
    no_speech_prob: f32,
    sum_logprob: f32,
    ended: bool,
}

impl Slot {
    fn next_step(&mut self) -> Step<'_> {
        Step { sequence: &mut self.sequence, tokens: &self.tokens[self.next.clone()] }
    }

    /// Takes the logits after the tokens that were next.
    fn accept(&mut self, engine: &Engine, cpu: Cpu, logits: &mut [f32]) {
        let special = engine.vocabulary().special();
        if self.next.start == 0 {
            // After the start token alone, the model says whether anybody speaks.
            let (largest, log_sum) = log_sum_exp(cpu, logits);
            self.no_speech_prob = (logits[special.no_speech as usize] - largest - log_sum).exp();
            if self.next.end < self.prompt_len {
                self.next = self.next.end..self.prompt_len;
                return;
            }
        }
        self.filters.apply(cpu, &self.tokens[self.prompt_len..], logits);
        let (token, logprob) = most_probable(cpu, logits);
        self.sum_logprob += logprob;
        if token == special.eot {
            self.ended = true;
            return;
        }
        self.tokens.push(token);
        self.ended = self.tokens.len() == engine.n_text_ctx();
        self.next = self.tokens.len() - 1..self.tokens.len();
    }

    fn finish(mut self) -> (u64, Decoded) {
        let tokens = self.tokens.split_off(self.prompt_len);
        let avg_logprob = self.sum_logprob / (tokens.len() + 1) as f32;
        (self.ticket, Decoded { tokens, avg_logprob, no_speech_prob: self.no_speech_prob, temperature: 0.0 })
    }
}

/// The token of the largest logit (the first of equals) and its log-probability.
fn most_probable(cpu: Cpu, logits: &[f32]) -> (u32, f32) {
    let (largest, log_sum) = log_sum_exp(cpu, logits);
    let token = logits.iter().position(|logit| *logit >= largest).unwrap_or(0);
    (token as u32, -log_sum)
}
