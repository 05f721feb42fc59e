//! `amanuensis models`.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use amanuensis_models::{Entry, Error, Purpose, Report, SPEECH_DETECTOR, State, Store};
use serde::Serialize;

use crate::args::ModelsCommand;
use crate::console::{self, Console};
use crate::failure::Failure;
use crate::fetch::{self, size};
use crate::interrupt::Interrupt;

pub fn run(command: ModelsCommand) -> Result<(), Failure> {
    let store = Store::open_default().map_err(failure)?;
    match command {
        ModelsCommand::List { json: false } => print(&table(&store.list())),
        ModelsCommand::List { json: true } => print(&json(&store.list())),
        ModelsCommand::Path { name } => print(&format!("{}\n", store.path(&name).map_err(failure)?.display())),
        ModelsCommand::Pull { names, quiet } => pull(&store, &names, &Console::new(quiet)),
        ModelsCommand::Verify { names } => verify(&store, &names),
        ModelsCommand::Remove { names } => remove(&store, &names),
    }
}

/// What an error of the store means for the program.
pub fn failure(error: Error) -> Failure {
    match error {
        Error::UnknownModel { .. } | Error::DoesNotTranscribe { .. } | Error::NoSuchPath(_) | Error::BadEndpoint(_) => {
            Failure::Usage(error.to_string())
        }
        Error::Cancelled => Failure::Interrupted,
        error => Failure::Failed(error.to_string()),
    }
}

fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| Failure::of_stdout(&error))
}

fn table(entries: &[Entry<'_>]) -> String {
    let mut table = format!("{:<18} {:>10}  {:<13}  {}\n", "NAME", "SIZE", "STATE", "LANGUAGES");
    for Entry { model, state, .. } in entries {
        let size = model.size().map_or_else(|| "unknown".to_owned(), size);
        // Writing to a string does not fail.
        let _ = writeln!(table, "{:<18} {size:>10}  {:<13}  {}", model.name(), label(state), model.languages());
    }
    table
}

fn label(state: &State) -> &'static str {
    match state {
        State::NotInstalled => "-",
        State::Partial { .. } => "incomplete",
        State::Installed(_) => "installed",
        State::Damaged(_) => "damaged",
    }
}

#[derive(Serialize)]
struct ListedModel<'a> {
    name: &'a str,
    aliases: &'a [String],
    description: &'a str,
    purpose: &'static str,
    languages: &'a str,
    /// Bytes.
    size: Option<u64>,
    state: &'static str,
    /// Where it is, if it is there.
    path: Option<String>,
}

fn json(entries: &[Entry<'_>]) -> String {
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
    serde_json::to_string_pretty(&listed).expect("text and numbers can always be written as JSON") + "\n"
}

fn pull(store: &Store, names: &[String], console: &Console) -> Result<(), Failure> {
    let interrupt = Interrupt::install()?;
    let mut transcribes = false;
    each(store, names, |name| {
        let mut display = fetch::Display::new(console, &interrupt, name);
        let path = interrupt.heed(|| store.pull(name, &mut |step| display.show(step)));
        console.clear_bar();
        console.note(format!("{name}: installed in {}", path.map_err(failure)?.display()));
        transcribes |= store.catalogue().find(name).is_ok_and(|model| model.purpose() == Purpose::Transcription);
        Ok(())
    })?;
    // What is pulled now is often used where there is no network: then all of it should be there.
    if transcribes
        && store.path(SPEECH_DETECTOR).is_err()
        && let Some(path) = fetch::speech_detector(store, false, console, &interrupt)?
    {
        console.note(format!("{SPEECH_DETECTOR}: installed in {}", path.display()));
    }
    Ok(())
}

fn verify(store: &Store, names: &[String]) -> Result<(), Failure> {
    let console = Console::new(false);
    let interrupt = Interrupt::install()?;
    let is_there = |entry: &Entry<'_>| matches!(entry.state, State::Installed(_) | State::Damaged(_));
    let installed: Vec<String> =
        store.list().iter().filter(|entry| is_there(entry)).map(|entry| entry.model.name().to_owned()).collect();
    if names.is_empty() && installed.is_empty() {
        console.note("no models are installed");
    }
    each(store, if names.is_empty() { &installed } else { names }, |name| {
        let mut display = fetch::Display::new(&console, &interrupt, name);
        let report = interrupt.heed(|| store.verify(name, &mut |step| display.show(step)));
        console.clear_bar();
        let Report { problems, manifest, path, .. } = report.map_err(failure)?;
        if problems.is_empty() {
            let bytes = manifest.map_or(0, |manifest| manifest.size());
            return print(&format!("{name}: intact, {}\n", size(bytes)));
        }
        Err(failure(Error::Damaged { name: name.to_owned(), path, problems }))
    })
}

fn remove(store: &Store, names: &[String]) -> Result<(), Failure> {
    each(store, names, |name| {
        let freed = store.remove(name).map_err(failure)?;
        print(&format!("{name}: removed, {}\n", size(freed)))
    })
}

/// Does `work` for every name, also where it failed for one before; for none, where one is unknown.
fn each(store: &Store, names: &[String], mut work: impl FnMut(&str) -> Result<(), Failure>) -> Result<(), Failure> {
    for name in names {
        store.catalogue().find(name).map_err(failure)?;
    }
    let mut failed = false;
    for name in names {
        match work(name) {
            Ok(()) => {}
            Err(Failure::Failed(reason)) => {
                console::line(&format!("error: {reason}"));
                failed = true;
            }
            Err(end) => return Err(end.after(failed)),
        }
    }
    if failed { Err(Failure::Reported) } else { Ok(()) }
}
