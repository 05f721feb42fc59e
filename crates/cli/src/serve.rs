//! `amanuensis serve`: runs the HTTP server.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use amanuensis_models::Store;
use amanuensis_server::{Config, ServeError, Server, ShutdownOutcome};
use clap::ArgMatches;
use clap::parser::ValueSource;

use crate::console::Console;
use crate::download::{self, DownloadProgress};
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::stdout::print;

const SERVE_HELP: &str = "\
Examples:
  amanuensis serve
  curl http://127.0.0.1:8000/v1/audio/transcriptions -F file=@talk.mp3 -F model=whisper-1
  amanuensis serve --host 0.0.0.0 --api-key-file keys.txt --max-active 8

The server documents its endpoints at /docs.

A setting is taken from the flag, else from the environment variable, else from the --config file, else it has its \
default. Keys in the file are the names of the flags, with underscores.

On Ctrl-C or SIGTERM, the server finishes active requests and exits. A second signal stops it immediately.

Environment:
  AMANUENSIS_MODELS  directory of the models (default: in the user's data directory)
  TMPDIR             directory for uploads";

/// The arguments of `serve`.
#[derive(Debug, clap::Args)]
#[command(after_help = SERVE_HELP)]
pub struct ServeArgs {
    /// TOML file with settings
    #[arg(long, env = "AMANUENSIS_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,

    /// Print the settings as TOML, without API keys, and exit
    #[arg(long)]
    print_config: bool,

    #[command(flatten)]
    settings: Config,
}

/// Runs the server. `matches` tells which arguments the user gave and which have their default values.
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
        return print(&config.to_toml());
    }

    config.check_keys().map_err(|error| usage(&error))?;
    let console = Console::new(false);
    let store = Store::open_default()?;
    let interrupt = Interrupt::install()?;
    let default_model = download_models(&store, &config, &console, &interrupt)?;
    let server = Server::bind(config, store, default_model, Some(own_program()?)).map_err(|error| match error {
        ServeError::Config(error) => usage(&error),
        error => Failure::Failed(error.to_string()),
    })?;
    let address = server.address().map_err(|error| Failure::Failed(error.to_string()))?;
    console.info(format!("listening at http://{address}, documentation at http://{address}/docs"));
    interrupt.set_handler(server.shutdown_handle());
    match server.run() {
        ShutdownOutcome::Graceful => Ok(()),
        ShutdownOutcome::Forced => Err(Failure::Interrupted),
    }
}

/// The path of this program, which the server starts again as a worker process.
fn own_program() -> Result<PathBuf, Failure> {
    // The worker must have the same version as the server. This link leads to the running program, even if an update
    // has replaced its file on disk.
    let running = Path::new("/proc/self/exe");
    if cfg!(target_os = "linux") && running.exists() {
        return Ok(running.to_owned());
    }
    std::env::current_exe().map_err(|error| Failure::Failed(format!("cannot find this program: {error}")))
}

/// Downloads the default model and the speech detection model if they are missing. Returns the path of the default
/// model.
fn download_models(
    store: &Store,
    config: &Config,
    console: &Console,
    interrupt: &Interrupt,
) -> Result<PathBuf, Failure> {
    let mut progress = DownloadProgress::new(console, interrupt, &config.default_model);
    // `run_interruptible` is not used here, so Ctrl-C ends the program immediately. The next start of the server
    // resumes the download.
    let path = store.resolve(&config.default_model, config.offline, &mut |step| progress.show(step));
    console.clear_progress();
    let path = path?;
    // If the model is given by its path, the user expects no network access. So the speech detection model is not
    // downloaded.
    let offline = config.offline || store.catalogue().find(&config.default_model).is_err();
    download::speech_detector(store, offline, console, interrupt)?;
    Ok(path)
}
