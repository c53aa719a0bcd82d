//! The printing of results and errors: data goes to standard output, messages to standard error. Other messages are diagnostics ([`log`]).
//!
//! All output of this program goes through here (tidy checks that), so that foreign text, such as a path, a trace or an error of libtorch, can't
//! reach a terminal as a control sequence ([`terminal`]).

use std::{
    fs,
    io::{self, IsTerminal as _, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use anstream::AutoStream;
use anyhow::Context as _;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use fltk_core::terminal;
use fltk_experiment::{Report, Severity};
use serde::Serialize;
use tracing::Level;

use crate::{
    bar,
    log::{self, LogFormat},
};

/// The maximum number of a report's problems that are written for programs: a file with more is not an experiment file.
const PROBLEMS_MAX: usize = 50;

/// Returns true if standard error supports colors: it is a terminal, `NO_COLOR` is not set, and people read it.
#[must_use]
pub fn color_stderr() -> bool {
    log::format() != Some(LogFormat::Json) && !matches!(AutoStream::choice(&io::stderr()), anstream::ColorChoice::Never)
}

/// Returns true if standard output is a terminal.
#[must_use]
pub fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Prints those problems of a report about files whose levels are written: notes count as information. Returns true if there were any.
pub fn report(report: &Report) -> bool {
    let is_written = |severity| match severity {
        Severity::Error => tracing::enabled!(Level::ERROR),
        Severity::Warning => tracing::enabled!(Level::WARN),
        Severity::Note => tracing::enabled!(Level::INFO),
    };
    let mut report = report.clone();
    report.problems.retain(|problem| is_written(problem.severity));
    if log::format() == Some(LogFormat::Json) {
        for problem in report.problems.iter().take(PROBLEMS_MAX) {
            emit(&Report { sources: report.sources.clone(), problems: vec![problem.clone()] });
        }
    } else if !report.is_empty() {
        emit(&report);
    }
    !report.is_empty()
}

/// Emits a report as one event, with the level of its most severe problem.
fn emit(report: &Report) {
    let text = report.render(color_stderr());
    match report.problems.iter().map(|problem| problem.severity).min() {
        Some(Severity::Error) => tracing::error!(report = true, "{text}"),
        Some(Severity::Warning) => tracing::warn!(report = true, "{text}"),
        Some(Severity::Note) | None => tracing::info!(report = true, "{text}"),
    }
}

/// Prints `error` and its causes on standard error.
pub fn error(error: &anyhow::Error) {
    let text = format!("{error:#}");
    let is_report = text.starts_with('\u{1b}') || text.starts_with("error");
    match log::format() {
        None => line(&shown(&text)),
        Some(_) if is_report => tracing::error!(report = true, "{text}"),
        Some(_) => tracing::error!("{text}"),
    }
}

/// Returns an error's text as it's printed before diagnostics are. A text that begins with a color is a [`Report`].
fn shown(text: &str) -> String {
    if text.starts_with('\u{1b}') {
        return terminal::colored(text).into_owned();
    }
    let prefix = if text.starts_with("error") { "" } else { "error: " };
    format!("{prefix}{}", terminal::plain(text))
}

/// Prints an empty line on standard error.
pub fn gap() {
    line("");
}

/// Writes `text`, which a terminal can show, on a line of its own of standard error, above the bar if there is one. A line that can't be written, as on a
/// full disk or to a pipe that nobody reads, is dropped: no work ends because of a message.
pub(crate) fn line(text: &str) {
    bar::above(|| {
        // Written at once, so that the lines of several processes don't mix.
        let _ = anstream::stderr().lock().write_all(format!("{text}\n").as_bytes());
    });
}

/// Prints an error of the command line, or the requested help, and ends the process.
pub fn usage(error: &clap::Error) -> ! {
    if error.use_stderr() {
        let (text, colored) = (error.render().to_string(), error.render().ansi().to_string());
        let text = if color_stderr() { terminal::colored(&colored) } else { terminal::plain(&text) };
        // The line break is trimmed, since `line` adds one.
        line(text.trim_end());
        std::process::exit(error.exit_code());
    }
    error.exit()
}

/// Prints one JSON document on standard output.
///
/// # Errors
/// If standard output is closed, or can't be written.
pub fn json(value: &impl Serialize) -> anyhow::Result<()> {
    write_line(&terminal::json(&serde_json::to_string_pretty(value)?))
}

/// Prints text for people on standard output.
///
/// # Errors
/// If standard output is closed, or can't be written.
pub fn text(text: &str) -> anyhow::Result<()> {
    write_line(&terminal::plain(text))
}

/// Prints text for programs on standard output: unchanged, unless standard output is a terminal.
///
/// # Errors
/// If standard output is closed, or can't be written.
pub fn data(text: &str) -> anyhow::Result<()> {
    if io::stdout().is_terminal() { self::text(text) } else { write_line(text) }
}

fn write_line(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    if !text.ends_with('\n') {
        out.write_all(b"\n")?;
    }
    Ok(())
}

/// Writes what standard output still holds back, at the end of the program. An error says nothing new: whoever cared has checked.
pub(crate) fn flush() {
    let _ = io::stdout().flush();
}

/// Returns standard output, for [data] that is written piece by piece.
#[must_use]
pub fn stream() -> Box<dyn io::Write> {
    let out = io::stdout().lock();
    if out.is_terminal() { Box::new(Plain { out, cut: Vec::new() }) } else { Box::new(out) }
}

/// Returns standard output for a screen that is drawn: whoever draws it has only characters in it that are plain.
#[must_use]
pub fn screen() -> io::Stdout {
    io::stdout()
}

/// A writer that passes plain text on to a terminal.
struct Plain<W> {
    out: W,
    /// The first bytes of a character whose remaining bytes come with the next write.
    cut: Vec<u8>,
}

impl<W: io::Write> io::Write for Plain<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.cut.extend_from_slice(bytes);
        let whole = match std::str::from_utf8(&self.cut) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => self.cut.len(),
        };
        let text: Vec<u8> = self.cut.drain(..whole).collect();
        self.out.write_all(terminal::plain(&String::from_utf8_lossy(&text)).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Writes a file that the user asked for: under a temporary name, then synced and renamed.
///
/// # Errors
/// If the file can't be written.
pub fn write_file(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    // The mode of any new file, minus the umask.
    write_with(path, bytes, 0o666)
}

/// Writes a file that only its owner may read, in one step, replacing an existing one.
///
/// # Errors
/// If the file can't be written.
pub fn write_private_file(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    write_with(path, bytes, 0o600)
}

fn write_with(path: &Path, bytes: &[u8], mode: u32) -> anyhow::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || -> anyhow::Result<()> {
        let mut file = tempfile::Builder::new().permissions(fs::Permissions::from_mode(mode)).tempfile_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    write().with_context(|| format!("can't write `{}`", path.display()))
}

/// Returns a table with the given header; the columns in `numbers` (by index) are aligned to the right.
#[must_use]
pub fn table(header: &[&str], numbers: &[usize]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled).set_header(header);
    for &index in numbers {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// Returns a count with its noun, such as `1 job` or `3 jobs`.
#[must_use]
pub fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Formats a number with thousands separated by commas.
#[must_use]
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::{Plain, shown};

    #[test]
    fn errors_of_every_kind_are_printed_as_text() {
        let hostile = "a\u{1b}[2J\u{9b}31m\r\u{7}\u{202e}b";
        let plain = "a\\u{1b}[2J\\u{9b}31m\\u{d}\\u{7}\\u{202e}b";
        let error = anyhow::Error::from(std::io::Error::other(hostile)).context(hostile.to_owned());
        assert_eq!(shown(&format!("{error:#}")), format!("error: {plain}: {plain}"));
        assert_eq!(shown("\u{1b}[1merror\u{1b}[0m: a\u{1b}[2J"), "\u{1b}[1merror\u{1b}[0m: a\\u{1b}[2J");
    }

    #[test]
    fn characters_split_across_writes_are_joined() {
        let mut plain = Plain { out: Vec::new(), cut: Vec::new() };
        for byte in "é,\u{9b}\u{202e}日\n".as_bytes() {
            plain.write_all(&[*byte]).unwrap();
        }
        plain.write_all(b"\xff\n").unwrap();
        assert_eq!(String::from_utf8(plain.out).unwrap(), "é,\\u{9b}\\u{202e}日\n\u{fffd}\n");
    }

    #[test]
    fn thousands_are_separated_by_commas() {
        for (number, expected) in [(0, "0"), (999, "999"), (1000, "1,000"), (11_173_962, "11,173,962")] {
            assert_eq!(super::thousands(number), expected);
        }
    }
}
