//! How much is done at once, and how much may wait.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::Config;

/// The slots for uploads, for requests that wait, and for those at work.
pub struct Limits {
    uploads: Arc<Semaphore>,
    /// For those that wait and those at work.
    slots: Arc<Semaphore>,
    active: Arc<Semaphore>,
    live: Arc<Semaphore>,
    max_uploads: usize,
    max_live: usize,
    max_slots: usize,
    max_active: usize,
    rate: Option<Rate>,
}

/// A request that has been let in and waits for its turn.
pub struct QueueSlot {
    slot: OwnedSemaphorePermit,
    active: Arc<Semaphore>,
}

/// A request at work.
pub struct ActiveSlot {
    _slot: OwnedSemaphorePermit,
    _active: OwnedSemaphorePermit,
}

impl Limits {
    /// Those of the settings.
    pub fn new(config: &Config) -> Self {
        let max_slots = config.max_active + config.max_queue;
        let semaphore = |permits: usize| Arc::new(Semaphore::new(permits));
        Self {
            uploads: semaphore(config.max_uploads),
            slots: semaphore(max_slots),
            active: semaphore(config.max_active),
            live: semaphore(config.max_live),
            max_uploads: config.max_uploads,
            max_live: config.max_live,
            max_slots,
            max_active: config.max_active,
            rate: (config.requests_per_minute > 0).then(|| Rate::new(config.requests_per_minute)),
        }
    }

    /// A slot for an upload, if one is free.
    pub fn try_upload_slot(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.uploads).try_acquire_owned().ok()
    }

    /// A slot for a live session, if one is free.
    pub fn try_live_slot(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.live).try_acquire_owned().ok()
    }

    /// Live sessions that are open.
    pub fn open_live_sessions(&self) -> usize {
        self.max_live - self.live.available_permits()
    }

    /// Waits until no live session is open. Later ones find no slot.
    pub async fn close_live_sessions(&self) {
        // More than a semaphore has cannot be asked for; there were as many as this when it was made.
        let all = self.live.acquire_many(self.max_live as u32).await.expect("the semaphore is never closed");
        all.forget();
    }

    /// Uploads that are being received.
    pub fn active_uploads(&self) -> usize {
        self.max_uploads - self.uploads.available_permits()
    }

    /// Whether a request would have to be refused.
    pub fn is_queue_full(&self) -> bool {
        self.slots.available_permits() == 0
    }

    /// A slot in the queue, if one is free.
    pub fn try_queue_slot(&self) -> Option<QueueSlot> {
        let slot = Arc::clone(&self.slots).try_acquire_owned().ok()?;
        Some(QueueSlot { slot, active: Arc::clone(&self.active) })
    }

    /// Requests at work.
    pub fn active_requests(&self) -> usize {
        self.max_active - self.active.available_permits()
    }

    /// Requests that wait.
    pub fn queued_requests(&self) -> usize {
        (self.max_slots - self.slots.available_permits()).saturating_sub(self.active_requests())
    }

    /// Counts a request of the caller `key`.
    ///
    /// # Errors
    /// Seconds until there may be another.
    pub fn count_request(&self, key: usize) -> Result<(), u64> {
        self.rate.as_ref().map_or(Ok(()), |rate| rate.take(key, Instant::now()))
    }
}

impl QueueSlot {
    /// Waits until the request may work; who came first goes first.
    pub async fn activate(self) -> ActiveSlot {
        let active = self.active.acquire_owned().await.expect("the semaphore is never closed");
        ActiveSlot { _slot: self.slot, _active: active }
    }
}

/// A bucket for every caller, which holds a minute's requests and fills evenly.
struct Rate {
    per_minute: f64,
    buckets: Mutex<HashMap<usize, Bucket>>,
}

struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Rate {
    fn new(per_minute: u32) -> Self {
        Self { per_minute: f64::from(per_minute), buckets: Mutex::default() }
    }

    fn take(&self, key: usize, now: Instant) -> Result<(), u64> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets.entry(key).or_insert(Bucket { tokens: self.per_minute, at: now });
        let filled = now.saturating_duration_since(bucket.at).as_secs_f64() * self.per_minute / 60.0;
        bucket.tokens = (bucket.tokens + filled).min(self.per_minute);
        bucket.at = now;
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
    fn a_minute_s_requests_and_no_more() {
        let (rate, start) = (Rate::new(2), Instant::now());
        assert_eq!((rate.take(0, start), rate.take(0, start), rate.take(0, start)), (Ok(()), Ok(()), Err(30)));
        assert_eq!(rate.take(1, start), Ok(()), "another caller has its own");
        assert_eq!(rate.take(0, start + Duration::from_secs(15)), Err(15));
        assert_eq!(rate.take(0, start + Duration::from_secs(31)), Ok(()));
    }
}
