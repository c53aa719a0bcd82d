//! `/api/v1/export`: every round or epoch of runs as one table, sent while it's read.

use std::{io, path::PathBuf};

use axum::{
    extract::{RawQuery, State},
    response::{IntoResponse as _, Response},
};
use fltk_records::{
    RecordKind, RunFolder, RunRef,
    export::{self, Format},
};

use super::{
    Shared, Site,
    answer::{ApiError, attachment, choice, parameters, words},
    runs::listing,
};
use crate::{SKIPPED_COUNT, SKIPPED_NAMES, SKIPPED_NAMES_MAX};

/// Runs that one request may name; all without names has no such bound, since those are read one at a time.
const NAMED_MAX: usize = 1000;

/// What is exported.
enum Chosen {
    /// Named: all are read before the first is sent, so that a damaged one is an error.
    Named(Vec<RunRef>),
    /// All that aren't damaged.
    All(Vec<PathBuf>),
}

/// The table of the runs that are named; of all sound ones where none is, with headers that tell of the others.
pub async fn export(State(shared): State<Shared>, RawQuery(query): RawQuery) -> Result<Response, ApiError> {
    let pairs = parameters(query.as_deref(), &["format", "run"])?;
    let format = choice(&pairs, "format", &["csv", "json"])?;
    let named: Vec<String> = pairs.into_iter().filter(|(key, _)| key == "run").map(|(_, name)| name).collect();
    if named.len() > NAMED_MAX {
        return Err(ApiError::bad(format!("more than {NAMED_MAX} runs are named\nhint: none for all")));
    }
    let (chosen, skipped) = shared.read(move |site| choose(site, &named)).await?;
    let (format, headers) = match format {
        "json" => (Format::Json, attachment("application/json", "runs.json")),
        _ => (Format::Csv, attachment("text/csv; charset=utf-8", "runs.csv")),
    };
    let write = move |_: &Site, out: &mut dyn io::Write| match chosen {
        Chosen::Named(runs) => export::write(format, runs.into_iter().map(Ok), out),
        Chosen::All(paths) => export::write(format, paths.into_iter().map(read), out),
    };
    let body = shared.stream(write).await?;
    let shown: Vec<&str> = skipped.iter().filter(|name| name.is_ascii()).take(SKIPPED_NAMES_MAX).map(String::as_str).collect();
    let told = [(SKIPPED_COUNT, skipped.len().to_string()), (SKIPPED_NAMES, shown.join(","))];
    Ok((headers, told, body).into_response())
}

fn choose(site: &Site, named: &[String]) -> Result<(Chosen, Vec<String>), ApiError> {
    if !named.is_empty() {
        let open = |name: &String| Ok(RunFolder::open(site.find(RecordKind::Run, name)?)?.read()?);
        return Ok((Chosen::Named(named.iter().map(open).collect::<Result<_, ApiError>>()?), Vec::new()));
    }
    let listing = listing(site)?;
    let mut paths: Vec<PathBuf> = listing.runs.into_iter().map(|run| run.path).collect();
    // As in the folder.
    paths.sort_unstable();
    let name = |(path, _): (PathBuf, _)| path.file_name().map(|name| name.to_string_lossy().into_owned());
    Ok((Chosen::All(paths), listing.skipped.into_iter().filter_map(name).collect()))
}

fn read(path: PathBuf) -> io::Result<RunRef> {
    RunFolder::open(path).and_then(RunFolder::read).map_err(|error| io::Error::other(words(&error)))
}
