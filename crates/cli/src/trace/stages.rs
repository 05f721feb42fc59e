//! The values that the models computed in a trace, and the search for the first stage (mel spectrogram, encoder, or
//! decoding step) whose difference exceeds the tolerance.

use super::statistics::{Difference, Statistics};

/// The difference between two sets of values, or the reason why they cannot be compared.
pub type Comparison = Result<Difference, String>;

/// The values of one or two models for one window. They are the values of the first model. Of the second model, only
/// the differences from the first one are stored.
pub struct Trace {
    pub language: Option<String>,
    pub mel: Stage,
    pub encoder: Stage,
    pub prompt: Vec<Token>,
    pub steps: Vec<Step>,
}

/// A stage of the computation before decoding: the mel spectrogram or the encoder. It has many values, so only
/// statistics are reported.
pub struct Stage {
    pub statistics: Statistics,
    /// The difference between the values of the two models. `None` if there is no second model.
    pub difference: Option<Comparison>,
}

/// A token and its text.
pub struct Token {
    pub id: u32,
    pub text: String,
}

/// One decoding step, which generates one token.
pub struct Step {
    /// The chosen token and its log-probability.
    pub chosen: (Token, f32),
    /// The most probable tokens and their log-probabilities, before the logits filters are applied.
    pub top: Vec<(Token, f32)>,
    /// The names and shapes of the KV caches.
    pub caches: Vec<(String, Vec<usize>)>,
    pub ms: f64,
    /// The difference between the logits that the first model computes with its KV cache (the stored keys and values
    /// of earlier tokens) and without it.
    pub cached_difference: Comparison,
    /// The difference between the logits of both models. `None` if there is no second model.
    pub difference: Option<Comparison>,
}

/// A stage of the computation that fails the check, with the reason.
#[derive(Debug, PartialEq)]
pub struct FailedStage {
    pub name: String,
    pub reason: String,
}

impl Trace {
    /// Returns the first stage of the computation that fails: its values are NaN or infinite, or the models cannot be
    /// compared, or a difference is above `tolerance`. Returns `None` if all stages pass.
    pub fn failure(&self, tolerance: f32) -> Option<FailedStage> {
        let of_stage = |name: &str, stage: &Stage| match stage.statistics.non_finite {
            0 => check(name, stage.difference.as_ref(), tolerance),
            count => Some(FailedStage { name: name.to_owned(), reason: format!("{count} values are NaN or infinite") }),
        };
        let of_step = |(index, step): (usize, &Step)| {
            let (name, number) = if index == 0 {
                ("first logits".to_owned(), 1)
            } else {
                (format!("logits of step {}", index + 1), index + 1)
            };
            check(&name, step.difference.as_ref(), tolerance)
                .or_else(|| check(&format!("cache of step {number}"), Some(&step.cached_difference), tolerance))
        };
        of_stage("mel", &self.mel)
            .or_else(|| of_stage("encoder", &self.encoder))
            .or_else(|| self.steps.iter().enumerate().find_map(of_step))
    }
}

fn check(name: &str, difference: Option<&Comparison>, tolerance: f32) -> Option<FailedStage> {
    let reason = match difference? {
        Ok(Difference { rms, .. }) if *rms <= tolerance => return None,
        Ok(Difference { rms, .. }) => format!("difference {rms:.2e}, more than the tolerance of {tolerance}"),
        Err(reason) => reason.clone(),
    };
    Some(FailedStage { name: name.to_owned(), reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(encoder: Comparison, steps: &[(Comparison, Comparison)]) -> Trace {
        let stage = |difference| Stage { statistics: Statistics::of(&[1.0]), difference: Some(difference) };
        let token = || Token { id: 0, text: String::new() };
        let step = |(cached, other): &(Comparison, Comparison)| Step {
            chosen: (token(), 0.0),
            top: Vec::new(),
            caches: Vec::new(),
            ms: 0.0,
            cached_difference: cached.clone(),
            difference: Some(other.clone()),
        };
        let steps = steps.iter().map(step).collect();
        Trace {
            language: None,
            mel: stage(Ok(Difference { rms: 0.0, largest: 0.0 })),
            encoder: stage(encoder),
            prompt: Vec::new(),
            steps,
        }
    }

    #[test]
    fn the_first_stage_above_the_tolerance_is_named() {
        let name = |trace: &Trace| trace.failure(0.1).map(|stage| stage.name);
        let rms = |rms: f32| Ok(Difference { rms, largest: 1.0 });
        let good = (rms(0.0), rms(0.1));
        let bad = (rms(0.0), rms(0.2));
        let broken = (Err("2 values against 3".to_owned()), rms(0.0));
        assert_eq!(name(&trace(rms(0.05), &[good.clone(), good.clone()])), None);
        assert_eq!(name(&trace(rms(0.2), std::slice::from_ref(&bad))), Some("encoder".to_owned()));
        assert_eq!(name(&trace(rms(f32::NAN), &[])), Some("encoder".to_owned()));
        assert_eq!(name(&trace(rms(0.0), &[bad.clone(), good.clone()])), Some("first logits".to_owned()));
        assert_eq!(name(&trace(rms(0.0), &[good.clone(), bad])), Some("logits of step 2".to_owned()));
        let failed = trace(rms(0.0), &[good, broken]).failure(0.1).unwrap();
        assert_eq!((failed.name.as_str(), failed.reason.as_str()), ("cache of step 2", "2 values against 3"));
    }
}
