//! The options that select which parts of a recording are transcribed.

use std::ops::Range;
use std::str::FromStr;

use amanuensis_transcribe::VadOptions;

use crate::values::milliseconds;

/// Options that select which parts of a recording are transcribed.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Speech detection")]
pub struct SpeechArgs {
    /// Transcribe only the parts with speech (Silero VAD)
    ///
    /// Without this filter, the model may hallucinate text in silence and music.
    #[arg(long, value_name = "BOOL", default_value = "true", action = clap::ArgAction::Set)]
    vad_filter: bool,

    /// Treat audio as speech if its speech probability is above this
    #[arg(long, value_name = "PROBABILITY", default_value_t = VadOptions::default().threshold)]
    vad_threshold: f32,

    /// Discard parts with speech that are shorter than this, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = to_ms(VadOptions::default().min_speech), value_parser = milliseconds())]
    vad_min_speech_duration_ms: u64,

    /// Join two parts with speech if the silence between them is shorter than this, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = to_ms(VadOptions::default().min_silence), value_parser = milliseconds())]
    vad_min_silence_duration_ms: u64,

    /// Also transcribe this much audio before and after each part with speech, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = to_ms(VadOptions::default().padding), value_parser = milliseconds())]
    vad_speech_pad_ms: u64,

    /// Clips to transcribe, in seconds: start,end,start,end,... [default: the whole recording]
    ///
    /// If the last end is omitted, the last clip lasts until the end of the recording.
    #[arg(long, value_name = "LIST", default_value = "", hide_default_value = true, help_heading = "Input")]
    clip_timestamps: Clips,
}

impl SpeechArgs {
    /// The options of speech detection, or `None` if speech detection is off.
    pub fn vad_options(&self) -> Option<VadOptions> {
        let seconds = |ms: u64| ms as f64 / 1000.0;
        self.vad_filter.then(|| VadOptions {
            threshold: self.vad_threshold,
            min_speech: seconds(self.vad_min_speech_duration_ms),
            min_silence: seconds(self.vad_min_silence_duration_ms),
            padding: seconds(self.vad_speech_pad_ms),
        })
    }

    /// The parts of the recording to transcribe, as start and end in seconds. An empty list means the whole
    /// recording.
    pub fn clips(&self) -> Vec<Range<f64>> {
        self.clip_timestamps.0.clone()
    }
}

/// The value of `--clip-timestamps`.
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
            seconds.ok_or_else(|| format!("{text:?} is not a number of seconds"))
        };
        let times = text.split(',').map(seconds).collect::<Result<Vec<f64>, String>>()?;
        let clips: Vec<_> = times.chunks(2).map(|pair| pair[0]..pair.get(1).copied().unwrap_or(f64::MAX)).collect();
        if let Some(clip) = clips.iter().find(|clip| clip.end <= clip.start) {
            return Err(format!("a clip that starts at {} s cannot end at {} s", clip.start, clip.end));
        }
        Ok(Self(clips))
    }
}

fn to_ms(seconds: f64) -> u64 {
    (1000.0 * seconds).round() as u64
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
    fn defaults_equal_those_of_the_library() {
        let speech = parse(&[]).unwrap();
        assert_eq!((speech.vad_options(), speech.clips()), (Some(VadOptions::default()), Vec::new()));
    }

    #[test]
    fn vad_options_are_in_seconds_and_can_be_switched_off() {
        assert_eq!(parse(&["--vad-filter=false"]).unwrap().vad_options(), None);
        assert!(parse(&["--vad-filter", "true"]).unwrap().vad_options().is_some());
        let padded = parse(&["--vad-speech-pad-ms", "250"]).unwrap().vad_options().unwrap();
        assert!((padded.padding - 0.25).abs() < 1e-9);
    }

    #[test]
    fn clip_timestamps_are_pairs_of_start_and_end() {
        let clips = |text: &str| parse(&["--clip-timestamps", text]).map(|speech| speech.clips());
        assert_eq!(clips("0,10.5,60").unwrap(), [0.0..10.5, 60.0..f64::MAX]);
        for invalid in ["a", "5,4", "-1,3", "1,,2"] {
            assert!(clips(invalid).is_err(), "{invalid}");
        }
    }
}
