//! `/api/v1/compare`: several runs side by side.

use std::{collections::BTreeSet, sync::Arc};

use axum::{
    extract::{RawQuery, State},
    http::StatusCode,
    response::Response,
};
use fltk_records::{RecordKind, RunFolder, RunRef, compare::compare};
use tokio::time::timeout;

use super::{
    READER_WAIT, Shared, Site,
    answer::{ApiError, compact, parameters, sent},
};

/// The limit on runs that one request may compare: their journals are in memory together.
const COMPARED_MAX: usize = 500;
/// The limit on values of a figure, one for each run and step of any run: some hundred megabytes. Runs of 500 steps are below it.
const VALUES_MAX: usize = 2_000_000;
/// The limit on comparisons at the same time, for the same reason.
pub const COMPARISONS_MAX: usize = 1;

/// Sends the comparison of the named runs.
pub async fn show(State(shared): State<Shared>, RawQuery(query): RawQuery) -> Result<Response, ApiError> {
    let named = named(query.as_deref())?;
    let turn = timeout(READER_WAIT, Arc::clone(&shared.comparisons).acquire_owned());
    let Ok(Ok(turn)) = turn.await else {
        return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "other runs are being compared: try again later"));
    };
    let permit = shared.permit().await?;
    shared.on_thread((permit, turn), move |site| Ok(sent(compact(&compare(&read(site, &named)?))?))).await
}

/// Returns the names in `query`, each once, in their order.
pub fn named(query: Option<&str>) -> Result<Vec<String>, ApiError> {
    let mut named = Vec::new();
    for (_, name) in parameters(query, &["run"])? {
        if !named.contains(&name) {
            named.push(name);
        }
        if named.len() > COMPARED_MAX {
            return Err(ApiError::bad(format!("more than {COMPARED_MAX} runs are named")));
        }
    }
    if named.is_empty() {
        return Err(ApiError::bad("no run is named\nhint: `?run=A&run=B`"));
    }
    Ok(named)
}

/// Reads the runs with these names, without what a comparison doesn't look at.
pub fn read(site: &Site, named: &[String]) -> Result<Vec<RunRef>, ApiError> {
    let read = |name: &String| {
        let run = RunFolder::open(site.find(RecordKind::Run, name)?)?.read()?;
        Ok(RunRef { history: run.history.without_details(), ..run })
    };
    let runs: Vec<RunRef> = named.iter().map(read).collect::<Result<_, ApiError>>()?;
    let steps: BTreeSet<_> = runs.iter().flat_map(|run| run.history.rows()).map(|row| (row.unit, row.step)).collect();
    if steps.len().saturating_mul(runs.len()) > VALUES_MAX {
        let problem = format!("{} runs with {} steps are too many for one comparison\nhint: name fewer of them", runs.len(), steps.len());
        return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, problem));
    }
    Ok(runs)
}
