//! The options that say what of a recording is read: what counts as speech, and which parts.

use std::ops::Range;
use std::str::FromStr;

use amanuensis_transcribe::VadOptions;
use clap::builder::{RangedU64ValueParser, TypedValueParser};

/// What of a recording is read.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Speech")]
pub struct SpeechArgs {
    /// Whether only speech is read; text may be invented over silence and music otherwise
    #[arg(long, value_name = "BOOL", default_value = "true", action = clap::ArgAction::Set)]
    vad_filter: bool,

    /// How probable speech has to be
    #[arg(long, value_name = "PROBABILITY", default_value_t = VadOptions::default().threshold)]
    vad_threshold: f32,

    /// Milliseconds; what is shorter is no speech
    #[arg(long, value_name = "MS", default_value_t = ms(VadOptions::default().min_speech), value_parser = times())]
    vad_min_speech_duration_ms: u64,

    /// Milliseconds; a pause that is shorter does not end speech
    #[arg(long, value_name = "MS", default_value_t = ms(VadOptions::default().min_silence), value_parser = times())]
    vad_min_silence_duration_ms: u64,

    /// Milliseconds before and after speech that are read with it
    #[arg(long, value_name = "MS", default_value_t = ms(VadOptions::default().padding), value_parser = times())]
    vad_speech_pad_ms: u64,

    /// Read only these parts: seconds at which they begin and end, such as 0,10.5,60,90; the last may lack its end
    #[arg(long, value_name = "SECONDS", default_value = "")]
    clip_timestamps: Clips,
}

impl SpeechArgs {
    /// What counts as speech; none where everything is read.
    pub fn options(&self) -> Option<VadOptions> {
        let seconds = |ms: u64| ms as f64 / 1000.0;
        self.vad_filter.then(|| VadOptions {
            threshold: self.vad_threshold,
            min_speech: seconds(self.vad_min_speech_duration_ms),
            min_silence: seconds(self.vad_min_silence_duration_ms),
            padding: seconds(self.vad_speech_pad_ms),
        })
    }

    /// The parts to read, in seconds; none is all.
    pub fn clips(&self) -> Vec<Range<f64>> {
        self.clip_timestamps.0.clone()
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Clips(Vec<Range<f64>>);

impl FromStr for Clips {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Ok(Self(Vec::new()));
        }
        let seconds = |text: &str| {
            let seconds = text.trim().parse::<f64>().ok().filter(|seconds| seconds.is_finite() && *seconds >= 0.0);
            seconds.ok_or_else(|| format!("{text:?} is no number of seconds"))
        };
        let times = text.split(',').map(seconds).collect::<Result<Vec<f64>, String>>()?;
        let clips: Vec<_> = times.chunks(2).map(|pair| pair[0]..pair.get(1).copied().unwrap_or(f64::MAX)).collect();
        if let Some(clip) = clips.iter().find(|clip| clip.end <= clip.start) {
            return Err(format!("a part that begins at {} s cannot end at {} s", clip.start, clip.end));
        }
        Ok(Self(clips))
    }
}

fn ms(seconds: f64) -> u64 {
    (1000.0 * seconds).round() as u64
}

/// Milliseconds up to a minute.
pub fn times() -> impl TypedValueParser<Value = u64> {
    RangedU64ValueParser::<u64>::new().range(0..=60_000)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        speech: SpeechArgs,
    }

    fn parse(arguments: &[&str]) -> Result<SpeechArgs, clap::Error> {
        Command::try_parse_from(["command"].iter().chain(arguments)).map(|command| command.speech)
    }

    #[test]
    fn what_is_not_said_is_the_default() {
        let speech = parse(&[]).unwrap();
        assert_eq!((speech.options(), speech.clips()), (Some(VadOptions::default()), Vec::new()));
        assert_eq!(parse(&["--vad-filter=false"]).unwrap().options(), None);
        assert!(parse(&["--vad-filter", "true"]).unwrap().options().is_some());
        let padded = parse(&["--vad-speech-pad-ms", "250"]).unwrap().options().unwrap();
        assert!((padded.padding - 0.25).abs() < 1e-9);
    }

    #[test]
    fn clips_are_pairs() {
        let clips = |text: &str| parse(&["--clip-timestamps", text]).map(|speech| speech.clips());
        assert_eq!(clips("0,10.5,60").unwrap(), [0.0..10.5, 60.0..f64::MAX]);
        for refused in ["a", "5,4", "-1,3", "1,,2"] {
            assert!(clips(refused).is_err(), "{refused}");
        }
    }
}
