//! `fltk extract`: whole folders of runs and streams, from elsewhere.

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

/// How often a record is got whose files aren't those that the server says: a run that goes on replaces files, but seldom.
const ATTEMPTS: u32 = 3;

/// What became of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// It's new here.
    New,
    /// It took the place of an older copy, with what only that had.
    Replaced,
    /// It was here already, perhaps with more.
    Same,
    /// It couldn't be got.
    Failed,
}

#[derive(Serialize)]
struct Extracted {
    kind: RecordKind,
    name: String,
    path: PathBuf,
    state: State,
    /// Bytes of its archive that came.
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// Gets what is named, or all, and says what came of each. One that fails doesn't stop the others.
///
/// # Errors
/// If there is no such record, or one couldn't be got.
pub fn run(cli: &Cli, args: &ExtractArgs) -> anyhow::Result<()> {
    elsewhere::through(cli, &args.from, &args.through, |client, stop| {
        let asked = Arc::clone(client);
        let records = chosen(interrupt::answer(stop, move || asked.records())?, &args.named)?;
        let mut progress = Progress::new(cli, records.len());
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

/// Those that are named, each once; all where none is.
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
        format!("there is no run or stream {}\nhint: without names all are got, of which there are {}", missing.join(", "), all.len()),
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
    // A name from elsewhere: checked before it's part of a path here.
    if Record::find(into, record.kind, &record.name).is_ok() {
        let here = digests(into, &record.name, stop)?;
        // There may be more here: that is kept.
        if before.iter().all(|file| here.get(&file.path) == Some(file)) {
            return Ok(State::Same);
        }
    }
    let mut attempt = 1;
    loop {
        let asked = (Arc::clone(client), record.clone());
        let body = interrupt::answer(stop, move || asked.0.archive(&asked.1))?;
        let staged = archive::stage(progress.watch(interrupt::body(body, Arc::clone(stop))), into, record, &before)?;
        let after = listed()?;
        match staged.check(&before, &after) {
            // Where it's written meanwhile, a file may have been replaced while it came.
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

/// What is here, by its path; an error once `stop` is raised.
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
        (State::New, _) => "got".to_owned(),
        (State::Replaced, _) => "got in place of an older copy".to_owned(),
        (State::Same, _) => "is there".to_owned(),
        (State::Failed, problem) => format!("failed: {}", problem.as_deref().unwrap_or("no reason")),
    }
}

fn report(cli: &Cli, done: &[Extracted], wanted: usize, stop: &AtomicBool) -> anyhow::Result<()> {
    let count = |state: State| done.iter().filter(|extracted| extracted.state == state).count();
    match cli.output {
        Output::Json => output::json(&done)?,
        Output::Text => output::text(&format!(
            "{} got, {} replaced, {} there already, {} failed",
            count(State::New),
            count(State::Replaced),
            count(State::Same),
            count(State::Failed)
        ))?,
    }
    if stop.load(Ordering::Relaxed) {
        return Err(failure(Exit::Interrupted, "interrupted\nhint: the same command goes on: what is there is not got again"));
    }
    match count(State::Failed) {
        0 => Ok(()),
        failed => Err(failure(Exit::Records, format!("{failed} of {wanted} could not be got\nhint: the same command tries those again"))),
    }
}
