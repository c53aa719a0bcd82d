//! `/api/v1/streams`, and the jobs and the course of a stream.

use std::sync::Arc;

use axum::{
    extract::{Path, RawQuery, State, rejection::PathRejection},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
};
use fltk_records::{
    RecordKind, StreamFolder,
    stream_folder::{derived, timeline::Timeline},
};

use super::{
    Shared, Site,
    answer::{ApiError, attachment, choice, compact, name, parameters, pretty},
    kept::{Made, Sources},
};
use crate::answers::streams;

/// Sends every stream in one line; damaged ones are left out.
pub async fn list(State(shared): State<Shared>) -> Result<Response, ApiError> {
    shared.read(|site| Ok(pretty(&streams(site.folders(RecordKind::Stream)?)))).await
}

/// Sends the jobs of a stream.
pub async fn jobs(
    State(shared): State<Shared>,
    path: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let name = name(path)?;
    let is_csv = choice(&parameters(query.as_deref(), &["format"])?, "format", &["json", "csv"])? == "csv";
    let jobs = move |site: &Site| {
        let folder = StreamFolder::open(site.find(RecordKind::Stream, &name)?)?;
        let rows = (site.jobs)(folder).map_err(|problem| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, problem))?;
        if is_csv {
            let headers = attachment("text/csv; charset=utf-8", &format!("{name}-jobs.csv"));
            return Ok((headers, derived::csv(&rows)).into_response());
        }
        Ok(pretty(&rows))
    };
    shared.read(jobs).await
}

/// Sends the course of a stream.
pub async fn timeline(
    State(shared): State<Shared>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let name = name(path)?;
    let kept = Arc::clone(&shared.kept);
    let timeline = move |site: &Site| {
        let path = site.find(RecordKind::Stream, &name)?;
        let folder = StreamFolder::open(path.clone())?;
        // Reports of jobs name their runs.
        let sources = Sources { kind: RecordKind::Stream, beside: vec![path.join("jobs")], folders: vec![path] };
        kept.answer(&format!("timeline of {name}"), sources, &headers, || {
            let timeline = (site.timeline)(folder).map_err(|problem| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, problem))?;
            // The stream is found by the folder's name, whatever a copy's description says.
            let timeline = Timeline { stream: name.clone(), ..timeline };
            Ok(Made { body: compact(&timeline)?, lasts: timeline.now.is_none() })
        })
    };
    shared.read(timeline).await
}
