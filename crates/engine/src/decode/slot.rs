//! A slot of a batch: the place of one window. It decodes the window with all its hypotheses (candidate token
//! sequences), from the prompt to the best finished hypothesis.

use super::candidates::{SlotSettings, StepOutcome};
use super::hypothesis::{Hypothesis, fork};
use super::logits::LogitsFilters;
use super::loop_detection::ends_in_loop;
use super::options::{DecodeOptions, DecodingResult, Search};
use super::prompt::prompt;
use super::search::{Continuation, continuations, prune_to_beam, score};
use crate::engine::Engine;
use crate::error::Error;
use crate::network::{EncoderOutput, Step};

pub(super) struct Slot {
    pub(super) ticket: u64,
    window: EncoderOutput,
    unfinished: Vec<Hypothesis>,
    finished: Vec<Finished>,
    settings: SlotSettings,
    no_speech_prob: f32,
}

/// A hypothesis that has ended with the end token, or that was still unfinished when decoding stopped.
struct Finished {
    /// The tokens after the prompt, without the end token.
    tokens: Vec<u32>,
    sum_logprob: f32,
}

impl Slot {
    pub(super) fn new(
        engine: &Engine,
        ticket: u64,
        window: &EncoderOutput,
        options: &DecodeOptions,
    ) -> Result<Self, Error> {
        let prompt = prompt(engine, options)?;
        let (prompt_len, mut tokens) = (prompt.tokens.len(), prompt.tokens);
        if !options.prefix.is_empty() {
            // If timestamps are wanted, the first token must be a timestamp, so the prefix follows the timestamp
            // 0.00.
            tokens.extend(Some(engine.vocabulary().timestamps().start).filter(|_| options.timestamps));
            let room = engine.n_text_ctx().saturating_sub(tokens.len() + 1);
            tokens.extend(options.prefix.iter().take(room));
        }
        let settings = SlotSettings {
            filters: LogitsFilters::new(engine.config(), engine.vocabulary(), options),
            search: options.search,
            length_penalty: options.length_penalty,
            abandon_loops: options.abandon_loops,
            sot: prompt.sot,
            prompt_len,
            prefix_len: tokens.len() - prompt_len,
        };
        let first = Hypothesis { sequence: engine.start(window), tokens, sum_logprob: 0.0, draw: 0 };
        let window = window.clone();
        Ok(Self { ticket, window, unfinished: vec![first], finished: Vec::new(), settings, no_speech_prob: 0.0 })
    }

    /// The next decoder step of each unfinished hypothesis (candidate token sequence).
    pub(super) fn steps(&mut self) -> impl Iterator<Item = Step<'_>> {
        let sot = self.settings.sot;
        self.unfinished.iter_mut().map(move |hypothesis| hypothesis.next_step(sot))
    }

    /// The unfinished hypotheses, each with the settings that all hypotheses of the window share.
    pub(super) fn hypotheses(&self) -> impl Iterator<Item = (&SlotSettings, &Hypothesis)> {
        self.unfinished.iter().map(|hypothesis| (&self.settings, hypothesis))
    }

    /// Number of unfinished hypotheses.
    pub(super) fn n_hypotheses(&self) -> usize {
        self.unfinished.len()
    }

    /// Extends the hypotheses by their candidates. `outcomes` has one element per unfinished hypothesis. Returns the
    /// result when the window has finished: enough hypotheses have ended, no text position is left, or, with the
    /// option `abandon_loops`, all unfinished hypotheses repeat a phrase endlessly.
    pub(super) fn advance(&mut self, engine: &Engine, outcomes: Vec<StepOutcome>) -> Option<DecodingResult> {
        if let Some(probability) = outcomes.iter().find_map(|outcome| outcome.no_speech_prob) {
            self.no_speech_prob = probability;
        }
        let candidates: Vec<_> = outcomes.into_iter().map(|outcome| outcome.candidates).collect();
        if candidates.iter().all(Vec::is_empty) {
            return None;
        }
        let eot = engine.vocabulary().special().eot;
        let sums: Vec<f32> = self.unfinished.iter().map(|hypothesis| hypothesis.sum_logprob).collect();
        let mut next = continuations(&sums, &candidates);
        if let Search::Beam { size, .. } = self.settings.search {
            prune_to_beam(&mut next, size, eot);
        }
        let (ended, unfinished): (Vec<Continuation>, Vec<Continuation>) =
            next.into_iter().partition(|continuation| continuation.token == eot);
        for end in ended.into_iter().take(self.settings.max_finished().saturating_sub(self.finished.len())) {
            let tokens = self.unfinished[end.parent].tokens[self.settings.prompt_len..].to_vec();
            self.finished.push(Finished { tokens, sum_logprob: end.sum_logprob });
        }
        let are_enough_finished = self.finished.len() >= self.settings.max_finished();
        self.unfinished = fork(std::mem::take(&mut self.unfinished), &unfinished, &|| engine.start(&self.window));
        let is_full = self.unfinished.first().is_none_or(|hypothesis| hypothesis.tokens.len() >= engine.n_text_ctx());
        (are_enough_finished || is_full || self.is_abandoned(engine)).then(|| self.best())
    }

    /// Whether decoding stops because all unfinished hypotheses repeat a phrase endlessly. False without the option
    /// `abandon_loops`.
    fn is_abandoned(&self, engine: &Engine) -> bool {
        let first_timestamp = engine.vocabulary().timestamps().start;
        self.settings.abandon_loops
            && self.unfinished.iter().all(|hypothesis| {
                let sampled = hypothesis.tokens[self.settings.prompt_len..].iter().copied();
                ends_in_loop(&sampled.filter(|token| *token < first_timestamp).collect::<Vec<_>>())
            })
    }

    /// Takes all hypotheses and returns the result of the one with the best score. If too few hypotheses have
    /// finished, the most probable unfinished ones are ranked too.
    fn best(&mut self) -> DecodingResult {
        let mut unfinished = std::mem::take(&mut self.unfinished);
        unfinished.sort_by(|a, b| b.sum_logprob.total_cmp(&a.sum_logprob));
        let missing = self.settings.n_hypotheses().saturating_sub(self.finished.len());
        self.finished.extend(unfinished.into_iter().take(missing).map(|mut hypothesis| Finished {
            tokens: hypothesis.tokens.split_off(self.settings.prompt_len),
            sum_logprob: hypothesis.sum_logprob,
        }));
        let n_sampled = |finished: &Finished| finished.tokens.len() - self.settings.prefix_len;
        let score =
            |finished: &Finished| score(finished.sum_logprob, n_sampled(finished), self.settings.length_penalty);
        let mut finished = std::mem::take(&mut self.finished).into_iter();
        // Cannot fail: unfinished hypotheses have filled the list up to `n_hypotheses`, which is at least one.
        let first = finished.next().expect("a window has at least one hypothesis");
        // Among equal scores, the first hypothesis is chosen.
        let best = finished.fold(first, |best, other| if score(&other) > score(&best) { other } else { best });
        DecodingResult {
            avg_logprob: best.sum_logprob / (n_sampled(&best) + 1) as f32,
            tokens: best.tokens,
            no_speech_prob: self.no_speech_prob,
            temperature: self.settings.search.temperature(),
        }
    }
}
