//! Turns logits into candidates for the next token.

use amanuensis_kernels::Cpu;
use amanuensis_kernels::vector::{log_sum_exp, softmax};

use super::hypothesis::Hypothesis;
use super::logits::LogitsFilters;
use super::options::Search;
use super::sampling::{Draw, pick};
use super::search::{Candidate, largest};
use crate::engine::Engine;

/// The settings that all hypotheses of a window share.
pub(super) struct SlotSettings {
    pub(super) filters: LogitsFilters,
    pub(super) search: Search,
    pub(super) length_penalty: Option<f32>,
    pub(super) abandon_loops: bool,
    /// Index of the start-of-transcript token in the prompt.
    pub(super) sot: usize,
    pub(super) prompt_len: usize,
    /// Number of tokens after the prompt that were not sampled: the prefix that the caller gave and, if timestamps
    /// are wanted, the timestamp before it.
    pub(super) prefix_len: usize,
}

/// What the logits after the final token of a hypothesis tell about the next token.
#[derive(Debug)]
pub(super) struct StepOutcome {
    /// The probability that the window contains no speech. It is known only directly after the start-of-transcript
    /// token, and `None` otherwise.
    pub(super) no_speech_prob: Option<f32>,
    /// The candidates for the next token. Except for random samples, the best comes first. Empty while the prompt is
    /// processed.
    pub(super) candidates: Vec<Candidate>,
}

impl SlotSettings {
    /// Number of hypotheses (candidate token sequences) that are extended in parallel.
    pub(super) fn n_hypotheses(&self) -> usize {
        match self.search {
            Search::Greedy => 1,
            Search::Beam { size, .. } => size.max(1),
            Search::Sample { best_of, .. } => best_of.max(1),
        }
    }

    /// Number of finished hypotheses at which decoding stops.
    pub(super) fn max_finished(&self) -> usize {
        match self.search {
            Search::Beam { size, patience } => ((size as f32 * patience).round() as usize).max(1),
            Search::Greedy | Search::Sample { .. } => self.n_hypotheses(),
        }
    }

    /// Computes the candidates for the next token from the logits after the final token of a hypothesis. Overwrites
    /// `logits`.
    pub(super) fn evaluate(&self, engine: &Engine, hypothesis: &Hypothesis, logits: &mut [f32]) -> StepOutcome {
        let cpu = engine.context().cpu;
        let no_speech_prob = (hypothesis.sequence.len() == self.sot + 1).then(|| {
            let (max, log_sum) = log_sum_exp(cpu, logits);
            (logits[engine.vocabulary().special().no_speech as usize] - max - log_sum).exp()
        });
        if hypothesis.sequence.len() < hypothesis.tokens.len() {
            return StepOutcome { no_speech_prob, candidates: Vec::new() };
        }
        self.filters.apply(cpu, &hypothesis.tokens[self.prompt_len..], logits);
        let mut candidates = self.candidates(cpu, hypothesis, logits);
        if candidates.iter().all(|candidate| !candidate.logprob.is_finite()) {
            // The filters forbid all tokens, so the hypothesis ends.
            candidates = vec![Candidate { token: engine.vocabulary().special().eot, logprob: 0.0 }];
        }
        StepOutcome { no_speech_prob, candidates }
    }

    fn candidates(&self, cpu: Cpu, hypothesis: &Hypothesis, logits: &mut [f32]) -> Vec<Candidate> {
        let (max, log_sum) = log_sum_exp(cpu, logits);
        let candidate = |token: u32, logit: f32| Candidate { token, logprob: logit - max - log_sum };
        match self.search {
            Search::Greedy => {
                let token = logits.iter().position(|logit| *logit >= max).unwrap_or(0);
                vec![candidate(token as u32, max)]
            }
            Search::Beam { size, .. } => {
                // There is one candidate more than the beam size, because one of them may be the end token.
                let best = largest(logits, size.max(1) + 1);
                best.into_iter().map(|(token, logit)| candidate(token, logit)).collect()
            }
            Search::Sample { temperature, best_of, seed } => {
                let position = hypothesis.tokens.len() - self.prompt_len;
                // A window begins with a single hypothesis. The first token of every sample is drawn from this
                // hypothesis. After that, each hypothesis draws only its own next token.
                let is_first = position == self.prefix_len;
                let draws = if is_first { 0..best_of.max(1) } else { hypothesis.draw..hypothesis.draw + 1 };
                let probabilities = &mut logits.to_vec();
                softmax(cpu, probabilities, 1.0 / temperature);
                let sampled = draws.map(|hypothesis| {
                    let token = pick(probabilities, Draw { seed, temperature, hypothesis, position }.uniform());
                    candidate(token as u32, logits[token])
                });
                sampled.collect()
            }
        }
    }
}
