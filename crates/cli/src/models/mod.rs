//! `amanuensis models`: lists, downloads, verifies and removes models.

pub mod args;
mod list;

use amanuensis_models::{Entry, Error, Purpose, Report, SPEECH_DETECTOR, State, Store};

use crate::console::{self, Console};
use crate::download::{self, DownloadProgress, format_bytes};
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::stdout::print;
use args::ModelsCommand;

pub fn run(command: ModelsCommand) -> Result<(), Failure> {
    let store = Store::open_default()?;
    match command {
        ModelsCommand::List { json: false } => print(&list::table(&store.list())),
        ModelsCommand::List { json: true } => print(&list::json(&store.list())),
        ModelsCommand::Path { name } => print(&format!("{}\n", store.path(&name)?.display())),
        ModelsCommand::Pull { names, quiet } => pull(&store, &names, &Console::new(quiet)),
        ModelsCommand::Verify { names } => verify(&store, &names),
        ModelsCommand::Remove { names } => remove(&store, &names),
    }
}

fn pull(store: &Store, names: &[String], console: &Console) -> Result<(), Failure> {
    let interrupt = Interrupt::install()?;
    let mut transcribes = false;
    for_each_model(store, names, |name| {
        let mut progress = DownloadProgress::new(console, &interrupt, name);
        let path = interrupt.run_interruptible(|| store.pull(name, &mut |step| progress.show(step)));
        console.clear_progress();
        console.info(format!("{name}: installed in {}", path?.display()));
        transcribes |= store.catalogue().find(name).is_ok_and(|model| model.purpose() == Purpose::Transcription);
        Ok(())
    })?;
    // Transcription also needs the speech detection model. It is downloaded now, because the user may have no network
    // access later.
    if transcribes
        && store.path(SPEECH_DETECTOR).is_err()
        && let Some(path) = download::speech_detector(store, false, console, &interrupt)?
    {
        console.info(format!("{SPEECH_DETECTOR}: installed in {}", path.display()));
    }
    Ok(())
}

fn verify(store: &Store, names: &[String]) -> Result<(), Failure> {
    let console = Console::new(false);
    let interrupt = Interrupt::install()?;
    let has_files = |entry: &Entry<'_>| matches!(entry.state, State::Installed(_) | State::Damaged(_));
    let installed: Vec<String> =
        store.list().iter().filter(|entry| has_files(entry)).map(|entry| entry.model.name().to_owned()).collect();
    if names.is_empty() && installed.is_empty() {
        console.info("no models are installed");
    }
    for_each_model(store, if names.is_empty() { &installed } else { names }, |name| {
        let mut progress = DownloadProgress::new(&console, &interrupt, name);
        let report = interrupt.run_interruptible(|| store.verify(name, &mut |step| progress.show(step)));
        console.clear_progress();
        let Report { problems, manifest, path, .. } = report?;
        if problems.is_empty() {
            let bytes = manifest.map_or(0, |manifest| manifest.size());
            return print(&format!("{name}: intact, {}\n", format_bytes(bytes)));
        }
        Err(Error::Damaged { name: name.to_owned(), path, problems }.into())
    })
}

fn remove(store: &Store, names: &[String]) -> Result<(), Failure> {
    for_each_model(store, names, |name| {
        let freed = store.remove(name)?;
        print(&format!("{name}: removed, {}\n", format_bytes(freed)))
    })
}

/// Calls `work` with every name, and continues if a call fails. If any of the names is unknown, an error is returned
/// before the first call.
fn for_each_model(
    store: &Store,
    names: &[String],
    mut work: impl FnMut(&str) -> Result<(), Failure>,
) -> Result<(), Failure> {
    for name in names {
        store.catalogue().find(name)?;
    }
    let mut has_failed = false;
    for name in names {
        match work(name) {
            Ok(()) => {}
            Err(Failure::Failed(reason)) => {
                console::write_line(&format!("error: {reason}"));
                has_failed = true;
            }
            Err(failure) => return Err(failure.after_failures(has_failed)),
        }
    }
    if has_failed { Err(Failure::Reported) } else { Ok(()) }
}
