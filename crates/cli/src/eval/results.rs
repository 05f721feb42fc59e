//! What came of an evaluation: errors of each recording, each language and all, as JSON.

use std::collections::BTreeMap;

use amanuensis_score::Errors;
use amanuensis_transcribe::Language;
use serde_json::{Map, Value, json};

use super::manifest::Clip;

/// What came of a recording.
pub struct ClipResult<'a> {
    pub clip: &'a Clip,
    /// The code of the language that was detected, where it was.
    pub detected: Option<&'static str>,
    /// The errors, where the recording has a reference.
    pub errors: Option<Errors>,
    pub text: String,
    /// What is suspicious, in one word each.
    pub flags: Vec<String>,
    /// What is suspicious, for people.
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

/// What came of all recordings.
pub struct Results<'a> {
    pub model: String,
    pub compute_type: String,
    pub strategy: &'static str,
    /// Seconds that the recordings last, without those that failed.
    pub audio: f64,
    /// Seconds that transcribing them took.
    pub wall: f64,
    pub clips: Vec<ClipResult<'a>>,
}

impl Results<'_> {
    /// The errors of each language that was counted, by code.
    pub fn by_language(&self) -> BTreeMap<&'static str, Errors> {
        let mut languages: BTreeMap<&'static str, Errors> = BTreeMap::new();
        for result in &self.clips {
            if let Some(errors) = result.errors {
                *languages.entry(language_of(result.clip)).or_default() += errors;
            }
        }
        languages
    }

    /// The errors of all languages that are wanted, by code, if there are any.
    pub fn of_languages(&self, is_wanted: impl Fn(&str) -> bool) -> Option<Errors> {
        let languages = self.by_language();
        let wanted: Vec<Errors> = languages.into_iter().filter(|(code, _)| is_wanted(code)).map(|(_, e)| e).collect();
        (!wanted.is_empty()).then(|| wanted.into_iter().sum())
    }

    /// Seconds of audio by seconds of wall time, unless everything failed.
    pub fn speed(&self) -> Option<f64> {
        (self.wall > 0.0).then(|| self.audio / self.wall)
    }

    /// One JSON object on one line.
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
            "error_rate_percent": rates, "reference_units": units, "speed": self.speed(), "audio_s": self.audio,
            "wall_s": self.wall, "clips": clips,
        });
        format!("{object}\n")
    }
}

/// The code of the language by whose rules a recording is counted: English where the manifest says nothing.
pub fn language_of(clip: &Clip) -> &'static str {
    clip.language.unwrap_or(Language::ENGLISH).code()
}

/// The error rate in percent, to two decimals.
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
            strategy: "batched",
            audio: 30.0,
            wall: 2.0,
            clips: clips.iter().map(result).collect(),
        }
    }

    pub fn errors(substitutions: usize, units: usize) -> Errors {
        Errors { substitutions, units, ..Errors::default() }
    }

    #[test]
    fn rates_are_pooled() {
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
    fn where_nothing_is_counted_there_are_no_rates() {
        let clips = [(clip("a", None), None)];
        let results: Value = serde_json::from_str(&results(&clips).json()).unwrap();
        assert_eq!(results["error_rate_percent"], json!({"non_en": null, "all": null}));
    }
}
