//! Reads and discards the body of a rejected request before the error response is sent. Many clients read no response
//! before they have sent the whole request. If the server closed the connection immediately, they would see a
//! connection error instead of the response.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use futures_util::StreamExt;

use crate::error::ApiError;

/// Limits on reading the body of a rejected request: the maximum number of bytes, and the maximum time.
const MAX_BYTES: usize = 16 << 20;
const MAX_TIME: Duration = Duration::from_secs(5);

/// Reads the request body, at most `MAX_BYTES` bytes and for at most `MAX_TIME`, and discards it. Returns `error`
/// unchanged, which can then be sent to the client.
pub async fn before_error(error: ApiError, request: Request) -> ApiError {
    let drain = async |body: Body| {
        let (mut chunks, mut drained) = (body.into_data_stream(), 0);
        while let Some(Ok(chunk)) = chunks.next().await {
            drained += chunk.len();
            if drained > MAX_BYTES {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(MAX_TIME, drain(request.into_body())).await;
    error
}
