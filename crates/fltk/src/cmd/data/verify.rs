//! `fltk data verify`: compares data sets, in the cache or elsewhere on this machine, with the published digests.

use fltk_data::{
    fetch::{FileState, verify},
    sources,
};
use serde::Serialize;

use super::dataset;
use crate::{
    cli::{Cli, LocationArgs, Output},
    exit::{Exit, OrExit as _, failure},
    inputs, output,
    pace::Unit,
    work::Work,
};

#[derive(Serialize)]
struct Row {
    name: &'static str,
    file: String,
    state: &'static str,
    sha256: Option<String>,
}

/// Prints the state of every file of the data sets `names` (of all data sets if empty).
///
/// # Errors
/// If a file is wrong, or a file of a data set in `names` is missing.
pub fn run(cli: &Cli, names: &[String], locations: &LocationArgs) -> anyhow::Result<()> {
    let locations = inputs::locations(locations);
    let asked = names.iter().map(|name| dataset(name)).collect::<anyhow::Result<Vec<_>>>()?;
    let checked = if asked.is_empty() { sources::ALL.to_vec() } else { asked.clone() };
    let mut rows = Vec::new();
    let work = Work::begin("verifying", Unit::Named("data set"), Some(checked.len() as u64));
    for (done, source) in (0..).zip(checked) {
        work.reach(done);
        work.say(source.name());
        let states = verify(source, &locations).or_exit(Exit::Data)?;
        // A data set of which the cache has no file may lie elsewhere, or may be unpacked.
        if states.iter().all(|(_, state)| *state == FileState::Missing)
            && let Some(copy) = fltk_data::inspect(source, &locations).or_exit(Exit::Data)?
        {
            rows.extend(copy.files.into_iter().map(|file| Row {
                name: source.name(),
                file: file.name,
                state: if file.official { "good" } else { "wrong" },
                sha256: (!file.official).then_some(file.sha256),
            }));
            continue;
        }
        for (file, state) in states {
            let (state, sha256) = match state {
                FileState::Missing => ("missing", None),
                FileState::Good => ("good", None),
                FileState::Wrong { sha256, .. } => ("wrong", Some(sha256)),
            };
            rows.push(Row { name: source.name(), file, state, sha256 });
        }
    }
    drop(work);
    if cli.output == Output::Json {
        output::json(&rows)?;
    } else {
        let mut table = output::table(&["data set", "file", "state"], &[]);
        for row in &rows {
            table.add_row([row.name, row.file.as_str(), row.state]);
        }
        output::text(&table.to_string())?;
    }
    let bad = rows.iter().filter(|row| row.state == "wrong" || (row.state == "missing" && !asked.is_empty())).count();
    if bad == 0 {
        return Ok(());
    }
    let files = output::counted(bad, "file");
    Err(failure(Exit::Data, format!("{files} missing or different from the published data\nhint: `fltk data fetch NAME` replaces them")))
}
