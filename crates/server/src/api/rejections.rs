//! Errors for invalid query strings and paths.

use axum::extract::Path;
use axum::extract::rejection::{PathRejection, QueryRejection};

use crate::error::ApiError;

/// The error for an invalid query parameter.
pub fn query_error(rejection: &QueryRejection) -> ApiError {
    let text = rejection.body_text();
    let reason = text.rsplit_once("query string: ").map_or(text.as_str(), |(_, reason)| reason);
    match reason.split_once(": ") {
        Some((name, _)) if !name.contains(' ') => ApiError::invalid(reason).with_param(name),
        _ => ApiError::invalid(reason),
    }
}

/// Rejects a request that has query parameters. Used by endpoints that take their options as form fields.
///
/// # Errors
/// An [`ApiError`] with status 400 that names the first query parameter.
pub fn no_query(query: Option<&str>) -> Result<(), ApiError> {
    let Some(query) = query.filter(|query| !query.is_empty()) else { return Ok(()) };
    let name = query.split(['=', '&']).next().unwrap_or_default();
    let message = "options must be sent as form fields, not as query parameters";
    Err(ApiError::invalid(message).with_param(name).with_code("unknown_parameter"))
}

/// The id in the path of a request.
///
/// # Errors
/// An [`ApiError`] with status 400 if the id is not valid UTF-8.
pub fn path_id(id: Result<Path<String>, PathRejection>) -> Result<String, ApiError> {
    let Path(id) = id.map_err(|rejection| ApiError::invalid(rejection.body_text()).with_param("id"))?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use axum::extract::Query;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Params {
        #[expect(dead_code, reason = "the test needs only its name and type")]
        limit: Option<usize>,
    }

    #[test]
    fn query_errors_name_the_parameter() {
        for (query, param) in [("limit=x", "limit"), ("shout=1", "shout")] {
            let rejected = Query::<Params>::try_from_uri(&format!("/?{query}").parse().unwrap()).unwrap_err();
            let error = query_error(&rejected).body().error;
            assert_eq!(error.param.as_deref(), Some(param), "{error:?}");
            assert_eq!(no_query(Some(query)).unwrap_err().body().error.param.as_deref(), Some(param));
        }
        assert!(no_query(None).is_ok() && no_query(Some("")).is_ok());
    }
}
