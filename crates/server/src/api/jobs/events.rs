//! `GET /v1/jobs/{id}/events`: a job as it gets on, as server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use amanuensis_transcribe::Segment;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;
use serde::Serialize;
use tokio::task::spawn_blocking;
use utoipa::IntoParams;

use super::super::answer::{TimedWord, words};
use super::super::refusals::Refusals;
use super::super::values::Events;
use super::{JobStatus, jobs, take_id};
use crate::error::{ApiError, ErrorBody};
use crate::jobs::JobEvent;
use crate::state::AppState;

/// The header with which a client that lost its connection says what it has.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Where to begin.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it is documentation: the header is read by hand")]
struct Known {
    /// The last segment that is known.
    #[param(rename = "Last-Event-ID", nullable = false, minimum = 0, maximum = 4_294_967_295_u32)]
    last_event_id: Option<i64>,
}

/// A segment of a job.
#[derive(Serialize)]
struct JobSegment {
    id: usize,
    /// In seconds.
    start: f64,
    end: f64,
    text: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    words: Vec<TimedWord>,
}

impl From<Segment> for JobSegment {
    fn from(segment: Segment) -> Self {
        let words = words(&segment);
        Self { id: segment.id, start: segment.start, end: segment.end, text: segment.text, words }
    }
}

/// Follow a job
///
/// `segment` for each that is found, from the first, or from behind the one that `Last-Event-ID` names; `progress` with the
/// job, when it gets further; and at the end `done`, with the job as it ended. A stream that ends without it goes on where it
/// was if the client comes back: the server was stopped.
#[utoipa::path(
    get, path = "/v1/jobs/{id}/events", tag = "Jobs", operation_id = "followJob",
    params(
        ("id" = String, Path, description = "The job"),
        Known,
    ),
    responses(
        (status = 200, content((Events = "text/event-stream"))),
        (status = 404, body = ErrorBody, description = "No such job"),
        Refusals,
    )
)]
pub async fn follow(
    State(state): State<Arc<AppState>>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let id = take_id(id)?;
    let last = headers.get(LAST_EVENT_ID).map(|value| value.to_str().ok()?.trim().parse::<u32>().ok());
    let refuse = || ApiError::invalid("the last event is the number of a segment").with_param("Last-Event-ID");
    let known = match last {
        Some(last) => last.ok_or_else(refuse)? as usize + 1,
        None => 0,
    };
    let jobs = Arc::clone(jobs(&state)?);
    let follower = spawn_blocking(move || jobs.follow(&id, known)).await;
    let follower = follower.map_err(|_| ApiError::internal("a fault of the server"))??;
    let events = unfold(Some(follower), |follower| async {
        let mut follower = follower?;
        match follower.next().await {
            Ok(event) => Some((Ok::<_, Infallible>(told(event?)), Some(follower))),
            Err(error) => Some((Ok(named("error", &ApiError::from(error).body())), None)),
        }
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))).into_response())
}

fn told(event: JobEvent) -> Event {
    match event {
        JobEvent::Segment(segment) => {
            let id = segment.id.to_string();
            named("segment", &JobSegment::from(segment)).id(id)
        }
        JobEvent::Progress(job) => named("progress", &JobStatus::from(job)),
        JobEvent::Finished(job) => named("done", &JobStatus::from(job)),
    }
}

fn named(name: &str, data: &impl Serialize) -> Event {
    Event::default().event(name).json_data(data).expect("numbers and texts are JSON")
}
