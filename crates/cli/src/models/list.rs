//! `amanuensis models list`: shows the model catalogue as a table or as JSON.

use std::fmt::Write as _;

use amanuensis_models::{Entry, Purpose, State};
use serde::Serialize;

use crate::download::format_bytes;

pub fn table(entries: &[Entry<'_>]) -> String {
    let mut table = format!("{:<18} {:>10}  {:<13}  {}\n", "NAME", "SIZE", "STATE", "LANGUAGES");
    for Entry { model, state, .. } in entries {
        let size = model.size().map_or_else(|| "unknown".to_owned(), format_bytes);
        // Writing to a string cannot fail.
        let _ = writeln!(table, "{:<18} {size:>10}  {:<13}  {}", model.name(), label(state), model.languages());
    }
    table
}

pub fn json(entries: &[Entry<'_>]) -> String {
    let listed = entries.iter().map(|Entry { model, path, state }| ListedModel {
        name: model.name(),
        aliases: model.aliases(),
        description: model.description(),
        purpose: match model.purpose() {
            Purpose::SpeechDetection => "speech detection",
            _ => "transcription",
        },
        languages: model.languages(),
        size: model.size(),
        state: if *state == State::NotInstalled { "not installed" } else { label(state) },
        path: matches!(state, State::Installed(_) | State::Damaged(_)).then(|| path.to_string_lossy().into_owned()),
    });
    let listed: Vec<ListedModel<'_>> = listed.collect();
    serde_json::to_string_pretty(&listed).expect("strings and numbers can always be written as JSON") + "\n"
}

#[derive(Serialize)]
struct ListedModel<'a> {
    name: &'a str,
    aliases: &'a [String],
    description: &'a str,
    purpose: &'static str,
    languages: &'a str,
    /// The size of the model's files in bytes.
    size: Option<u64>,
    state: &'static str,
    /// The directory of the model, or `None` if the model is neither installed nor damaged.
    path: Option<String>,
}

fn label(state: &State) -> &'static str {
    match state {
        State::NotInstalled => "-",
        State::Partial { .. } => "incomplete",
        State::Installed(_) => "installed",
        State::Damaged(_) => "damaged",
    }
}
