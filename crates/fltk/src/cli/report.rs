//! The arguments of `fltk report`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::RunsArgs;

#[derive(Args, Debug)]
#[command(after_help = "\
The report is one HTML file, which opens without any network and has the pictures of `fltk serve`, or Markdown. It has the settings in which the runs differ, final figures over seeds with intervals of 95 % and tests of their differences, curves, the experimental
setup in sentences, BibTeX, digests and versions (docs/records.md#reports).

Examples:
  fltk report runs/compare-* --out report.html
  fltk report runs/compare-* --out report.md
  fltk report stream-20260101-120000-1a2b --out report.md
  fltk report nightly --title 'The nightly run' > nightly.md")]
pub struct ReportArgs {
    /// The folders or names of runs, or of streams, of whose jobs the runs are then reported.
    #[arg(required = true)]
    pub named: Vec<PathBuf>,
    /// The format (default: by the ending of the file's name; Markdown on standard output).
    #[arg(long, value_enum)]
    pub format: Option<ReportFormat>,
    /// Write to this file instead of standard output.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Replace the file if it is there already.
    #[arg(long, requires = "out")]
    pub force: bool,
    /// The title (default: the names of the experiments).
    #[arg(long, value_name = "TEXT")]
    pub title: Option<String>,
    #[command(flatten)]
    pub runs: RunsArgs,
}

/// A format of `fltk report`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// One page in one file, which opens without any network: curves, clients, comparison, time lines.
    #[cfg(feature = "web")]
    Html,
    /// Markdown, for a repository.
    Md,
}
