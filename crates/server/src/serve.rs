//! The server's life cycle: start-up checks, accepting connections, and graceful shutdown.

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
use crate::jobs::{JobError, JobSettings, Jobs};
use crate::state::AppState;
use amanuensis_decode_worker::{Decoder, OpenError};

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The settings are invalid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The address cannot be bound.
    #[error("cannot listen at {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The decoder fails even for a recording of four samples.
    #[error("cannot decode recordings with this program and this decode_memory: {0}")]
    Decoder(OpenError),
    /// The data directory cannot be used.
    #[error("cannot keep jobs in {}: {source}", directory.display())]
    Jobs {
        /// The data directory.
        directory: PathBuf,
        /// The reason.
        source: JobError,
    },
    /// The directory for temporary files cannot be used.
    #[error("cannot keep uploads in {} (set TMPDIR for another directory): {source}", directory.display())]
    Uploads {
        /// The directory of temporary files.
        directory: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The async runtime cannot be created.
    #[error("cannot start: {0}")]
    Start(io::Error),
}

/// A server that listens. It accepts connections in [`Self::run`].
pub struct Server {
    state: Arc<AppState>,
    listener: TcpListener,
    /// How often a shutdown was requested.
    shutdown_requests: watch::Sender<u32>,
    runtime: Runtime,
}

/// How a server has stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum ShutdownOutcome {
    /// On the first request, after the running requests have finished or the shutdown timeout has passed.
    Graceful,
    /// On a second request, before the running requests had finished.
    Forced,
}

impl Server {
    /// Binds the address of the settings. Models are in `store`, the default model at `default_path`.
    ///
    /// Recordings are decoded by processes of the program `worker`, which has to call
    /// [`run_worker`](amanuensis_decode_worker::run_worker). Without one they are decoded in this process.
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
        state.pool.check_default().map_err(|error| ConfigError::Invalid(format!("model_memory: {error}")))?;
        Ok(Self { state, listener, shutdown_requests: watch::Sender::new(0), runtime })
    }

    /// The address that the server listens on, with the port that was picked if the setting is 0.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// A function that requests a shutdown, from any thread. After the first call running requests may finish. A second call
    /// stops the server at once.
    pub fn shutdown_handle(&self) -> impl Fn() + Send + Sync + 'static {
        let requests = self.shutdown_requests.clone();
        move || requests.send_modify(|count| *count += 1)
    }

    /// Serves requests until a [shutdown](Self::shutdown_handle), then waits for the running ones to finish, for
    /// [`Config::shutdown_timeout`] at most.
    pub fn run(self) -> ShutdownOutcome {
        let Self { state, listener, shutdown_requests, runtime } = self;
        let requested = async |times| drop(shutdown_requests.subscribe().wait_for(|count| *count >= times).await);
        let outcome = runtime.block_on(async {
            warm_up(&state);
            let jobs = state.jobs.clone().map(|jobs| tokio::spawn(jobs.run(Arc::clone(&state.pool))));
            let connections = Arc::new(Semaphore::new(state.config.max_connections));
            tokio::select! {
                () = accept(&state, &listener, &connections) => {}
                () = requested(1) => {}
            }
            drop(listener);
            state.begin_shutdown();
            let timeout = Duration::from_secs(state.config.shutdown_timeout);
            let all_finished = async {
                // Each open connection holds one of the permits.
                let _ = connections.acquire_many(state.config.max_connections as u32).await;
                state.limits.close_live_sessions().await;
                if let Some(jobs) = jobs {
                    // If the task panicked, the next server resumes its jobs.
                    let _ = jobs.await;
                }
            };
            tokio::select! {
                () = all_finished => ShutdownOutcome::Graceful,
                () = tokio::time::sleep(timeout) => {
                    eprintln!("stopped before all requests had finished");
                    ShutdownOutcome::Graceful
                }
                () = requested(2) => ShutdownOutcome::Forced,
            }
        });
        // Transcriptions that still run were cancelled when their connections were dropped. They need not be waited for.
        runtime.shutdown_background();
        outcome
    }
}

/// Decodes a tiny recording, so that a decoder that cannot work is found before the first request.
fn check_decoder(runtime: &Runtime, decoder: &Decoder) -> Result<(), ServeError> {
    let decoder = decoder.clone();
    let checked = runtime.block_on(runtime.spawn_blocking(move || decoder.check()));
    checked.map_err(|panic| ServeError::Start(panic.into()))?.map_err(ServeError::Decoder)
}

/// Creates a temporary file, so that an unusable directory for uploads is found before the first request.
fn check_uploads() -> Result<(), ServeError> {
    let created = NamedTempFile::new().map(drop);
    created.map_err(|source| ServeError::Uploads { directory: env::temp_dir(), source })
}

/// Opens the job queue. A failure is an error if the data directory is set explicitly. Otherwise the server runs without jobs.
fn open_jobs(config: &Config, decoder: &Decoder) -> Result<Option<Arc<Jobs>>, ServeError> {
    let open = |directory: PathBuf| match Jobs::open(JobSettings::new(config, directory.clone()), decoder.clone()) {
        Ok(jobs) => Ok(Some(Arc::new(jobs))),
        Err(source) => Err(ServeError::Jobs { directory, source }),
    };
    if let Some(directory) = &config.data_dir {
        return open(directory.clone());
    }
    let problem = match data_directory().map(|data| open(data.join("server"))) {
        Some(Ok(jobs)) => return Ok(jobs),
        Some(Err(error)) => error.to_string(),
        None => "the user has no data directory".to_owned(),
    };
    eprintln!(
        "warning: jobs are disabled, because their directory cannot be used ({problem}); set one with --data-dir"
    );
    Ok(None)
}

/// Loads the default model in the background, so that the first request need not wait for it.
fn warm_up(state: &Arc<AppState>) {
    let state = Arc::clone(state);
    tokio::spawn(async move {
        let name = state.pool.default_model().name.clone();
        if let Err(error) = state.pool.get(&name).await {
            eprintln!("warning: {error}");
        }
    });
}

/// Accepts connections until it is cancelled. Each holds one of the `permits` until it is closed.
async fn accept(state: &Arc<AppState>, listener: &TcpListener, permits: &Arc<Semaphore>) {
    let service = TowerToHyperService::new(api::router(state));
    let mut http = http1::Builder::new();
    // The timeout starts with the connection and after each response.
    http.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(state.config.header_timeout));
    loop {
        let permit = Arc::clone(permits).acquire_owned().await.expect("the semaphore is never closed");
        let Ok((stream, _)) = listener.accept().await else {
            // Most often there are too many open files. Some of them will be closed soon.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        // Events of a stream are small and must not wait for more data.
        let _ = stream.set_nodelay(true);
        let connection = http.serve_connection(TokioIo::new(stream), service.clone()).with_upgrades();
        let state = Arc::clone(state);
        tokio::spawn(async move {
            let mut connection = pin!(connection);
            // Errors of a connection are caused by the client.
            tokio::select! {
                _ = &mut connection => {}
                () = state.shutdown_started() => {
                    connection.as_mut().graceful_shutdown();
                    let _ = connection.await;
                }
            }
            drop(permit);
        });
    }
}
