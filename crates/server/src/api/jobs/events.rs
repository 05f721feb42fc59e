//! `GET /v1/jobs/{id}/events`: the progress of a job as server-sent events.

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
use utoipa::IntoParams;

use super::status::JobStatus;
use super::store::run_blocking;
use crate::api::error_responses::ErrorResponses;
use crate::api::rejections::path_id;
use crate::api::response::{TimedWord, timed_words};
use crate::api::schemas::Events;
use crate::error::{ApiError, ErrorBody};
use crate::jobs::JobEvent;
use crate::state::AppState;

/// The header in which a reconnecting client sends the id of the last event that it received.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// If no event was sent for this long, a comment is sent to keep the connection alive, because proxies close idle
/// connections.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// The request header that says after which segment the event stream starts.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "documentation only: `last_segment` parses the header")]
struct StartParams {
    /// The id of the last segment that the client received. The stream continues after this segment.
    #[param(rename = "Last-Event-ID", nullable = false, minimum = 0, maximum = 4_294_967_295_u32)]
    last_event_id: Option<i64>,
}

/// A segment of a job's transcript. Times are in seconds.
#[derive(Serialize)]
struct JobSegment {
    id: usize,
    start: f64,
    end: f64,
    text: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    words: Vec<TimedWord>,
}

impl From<Segment> for JobSegment {
    fn from(segment: Segment) -> Self {
        let words = timed_words(&segment);
        Self { id: segment.id, start: segment.start, end: segment.end, text: segment.text, words }
    }
}

/// Follow a job
///
/// The response is a stream of server-sent events. The server sends one `segment` event for each segment of the
/// transcript. If the request has the header `Last-Event-ID`, the segments up to this id are left out. Whenever the
/// job has made progress, the server sends a `progress` event with the job. When the job has ended, the server sends
/// a `done` event with the job and ends the stream. If the server shuts down first, the stream ends without `done`.
/// A client that reconnects with `Last-Event-ID` gets the remaining events.
#[utoipa::path(
    get, path = "/v1/jobs/{id}/events", tag = "Jobs", operation_id = "followJob",
    params(
        ("id" = String, Path, description = "The job's id"),
        StartParams,
    ),
    responses(
        (status = 200, content((Events = "text/event-stream"))),
        (status = 404, body = ErrorBody, description = "There is no such job"),
        ErrorResponses,
    )
)]
pub async fn follow(
    State(state): State<Arc<AppState>>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let id = path_id(id)?;
    let n_received = last_segment(&headers)?.map_or(0, |last| last as usize + 1);
    let follower = run_blocking(&state, move |jobs| jobs.follow(&id, n_received)).await?;
    let events = unfold(Some(follower), |follower| async {
        let mut follower = follower?;
        match follower.next().await {
            Ok(event) => Some((Ok::<_, Infallible>(server_sent_event(event?)), Some(follower))),
            Err(error) => Some((Ok(named_event("error", &ApiError::from(error).body())), None)),
        }
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE_INTERVAL)).into_response())
}

/// The segment id in the header `Last-Event-ID`. `None` if the request does not have this header.
///
/// # Errors
/// An [`ApiError`] with status 400 if the value of the header is not a segment id.
fn last_segment(headers: &HeaderMap) -> Result<Option<u32>, ApiError> {
    let Some(value) = headers.get(LAST_EVENT_ID) else { return Ok(None) };
    let id = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    let error = || ApiError::invalid("Last-Event-ID must be the id of a segment").with_param("Last-Event-ID");
    id.ok_or_else(error).map(Some)
}

fn server_sent_event(event: JobEvent) -> Event {
    match event {
        JobEvent::Segment(segment) => {
            let id = segment.id.to_string();
            named_event("segment", &JobSegment::from(segment)).id(id)
        }
        JobEvent::Progress(job) => named_event("progress", &JobStatus::from(job)),
        JobEvent::Finished(job) => named_event("done", &JobStatus::from(job)),
    }
}

fn named_event(name: &str, data: &impl Serialize) -> Event {
    Event::default().event(name).json_data(data).expect("strings and numbers can be written as JSON")
}
