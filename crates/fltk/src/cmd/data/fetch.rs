//! `fltk data fetch NAME...`, and the downloads of `fltk extractor`.

use std::path::PathBuf;

use fltk_data::{Locations, Origin, fetch::Progress, locate, sources::Source};
use serde::Serialize;

use crate::{
    cli::{Cli, LocationArgs, Output},
    exit::{Exit, failure},
    inputs, output,
    pace::Unit,
    work::Work,
};

#[derive(Serialize)]
struct Fetched {
    name: &'static str,
    /// `None` for a data set that is made.
    folder: Option<PathBuf>,
    embedded: bool,
}

/// Fetches `sources` into the cache, except for those of which an official copy lies elsewhere on this machine. A failure doesn't stop the others.
///
/// # Errors
/// If a file can't be fetched, or the cache can't be written; the error lists every failure.
pub fn fetch(cli: &Cli, sources: &[&Source], locations: &LocationArgs) -> anyhow::Result<()> {
    let locations = inputs::locations(locations);
    let (mut fetched, mut failures) = (Vec::new(), Vec::new());
    for &source in sources {
        let folder = match elsewhere(source, &locations) {
            Some(path) => {
                tracing::info!("{}: {} is there", source.name(), path.display());
                path
            }
            None => {
                let mut shown = Shown::default();
                let outcome = fltk_data::fetch::fetch(source, &locations, &mut |progress| shown.show(source.name(), progress));
                if let Err(error) = outcome {
                    failures.push(format!("{}: {:#}", source.name(), anyhow::Error::new(error)));
                    continue;
                }
                locations.cache_of(source).unwrap_or_default()
            }
        };
        if cli.output == Output::Text {
            let place = match locate(source, &locations) {
                Some(Origin::Made) => "made when it is used".to_owned(),
                _ if source.files.is_empty() => "in the program".to_owned(),
                _ => folder.display().to_string(),
            };
            output::text(&format!("{}: {place}", source.name()))?;
        }
        let folder = Some(folder).filter(|_| source.entry.has_files);
        fetched.push(Fetched { name: source.name(), folder, embedded: !source.embedded.is_empty() });
    }
    if cli.output == Output::Json {
        output::json(&fetched)?;
    }
    if failures.is_empty() { Ok(()) } else { Err(failure(Exit::Data, failures.join("\n"))) }
}

/// Returns the path of an official copy outside the cache, if there is one. A copy in the cache is left to the fetch, which checks and repairs it.
fn elsewhere(source: &Source, locations: &Locations) -> Option<PathBuf> {
    let found = |origin: Origin| match origin {
        Origin::Folder(path) | Origin::Archive(path) => {
            Some(path).filter(|path| locations.cache.as_ref().is_none_or(|cache| !path.starts_with(cache)))
        }
        Origin::Embedded | Origin::Made | Origin::Own(_) | Origin::Clients => None,
    };
    let path = locate(source, locations).and_then(found)?;
    // A copy that can't be read doesn't count.
    fltk_data::inspect(source, locations).ok().flatten().filter(|copy| copy.is_official()).map(|_| path)
}

/// The progress of a fetch on standard error: a line for each file, and a bar on a terminal, otherwise a line now and then.
#[derive(Default)]
struct Shown {
    work: Option<Work>,
}

impl Shown {
    fn show(&mut self, name: &str, progress: Progress<'_>) {
        match progress {
            Progress::Waiting => {
                tracing::info!("{name}: waiting for another process that is fetching it");
                self.work = Some(Work::wait(format!("{name}: waiting")));
            }
            Progress::AlreadyThere { file } => {
                self.work = None;
                tracing::info!("{name}: {file} is there");
            }
            Progress::Started { file, url, bytes, offset } => {
                let going_on = if offset > 0 { format!(", resuming at byte {offset}") } else { String::new() };
                tracing::info!("{name}: {file} from {url}{going_on}");
                // The old one goes before the new one comes.
                self.work = None;
                let work = Work::resume(format!("{name}: {file}"), Unit::Bytes, Some(bytes), offset);
                self.work = Some(work);
            }
            Progress::Received { received, .. } => {
                if let Some(work) = &self.work {
                    work.reach(received);
                }
            }
            Progress::Failed { file, url, problem } => {
                self.work = None;
                tracing::warn!("{name}: {file} from {url}: {problem}");
            }
            Progress::Done { .. } => self.work = None,
        }
    }
}
