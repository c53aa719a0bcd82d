//! Whole folders: the list of them, the files in one, and one as a tar archive.

use std::io::{self, Write};

use axum::{
    extract::{Path, State, rejection::PathRejection},
    http::header,
    response::{IntoResponse as _, Response},
};
use fltk_records::{
    RecordKind,
    archive::{self, Hashing},
};

use super::{
    Shared, Site,
    answer::{ApiError, attachment, name, pretty},
};
use crate::words;

type Name = Result<Path<String>, PathRejection>;

/// Lists every run and stream by name, including damaged ones.
pub async fn records(State(shared): State<Shared>) -> Result<Response, ApiError> {
    let list = |site: &Site| {
        let mut records = site.records(RecordKind::Run)?;
        records.extend(site.records(RecordKind::Stream)?);
        Ok(pretty(&records))
    };
    shared.read(list).await
}

/// Sends a run's folder.
pub async fn run(State(shared): State<Shared>, path: Name) -> Result<Response, ApiError> {
    pack(shared, RecordKind::Run, name(path)?).await
}

/// Sends a stream's folder.
pub async fn stream(State(shared): State<Shared>, path: Name) -> Result<Response, ApiError> {
    pack(shared, RecordKind::Stream, name(path)?).await
}

/// Lists the files in a run's folder.
pub async fn run_files(State(shared): State<Shared>, path: Name) -> Result<Response, ApiError> {
    files(shared, RecordKind::Run, name(path)?).await
}

/// Lists the files in a stream's folder.
pub async fn stream_files(State(shared): State<Shared>, path: Name) -> Result<Response, ApiError> {
    files(shared, RecordKind::Stream, name(path)?).await
}

async fn pack(shared: Shared, kind: RecordKind, name: String) -> Result<Response, ApiError> {
    let checked = name.clone();
    shared.read(move |site| site.find(kind, &checked)).await?;
    let headers = attachment("application/x-tar", &format!("{name}.tar"));
    let write =
        move |site: &Site, out: &mut dyn Write| archive::pack(site.root(kind), &name, out).map_err(|error| io::Error::other(words(&error)));
    Ok((headers, shared.stream(write).await?).into_response())
}

async fn files(shared: Shared, kind: RecordKind, name: String) -> Result<Response, ApiError> {
    let checked = name.clone();
    shared.read(move |site| site.find(kind, &checked)).await?;
    let write = move |site: &Site, out: &mut dyn Write| {
        let mut before = "[\n";
        let written = archive::hash(site.root(kind), &name, &mut |step| match step {
            Hashing::Done(file) => {
                out.write_all(std::mem::replace(&mut before, ",\n").as_bytes())?;
                Ok(serde_json::to_writer(&mut *out, &file)?)
            }
            // The space shows a waiting client that there is progress, and detects a client that has left.
            Hashing::Within => out.write_all(b" ").and_then(|()| out.flush()),
        });
        written.map_err(|error| io::Error::other(words(&error)))?;
        // There is at least one file: the journal.
        out.write_all(b"\n]\n")
    };
    Ok(([(header::CONTENT_TYPE, "application/json")], shared.stream(write).await?).into_response())
}
