//! What stands behind the `?` of an address.

use axum::extract::rejection::QueryRejection;

use crate::error::ApiError;

/// What is wrong with a query.
pub fn refuse(rejection: &QueryRejection) -> ApiError {
    let text = rejection.body_text();
    let reason = text.rsplit_once("query string: ").map_or(text.as_str(), |(_, reason)| reason);
    match reason.split_once(": ") {
        Some((name, _)) if !name.contains(' ') => ApiError::invalid(reason).with_param(name),
        _ => ApiError::invalid(reason),
    }
}

/// Refuses a query where all options are fields of a form.
pub fn refuse_any(query: Option<&str>) -> Result<(), ApiError> {
    let Some(query) = query.filter(|query| !query.is_empty()) else { return Ok(()) };
    let name = query.split(['=', '&']).next().unwrap_or_default();
    let message = "options are fields of the form; the address has none";
    Err(ApiError::invalid(message).with_param(name).with_code("unknown_parameter"))
}

#[cfg(test)]
mod tests {
    use axum::extract::Query;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Params {
        #[expect(dead_code, reason = "only its name and type count")]
        limit: Option<usize>,
    }

    #[test]
    fn it_is_said_what_is_wrong() {
        for (query, param) in [("limit=x", "limit"), ("shout=1", "shout")] {
            let rejected = Query::<Params>::try_from_uri(&format!("/?{query}").parse().unwrap()).unwrap_err();
            let error = refuse(&rejected).body().error;
            assert_eq!(error.param.as_deref(), Some(param), "{error:?}");
            assert_eq!(refuse_any(Some(query)).unwrap_err().body().error.param.as_deref(), Some(param));
        }
        assert!(refuse_any(None).is_ok() && refuse_any(Some("")).is_ok());
    }
}
