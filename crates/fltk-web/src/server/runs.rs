//! `/api/v1/runs` and one of them.

use std::collections::BTreeSet;

use axum::{
    extract::{Path, State, rejection::PathRejection},
    response::Response,
};
use fltk_records::{
    RecordKind, RunFolder,
    index::{self, Filter, Listing, Sort},
    summary::RunReport,
};

use super::{
    Shared, Site,
    answer::{ApiError, name, pretty},
};

/// Every run in one line, the newest first; damaged ones are left out.
pub async fn list(State(shared): State<Shared>) -> Result<Response, ApiError> {
    shared.read(|site| Ok(pretty(&listing(site)?.runs))).await
}

/// The runs, and those that are damaged, but for folders that are elsewhere.
pub fn listing(site: &Site) -> Result<Listing, ApiError> {
    let names: BTreeSet<String> = site.records(RecordKind::Run)?.into_iter().map(|record| record.name).collect();
    let is_here = |path: &std::path::Path| path.file_name().and_then(|name| name.to_str()).is_some_and(|name| names.contains(name));
    let mut listing = index::list(&site.runs, &Filter::default(), Sort::Newest)?;
    listing.runs.retain(|run| is_here(&run.path));
    listing.skipped.retain(|(path, _)| is_here(path));
    Ok(listing)
}

/// Everything about one run.
pub async fn show(State(shared): State<Shared>, path: Result<Path<String>, PathRejection>) -> Result<Response, ApiError> {
    let name = name(path)?;
    let show = move |site: &Site| {
        let run = RunFolder::open(site.find(RecordKind::Run, &name)?)?.read()?;
        Ok(pretty(&RunReport::of(&run)?))
    };
    shared.read(show).await
}
