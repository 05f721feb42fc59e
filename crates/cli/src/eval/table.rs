//! The results of an evaluation as a table.

use amanuensis_score::{Errors, is_by_character};

use super::results::{ClipResult, Results, scoring_language};
use crate::console::printable;

/// Formats a table of the recordings, a table of the languages, and the speed.
pub fn table(results: &Results<'_>) -> String {
    let mut lines = vec![format!("{}, {}, {}", results.model, results.compute_type, results.strategy), String::new()];
    let width =
        results.clips.iter().map(|result| printable(&result.clip.id).chars().count()).max().unwrap_or(0).max(13);
    lines.push(format!("{:<width$}  {}", "recording", HEADER));
    lines.extend(results.clips.iter().map(|result| {
        let (name, code) = (printable(&result.clip.id), scoring_language(result.clip));
        let line = format!("{name:<width$}  {}  {}", row(code, result.errors.as_ref()), notes(result));
        line.trim_end().to_owned()
    }));
    lines.push(String::new());
    lines.push(format!("{:<width$}  {}", "total", HEADER));
    for (code, errors) in results.by_language() {
        let unit = if is_by_character(code) { "characters" } else { "words" };
        lines.push(format!("{:<width$}  {}  {unit}", "", row(code, Some(&errors))));
    }
    for (name, errors) in
        [("not English", results.of_languages(|code| code != "en")), ("all languages", results.of_languages(|_| true))]
    {
        if let Some(errors) = errors {
            lines.push(format!("{name:<width$}  {}", row("", Some(&errors))));
        }
    }
    lines.push(String::new());
    lines.push(match results.speed() {
        Some(speed) => format!(
            "speed {speed:.1}: {:.1} s of audio in {:.1} s of wall time, loading the model not included",
            results.audio_s, results.wall_s
        ),
        None => "no recording was transcribed".to_owned(),
    });
    lines.join("\n") + "\n"
}

const HEADER: &str = "language  errors %     sub     del     ins      of";

/// Formats one row of the table: a language code and its errors, in the columns that [`HEADER`] names.
fn row(code: &str, errors: Option<&Errors>) -> String {
    let Some(errors) = errors else { return format!("{code:<8}  not counted{:>29}", "") };
    let percent = errors.percent().map_or("-".to_owned(), |percent| format!("{percent:.2}"));
    let Errors { substitutions, deletions, insertions, units } = errors;
    format!("{code:<8}  {percent:>8}{substitutions:>8}{deletions:>8}{insertions:>8}{units:>8}")
}

/// Formats the notes on a recording: its detected language, flags and warnings.
fn notes(result: &ClipResult<'_>) -> String {
    let detected = result.detected.map(|code| format!("detected: {code}"));
    let notes: Vec<String> = detected.into_iter().chain(result.flags.iter().chain(&result.warnings).cloned()).collect();
    printable(&notes.join("; "))
}

#[cfg(test)]
mod tests {
    use super::super::results::tests::{clip, errors, results};
    use super::*;

    #[test]
    fn the_table_lists_recordings_languages_and_speed() {
        let clips = [
            (clip("talk-1", Some("en")), Some(errors(1, 3))),
            (clip("talk-2", Some("ja")), Some(errors(0, 4))),
            (clip("talk-3", Some("en")), None),
        ];
        let mut results = results(&clips);
        results.clips[1].flags.push("repetition".to_owned());
        let expected = "\
base, int8, batched

recording      language  errors %     sub     del     ins      of
talk-1         en           33.33       1       0       0       3
talk-2         ja            0.00       0       0       0       4  repetition
talk-3         en        not counted

total          language  errors %     sub     del     ins      of
               en           33.33       1       0       0       3  words
               ja            0.00       0       0       0       4  characters
not English                  0.00       0       0       0       4
all languages               14.29       1       0       0       7

speed 15.0: 30.0 s of audio in 2.0 s of wall time, loading the model not included
";
        assert_eq!(table(&results), expected);
    }
}
