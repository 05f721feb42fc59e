//! A window in a batch: the texts it may have, from its prompt to the best that came to its end.

use amanuensis_kernels::Cpu;
use amanuensis_kernels::vector::{log_sum_exp, softmax};

use super::filters::Filters;
use super::hypothesis::{Hypothesis, grow};
use super::loops::goes_in_circles;
use super::prompt::prompt;
use super::random::{Draw, pick};
use super::search::{Candidate, Child, children, keep_best, largest, worth};
use super::{DecodeOptions, DecodingResult, Search};
use crate::sequence::Step;
use crate::window::EncoderOutput;
use crate::{Engine, Error};

pub(super) struct Slot {
    pub(super) ticket: u64,
    window: EncoderOutput,
    /// Texts that go on.
    live: Vec<Hypothesis>,
    ended: Vec<Ended>,
    scope: Scope,
    no_speech_prob: f32,
}

/// A text that came to its end.
struct Ended {
    /// Without prompt and end token.
    tokens: Vec<u32>,
    sum_logprob: f32,
}

/// What all texts of a window have in common.
pub(super) struct Scope {
    filters: Filters,
    search: Search,
    length_penalty: Option<f32>,
    abandon_loops: bool,
    /// Which token of the prompt is the start token.
    start: usize,
    prompt_len: usize,
    /// Tokens that the text was made to begin with.
    given: usize,
}

/// What the logits after a text say.
#[derive(Debug)]
pub(super) struct Outcome {
    /// The probability that nobody speaks, which is known after the start token.
    no_speech_prob: Option<f32>,
    /// The tokens that may come next, best first; none while a prompt is read.
    candidates: Vec<Candidate>,
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
            // A text begins with a time, where times are wanted.
            tokens.extend(Some(engine.vocabulary().timestamps().start).filter(|_| options.timestamps));
            let room = engine.n_text_ctx().saturating_sub(tokens.len() + 1);
            tokens.extend(options.prefix.iter().take(room));
        }
        let scope = Scope {
            filters: Filters::new(engine.config(), engine.vocabulary(), options),
            search: options.search,
            length_penalty: options.length_penalty,
            abandon_loops: options.abandon_loops,
            start: prompt.start,
            prompt_len,
            given: tokens.len() - prompt_len,
        };
        let first = Hypothesis { sequence: engine.start(window), tokens, sum_logprob: 0.0, draw: 0 };
        let window = window.clone();
        Ok(Self { ticket, window, live: vec![first], ended: Vec::new(), scope, no_speech_prob: 0.0 })
    }

    /// What the decoder takes next, a text each.
    pub(super) fn steps(&mut self) -> impl Iterator<Item = Step<'_>> {
        let start = self.scope.start;
        self.live.iter_mut().map(move |hypothesis| hypothesis.next_step(start))
    }

    /// The texts that go on, and what they have in common.
    pub(super) fn texts(&self) -> impl Iterator<Item = (&Scope, &Hypothesis)> {
        self.live.iter().map(|hypothesis| (&self.scope, hypothesis))
    }

    pub(super) fn count(&self) -> usize {
        self.live.len()
    }

    /// Goes on by what the logits said, an outcome a text. Gives the best text once there is nothing to wait for.
    pub(super) fn advance(&mut self, engine: &Engine, outcomes: Vec<Outcome>) -> Option<DecodingResult> {
        if let Some(probability) = outcomes.iter().find_map(|outcome| outcome.no_speech_prob) {
            self.no_speech_prob = probability;
        }
        let candidates: Vec<_> = outcomes.into_iter().map(|outcome| outcome.candidates).collect();
        if candidates.iter().all(Vec::is_empty) {
            return None;
        }
        let eot = engine.vocabulary().special().eot;
        let sums: Vec<f32> = self.live.iter().map(|hypothesis| hypothesis.sum_logprob).collect();
        let mut next = children(&sums, &candidates);
        if let Search::Beam { size, .. } = self.scope.search {
            keep_best(&mut next, size, eot);
        }
        let (ends, going_on): (Vec<Child>, Vec<Child>) = next.into_iter().partition(|child| child.token == eot);
        for end in ends.into_iter().take(self.scope.most_ended().saturating_sub(self.ended.len())) {
            let tokens = self.live[end.parent].tokens[self.scope.prompt_len..].to_vec();
            self.ended.push(Ended { tokens, sum_logprob: end.sum_logprob });
        }
        let is_decided = self.ended.len() >= self.scope.most_ended();
        self.live = grow(std::mem::take(&mut self.live), &going_on, &|| engine.start(&self.window));
        let is_full = self.live.first().is_none_or(|text| text.tokens.len() >= engine.n_text_ctx());
        (is_decided || is_full || self.is_lost(engine)).then(|| self.best())
    }

    /// Whether all texts that go on do so in circles, where that is a reason to give them up.
    fn is_lost(&self, engine: &Engine) -> bool {
        let first_time = engine.vocabulary().timestamps().start;
        self.scope.abandon_loops
            && self.live.iter().all(|text| {
                let said = text.tokens[self.scope.prompt_len..].iter().copied();
                goes_in_circles(&said.filter(|token| *token < first_time).collect::<Vec<_>>())
            })
    }

    fn best(&mut self) -> DecodingResult {
        // Texts for which there was no room to end, or which nobody waited for, stand in for those that did not end.
        let mut unfinished = std::mem::take(&mut self.live);
        unfinished.sort_by(|a, b| b.sum_logprob.total_cmp(&a.sum_logprob));
        let missing = self.scope.texts().saturating_sub(self.ended.len());
        self.ended.extend(unfinished.into_iter().take(missing).map(|mut text| Ended {
            tokens: text.tokens.split_off(self.scope.prompt_len),
            sum_logprob: text.sum_logprob,
        }));
        let sampled = |text: &Ended| text.tokens.len() - self.scope.given;
        let worth = |text: &Ended| worth(text.sum_logprob, sampled(text), self.scope.length_penalty);
        // The first of equals; a window has at least one text.
        let mut ended = std::mem::take(&mut self.ended).into_iter();
        let first = ended.next().expect("a text has ended or is unfinished");
        let best = ended.fold(first, |best, other| if worth(&other) > worth(&best) { other } else { best });
        DecodingResult {
            avg_logprob: best.sum_logprob / (sampled(&best) + 1) as f32,
            tokens: best.tokens,
            no_speech_prob: self.no_speech_prob,
            temperature: self.scope.search.temperature(),
        }
    }
}

impl Scope {
    /// Texts that are followed at once.
    fn texts(&self) -> usize {
        match self.search {
            Search::Greedy => 1,
            Search::Beam { size, .. } => size.max(1),
            Search::Sample { best_of, .. } => best_of.max(1),
        }
    }

    /// As soon as so many texts have ended, there is nothing to wait for.
    fn most_ended(&self) -> usize {
        match self.search {
            Search::Beam { size, patience } => ((size as f32 * patience).round() as usize).max(1),
            Search::Greedy | Search::Sample { .. } => self.texts(),
        }
    }

    /// Reads the logits after a text, which are overwritten.
    pub(super) fn examine(&self, engine: &Engine, text: &Hypothesis, logits: &mut [f32]) -> Outcome {
        let cpu = engine.context().cpu;
        let no_speech_prob = (text.sequence.len() == self.start + 1).then(|| {
            let (largest, log_sum) = log_sum_exp(cpu, logits);
            (logits[engine.vocabulary().special().no_speech as usize] - largest - log_sum).exp()
        });
        if text.sequence.len() < text.tokens.len() {
            return Outcome { no_speech_prob, candidates: Vec::new() };
        }
        self.filters.apply(cpu, &text.tokens[self.prompt_len..], logits);
        let mut candidates = self.candidates(cpu, text, logits);
        if candidates.iter().all(|candidate| !candidate.logprob.is_finite()) {
            // Every token is forbidden: the text ends.
            candidates = vec![Candidate { token: engine.vocabulary().special().eot, logprob: 0.0 }];
        }
        Outcome { no_speech_prob, candidates }
    }

    fn candidates(&self, cpu: Cpu, text: &Hypothesis, logits: &mut [f32]) -> Vec<Candidate> {
        let (top, log_sum) = log_sum_exp(cpu, logits);
        let candidate = |token: u32, logit: f32| Candidate { token, logprob: logit - top - log_sum };
        match self.search {
            Search::Greedy => {
                let token = logits.iter().position(|logit| *logit >= top).unwrap_or(0);
                vec![candidate(token as u32, top)]
            }
            Search::Beam { size, .. } => {
                let best = largest(logits, size.max(1) + 1);
                best.into_iter().map(|(token, logit)| candidate(token, logit)).collect()
            }
            Search::Sample { temperature, best_of, seed } => {
                let position = text.tokens.len() - self.prompt_len;
                let is_first = position == self.given;
                let texts = if is_first { 0..best_of.max(1) } else { text.draw..text.draw + 1 };
                let probabilities = &mut logits.to_vec();
                softmax(cpu, probabilities, 1.0 / temperature);
                let drawn = texts.map(|text| {
                    let token = pick(probabilities, Draw { seed, temperature, text, position }.uniform());
                    candidate(token as u32, logits[token])
                });
                drawn.collect()
            }
        }
    }
}
