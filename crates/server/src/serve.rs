//! Listening, and stopping: connections are accepted up to a number, have to say what they want in time, and may finish
//! what they began when the server is told to stop.

use std::env;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use amanuensis_models::{Store, data_directory};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tempfile::NamedTempFile;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, watch};

use crate::api;
use crate::auth::ApiKeys;
use crate::config::{Config, ConfigError};
use crate::decode::{Decoder, OpenError};
use crate::jobs::{JobError, Jobs};
use crate::state::AppState;

/// Why a server cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The settings make no sense.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The address cannot be listened at.
    #[error("cannot listen at {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The operating system's reason.
        source: io::Error,
    },
    /// Not even a recording of four samples can be decoded.
    #[error("no recording can be decoded with this program and this decode_memory: {0}")]
    Decoder(OpenError),
    /// The jobs cannot be kept where they are to be.
    #[error("cannot keep jobs in {}: {source}", directory.display())]
    Jobs {
        /// The data directory.
        directory: PathBuf,
        /// Why.
        source: JobError,
    },
    /// There is no place for uploads.
    #[error("cannot keep uploads in {}, which TMPDIR names, or the system: {source}", directory.display())]
    Uploads {
        /// The directory of temporary files.
        directory: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The system lacks what a server needs.
    #[error("cannot start: {0}")]
    Start(io::Error),
}

/// A server that listens, and answers once it is [run](Self::run).
pub struct Server {
    state: Arc<AppState>,
    listener: TcpListener,
    stops: watch::Sender<u32>,
    runtime: Runtime,
}

/// How a server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum ShutdownOutcome {
    /// It was asked to, and did.
    Graceful,
    /// It was asked a second time before all requests were finished.
    Forced,
}

impl Server {
    /// A server with these settings, which finds its models in `store` and the default one at `default_path`.
    ///
    /// Recordings are decoded by processes of the program `worker`, which calls [`decode_worker`](crate::decode_worker) with
    /// its second argument where its first is [`WORKER`](crate::WORKER); without one, by this process.
    ///
    /// # Errors
    /// Any [`ServeError`].
    pub fn bind(
        config: Config,
        store: Store,
        default_path: PathBuf,
        worker: Option<PathBuf>,
    ) -> Result<Self, ServeError> {
        let address = SocketAddr::new(config.host, config.port);
        config.check()?;
        let keys = ApiKeys::new(&config)?;
        let runtime = Runtime::new().map_err(ServeError::Start)?;
        let listener = runtime.block_on(TcpListener::bind(address));
        let listener = listener.map_err(|source| ServeError::Bind { address, source })?;
        check_uploads()?;
        let decoder = config.decoder(worker);
        check_decoder(&runtime, &decoder)?;
        let jobs = open_jobs(&config, &decoder)?;
        let state = AppState::new(config, keys, decoder, jobs, store, default_path);
        let fits = state.pool.check_default();
        fits.map_err(|error| ConfigError::Invalid(format!("model_memory: {error}")))?;
        Ok(Self { state, listener, stops: watch::Sender::new(0), runtime })
    }

    /// Where the server listens.
    ///
    /// # Errors
    /// The operating system's.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// What asks the server to stop, from any thread; once, for requests that have begun to be finished, or twice, so that it
    /// ends at once.
    pub fn shutdown_handle(&self) -> impl Fn() + Send + Sync + 'static {
        let stops = self.stops.clone();
        move || stops.send_modify(|stops| *stops += 1)
    }

    /// Answers requests until it is [asked to stop](Self::shutdown_handle), then lets those finish that have begun, for
    /// [`Config::shutdown_timeout`] at most.
    pub fn run(self) -> ShutdownOutcome {
        let Self { state, listener, stops, runtime } = self;
        let asked = async |times| drop(stops.subscribe().wait_for(|stops| *stops >= times).await);
        let ended = runtime.block_on(async {
            warm_up(&state);
            let jobs = state.jobs.clone().map(|jobs| tokio::spawn(jobs.run(Arc::clone(&state.pool))));
            let connections = Arc::new(Semaphore::new(state.config.max_connections));
            tokio::select! {
                () = accept(&state, &listener, &connections) => {}
                () = asked(1) => {}
            }
            drop(listener);
            state.begin_shutdown();
            let patience = Duration::from_secs(state.config.shutdown_timeout);
            let all = async {
                // All places are free when no connection is left.
                let _ = connections.acquire_many(state.config.max_connections as u32).await;
                state.limits.close_live_sessions().await;
                if let Some(jobs) = jobs {
                    // What a panic cut short is found by the next server.
                    let _ = jobs.await;
                }
            };
            tokio::select! {
                () = all => ShutdownOutcome::Graceful,
                () = tokio::time::sleep(patience) => {
                    eprintln!("stopped with requests unfinished");
                    ShutdownOutcome::Graceful
                }
                () = asked(2) => ShutdownOutcome::Forced,
            }
        });
        // What still transcribes gave up when its connection was dropped; nobody waits for it.
        runtime.shutdown_background();
        ended
    }
}

/// Tries what decodes, so that one that never can is known before the first request.
fn check_decoder(runtime: &Runtime, decoder: &Decoder) -> Result<(), ServeError> {
    let decoder = decoder.clone();
    let checked = runtime.block_on(runtime.spawn_blocking(move || decoder.check()));
    checked.map_err(|panic| ServeError::Start(panic.into()))?.map_err(ServeError::Decoder)
}

/// Finds out now, and not at the first request, whether uploads have a place.
fn check_uploads() -> Result<(), ServeError> {
    let tried = NamedTempFile::new().map(drop);
    tried.map_err(|source| ServeError::Uploads { directory: env::temp_dir(), source })
}

/// Takes the place of the jobs. Without the default one the server goes without jobs; one that was named has to do.
fn open_jobs(config: &Config, decoder: &Decoder) -> Result<Option<Arc<Jobs>>, ServeError> {
    let open = |directory: PathBuf| match Jobs::open(config.jobs(directory.clone()), decoder.clone()) {
        Ok(jobs) => Ok(Some(Arc::new(jobs))),
        Err(source) => Err(ServeError::Jobs { directory, source }),
    };
    if let Some(directory) = &config.data_dir {
        return open(directory.clone());
    }
    let problem = match data_directory().map(|data| open(data.join("server"))) {
        Some(Ok(jobs)) => return Ok(jobs),
        Some(Err(error)) => error.to_string(),
        None => "the system has none".to_owned(),
    };
    eprintln!("warning: no jobs are taken for want of a directory ({problem}); name one with --data-dir");
    Ok(None)
}

/// Loads the default model, so that the first request need not wait.
fn warm_up(state: &Arc<AppState>) {
    let state = Arc::clone(state);
    tokio::spawn(async move {
        let name = state.pool.default_model().name.clone();
        if let Err(error) = state.pool.get(&name).await {
            eprintln!("warning: {error}");
        }
    });
}

/// Accepts connections for ever.
async fn accept(state: &Arc<AppState>, listener: &TcpListener, places: &Arc<Semaphore>) {
    let service = TowerToHyperService::new(api::router(state));
    let mut http = http1::Builder::new();
    // It counts from the beginning of the connection, and from the end of every answer.
    http.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(state.config.header_timeout));
    loop {
        let place = Arc::clone(places).acquire_owned().await.expect("the semaphore is never closed");
        let Ok((stream, _)) = listener.accept().await else {
            // Too many open files, most often: some will be closed.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        // Events of a stream are small and wanted at once.
        let _ = stream.set_nodelay(true);
        let connection = http.serve_connection(TokioIo::new(stream), service.clone()).with_upgrades();
        let state = Arc::clone(state);
        tokio::spawn(async move {
            let mut connection = pin!(connection);
            // What a client does to its connection is no fault of ours.
            tokio::select! {
                _ = &mut connection => {}
                () = state.shutdown_started() => {
                    connection.as_mut().graceful_shutdown();
                    let _ = connection.await;
                }
            }
            drop(place);
        });
    }
}
