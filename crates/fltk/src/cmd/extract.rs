//! `fltk extract`: copies whole folders of runs and streams from elsewhere.

mod progress;

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use fltk_records::{
    Record, RecordKind,
    archive::{self, FileDigest, Hashing, Unpacked},
};
use fltk_web::client::Client;
use serde::Serialize;

use self::progress::Progress;
use super::elsewhere::{self, interrupt};
use crate::{
    cli::{Cli, ExtractArgs, Output},
    exit::{Exit, failure},
    output,
};

/// The maximum number of downloads of a record whose files differ from the server's list: a run in progress replaces files, but rarely.
const ATTEMPTS: u32 = 3;

/// The outcome for one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// The record is new here.
    New,
    /// The record replaced an older copy; files that only the older copy had were kept.
    Replaced,
    /// The record was here already, perhaps with additional files.
    Same,
    /// The record couldn't be fetched.
    Failed,
}

#[derive(Serialize)]
struct Extracted {
    kind: RecordKind,
    name: String,
    path: PathBuf,
    state: State,
    /// The number of bytes received of its archive.
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// Fetches the named records, or all, and reports the outcome of each. A failure doesn't stop the others.
///
/// # Errors
/// If a named record doesn't exist, or one couldn't be fetched.
pub fn run(cli: &Cli, args: &ExtractArgs) -> anyhow::Result<()> {
    elsewhere::through(&args.from, &args.through, |client, stop| {
        let asked = Arc::clone(client);
        let records = chosen(interrupt::answer(stop, move || asked.records())?, &args.named)?;
        let mut progress = Progress::new(records.len());
        let mut done = Vec::new();
        for record in &records {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            progress.begin(&record.name);
            let extracted = extract(client, record, &args.into, stop, &mut progress);
            progress.end(&format!("{} {}: {}", record.kind.name(), record.name, words(&extracted)));
            done.push(extracted);
        }
        report(cli, &done, records.len(), stop)
    })
}

/// Returns the named records, each once; all records if none is named.
fn chosen(all: Vec<Record>, named: &[String]) -> anyhow::Result<Vec<Record>> {
    if named.is_empty() {
        return Ok(all);
    }
    let missing: Vec<String> = named
        .iter()
        .filter(|name| !all.iter().any(|record| record.name == **name))
        .map(|name| format!("`{}`", name.escape_debug()))
        .collect();
    if missing.is_empty() {
        return Ok(all.into_iter().filter(|record| named.contains(&record.name)).collect());
    }
    Err(failure(
        Exit::Records,
        format!("there is no run or stream {}\nhint: without names all are copied: {} in total", missing.join(", "), all.len()),
    ))
}

fn extract(client: &Arc<Client>, record: &Record, into: &Path, stop: &Arc<AtomicBool>, progress: &mut Progress) -> Extracted {
    let got = get(client, record, into, stop, progress);
    let (state, problem) = match got {
        Ok(state) => (state, None),
        Err(error) => (State::Failed, Some(format!("{error:#}"))),
    };
    let Record { kind, name } = record.clone();
    Extracted { kind, path: into.join(&name), name, state, bytes: progress.bytes(), problem }
}

fn get(client: &Arc<Client>, record: &Record, into: &Path, stop: &Arc<AtomicBool>, progress: &mut Progress) -> anyhow::Result<State> {
    let listed = || {
        let asked = (Arc::clone(client), record.clone());
        interrupt::answer(stop, move || asked.0.files(&asked.1))
    };
    let mut before = listed()?;
    // The name comes from elsewhere: `find` checks it before it becomes part of a path here.
    if Record::find(into, record.kind, &record.name).is_ok() {
        let here = digests(into, &record.name, stop)?;
        // Additional files here are kept.
        if before.iter().all(|file| here.get(&file.path) == Some(file)) {
            return Ok(State::Same);
        }
    }
    let mut attempt = 1;
    loop {
        progress.fetch(before.iter().map(|file| file.bytes).sum());
        let asked = (Arc::clone(client), record.clone());
        let body = interrupt::answer(stop, move || asked.0.archive(&asked.1))?;
        let staged = archive::stage(progress.watch(interrupt::body(body, Arc::clone(stop))), into, record, &before)?;
        let after = listed()?;
        match staged.check(&before, &after) {
            // If the run is in progress, a file may have been replaced during the transfer.
            Err(_) if attempt < ATTEMPTS => (attempt, before) = (attempt + 1, after),
            checked => {
                checked?;
                return Ok(match staged.put_in_place()? {
                    Unpacked::New => State::New,
                    Unpacked::Replaced => State::Replaced,
                });
            }
        }
    }
}

/// Returns the digests of the local files, by path; fails once `stop` is raised.
fn digests(into: &Path, name: &str, stop: &AtomicBool) -> anyhow::Result<BTreeMap<String, FileDigest>> {
    let mut here = BTreeMap::new();
    archive::hash(into, name, &mut |step| {
        if stop.load(Ordering::Relaxed) {
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "interrupted"));
        }
        if let Hashing::Done(file) = step {
            here.insert(file.path.clone(), file);
        }
        Ok(())
    })?;
    Ok(here)
}

fn words(extracted: &Extracted) -> String {
    match (&extracted.state, &extracted.problem) {
        (State::New, _) => "copied".to_owned(),
        (State::Replaced, _) => "copied in place of an older copy".to_owned(),
        (State::Same, _) => "is there".to_owned(),
        (State::Failed, problem) => format!("failed: {}", problem.as_deref().unwrap_or("no reason")),
    }
}

fn report(cli: &Cli, done: &[Extracted], wanted: usize, stop: &AtomicBool) -> anyhow::Result<()> {
    let count = |state: State| done.iter().filter(|extracted| extracted.state == state).count();
    match cli.output {
        Output::Json => output::json(&done)?,
        Output::Text => output::text(&format!(
            "{} copied, {} replaced, {} already present, {} failed",
            count(State::New),
            count(State::Replaced),
            count(State::Same),
            count(State::Failed)
        ))?,
    }
    if stop.load(Ordering::Relaxed) {
        return Err(failure(Exit::Interrupted, "interrupted\nhint: the same command continues: existing copies aren't fetched again"));
    }
    match count(State::Failed) {
        0 => Ok(()),
        failed => Err(failure(Exit::Records, format!("{failed} of {wanted} could not be copied\nhint: the same command retries them"))),
    }
}
