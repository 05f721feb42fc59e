//! The `verbose_json` format of `OpenAI`, written on one line, with additional fields such as the model name and the
//! timings.

use std::io::{self, Write};

use serde::Serialize;

use super::cues::SubtitleOptions;
use crate::{Ending, Language, Segment, Task, Timings, Transcript};

#[derive(Serialize)]
struct VerboseJson<'a> {
    task: Task,
    language: Option<Language>,
    duration: f64,
    text: String,
    segments: Vec<Segment>,
    model: &'a str,
    timings: Timings,
    /// The reason why the transcript is incomplete; left out if the transcript is complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    incomplete: Option<&'a str>,
}

pub(super) fn write(transcript: &Transcript, _: &SubtitleOptions, out: &mut dyn Write) -> io::Result<()> {
    let json = VerboseJson {
        task: transcript.task,
        language: transcript.language,
        duration: transcript.duration,
        text: transcript.text(),
        // The output contains the probability of each word, so the log-probabilities of single tokens are left out.
        segments: transcript.segments.iter().map(without_logprobs).collect(),
        model: &transcript.model,
        timings: transcript.timings,
        incomplete: match &transcript.ending {
            Ending::Complete => None,
            Ending::Cancelled => Some("cancelled"),
            Ending::Failed(reason) => Some(reason),
        },
    };
    serde_json::to_writer(&mut *out, &json)?;
    writeln!(out)
}

fn without_logprobs(segment: &Segment) -> Segment {
    Segment { token_logprobs: Vec::new(), ..segment.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::tests::{segment, transcript};

    fn written(transcript: &Transcript) -> String {
        let mut out = Vec::new();
        write(transcript, &SubtitleOptions::default(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_fields_are_those_of_verbose_json() {
        let json = written(&transcript(vec![segment(0, 0.0, 2.54, " \"One\".")]));
        assert_eq!(
            json,
            concat!(
                r#"{"task":"transcribe","language":"english","duration":2.54,"text":"\"One\".","segments":["#,
                r#"{"id":0,"seek":0,"start":0.0,"end":2.54,"text":" \"One\".","tokens":[50364,11,50464],"#,
                r#""temperature":0.0,"avg_logprob":-0.25,"compression_ratio":1.5,"no_speech_prob":0.125}],"#,
                r#""model":"base","timings":{"audio_decode":0.5,"vad":0.125,"mel":0.25,"encode":1.0,"decode":2.0,"total":4.0}}"#,
                "\n"
            )
        );
    }

    #[test]
    fn an_incomplete_transcript_says_why() {
        let mut cut = transcript(Vec::new());
        (cut.task, cut.language, cut.ending) = (Task::Translate, None, Ending::Cancelled);
        let json: serde_json::Value = serde_json::from_str(&written(&cut)).unwrap();
        assert_eq!((&json["task"], &json["language"]), (&"translate".into(), &serde_json::Value::Null));
        assert_eq!(json["incomplete"], "cancelled");
        cut.ending = Ending::Failed("disk on fire".to_owned());
        assert!(written(&cut).contains(r#""incomplete":"disk on fire""#));
    }
}
