//! JSON responses, and how errors are represented over HTTP.

use axum::{
    body::Body,
    extract::{Path, rejection::PathRejection},
    http::{HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
};
use fltk_records::{ArchiveError, FileError, RunError, checkpoint::CheckpointError};
use serde::Serialize;
use serde_json::json;

use crate::words;

/// An error response: `{"error": ...}`.
#[derive(Clone, Debug)]
pub struct ApiError {
    status: StatusCode,
    message: String,
}

impl ApiError {
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// Creates the error of an invalid request.
    pub fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = pretty(&json!({ "error": self.message }));
        *response.status_mut() = self.status;
        response
    }
}

impl From<RunError> for ApiError {
    fn from(error: RunError) -> Self {
        let status = match &error {
            RunError::NotARun { .. } | RunError::NotAStream { .. } => StatusCode::NOT_FOUND,
            RunError::FolderName { .. } => StatusCode::BAD_REQUEST,
            // The request is valid: the data on disk isn't.
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, words(&error))
    }
}

impl From<FileError> for ApiError {
    fn from(error: FileError) -> Self {
        RunError::from(error).into()
    }
}

impl From<CheckpointError> for ApiError {
    fn from(error: CheckpointError) -> Self {
        RunError::from(error).into()
    }
}

impl From<ArchiveError> for ApiError {
    fn from(error: ArchiveError) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, words(&error))
    }
}

/// Returns `value` in the form that `--output json` prints.
pub fn pretty(value: &impl Serialize) -> Response {
    match serde_json::to_vec_pretty(value) {
        Ok(mut body) => {
            body.push(b'\n');
            ([(header::CONTENT_TYPE, "application/json")], body).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Returns `value` as JSON without any space, for answers that can have megabytes.
pub fn compact(value: &impl Serialize) -> Result<Vec<u8>, ApiError> {
    serde_json::to_vec(value).map_err(|error| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}

/// Returns a response with this JSON.
pub fn sent(body: impl Into<Body>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body.into()).into_response()
}

/// Returns the headers of a table or an archive that a browser saves as `file`.
pub fn attachment(content_type: &'static str, file: &str) -> [(HeaderName, String); 2] {
    // Names of folders have no control characters; quotes would end the file name.
    let file: String = file.chars().map(|c| if c.is_ascii() && c != '"' && c != '\\' { c } else { '_' }).collect();
    [(header::CONTENT_TYPE, content_type.to_owned()), (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{file}\""))]
}

/// Returns the name in a request's path.
pub fn name(path: Result<Path<String>, PathRejection>) -> Result<String, ApiError> {
    path.map(|Path(name)| name).map_err(|rejection| ApiError::bad(rejection.body_text()))
}

/// Parses the query of a request, whose keys must all be among `known`.
pub fn parameters(query: Option<&str>, known: &[&str]) -> Result<Vec<(String, String)>, ApiError> {
    let pairs: Vec<(String, String)> = form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect();
    match pairs.iter().find(|(key, _)| !known.contains(&key.as_str())) {
        Some((key, _)) => Err(ApiError::bad(format!("`{}` isn't a parameter of this path: only {}", key.escape_debug(), known.join(", ")))),
        None => Ok(pairs),
    }
}

/// Returns the number that the parameter `key` names, if it is given.
pub fn number(pairs: &[(String, String)], key: &str) -> Result<Option<u32>, ApiError> {
    let mut given = pairs.iter().filter(|(other, _)| other == key).map(|(_, value)| value);
    let number = given.next().map(|value| value.parse().map_err(|_| ApiError::bad(format!("`{key}` is a whole number")))).transpose()?;
    if given.next().is_some() { Err(ApiError::bad(format!("`{key}` is given twice"))) } else { Ok(number) }
}

/// Returns the one of `known` that the parameter `key` names; the first one if it isn't given.
pub fn choice<'a>(pairs: &[(String, String)], key: &str, known: &[&'a str]) -> Result<&'a str, ApiError> {
    let mut given = pairs.iter().filter(|(other, _)| other == key).map(|(_, value)| value.as_str());
    match (given.next(), given.next()) {
        (None, _) => Ok(known[0]),
        (Some(value), None) => known
            .iter()
            .copied()
            .find(|known| *known == value)
            .ok_or_else(|| ApiError::bad(format!("`{key}` is one of {}", known.join(", ")))),
        (Some(_), Some(_)) => Err(ApiError::bad(format!("`{key}` is given twice"))),
    }
}
