//! What all requests share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use amanuensis_models::Store;
use tokio::sync::watch;

use crate::auth::ApiKeys;
use crate::config::Config;
use crate::decode::Decoder;
use crate::error::ApiError;
use crate::jobs::Jobs;
use crate::limits::Limits;
use crate::metrics::{Gauges, Metrics, resident_bytes};
use crate::pool::ModelPool;
use crate::transcription::TranscriptionLimits;

/// The server's parts; handlers get an `Arc` of it.
pub struct AppState {
    /// The settings.
    pub config: Config,
    /// The models.
    pub pool: Arc<ModelPool>,
    /// What decodes recordings.
    pub decoder: Decoder,
    /// The jobs; none where another server has their place.
    pub jobs: Option<Arc<Jobs>>,
    /// Who is let in.
    pub keys: ApiKeys,
    /// How much is done at once.
    pub limits: Limits,
    /// What is counted.
    pub metrics: Metrics,
    stopping: watch::Sender<bool>,
    requests: AtomicU64,
    /// Tells the ids of this run from those of others.
    run: u64,
}

impl AppState {
    /// The parts of a server with these settings, which make sense; `default_path` is where its default model is.
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
            run: since_epoch.as_millis() as u64,
            config,
        })
    }

    /// The server takes no further work.
    pub fn begin_shutdown(&self) {
        self.stopping.send_replace(true);
        self.jobs.iter().for_each(|jobs| jobs.stop());
    }

    /// Whether the server is being stopped.
    pub fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Waits until the server is being stopped.
    pub async fn shutdown_started(&self) {
        let stopped = self.stopping.subscribe().wait_for(|is_stopping| *is_stopping).await.is_ok();
        debug_assert!(stopped, "the sender is ours");
    }

    /// An id for a request.
    pub fn next_request_id(&self) -> String {
        format!("req_{:x}{:06x}", self.run, self.requests.fetch_add(1, Ordering::Relaxed))
    }

    /// How much a transcription may take.
    pub fn transcription_limits(&self) -> TranscriptionLimits {
        let seconds = Duration::from_secs;
        TranscriptionLimits {
            max_duration: seconds(self.config.max_duration),
            timeout: seconds(self.config.request_timeout),
        }
    }

    /// The refusal of a request that there is no place for, with a guess of when there may be.
    pub fn overloaded(&self, what: &str) -> ApiError {
        let each = self.metrics.mean_transcription_seconds().unwrap_or(1.0);
        let rounds = 1 + self.limits.queued_requests() / self.config.max_active.max(1);
        ApiError::overloaded(what, (each * rounds as f64).ceil().clamp(1.0, 60.0) as u64)
    }

    /// The state of things now.
    pub fn gauges(&self) -> Gauges {
        let models = self.pool.loaded(|model| {
            let (decoding, waiting) = model.windows();
            (model.name().to_owned(), decoding, waiting, model.batch_size())
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
