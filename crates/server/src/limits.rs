//! Limits how many uploads, requests and live sessions are active at the same time, how many requests wait in the
//! queue, and how many requests a client may send per minute.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::Config;

/// The slots (permissions to be active at the same time) for uploads, requests and live sessions, and the rate limit
/// of each client. Dropping a slot frees it for another client.
pub struct Limits {
    uploads: Arc<Semaphore>,
    /// Limits the queued and active requests together. Each of them holds one permit.
    requests: Arc<Semaphore>,
    /// Limits the active requests, which are being transcribed. Each of them holds one permit.
    active: Arc<Semaphore>,
    live: Arc<Semaphore>,
    max_uploads: usize,
    max_live: usize,
    max_requests: usize,
    max_active: usize,
    rate_limit: Option<RateLimit>,
}

/// The permission of a request to wait in the queue. Dropping it frees the place.
pub struct QueueSlot {
    request: OwnedSemaphorePermit,
    active: Arc<Semaphore>,
}

/// The permission of a request to be transcribed. Dropping it lets another request start.
pub struct ActiveSlot {
    _request: OwnedSemaphorePermit,
    _active: OwnedSemaphorePermit,
}

impl Limits {
    /// Creates all slots, and the rate limit, as `config` sets them.
    pub fn new(config: &Config) -> Self {
        let max_requests = config.max_active + config.max_queue;
        let semaphore = |permits: usize| Arc::new(Semaphore::new(permits));
        Self {
            uploads: semaphore(config.max_uploads),
            requests: semaphore(max_requests),
            active: semaphore(config.max_active),
            live: semaphore(config.max_live),
            max_uploads: config.max_uploads,
            max_live: config.max_live,
            max_requests,
            max_active: config.max_active,
            rate_limit: (config.requests_per_minute > 0).then(|| RateLimit::new(config.requests_per_minute)),
        }
    }

    /// Takes a slot for an upload without waiting. `None` if all slots are taken.
    pub fn try_upload_slot(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.uploads).try_acquire_owned().ok()
    }

    /// Takes a slot for a live session without waiting. `None` if all slots are taken.
    pub fn try_live_slot(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.live).try_acquire_owned().ok()
    }

    /// Takes a slot in the request queue without waiting. `None` if the queue is full.
    pub fn try_queue_slot(&self) -> Option<QueueSlot> {
        let request = Arc::clone(&self.requests).try_acquire_owned().ok()?;
        Some(QueueSlot { request, active: Arc::clone(&self.active) })
    }

    /// Whether [`Self::try_queue_slot`] would return `None` now.
    pub fn is_queue_full(&self) -> bool {
        self.requests.available_permits() == 0
    }

    /// Number of uploads that are being received.
    pub fn active_uploads(&self) -> usize {
        self.max_uploads - self.uploads.available_permits()
    }

    /// Number of requests that are being transcribed.
    pub fn active_requests(&self) -> usize {
        self.max_active - self.active.available_permits()
    }

    /// Number of requests that wait in the queue.
    pub fn queued_requests(&self) -> usize {
        // The two semaphores are not read at the same moment, so the subtraction could give a negative number.
        (self.max_requests - self.requests.available_permits()).saturating_sub(self.active_requests())
    }

    /// Number of open live sessions.
    pub fn open_live_sessions(&self) -> usize {
        self.max_live - self.live.available_permits()
    }

    /// Waits until all live sessions are closed. After that, no new live session can be opened.
    pub async fn close_live_sessions(&self) {
        // The semaphore was created with `max_live` permits, and this number fits in a u32.
        let all = self.live.acquire_many(self.max_live as u32).await.expect("the semaphore is never closed");
        all.forget();
    }

    /// Counts a request against the rate limit of the client with the key index `key`.
    ///
    /// # Errors
    /// If the client has exceeded the limit: the number of seconds until it may send the next request.
    pub fn count_request(&self, key: usize) -> Result<(), u64> {
        self.rate_limit.as_ref().map_or(Ok(()), |limit| limit.take(key, Instant::now()))
    }
}

impl QueueSlot {
    /// Waits until the request may be transcribed. Requests get an active slot in the order in which they started to
    /// wait.
    pub async fn activate(self) -> ActiveSlot {
        let active = self.active.acquire_owned().await.expect("the semaphore is never closed");
        ActiveSlot { _request: self.request, _active: active }
    }
}

/// Limits the request rate with one token bucket per client. Each request takes a token. A full bucket has the tokens
/// for one minute, and it is refilled continuously.
struct RateLimit {
    per_minute: f64,
    buckets: Mutex<HashMap<usize, Bucket>>,
}

struct Bucket {
    tokens: f64,
    updated: Instant,
}

impl RateLimit {
    fn new(per_minute: u32) -> Self {
        Self { per_minute: f64::from(per_minute), buckets: Mutex::default() }
    }

    fn take(&self, key: usize, now: Instant) -> Result<(), u64> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets.entry(key).or_insert(Bucket { tokens: self.per_minute, updated: now });
        let refill = now.saturating_duration_since(bucket.updated).as_secs_f64() * self.per_minute / 60.0;
        bucket.tokens = (bucket.tokens + refill).min(self.per_minute);
        bucket.updated = now;
        if bucket.tokens < 1.0 {
            return Err(((1.0 - bucket.tokens) * 60.0 / self.per_minute).ceil() as u64);
        }
        bucket.tokens -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_client_has_its_own_limit_of_requests_per_minute() {
        let (limit, start) = (RateLimit::new(2), Instant::now());
        assert_eq!((limit.take(0, start), limit.take(0, start), limit.take(0, start)), (Ok(()), Ok(()), Err(30)));
        assert_eq!(limit.take(1, start), Ok(()), "each key has its own bucket");
        assert_eq!(limit.take(0, start + Duration::from_secs(15)), Err(15));
        assert_eq!(limit.take(0, start + Duration::from_secs(31)), Ok(()));
    }
}
