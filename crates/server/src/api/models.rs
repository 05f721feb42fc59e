//! `GET /v1/models`, `GET /v1/models/{id}`.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use serde::Serialize;
use utoipa::ToSchema;

use super::refusals::Refusals;
use crate::error::{ApiError, ErrorBody};
use crate::pool::DEFAULT_MODEL_ALIASES;
use crate::state::AppState;

/// A model that can be asked for.
#[derive(Debug, Serialize, ToSchema)]
pub struct Model {
    /// The name to ask for.
    id: String,
    /// `model`.
    object: &'static str,
    /// When it was installed, in seconds since 1970.
    created: u64,
    /// Always `amanuensis`.
    owned_by: &'static str,
}

/// Models.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelList {
    /// `list`.
    object: &'static str,
    /// The models.
    data: Vec<Model>,
}

/// List the models
///
/// Those that are installed, and `whisper-1` and the like, which mean the default model.
#[utoipa::path(get, path = "/v1/models", tag = "Models", operation_id = "listModels", responses((status = 200, body = ModelList), Refusals))]
pub async fn list(State(state): State<Arc<AppState>>) -> Json<ModelList> {
    let installed = state.pool.installed();
    let mapped = DEFAULT_MODEL_ALIASES.iter().filter_map(|name| Some(model(name, &state.pool.find(name).ok()?.path)));
    let data = installed.iter().map(|found| model(&found.name, &found.path)).chain(mapped).collect();
    Json(ModelList { object: "list", data })
}

/// Describe a model
#[utoipa::path(
    get, path = "/v1/models/{id}", tag = "Models", operation_id = "retrieveModel", params(("id" = String, Path, description = "The name")),
    responses((status = 200, body = Model), (status = 404, body = ErrorBody, description = "No such model"), Refusals)
)]
pub async fn retrieve(
    State(state): State<Arc<AppState>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Model>, ApiError> {
    let Path(id) = id.map_err(|rejection| ApiError::invalid(rejection.body_text()).with_param("id"))?;
    let found = state.pool.find(&id)?;
    Ok(Json(model(&id, &found.path)))
}

fn model(id: &str, path: &std::path::Path) -> Model {
    let modified = std::fs::metadata(path).and_then(|file| file.modified()).ok();
    let created = modified.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok()).unwrap_or_default();
    Model { id: id.to_owned(), object: "model", created: created.as_secs(), owned_by: "amanuensis" }
}
