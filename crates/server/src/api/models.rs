//! Lists models (`GET /v1/models`) and describes a model (`GET /v1/models/{id}`).

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use serde::Serialize;
use utoipa::ToSchema;

use super::error_responses::ErrorResponses;
use super::rejections::path_id;
use crate::error::{ApiError, ErrorBody};
use crate::pool::DEFAULT_MODEL_ALIASES;
use crate::state::AppState;

/// A model that requests can select.
#[derive(Debug, Serialize, ToSchema)]
pub struct Model {
    /// The name by which requests select the model.
    id: String,
    /// Always `model`.
    object: &'static str,
    /// When the model was installed, in seconds since 1970.
    created: u64,
    /// Always `amanuensis`.
    owned_by: &'static str,
}

/// A list of models.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelList {
    /// Always `list`.
    object: &'static str,
    /// The available models.
    data: Vec<Model>,
}

/// List the models
///
/// The list has the installed models, and the names of `OpenAI` models, such as `whisper-1`, which select the default
/// model.
#[utoipa::path(
    get, path = "/v1/models", tag = "Models", operation_id = "listModels",
    responses((status = 200, body = ModelList), ErrorResponses)
)]
pub async fn list(State(state): State<Arc<AppState>>) -> Json<ModelList> {
    let installed = state.pool.installed();
    let aliases = DEFAULT_MODEL_ALIASES.iter();
    let aliases = aliases.filter_map(|name| Some(model(name, &state.pool.find(name).ok()?.path)));
    let data = installed.iter().map(|found| model(&found.name, &found.path)).chain(aliases).collect();
    Json(ModelList { object: "list", data })
}

/// Describe a model
#[utoipa::path(
    get, path = "/v1/models/{id}", tag = "Models", operation_id = "retrieveModel",
    params(("id" = String, Path, description = "The model's name")),
    responses(
        (status = 200, body = Model),
        (status = 404, body = ErrorBody, description = "There is no such model"),
        ErrorResponses,
    )
)]
pub async fn retrieve(
    State(state): State<Arc<AppState>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Model>, ApiError> {
    let id = path_id(id)?;
    let found = state.pool.find(&id)?;
    Ok(Json(model(&id, &found.path)))
}

fn model(id: &str, path: &std::path::Path) -> Model {
    let modified = std::fs::metadata(path).and_then(|file| file.modified()).ok();
    let created = modified.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok()).unwrap_or_default();
    Model { id: id.to_owned(), object: "model", created: created.as_secs(), owned_by: "amanuensis" }
}
