//! The server state that all requests share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use amanuensis_models::Store;
use tokio::sync::watch;

use crate::auth::ApiKeys;
use crate::config::Config;
use crate::error::ApiError;
use crate::jobs::Jobs;
use crate::limits::Limits;
use crate::metrics::{Gauges, Metrics, ModelLoad, resident_bytes};
use crate::pool::ModelPool;
use crate::transcription::TranscriptionLimits;
use amanuensis_decode_worker::Decoder;

/// The components of the server. Request handlers share it through an `Arc`.
pub struct AppState {
    /// The settings of the server.
    pub config: Config,
    /// The installed models, and the cache of loaded models.
    pub pool: Arc<ModelPool>,
    /// Opens and decodes recordings.
    pub decoder: Decoder,
    /// The job queue. `None` if the server has no data directory for jobs.
    pub jobs: Option<Arc<Jobs>>,
    /// The API keys that clients may use.
    pub keys: ApiKeys,
    /// The slots for uploads, requests and live sessions, and the rate limit.
    pub limits: Limits,
    /// The counters that `GET /metrics` returns.
    pub metrics: Metrics,
    stopping: watch::Sender<bool>,
    requests: AtomicU64,
    /// Start time of the server in milliseconds since 1970. It is part of request ids, so that they stay unique after
    /// a restart.
    started_ms: u64,
}

impl AppState {
    /// The state of a server with the settings `config`, which the caller has already checked. `default_path` is the
    /// path of the default model.
    pub fn new(
        config: Config,
        keys: ApiKeys,
        decoder: Decoder,
        jobs: Option<Arc<Jobs>>,
        store: Store,
        default_path: std::path::PathBuf,
    ) -> Arc<Self> {
        let since_epoch = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
        Arc::new(Self {
            pool: Arc::new(ModelPool::new(store, default_path, &config)),
            decoder,
            jobs,
            keys,
            limits: Limits::new(&config),
            metrics: Metrics::default(),
            stopping: watch::Sender::new(false),
            requests: AtomicU64::new(0),
            started_ms: since_epoch.as_millis() as u64,
            config,
        })
    }

    /// Starts the shutdown: new requests are rejected, and jobs stop after their current window.
    pub fn begin_shutdown(&self) {
        self.stopping.send_replace(true);
        self.jobs.iter().for_each(|jobs| jobs.stop());
    }

    /// Whether the shutdown of the server has started.
    pub fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Waits until the shutdown of the server starts.
    pub async fn shutdown_started(&self) {
        let stopped = self.stopping.subscribe().wait_for(|is_stopping| *is_stopping).await.is_ok();
        debug_assert!(stopped, "the sender lives as long as self");
    }

    /// Creates an id for a request. Each call returns another id.
    pub fn next_request_id(&self) -> String {
        format!("req_{:x}{:06x}", self.started_ms, self.requests.fetch_add(1, Ordering::Relaxed))
    }

    /// The duration limit and the time limit for the transcription of a request. Jobs have other limits.
    pub fn transcription_limits(&self) -> TranscriptionLimits {
        let seconds = Duration::from_secs;
        TranscriptionLimits {
            max_duration: seconds(self.config.max_duration),
            timeout: seconds(self.config.request_timeout),
        }
    }

    /// The error with status 503 for a request that gets no slot because the server is busy. It tells the client an
    /// estimate of when to retry.
    pub fn overloaded(&self, message: &str) -> ApiError {
        let mean_seconds = self.metrics.mean_transcription_seconds().unwrap_or(1.0);
        let rounds = 1 + self.limits.queued_requests() / self.config.max_active.max(1);
        ApiError::overloaded(message, (mean_seconds * rounds as f64).ceil().clamp(1.0, 60.0) as u64)
    }

    /// The current load of the server.
    pub fn gauges(&self) -> Gauges {
        let models = self.pool.loaded(|model| {
            let (decoding, waiting) = model.windows();
            ModelLoad { name: model.name().to_owned(), decoding, waiting, batch_size: model.batch_size() }
        });
        Gauges {
            uploading: self.limits.active_uploads(),
            active: self.limits.active_requests(),
            waiting: self.limits.queued_requests(),
            live: self.limits.open_live_sessions(),
            jobs: self.jobs.as_ref().and_then(|jobs| jobs.unfinished().ok()),
            models,
            resident: resident_bytes(),
        }
    }
}
