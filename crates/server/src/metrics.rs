//! What is counted, and how Prometheus reads it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What has been counted since the server began.
#[derive(Default)]
pub struct Metrics(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    /// By endpoint and status, with the seconds until the head of the answer was there.
    requests: BTreeMap<(String, u16), (u64, f64)>,
    audio_seconds: f64,
    work_seconds: f64,
    transcriptions: u64,
    turns: u64,
    turn_seconds: f64,
}

/// The state of things at one moment.
#[derive(Debug, Clone, Default)]
pub struct Gauges {
    /// Recordings that are being received.
    pub uploading: usize,
    /// Requests at work.
    pub active: usize,
    /// Requests that wait for their turn.
    pub waiting: usize,
    /// Live sessions that are open.
    pub live: usize,
    /// Jobs that wait, and those at work, where jobs are taken.
    pub jobs: Option<(usize, usize)>,
    /// Of each model in memory its name, the windows being decoded, those that wait, and how many can be at once.
    pub models: Vec<(String, usize, usize, usize)>,
    /// Bytes of memory that the process holds, where the system tells.
    pub resident: Option<u64>,
}

impl Metrics {
    /// Counts an answer.
    pub fn record_request(&self, endpoint: &str, status: u16, time: Duration) {
        self.with(|counts| {
            let (number, seconds) = counts.requests.entry((endpoint.to_owned(), status)).or_default();
            *number += 1;
            *seconds += time.as_secs_f64();
        });
    }

    /// Counts a transcription that came to its end.
    pub fn record_transcription(&self, audio_seconds: f64, work_seconds: f64) {
        self.with(|counts| {
            counts.transcriptions += 1;
            counts.audio_seconds += audio_seconds;
            counts.work_seconds += work_seconds;
        });
    }

    /// Counts a turn of a live session that was written down.
    pub fn record_utterance(&self, seconds: f64) {
        self.with(|counts| {
            counts.turns += 1;
            counts.turn_seconds += seconds;
        });
    }

    /// Seconds that a transcription takes on average, once there was one.
    pub fn mean_transcription_seconds(&self) -> Option<f64> {
        self.with(|counts| (counts.transcriptions > 0).then(|| counts.work_seconds / counts.transcriptions as f64))
    }

    /// Everything in the text format of Prometheus, version 0.0.4.
    pub fn text(&self, now: &Gauges) -> String {
        let mut page = Page::default();
        self.with(|counts| {
            let requests = |value: fn(&(u64, f64)) -> f64| {
                counts.requests.iter().map(move |((endpoint, status), entry)| {
                    (format!("{{endpoint=\"{endpoint}\",status=\"{status}\"}}"), value(entry))
                })
            };
            page.metric("requests_total", "counter", "Requests answered", requests(|entry| entry.0 as f64));
            page.metric(
                "request_seconds_total",
                "counter",
                "Time until the head of the answer",
                requests(|entry| entry.1),
            );
            page.one("transcriptions_total", "counter", "Recordings transcribed", counts.transcriptions as f64);
            page.one("audio_seconds_total", "counter", "Seconds of recordings transcribed", counts.audio_seconds);
            page.one("work_seconds_total", "counter", "Seconds that transcriptions took", counts.work_seconds);
            let speed = if counts.work_seconds > 0.0 { counts.audio_seconds / counts.work_seconds } else { 0.0 };
            page.one("speed", "gauge", "Seconds of recordings for each that their transcriptions took", speed);
            page.one("live_turns_total", "counter", "Turns of live sessions written down", counts.turns as f64);
            page.one("live_seconds_total", "counter", "Seconds of turns of live sessions", counts.turn_seconds);
        });
        page.one("uploading_requests", "gauge", "Requests whose recordings are being received", now.uploading as f64);
        page.one("active_requests", "gauge", "Requests at work", now.active as f64);
        page.one("waiting_requests", "gauge", "Requests that wait for their turn", now.waiting as f64);
        page.one("live_sessions", "gauge", "Live sessions that are open", now.live as f64);
        if let Some((queued, running)) = now.jobs {
            page.one("queued_jobs", "gauge", "Jobs that wait for their turn", queued as f64);
            page.one("running_jobs", "gauge", "Jobs at work", running as f64);
        }
        let models = |value: fn(&(String, usize, usize, usize)) -> f64| {
            now.models
                .iter()
                .map(move |model| (format!("{{model=\"{}\"}}", model.0.replace(['"', '\\', '\n'], "_")), value(model)))
        };
        page.metric("windows_decoding", "gauge", "Windows being decoded", models(|model| model.1 as f64));
        page.metric("windows_waiting", "gauge", "Windows that wait", models(|model| model.2 as f64));
        let fill = |model: &(String, usize, usize, usize)| model.1 as f64 / model.3.max(1) as f64;
        page.metric("batch_fill", "gauge", "Windows being decoded, of those that can be at once", models(fill));
        if let Some(bytes) = now.resident {
            page.one("resident_bytes", "gauge", "Memory that the process holds", bytes as f64);
        }
        page.0
    }

    fn with<T>(&self, read: impl FnOnce(&mut Counts) -> T) -> T {
        read(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[derive(Default)]
struct Page(String);

impl Page {
    fn one(&mut self, name: &str, kind: &str, help: &str, value: f64) {
        self.metric(name, kind, help, std::iter::once((String::new(), value)));
    }

    fn metric(&mut self, name: &str, kind: &str, help: &str, values: impl Iterator<Item = (String, f64)>) {
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "# HELP amanuensis_{name} {help}.\n# TYPE amanuensis_{name} {kind}");
        for (labels, value) in values {
            let _ = writeln!(self.0, "amanuensis_{name}{labels} {value}");
        }
    }
}

/// Bytes of memory that this process holds, where Linux tells.
pub fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_a_line_for_each_value() {
        let metrics = Metrics::default();
        metrics.record_request("/v1/models", 200, Duration::from_millis(250));
        metrics.record_request("/v1/models", 200, Duration::from_millis(250));
        metrics.record_transcription(30.0, 0.5);
        metrics.record_utterance(1.5);
        metrics.record_utterance(2.0);
        let now = Gauges { live: 1, models: vec![("base".to_owned(), 3, 1, 12)], ..Gauges::default() };
        let text = metrics.text(&now);
        for line in [
            "amanuensis_requests_total{endpoint=\"/v1/models\",status=\"200\"} 2",
            "amanuensis_request_seconds_total{endpoint=\"/v1/models\",status=\"200\"} 0.5",
            "amanuensis_speed 60",
            "amanuensis_live_sessions 1",
            "amanuensis_live_turns_total 2",
            "amanuensis_live_seconds_total 3.5",
            "amanuensis_batch_fill{model=\"base\"} 0.25",
            "amanuensis_waiting_requests 0",
        ] {
            assert!(text.lines().any(|found| found == line), "no {line:?} in {text}");
        }
    }
}
