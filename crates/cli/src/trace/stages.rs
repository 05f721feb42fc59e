//! The stages of a window, from its spectrogram to the logits of each token, on one side or two.

use std::fmt::Display;
use std::time::Instant;

use amanuensis_audio::{HOP_LENGTH, LogMel};
use amanuensis_engine::{DecodeOptions, EncoderOutput, Engine, Frames, StepwiseDecoder, TokenLogprob};

use super::figures::{Apart, Figures, difference, logits_difference};
use super::window::Window;

/// Tokens that are shown as the most probable.
const TOP: usize = 5;

/// How far two sides are apart, or why that cannot be told.
pub type Difference = Result<Apart, String>;

/// What happened in a window.
pub struct Trace {
    pub language: Option<String>,
    pub mel: Stage,
    pub encoder: Stage,
    pub prompt: Vec<Token>,
    pub steps: Vec<Step>,
}

/// Values of which only figures are shown.
pub struct Stage {
    pub figures: Figures,
    /// From the other side, if there is one.
    pub difference: Option<Difference>,
}

/// A token and what it looks like.
pub struct Token {
    pub id: u32,
    pub text: String,
}

/// A decoding step.
pub struct Step {
    pub chosen: (Token, f32),
    /// Before rules apply.
    pub top: Vec<(Token, f32)>,
    /// Names and shapes.
    pub caches: Vec<(String, Vec<usize>)>,
    pub ms: f64,
    /// From the logits of a decoder without a cache.
    pub cached_difference: Difference,
    /// From the other side, if there is one.
    pub difference: Option<Difference>,
}

/// A stage that is not as it should be.
#[derive(Debug, PartialEq)]
pub struct BadStage {
    pub name: String,
    pub reason: String,
}

impl Trace {
    /// Takes a window through the stages; the other engine follows the text of the first.
    ///
    /// # Errors
    /// Where an engine cannot do it at all.
    pub fn of(
        window: &Window,
        (engine, other): (&Engine, Option<&Engine>),
        mut options: DecodeOptions,
        steps: usize,
    ) -> Result<Self, String> {
        // As long as transcribing would have it, or as an engine needs it that takes none but whole windows.
        let frames = window.samples.len() / HOP_LENGTH;
        let frames = Frames(frames);
        let frames =
            engine.window_frames(frames).max(other.map_or(Frames::ZERO, |other| other.window_frames(frames))).0;
        // Two sides are to see the same, whatever transcribing would spare one of them.
        let recorded = if other.is_some() { frames } else { window.samples.len() / HOP_LENGTH };
        let Read { mel, states, encoded } = Read::of(engine, window, (frames, recorded))?;
        let others = other.map(|other| Read::of(other, window, (frames, recorded))).transpose()?;
        let compare = |own: &[f32], theirs: Option<&[f32]>| theirs.map(|theirs| difference(own, theirs));
        if !engine.is_multilingual() {
            options.language = options.language.filter(|code| code != "en");
        } else if options.language.is_none() {
            let languages = engine.detect_language(&encoded).map_err(text)?;
            options.language = languages.into_iter().next().map(|(code, _)| code);
        }

        let mut reading = StepwiseDecoder::new(engine, &encoded, &options).map_err(text)?;
        let mut other = match (other, &others) {
            (Some(engine), Some(others)) => Some(Follower::new(engine, &others.encoded, &options, &reading)),
            _ => None,
        };
        let token = |id: u32| Token { id, text: engine.vocabulary().label(id) };
        let prompt = reading.tokens().iter().copied().map(token).collect();
        let mut trace = Self {
            language: options.language,
            mel: Stage {
                figures: Figures::of(&mel),
                difference: compare(&mel, others.as_ref().map(|others| others.mel.as_slice())),
            },
            encoder: Stage {
                figures: Figures::of(&states),
                difference: compare(&states, others.as_ref().map(|others| others.states.as_slice())),
            },
            prompt,
            steps: Vec::new(),
        };
        while trace.steps.len() < steps && !reading.is_over() {
            let start = Instant::now();
            let logits = reading.logits().map_err(text)?;
            let ms = 1e3 * start.elapsed().as_secs_f64();
            let cached_difference = logits_difference(&reading.uncached_logits().map_err(text)?, &logits);
            let difference = other.as_mut().map(|other| other.difference(&logits));
            let shown = |choice: TokenLogprob| (token(choice.token), choice.logprob);
            let top = reading.most_probable(&logits, TOP).into_iter().map(shown).collect();
            let chosen = reading.choose(logits);
            let caches = reading.cache_shapes();
            trace.steps.push(Step { chosen: shown(chosen), top, caches, ms, cached_difference, difference });
            reading.push(chosen.token);
            if let Some(other) = &mut other {
                other.push(chosen.token);
            }
        }
        Ok(trace)
    }

    /// The first stage with values that are not finite, or further from the other side than `tolerance`.
    pub fn failure(&self, tolerance: f32) -> Option<BadStage> {
        let of_stage = |name: &str, stage: &Stage| match stage.figures.non_finite {
            0 => too_far(name, stage.difference.as_ref(), tolerance),
            count => {
                Some(BadStage { name: name.to_owned(), reason: format!("{count} values are infinite or no number") })
            }
        };
        let of_step = |(index, step): (usize, &Step)| {
            let (name, number) = if index == 0 {
                ("first logits".to_owned(), 1)
            } else {
                (format!("logits of step {}", index + 1), index + 1)
            };
            too_far(&name, step.difference.as_ref(), tolerance)
                .or_else(|| too_far(&format!("cache of step {number}"), Some(&step.cached_difference), tolerance))
        };
        of_stage("mel", &self.mel)
            .or_else(|| of_stage("encoder", &self.encoder))
            .or_else(|| self.steps.iter().enumerate().find_map(of_step))
    }
}

fn too_far(name: &str, difference: Option<&Difference>, tolerance: f32) -> Option<BadStage> {
    let reason = match difference? {
        Ok(Apart { rms, .. }) if *rms <= tolerance => return None,
        Ok(Apart { rms, .. }) => format!("{rms:.2e} apart, where {tolerance} is allowed"),
        Err(reason) => reason.clone(),
    };
    Some(BadStage { name: name.to_owned(), reason })
}

/// The first frames of a window, so many of them of the recording, and what an engine makes of them.
struct Read {
    mel: Vec<f32>,
    states: Vec<f32>,
    encoded: EncoderOutput,
}

impl Read {
    fn of(engine: &Engine, window: &Window, (frames, recorded): (usize, usize)) -> Result<Self, String> {
        let mut mel = Vec::new();
        LogMel::new(engine.n_mels()).and_then(|mut log_mel| log_mel.window(&window.samples, &mut mel)).map_err(text)?;
        mel.truncate(frames * engine.n_mels());
        let states = engine.states(&mel).map_err(text)?;
        let encoded = engine.encode_window(&mel, Frames(recorded)).map_err(text)?;
        Ok(Self { mel, states, encoded })
    }
}

/// The other side, which reads what the first one does.
struct Follower<'e>(Result<StepwiseDecoder<'e>, String>);

impl<'e> Follower<'e> {
    fn new(engine: &'e Engine, window: &EncoderOutput, options: &DecodeOptions, first: &StepwiseDecoder<'_>) -> Self {
        let reading = StepwiseDecoder::new(engine, window, options).map_err(text);
        let is_alike =
            |reading: &StepwiseDecoder<'_>| reading.tokens() == first.tokens() && reading.n_vocab() == first.n_vocab();
        Self(
            reading.and_then(
                |reading| if is_alike(&reading) { Ok(reading) } else { Err("another vocabulary".to_owned()) },
            ),
        )
    }

    /// How far the logits after the text so far are from those of the first side.
    fn difference(&mut self, first: &[f32]) -> Difference {
        let reading = self.0.as_mut().map_err(|reason| reason.clone())?;
        logits_difference(first, &reading.logits().map_err(text)?)
    }

    fn push(&mut self, token: u32) {
        if let Ok(reading) = &mut self.0 {
            reading.push(token);
        }
    }
}

fn text(error: impl Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(encoder: Difference, steps: &[(Difference, Difference)]) -> Trace {
        let stage = |difference| Stage { figures: Figures::of(&[1.0]), difference: Some(difference) };
        let token = || Token { id: 0, text: String::new() };
        let step = |(cached, other): &(Difference, Difference)| Step {
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
            mel: stage(Ok(Apart { rms: 0.0, largest: 0.0 })),
            encoder: stage(encoder),
            prompt: Vec::new(),
            steps,
        }
    }

    #[test]
    fn the_first_bad_stage_is_named() {
        let name = |trace: &Trace| trace.failure(0.1).map(|stage| stage.name);
        let apart = |rms: f32| Ok(Apart { rms, largest: 1.0 });
        let fine = (apart(0.0), apart(0.1));
        let far = (apart(0.0), apart(0.2));
        let broken = (Err("2 values against 3".to_owned()), apart(0.0));
        assert_eq!(name(&trace(apart(0.05), &[fine.clone(), fine.clone()])), None);
        assert_eq!(name(&trace(apart(0.2), std::slice::from_ref(&far))), Some("encoder".to_owned()));
        assert_eq!(name(&trace(apart(f32::NAN), &[])), Some("encoder".to_owned()));
        assert_eq!(name(&trace(apart(0.0), &[far.clone(), fine.clone()])), Some("first logits".to_owned()));
        assert_eq!(name(&trace(apart(0.0), &[fine.clone(), far])), Some("logits of step 2".to_owned()));
        let bad = trace(apart(0.0), &[fine, broken]).failure(0.1).unwrap();
        assert_eq!((bad.name.as_str(), bad.reason.as_str()), ("cache of step 2", "2 values against 3"));
    }
}
