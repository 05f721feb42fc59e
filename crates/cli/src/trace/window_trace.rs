//! Runs one or two models on a window of audio, and records the results: mel spectrogram, encoder states, and the
//! logits of each token.

use std::fmt::Display;
use std::time::Instant;

use amanuensis_audio::{HOP_LENGTH, LogMel};
use amanuensis_engine::{DecodeOptions, EncoderOutput, Engine, Frames, StepwiseDecoder, TokenLogprob};

use super::stages::{Comparison, Stage, Step, Token, Trace};
use super::statistics::{Statistics, difference, logits_difference};
use super::window::Window;

/// Number of most probable tokens to report for each decoding step.
const TOP_TOKENS: usize = 5;

/// Decodes up to `steps` tokens of a window with `engine`, and records the values. If there is a second engine
/// `other`, it gets the same tokens, and its values are compared.
///
/// # Errors
/// An engine cannot encode or decode the window.
pub fn run(
    window: &Window,
    (engine, other): (&Engine, Option<&Engine>),
    mut options: DecodeOptions,
    steps: usize,
) -> Result<Trace, String> {
    let lengths = Lengths::of(window, engine, other);
    let first = Encoded::new(engine, window, lengths)?;
    let second = other.map(|other| Encoded::new(other, window, lengths)).transpose()?;
    if !engine.is_multilingual() {
        options.language = options.language.filter(|code| code != "en");
    } else if options.language.is_none() {
        let languages = engine.detect_language(&first.output).map_err(message)?;
        options.language = languages.into_iter().next().map(|(code, _)| code);
    }

    let decoder = StepwiseDecoder::new(engine, &first.output, &options).map_err(message)?;
    let follower = match (other, &second) {
        (Some(engine), Some(second)) => Some(Follower::new(engine, &second.output, &options, &decoder)),
        _ => None,
    };
    let compare = |own: &[f32], other: Option<&[f32]>| other.map(|other| difference(own, other));
    let second_mel = second.as_ref().map(|second| second.mel.as_slice());
    let second_states = second.as_ref().map(|second| second.states.as_slice());
    Ok(Trace {
        language: options.language.clone(),
        mel: Stage { statistics: Statistics::of(&first.mel), difference: compare(&first.mel, second_mel) },
        encoder: Stage { statistics: Statistics::of(&first.states), difference: compare(&first.states, second_states) },
        prompt: decoder.tokens().iter().map(|id| token(engine, *id)).collect(),
        steps: decode(engine, decoder, follower, steps)?,
    })
}

/// Decodes up to `max_steps` tokens, always choosing the most probable one.
fn decode(
    engine: &Engine,
    mut decoder: StepwiseDecoder<'_>,
    mut follower: Option<Follower<'_>>,
    max_steps: usize,
) -> Result<Vec<Step>, String> {
    let with_text = |choice: TokenLogprob| (token(engine, choice.token), choice.logprob);
    let mut steps = Vec::new();
    while steps.len() < max_steps && !decoder.is_over() {
        let start = Instant::now();
        let logits = decoder.logits().map_err(message)?;
        let ms = 1e3 * start.elapsed().as_secs_f64();
        let cached_difference = logits_difference(&decoder.uncached_logits().map_err(message)?, &logits);
        let difference = follower.as_mut().map(|follower| follower.difference(&logits));
        let top = decoder.most_probable(&logits, TOP_TOKENS).into_iter().map(with_text).collect();
        let chosen = decoder.choose(logits);
        let caches = decoder.cache_shapes();
        steps.push(Step { chosen: with_text(chosen), top, caches, ms, cached_difference, difference });
        decoder.push(chosen.token);
        if let Some(follower) = &mut follower {
            follower.push(chosen.token);
        }
    }
    Ok(steps)
}

fn token(engine: &Engine, id: u32) -> Token {
    Token { id, text: engine.vocabulary().label(id) }
}

/// How many mel frames (10 ms of audio each) both engines get.
#[derive(Clone, Copy)]
struct Lengths {
    /// Number of frames that both encoders get. It is the number that the engine would use in a transcription. If the
    /// two engines would use different numbers, for example because one needs whole windows, both get the larger
    /// number.
    encoder_frames: usize,
    /// Number of frames that count as recorded audio. All later frames are padding.
    recorded_frames: usize,
}

impl Lengths {
    fn of(window: &Window, engine: &Engine, other: Option<&Engine>) -> Self {
        let frames = Frames(window.samples.len() / HOP_LENGTH);
        let other_frames = other.map_or(Frames::ZERO, |other| other.window_frames(frames));
        let encoder_frames = engine.window_frames(frames).max(other_frames).0;
        // In a transcription, one engine may drop the padding while the other keeps it. Then the encoder outputs
        // could not be compared, so with two engines, all frames count as recorded audio.
        let recorded_frames = if other.is_some() { encoder_frames } else { frames.0 };
        Self { encoder_frames, recorded_frames }
    }
}

/// The mel spectrogram of a window, and the encoder states that one engine computes from it.
struct Encoded {
    /// The mel spectrogram, with the shape `(n_frames, n_mels)`.
    mel: Vec<f32>,
    states: Vec<f32>,
    output: EncoderOutput,
}

impl Encoded {
    fn new(engine: &Engine, window: &Window, lengths: Lengths) -> Result<Self, String> {
        let mut mel = Vec::new();
        LogMel::new(engine.n_mels())
            .and_then(|mut log_mel| log_mel.window(&window.samples, &mut mel))
            .map_err(message)?;
        mel.truncate(lengths.encoder_frames * engine.n_mels());
        let states = engine.states(&mel).map_err(message)?;
        let output = engine.encode_window(&mel, Frames(lengths.recorded_frames)).map_err(message)?;
        Ok(Self { mel, states, output })
    }
}

/// The decoder of the second engine, which is given the tokens that the first engine chooses. If the engines cannot
/// be compared, it is an error that says why.
struct Follower<'e>(Result<StepwiseDecoder<'e>, String>);

impl<'e> Follower<'e> {
    fn new(engine: &'e Engine, output: &EncoderOutput, options: &DecodeOptions, first: &StepwiseDecoder<'_>) -> Self {
        let decoder = StepwiseDecoder::new(engine, output, options).map_err(message);
        let has_same_vocabulary =
            |decoder: &StepwiseDecoder<'_>| decoder.tokens() == first.tokens() && decoder.n_vocab() == first.n_vocab();
        Self(decoder.and_then(|decoder| {
            if has_same_vocabulary(&decoder) { Ok(decoder) } else { Err("the vocabularies differ".to_owned()) }
        }))
    }

    /// Returns the difference between the logits of both engines for the next token. `first` holds the logits of the
    /// first engine.
    fn difference(&mut self, first: &[f32]) -> Comparison {
        let decoder = self.0.as_mut().map_err(|reason| reason.clone())?;
        logits_difference(first, &decoder.logits().map_err(message)?)
    }

    fn push(&mut self, token: u32) {
        if let Ok(decoder) = &mut self.0 {
            decoder.push(token);
        }
    }
}

fn message(error: impl Display) -> String {
    error.to_string()
}
