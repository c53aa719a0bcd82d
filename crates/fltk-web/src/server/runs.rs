//! `/api/v1/runs`, `/api/v1/table` and a single run.

use std::io::{self, Write};

use axum::{
    extract::{Path, State, rejection::PathRejection},
    http::header,
    response::{IntoResponse as _, Response},
};
use fltk_records::{
    RecordKind, RunFolder,
    index::{self, Filter, Listing, Sort},
    summary::RunReport,
};

use super::{
    Shared, Site,
    answer::{ApiError, compact, name, pretty},
};
use crate::answers::{Clients, Table};

/// Sends every run in one line, the newest first; damaged ones are left out.
pub async fn list(State(shared): State<Shared>) -> Result<Response, ApiError> {
    shared.read(|site| Ok(pretty(&listing(site)?.runs))).await
}

/// Sends every run in one line, the newest first, with the settings of all.
pub async fn table(State(shared): State<Shared>) -> Result<Response, ApiError> {
    shared.read(|site| Ok(compact(&Table::of(listing(site)?)))).await
}

/// Lists the runs, and those that are damaged. Folders that are links are not read.
pub fn listing(site: &Site) -> Result<Listing, ApiError> {
    let folders = site.folders(RecordKind::Run)?;
    Ok(index::list_of(&site.runs, &folders, site.indexes.as_deref(), &Filter::default(), Sort::Newest)?)
}

/// Sends the full report of one run.
pub async fn show(State(shared): State<Shared>, path: Result<Path<String>, PathRejection>) -> Result<Response, ApiError> {
    let name = name(path)?;
    let show = move |site: &Site| {
        let run = RunFolder::open(site.find(RecordKind::Run, &name)?)?.read()?;
        Ok(pretty(&RunReport::of(&run)?))
    };
    shared.read(show).await
}

/// Sends what every client of a run did in every round.
pub async fn clients(State(shared): State<Shared>, path: Result<Path<String>, PathRejection>) -> Result<Response, ApiError> {
    let name = name(path)?;
    let read = move |site: &Site| Ok(RunFolder::open(site.find(RecordKind::Run, &name)?)?.read()?.history);
    let history = shared.read(read).await?;
    let write = move |_: &Site, out: &mut dyn Write| serde_json::to_writer(out, &Clients::of(&history)).map_err(io::Error::from);
    Ok(([(header::CONTENT_TYPE, "application/json")], shared.stream(write).await?).into_response())
}
