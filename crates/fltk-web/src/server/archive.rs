//! Whole folders: which there are, what is in one, and one as a tar archive.

use std::io;

use axum::{
    extract::{Path, State, rejection::PathRejection},
    response::{IntoResponse as _, Response},
};
use fltk_records::{Record, RecordKind, archive};

use super::{
    Shared, Site,
    answer::{ApiError, attachment, name, pretty, words},
    find,
};

type Name = Result<Path<String>, PathRejection>;

/// Every run and stream by name, also damaged ones.
pub async fn records(State(shared): State<Shared>) -> Result<Response, ApiError> {
    shared.read(|site| Ok(pretty(&Record::list(&site.root)?))).await
}

/// A run's folder.
pub async fn run(State(shared): State<Shared>, path: Name) -> Result<Response, ApiError> {
    pack(shared, RecordKind::Run, name(path)?).await
}

/// A stream's folder.
pub async fn stream(State(shared): State<Shared>, path: Name) -> Result<Response, ApiError> {
    pack(shared, RecordKind::Stream, name(path)?).await
}

/// What is in a run's folder.
pub async fn run_files(State(shared): State<Shared>, path: Name) -> Result<Response, ApiError> {
    files(shared, RecordKind::Run, name(path)?).await
}

/// What is in a stream's folder.
pub async fn stream_files(State(shared): State<Shared>, path: Name) -> Result<Response, ApiError> {
    files(shared, RecordKind::Stream, name(path)?).await
}

async fn pack(shared: Shared, kind: RecordKind, name: String) -> Result<Response, ApiError> {
    let checked = name.clone();
    shared.read(move |site| find(site, kind, &checked)).await?;
    let headers = attachment("application/x-tar", &format!("{name}.tar"));
    let write =
        move |site: &Site, out: &mut dyn io::Write| archive::pack(&site.root, &name, out).map_err(|error| io::Error::other(words(&error)));
    Ok((headers, shared.stream(write).await?).into_response())
}

async fn files(shared: Shared, kind: RecordKind, name: String) -> Result<Response, ApiError> {
    let files = move |site: &Site| {
        find(site, kind, &name)?;
        Ok(pretty(&archive::digests(&site.root, &name)?))
    };
    shared.read(files).await
}
