//! The life cycle of the server: checks at start, accepting connections, and graceful shutdown.

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

/// The reason why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The settings are invalid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The server cannot listen on the address.
    #[error("cannot listen at {address}: {source}")]
    Bind {
        /// The address to listen on.
        address: SocketAddr,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The audio decoder fails even for a test recording of four samples.
    #[error("cannot decode recordings with this program and this decode_memory: {0}")]
    Decoder(OpenError),
    /// The data directory of the job queue cannot be used.
    #[error("cannot keep jobs in {}: {source}", directory.display())]
    Jobs {
        /// The data directory of the job queue.
        directory: PathBuf,
        /// The error of the job queue.
        source: JobError,
    },
    /// The directory for temporary files of uploads cannot be used.
    #[error("cannot keep uploads in {} (set TMPDIR for another directory): {source}", directory.display())]
    Uploads {
        /// The directory for temporary files.
        directory: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The async runtime, which executes all tasks of the server, cannot be created.
    #[error("cannot start: {0}")]
    Start(io::Error),
}

/// A server that listens on its address. [`Self::run`] accepts the connections.
pub struct Server {
    state: Arc<AppState>,
    listener: TcpListener,
    /// The number of times that a shutdown was requested.
    shutdown_requests: watch::Sender<u32>,
    runtime: Runtime,
}

/// How a server was shut down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum ShutdownOutcome {
    /// After the first shutdown request, the running requests have finished, or the shutdown timeout has passed.
    Graceful,
    /// A second shutdown request stopped the server before the running requests had finished.
    Forced,
}

impl Server {
    /// Creates a server that listens on the address in the settings. The models are in `store`, and the default model
    /// is at `default_path`.
    ///
    /// Recordings are decoded by worker processes that run the program `worker`. This program must call
    /// [`run_worker`](amanuensis_decode_worker::run_worker). If `worker` is `None`, recordings are decoded in this
    /// process.
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

    /// The address that the server listens on. If the port in the settings is 0, this address has the port that the
    /// operating system selected.
    ///
    /// # Errors
    /// Errors of the operating system.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Returns a function that requests a shutdown. It can be called from any thread. After the first call, running
    /// requests may still finish. A second call stops the server immediately.
    pub fn shutdown_handle(&self) -> impl Fn() + Send + Sync + 'static {
        let requests = self.shutdown_requests.clone();
        move || requests.send_modify(|count| *count += 1)
    }

    /// Serves requests until [a shutdown is requested](Self::shutdown_handle). Then waits until the running requests
    /// have finished, but at most for [`Config::shutdown_timeout`].
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
                // Each open connection holds one permit. Taking all permits therefore waits until all connections are
                // closed.
                let _ = connections.acquire_many(state.config.max_connections as u32).await;
                state.limits.close_live_sessions().await;
                if let Some(jobs) = jobs {
                    // Ignore a panic of the job task: the next server resumes the jobs.
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
        // Do not wait for transcriptions that are still running. They were cancelled when their connections were
        // dropped.
        runtime.shutdown_background();
        outcome
    }
}

/// Decodes a tiny recording, so that a problem with decoding is detected when the server starts instead of at the
/// first request.
fn check_decoder(runtime: &Runtime, decoder: &Decoder) -> Result<(), ServeError> {
    let decoder = decoder.clone();
    let checked = runtime.block_on(runtime.spawn_blocking(move || decoder.check()));
    checked.map_err(|panic| ServeError::Start(panic.into()))?.map_err(ServeError::Decoder)
}

/// Creates a temporary file, so that an unusable directory for uploads is detected when the server starts instead of
/// at the first request.
fn check_uploads() -> Result<(), ServeError> {
    let created = NamedTempFile::new().map(drop);
    created.map_err(|source| ServeError::Uploads { directory: env::temp_dir(), source })
}

/// Opens the job queue. If this fails and the settings name a data directory, returns an error. If it fails and they
/// name none, prints a warning and returns `None`, and the server runs without jobs.
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

/// Loads the default model in the background, so that the first request does not have to wait for it.
fn warm_up(state: &Arc<AppState>) {
    let state = Arc::clone(state);
    tokio::spawn(async move {
        let name = state.pool.default_model().name.clone();
        if let Err(error) = state.pool.get(&name).await {
            eprintln!("warning: {error}");
        }
    });
}

/// Accepts connections until this future is dropped. Each connection holds one of the `permits` until it is closed.
async fn accept(state: &Arc<AppState>, listener: &TcpListener, permits: &Arc<Semaphore>) {
    let service = TowerToHyperService::new(api::router(state));
    let mut http = http1::Builder::new();
    // The timeout for receiving the headers of a request starts when the connection is opened, and again after each
    // response.
    http.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(state.config.header_timeout));
    loop {
        let permit = Arc::clone(permits).acquire_owned().await.expect("the semaphore is never closed");
        let Ok((stream, _)) = listener.accept().await else {
            // Usually the process has too many open files. Wait for other connections to close, then try again.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        // Disable Nagle's algorithm: events of a stream are small and must be sent immediately.
        let _ = stream.set_nodelay(true);
        let connection = http.serve_connection(TokioIo::new(stream), service.clone()).with_upgrades();
        let state = Arc::clone(state);
        tokio::spawn(async move {
            let mut connection = pin!(connection);
            // Ignore errors of a connection: they are caused by the client, not by the server.
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
