//! Diagnostics: which of them are written, and in which format. Commands and libraries emit them with `tracing`; here they become lines on standard error.
//!
//! Results aren't diagnostics: `output` prints those on standard output.

mod levels;
mod lines;

use std::{io::IsTerminal as _, sync::OnceLock};

use clap::ValueEnum;
use tracing::{Level, Span};
use tracing_subscriber::{Registry, layer::SubscriberExt as _};

use self::{levels::Levels, lines::Lines};
use crate::{
    cli::Cli,
    exit::{Exit, OrExit as _},
};

/// The environment variable with the levels that are written: one for all our messages, or one for each target.
pub const LEVELS: &str = "FLTK_LOG";
/// The environment variable with the format, for `fltk cluster`, `fltk serve` and `fltk client`.
pub const FORMAT: &str = "FLTK_LOG_FORMAT";

/// The format of diagnostics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object per line, for programs that collect logs.
    Json,
}

/// The settings of this process.
#[derive(Clone, Copy, Debug)]
struct Log {
    format: LogFormat,
    /// The level that the command line asks for, as a flag.
    flag: Option<&'static str>,
}

/// The settings, once [`start`] has read them. They are global, as the subscriber of `tracing` is.
static LOG: OnceLock<Log> = OnceLock::new();

/// Begins to write diagnostics as the command line and `levels`, the value of [`LEVELS`], ask for. Flags have priority over the environment.
///
/// # Errors
/// If `levels` is wrong.
pub fn start(cli: &Cli, levels: Option<&str>) -> anyhow::Result<()> {
    // A wrong value is an error even if a flag has priority over it.
    let levels = levels.filter(|levels| !levels.is_empty()).map(str::parse::<Levels>).transpose().or_exit(Exit::CommandLine)?;
    let (flag, asked) = match (cli.quiet, cli.verbose) {
        (true, _) => (Some("--quiet"), Some(Levels::ours(Level::WARN))),
        (false, 0) => (None, None),
        (false, 1) => (Some("-v"), Some(Levels::ours(Level::DEBUG))),
        (false, _) => (Some("-vv"), Some(Levels::ours(Level::TRACE))),
    };
    let levels = asked.or(levels).unwrap_or_else(|| Levels::ours(Level::INFO));
    let format = cli.command.log_format();
    let subscriber = Registry::default().with(levels.filter()).with(Lines { format });
    // It fails if there is a subscriber already, which then stays.
    if tracing::subscriber::set_global_default(subscriber).is_ok() {
        LOG.get_or_init(|| Log { format, flag });
    }
    Ok(())
}

/// Enters `span` until the thread ends. On the main thread, the error that ends the process is then logged with the span's fields, too.
pub fn stay_in(span: Span) {
    std::mem::forget(span.entered());
}

/// Returns the format of diagnostics, or `None` if none are written, since [`start`] hasn't succeeded.
#[must_use]
pub fn format() -> Option<LogFormat> {
    LOG.get().map(|log| log.format)
}

/// Returns the flag with which a child process writes diagnostics of the same levels; `None` if it does so without one, since it inherits the environment.
#[must_use]
pub fn flag() -> Option<&'static str> {
    LOG.get().and_then(|log| log.flag)
}

/// Returns true if progress is drawn as a bar: progress is among the diagnostics that are written, for a person who looks at a terminal.
#[must_use]
pub fn has_bars() -> bool {
    tracing::enabled!(Level::INFO) && format() == Some(LogFormat::Text) && std::io::stderr().is_terminal()
}
