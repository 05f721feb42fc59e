//! `amanuensis serve`.

use std::collections::HashSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use amanuensis_models::Store;
use amanuensis_server::{Config, ServeError, Server, ShutdownOutcome};
use clap::ArgMatches;
use clap::parser::ValueSource;

use crate::console::Console;
use crate::failure::Failure;
use crate::fetch;
use crate::interrupt::Interrupt;
use crate::models;

const SERVE_HELP: &str = "\
Examples:
  amanuensis serve
  curl http://127.0.0.1:8000/v1/audio/transcriptions -F file=@talk.mp3 -F model=whisper-1
  amanuensis serve --host 0.0.0.0 --api-key-file keys.txt --max-active 8

The endpoints are described at /docs. Flags come before variables, these before the file, and
that before the defaults; a key of the file is the name of the flag with underscores.
Ctrl-C and SIGTERM let requests finish; the second one ends the server at once.

Environment:
  AMANUENSIS_MODELS  directory of the models (default: in the user's data directory)
  TMPDIR             directory for uploads";

/// The arguments of `serve`.
#[derive(Debug, clap::Args)]
#[command(after_help = SERVE_HELP)]
pub struct ServeArgs {
    /// A TOML file with settings
    #[arg(long, env = "AMANUENSIS_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,

    /// Print the settings as a TOML file, API keys left out, and end
    #[arg(long)]
    print_config: bool,

    #[command(flatten)]
    settings: Config,
}

/// Runs a server; `matches` tell which of the arguments were given.
pub fn run(args: &ServeArgs, matches: Option<&ArgMatches>) -> Result<(), Failure> {
    let is_given = |name: &str| {
        let source = matches.and_then(|matches| matches.value_source(name));
        matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable))
    };
    let names = matches.into_iter().flat_map(ArgMatches::ids).map(clap::Id::as_str);
    let given: HashSet<&str> = names.filter(|name| is_given(name)).collect();
    let usage = |error: &dyn std::fmt::Display| Failure::Usage(error.to_string());
    let config = match &args.config {
        Some(path) => args.settings.or_file(path, &given).map_err(|error| usage(&error))?,
        None => args.settings.clone(),
    };
    config.check().map_err(|error| usage(&error))?;
    if args.print_config {
        return io::stdout().write_all(config.to_toml().as_bytes()).map_err(|error| Failure::of_stdout(&error));
    }

    config.check_keys().map_err(|error| usage(&error))?;
    let console = Console::new(false);
    let store = Store::open_default().map_err(models::failure)?;
    let interrupt = Interrupt::install()?;
    let default_model = fetch_models(&store, &config, &console, &interrupt)?;
    let server = Server::bind(config, store, default_model, Some(own_program()?)).map_err(|error| match error {
        ServeError::Config(error) => usage(&error),
        error => Failure::Failed(error.to_string()),
    })?;
    let address = server.address().map_err(|error| Failure::Failed(error.to_string()))?;
    console.note(format!("listening at http://{address}, described at http://{address}/docs"));
    interrupt.hand_over(server.shutdown_handle());
    match server.run() {
        ShutdownOutcome::Graceful => Ok(()),
        ShutdownOutcome::Forced => Err(Failure::Interrupted),
    }
}

/// This program, to be started again as a worker.
fn own_program() -> Result<PathBuf, Failure> {
    // The file that runs, even where another has taken its place since: a worker has to be of the server's version.
    let running = Path::new("/proc/self/exe");
    if cfg!(target_os = "linux") && running.exists() {
        return Ok(running.to_owned());
    }
    std::env::current_exe().map_err(|error| Failure::Failed(format!("cannot find this program: {error}")))
}

/// Makes sure that the default model is there, and what finds speech; gives the place of the former.
fn fetch_models(store: &Store, config: &Config, console: &Console, interrupt: &Interrupt) -> Result<PathBuf, Failure> {
    let mut display = fetch::Display::new(console, interrupt, &config.default_model);
    // Nothing heeds the interrupt here: it ends the program at once, and the next one goes on with what was fetched.
    let path = store.resolve(&config.default_model, config.offline, &mut |step| display.show(step));
    console.clear_bar();
    let path = path.map_err(models::failure)?;
    // Who names a path of the own expects no network.
    let offline = config.offline || store.catalogue().find(&config.default_model).is_err();
    fetch::speech_detector(store, offline, console, interrupt)?;
    Ok(path)
}
