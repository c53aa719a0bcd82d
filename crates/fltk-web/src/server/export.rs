//! `/api/v1/export`: every round or epoch of runs as one table, sent while it is read.

use std::{io, path::PathBuf};

use axum::{
    extract::{RawQuery, State},
    response::{IntoResponse as _, Response},
};
use fltk_records::{
    RecordKind, RunError, RunFolder, RunRef,
    export::{self, Format},
};

use super::{
    Shared, Site,
    answer::{ApiError, attachment, choice, parameters},
    runs::listing,
};
use crate::{SKIPPED_COUNT, SKIPPED_NAMES, SKIPPED_NAMES_MAX, words};

/// The limit on runs that one request may name: each is read twice.
const NAMED_MAX: usize = 1000;

/// Sends the table of the named runs; or of all intact runs if none is named, with headers that report the others.
pub async fn export(State(shared): State<Shared>, RawQuery(query): RawQuery) -> Result<Response, ApiError> {
    let pairs = parameters(query.as_deref(), &["format", "run"])?;
    let format = choice(&pairs, "format", &["csv", "json"])?;
    let mut named = Vec::new();
    // Each run once, in the order in which they are named.
    for (_, name) in pairs.into_iter().filter(|(key, _)| key == "run") {
        if !named.contains(&name) {
            named.push(name);
        }
    }
    if named.len() > NAMED_MAX {
        return Err(ApiError::bad(format!("more than {NAMED_MAX} runs are named\nhint: name none to export all")));
    }
    let (paths, skipped) = shared.read(move |site| choose(site, &named)).await?;
    let (format, headers) = match format {
        "json" => (Format::Json, attachment("application/json", "runs.json")),
        _ => (Format::Csv, attachment("text/csv; charset=utf-8", "runs.csv")),
    };
    let open = |path| read(path).map_err(|error| io::Error::other(words(&error)));
    let write = move |_: &Site, out: &mut dyn io::Write| export::write(format, paths.into_iter().map(open), out);
    let body = shared.stream(write).await?;
    let shown: Vec<&str> = skipped.iter().filter(|name| name.is_ascii()).take(SKIPPED_NAMES_MAX).map(String::as_str).collect();
    let told = [(SKIPPED_COUNT, skipped.len().to_string()), (SKIPPED_NAMES, shown.join(","))];
    Ok((headers, told, body).into_response())
}

/// Returns the folders to export, and the names of those that are left out.
fn choose(site: &Site, named: &[String]) -> Result<(Vec<PathBuf>, Vec<String>), ApiError> {
    if !named.is_empty() {
        // Each run is read before the first is sent, so that a damaged one is an error; and again in its turn, since all at once would take
        // too much memory.
        let sound = |name: &String| {
            let path = site.find(RecordKind::Run, name)?;
            read(path.clone())?;
            Ok(path)
        };
        return Ok((named.iter().map(sound).collect::<Result<_, ApiError>>()?, Vec::new()));
    }
    let listing = listing(site)?;
    let mut paths: Vec<PathBuf> = listing.runs.into_iter().map(|run| run.path).collect();
    // The same order as in the folder.
    paths.sort_unstable();
    let name = |(path, _): (PathBuf, _)| path.file_name().map(|name| name.to_string_lossy().into_owned());
    Ok((paths, listing.skipped.into_iter().filter_map(name).collect()))
}

fn read(path: PathBuf) -> Result<RunRef, RunError> {
    RunFolder::open(path).and_then(RunFolder::read)
}
