//! The results of an evaluation: the errors of each recording, of each language, and in total. The results can be
//! written as JSON.

use std::collections::BTreeMap;

use amanuensis_score::Errors;
use amanuensis_transcribe::Language;
use serde_json::{Map, Value, json};

use super::manifest::Clip;

/// The result of one recording.
pub struct ClipResult<'a> {
    pub clip: &'a Clip,
    /// The code of the detected language. `None` if the language was not detected.
    pub detected: Option<&'static str>,
    /// The number of errors in the transcript. `None` if the recording has no reference text.
    pub errors: Option<Errors>,
    pub text: String,
    /// The names of the flags of the transcript's segments. A flag marks a segment as suspicious.
    pub flags: Vec<String>,
    /// Warnings about this recording, to show to the user.
    pub warnings: Vec<String>,
}

impl ClipResult<'_> {
    fn json(&self) -> Value {
        let errors = self.errors.as_ref();
        json!({
            "id": self.clip.id, "file": self.clip.file, "language": self.clip.language.map(Language::code),
            "detected": self.detected, "error_rate_percent": errors.and_then(rate),
            "substitutions": errors.map(|errors| errors.substitutions),
            "deletions": errors.map(|errors| errors.deletions),
            "insertions": errors.map(|errors| errors.insertions),
            "units": errors.map(|errors| errors.units),
            "text": self.text, "flags": self.flags, "warnings": self.warnings,
        })
    }
}

/// The results of all recordings.
pub struct Results<'a> {
    pub model: String,
    pub compute_type: String,
    pub strategy: String,
    /// Total duration in seconds of the recordings that did not fail.
    pub audio_s: f64,
    /// Total time in seconds that the transcription of these recordings took.
    pub wall_s: f64,
    pub clips: Vec<ClipResult<'a>>,
}

impl Results<'_> {
    /// The sum of the errors of each language, by language code. Languages without a scored recording are left out.
    pub fn by_language(&self) -> BTreeMap<&'static str, Errors> {
        let mut languages: BTreeMap<&'static str, Errors> = BTreeMap::new();
        for result in &self.clips {
            if let Some(errors) = result.errors {
                *languages.entry(scoring_language(result.clip)).or_default() += errors;
            }
        }
        languages
    }

    /// The sum of the errors of some languages: those for whose code `is_selected` returns true. `None` if no
    /// recording in these languages was scored.
    pub fn of_languages(&self, is_selected: impl Fn(&str) -> bool) -> Option<Errors> {
        let languages = self.by_language();
        let selected: Vec<Errors> =
            languages.into_iter().filter(|(code, _)| is_selected(code)).map(|(_, errors)| errors).collect();
        (!selected.is_empty()).then(|| selected.into_iter().sum())
    }

    /// Seconds of audio transcribed per second of wall time. `None` if all recordings failed.
    pub fn speed(&self) -> Option<f64> {
        (self.wall_s > 0.0).then(|| self.audio_s / self.wall_s)
    }

    /// The results as one line of JSON.
    pub fn json(&self) -> String {
        let languages = self.by_language();
        let mut rates: Map<String, Value> =
            languages.iter().map(|(code, errors)| ((*code).to_owned(), json!(rate(errors)))).collect();
        rates.insert("non_en".to_owned(), json!(self.of_languages(|code| code != "en").as_ref().and_then(rate)));
        rates.insert("all".to_owned(), json!(self.of_languages(|_| true).as_ref().and_then(rate)));
        let units: Map<String, Value> =
            languages.iter().map(|(code, errors)| ((*code).to_owned(), json!(errors.units))).collect();
        let clips: Vec<Value> = self.clips.iter().map(ClipResult::json).collect();
        let object = json!({
            "model": self.model, "compute_type": self.compute_type, "strategy": self.strategy,
            "error_rate_percent": rates, "reference_units": units, "speed": self.speed(), "audio_s": self.audio_s,
            "wall_s": self.wall_s, "clips": clips,
        });
        format!("{object}\n")
    }
}

/// The code of the language whose scoring rules apply to a recording: the language in the manifest, or English if the
/// manifest names none.
pub fn scoring_language(clip: &Clip) -> &'static str {
    clip.language.unwrap_or(Language::ENGLISH).code()
}

/// The error rate in percent, rounded to two decimals. `None` if the reference has no words.
pub fn rate(errors: &Errors) -> Option<f64> {
    errors.percent().map(|percent| (100.0 * percent).round() / 100.0)
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn clip(id: &str, language: Option<&str>) -> Clip {
        Clip {
            id: id.to_owned(),
            file: format!("{id}.wav"),
            path: format!("talks/{id}.wav").into(),
            language: language.and_then(Language::from_code),
            reference: None,
        }
    }

    pub fn results<'a>(clips: &'a [(Clip, Option<Errors>)]) -> Results<'a> {
        let result = |(clip, errors): &'a (Clip, Option<Errors>)| ClipResult {
            clip,
            detected: None,
            errors: *errors,
            text: "Text".to_owned(),
            flags: Vec::new(),
            warnings: Vec::new(),
        };
        Results {
            model: "base".to_owned(),
            compute_type: "int8".to_owned(),
            strategy: "batched".to_owned(),
            audio_s: 30.0,
            wall_s: 2.0,
            clips: clips.iter().map(result).collect(),
        }
    }

    pub fn errors(substitutions: usize, units: usize) -> Errors {
        Errors { substitutions, units, ..Errors::default() }
    }

    #[test]
    fn error_rates_are_pooled_over_recordings() {
        let clips = [
            (clip("a", None), Some(errors(1, 10))),
            (clip("b", Some("en")), Some(errors(2, 10))),
            (clip("c", Some("de")), Some(errors(1, 4))),
            (clip("d", Some("fr")), Some(errors(0, 2))),
            (clip("e", Some("it")), None),
        ];
        let results: Value = serde_json::from_str(&results(&clips).json()).unwrap();
        let expected = json!({"en": 15.0, "de": 25.0, "fr": 0.0, "non_en": 16.67, "all": 15.38});
        assert_eq!(results["error_rate_percent"], expected);
        assert_eq!(results["reference_units"], json!({"en": 20, "de": 4, "fr": 2}));
        assert_eq!((&results["speed"], &results["clips"][4]["units"]), (&json!(15.0), &Value::Null));
    }

    #[test]
    fn without_references_there_are_no_error_rates() {
        let clips = [(clip("a", None), None)];
        let results: Value = serde_json::from_str(&results(&clips).json()).unwrap();
        assert_eq!(results["error_rate_percent"], json!({"non_en": null, "all": null}));
    }
}
