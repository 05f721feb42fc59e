//! The server's counters and gauges, and how they are written in the text format of Prometheus.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The counters, which start at 0 when the server starts.
#[derive(Default)]
pub struct Metrics(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    /// Number of requests and their total duration in seconds, per endpoint and status. The duration of a request
    /// ends when the response headers are ready.
    requests: BTreeMap<(String, u16), (u64, f64)>,
    audio_seconds: f64,
    work_seconds: f64,
    transcriptions: u64,
    utterances: u64,
    utterance_seconds: f64,
}

/// The load of the server at one moment.
#[derive(Debug, Clone, Default)]
pub struct Gauges {
    /// Number of uploads that are being received.
    pub uploading: usize,
    /// Number of requests that are being transcribed.
    pub active: usize,
    /// Number of requests that wait in the queue.
    pub waiting: usize,
    /// Number of open live sessions.
    pub live: usize,
    /// Number of queued jobs and number of running jobs. `None` if this server has no jobs.
    pub jobs: Option<(usize, usize)>,
    /// The load of each loaded model.
    pub models: Vec<ModelLoad>,
    /// Resident memory of the process in bytes. `None` if the operating system does not report it.
    pub resident: Option<u64>,
}

/// The load of one model at one moment.
#[derive(Debug, Clone)]
pub struct ModelLoad {
    /// The model's name.
    pub name: String,
    /// Number of windows that are being decoded.
    pub decoding: usize,
    /// Number of windows that wait until they can join the batch of the model.
    pub waiting: usize,
    /// The maximum number of windows that the model decodes in one batch.
    pub batch_size: usize,
}

impl Metrics {
    /// Counts a response with this status. `time` is the time until its headers were ready.
    pub fn record_request(&self, endpoint: &str, status: u16, time: Duration) {
        self.with_counts(|counts| {
            let (number, seconds) = counts.requests.entry((endpoint.to_owned(), status)).or_default();
            *number += 1;
            *seconds += time.as_secs_f64();
        });
    }

    /// Counts a successful transcription, with the duration of the recording and the processing time in seconds.
    pub fn record_transcription(&self, audio_seconds: f64, work_seconds: f64) {
        self.with_counts(|counts| {
            counts.transcriptions += 1;
            counts.audio_seconds += audio_seconds;
            counts.work_seconds += work_seconds;
        });
    }

    /// Counts a transcribed utterance of a live session. `seconds` is the duration of the utterance.
    pub fn record_utterance(&self, seconds: f64) {
        self.with_counts(|counts| {
            counts.utterances += 1;
            counts.utterance_seconds += seconds;
        });
    }

    /// Average processing time of a transcription, in seconds. `None` before the first transcription.
    pub fn mean_transcription_seconds(&self) -> Option<f64> {
        self.with_counts(|counts| {
            (counts.transcriptions > 0).then(|| counts.work_seconds / counts.transcriptions as f64)
        })
    }

    /// Writes all metrics in the text format of Prometheus, version 0.0.4.
    pub fn text(&self, now: &Gauges) -> String {
        let mut page = Page::default();
        self.with_counts(|counts| {
            let requests = |value: fn(&(u64, f64)) -> f64| {
                counts.requests.iter().map(move |((endpoint, status), entry)| {
                    (format!("{{endpoint=\"{endpoint}\",status=\"{status}\"}}"), value(entry))
                })
            };
            page.metric("requests_total", "counter", "Requests answered", requests(|entry| entry.0 as f64));
            page.metric(
                "request_seconds_total",
                "counter",
                "Seconds until the response headers were ready",
                requests(|entry| entry.1),
            );
            page.value("transcriptions_total", "counter", "Recordings transcribed", counts.transcriptions as f64);
            page.value("audio_seconds_total", "counter", "Seconds of recordings transcribed", counts.audio_seconds);
            page.value(
                "work_seconds_total",
                "counter",
                "Seconds of processing time of transcriptions",
                counts.work_seconds,
            );
            let speed = if counts.work_seconds > 0.0 { counts.audio_seconds / counts.work_seconds } else { 0.0 };
            page.value("speed", "gauge", "Seconds of recordings transcribed per second of processing", speed);
            page.value(
                "live_turns_total",
                "counter",
                "Utterances of live sessions transcribed",
                counts.utterances as f64,
            );
            page.value(
                "live_seconds_total",
                "counter",
                "Seconds of utterances of live sessions",
                counts.utterance_seconds,
            );
        });
        page.value("uploading_requests", "gauge", "Requests whose uploads are being received", now.uploading as f64);
        page.value("active_requests", "gauge", "Requests being transcribed", now.active as f64);
        page.value("waiting_requests", "gauge", "Requests in the queue", now.waiting as f64);
        page.value("live_sessions", "gauge", "Open live sessions", now.live as f64);
        if let Some((queued, running)) = now.jobs {
            page.value("queued_jobs", "gauge", "Jobs in the queue", queued as f64);
            page.value("running_jobs", "gauge", "Jobs being transcribed", running as f64);
        }
        let models = |value: fn(&ModelLoad) -> f64| {
            now.models.iter().map(move |model| {
                let label = model.name.replace(['"', '\\', '\n'], "_");
                (format!("{{model=\"{label}\"}}"), value(model))
            })
        };
        page.metric("windows_decoding", "gauge", "Windows being decoded", models(|model| model.decoding as f64));
        let waiting = models(|model| model.waiting as f64);
        page.metric("windows_waiting", "gauge", "Windows waiting for a slot in the batch", waiting);
        let fill = |model: &ModelLoad| model.decoding as f64 / model.batch_size.max(1) as f64;
        page.metric("batch_fill", "gauge", "Windows being decoded divided by the batch size", models(fill));
        if let Some(bytes) = now.resident {
            page.value("resident_bytes", "gauge", "Resident memory of the process in bytes", bytes as f64);
        }
        page.0
    }

    fn with_counts<T>(&self, action: impl FnOnce(&mut Counts) -> T) -> T {
        action(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The text of the metrics page, as far as it has been written.
#[derive(Default)]
struct Page(String);

impl Page {
    fn value(&mut self, name: &str, kind: &str, help: &str, value: f64) {
        self.metric(name, kind, help, std::iter::once((String::new(), value)));
    }

    fn metric(&mut self, name: &str, kind: &str, help: &str, values: impl Iterator<Item = (String, f64)>) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "# HELP amanuensis_{name} {help}.\n# TYPE amanuensis_{name} {kind}");
        for (labels, value) in values {
            let _ = writeln!(self.0, "amanuensis_{name}{labels} {value}");
        }
    }
}

/// Resident memory of this process in bytes. `None` on systems other than Linux, or if the value cannot be read.
pub fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_has_a_line_in_the_text_format() {
        let metrics = Metrics::default();
        metrics.record_request("/v1/models", 200, Duration::from_millis(250));
        metrics.record_request("/v1/models", 200, Duration::from_millis(250));
        metrics.record_transcription(30.0, 0.5);
        metrics.record_utterance(1.5);
        metrics.record_utterance(2.0);
        let model = ModelLoad { name: "base".to_owned(), decoding: 3, waiting: 1, batch_size: 12 };
        let now = Gauges { live: 1, models: vec![model], ..Gauges::default() };
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
