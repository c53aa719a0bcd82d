//! `/api/v1/runs`, `/api/v1/table` and a single run.

use std::{
    io::{self, Write},
    path::PathBuf,
    sync::Arc,
};

use axum::{
    extract::{Path, State, rejection::PathRejection},
    http::{HeaderMap, header},
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
    kept::{Made, Sources},
};
use crate::answers::{Clients, Table};

/// Sends every run in one line, the newest first; damaged ones are left out.
pub async fn list(State(shared): State<Shared>) -> Result<Response, ApiError> {
    shared.read(|site| Ok(pretty(&listing(site)?.runs))).await
}

/// Sends every run in one line, the newest first, with the settings of all.
pub async fn table(State(shared): State<Shared>, headers: HeaderMap) -> Result<Response, ApiError> {
    let kept = Arc::clone(&shared.kept);
    let table = move |site: &Site| {
        let folders = site.folders(RecordKind::Run)?;
        let make = || {
            let listing = listing_of(site, &folders)?;
            // The reason why a run couldn't be read may pass.
            let lasts = listing.skipped.is_empty();
            Ok(Made { body: compact(&Table::of(listing))?, lasts })
        };
        kept.answer("table", Sources { kind: RecordKind::Run, folders: folders.clone(), beside: Vec::new() }, &headers, make)
    };
    shared.read(table).await
}

/// Lists the runs, and those that are damaged. Folders that are links are not read.
pub fn listing(site: &Site) -> Result<Listing, ApiError> {
    listing_of(site, &site.folders(RecordKind::Run)?)
}

fn listing_of(site: &Site, folders: &[PathBuf]) -> Result<Listing, ApiError> {
    Ok(index::list_of(&site.runs, folders, site.indexes.as_deref(), &Filter::default(), Sort::Newest)?)
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
