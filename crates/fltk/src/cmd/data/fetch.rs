//! `fltk data fetch NAME...`, and the fetching of `fltk extractor`.

use std::io::IsTerminal as _;

use fltk_core::experiment::DatasetName;
use fltk_data::{fetch::Progress, sources};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::{
    cli::{Cli, LocationArgs, Output},
    exit::{Exit, OrExit as _},
    inputs, output,
};

#[derive(Serialize)]
struct Fetched {
    name: &'static str,
    folder: std::path::PathBuf,
    embedded: bool,
}

/// Fetches `names` into the cache.
///
/// # Errors
/// If a file can't be had, or the cache can't be written.
pub fn fetch(cli: &Cli, names: &[DatasetName], locations: &LocationArgs) -> anyhow::Result<()> {
    let locations = inputs::locations(locations)?;
    let mut fetched = Vec::new();
    for &name in names {
        let source = sources::source(name);
        let mut talk = Talk { quiet: cli.quiet, bar: None };
        fltk_data::fetch::fetch(name, &locations, &mut |progress| talk.show(source.name, progress)).or_exit(Exit::Data)?;
        talk.end();
        let folder = locations.cache_of(&source);
        if cli.output == Output::Text {
            let place = if source.files.is_empty() { "in the program".to_owned() } else { folder.display().to_string() };
            output::text(&format!("{}: {place}", source.name))?;
        }
        fetched.push(Fetched { name: source.name, folder, embedded: source.files.is_empty() });
    }
    if cli.output == Output::Json { output::json(&fetched) } else { Ok(()) }
}

/// Shows a fetch on standard error: a bar on a terminal, a line per file elsewhere.
struct Talk {
    quiet: bool,
    bar: Option<ProgressBar>,
}

impl Talk {
    fn show(&mut self, name: &str, progress: Progress<'_>) {
        if self.quiet && !matches!(progress, Progress::Failed { .. }) {
            return;
        }
        match progress {
            Progress::Waiting => anstream::eprintln!("{name}: waiting for another process that is fetching it"),
            Progress::AlreadyThere { file } => anstream::eprintln!("{name}: {file} is there"),
            Progress::Started { file, url, bytes, offset } => {
                let going_on = if offset > 0 { format!(", going on at byte {offset}") } else { String::new() };
                anstream::eprintln!("{name}: {file} from {url}{going_on}");
                if std::io::stderr().is_terminal() {
                    let bar = ProgressBar::new(bytes).with_position(offset);
                    let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec} [{eta} left]");
                    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
                    self.bar = Some(bar);
                }
            }
            Progress::Received { received, .. } => {
                if let Some(bar) = &self.bar {
                    bar.set_position(received);
                }
            }
            Progress::Failed { file, url, problem } => {
                self.end();
                anstream::eprintln!("{name}: {file} from {url}: {problem}");
            }
            Progress::Done { .. } => self.end(),
        }
    }

    fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}
