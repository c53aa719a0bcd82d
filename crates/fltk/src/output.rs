//! How results, talk and errors are printed: data on standard output, talk on standard error.

use std::{
    fmt, fs,
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use anstream::AutoStream;
use anyhow::Context as _;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;

/// Whether standard error takes colors: a terminal, and `NO_COLOR` is not set.
#[must_use]
pub fn color_stderr() -> bool {
    !matches!(AutoStream::choice(&io::stderr()), anstream::ColorChoice::Never)
}

/// Says something on standard error, in a line of its own. What can't be written there, as on a full disk or to a pipe that nobody reads, is dropped: nothing
/// that anybody waits for ends because of talk.
pub fn talk(said: impl fmt::Display) {
    let _ = writeln!(anstream::stderr().lock(), "{said}");
}

/// Prints `error` and its causes on standard error.
pub fn error(error: &anyhow::Error) {
    let text = format!("{error:#}");
    if text.starts_with("error") || text.starts_with("\u{1b}") {
        talk(text);
    } else {
        talk(format_args!("error: {text}"));
    }
}

/// Prints one JSON document on standard output.
///
/// # Errors
/// If standard output is closed, or takes no more.
pub fn json(value: &impl Serialize) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value)?;
    writeln!(out)?;
    Ok(())
}

/// Prints text on standard output.
///
/// # Errors
/// If standard output is closed, or takes no more.
pub fn text(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    if !text.ends_with('\n') {
        out.write_all(b"\n")?;
    }
    Ok(())
}

/// Writes a file that a person asked for: under a temporary name, synced, renamed.
///
/// # Errors
/// If it can't be written.
pub fn write_file(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || -> anyhow::Result<()> {
        // As any new file, less what the umask takes.
        let mut file = tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o666)).tempfile_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    write().with_context(|| format!("can't write `{}`", path.display()))
}

/// A table with the given header; columns named in `numbers` (by index) are aligned to the right.
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

/// A number with thousands separated by commas.
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
    #[test]
    fn thousands() {
        for (number, expected) in [(0, "0"), (999, "999"), (1000, "1,000"), (11_173_962, "11,173,962")] {
            assert_eq!(super::thousands(number), expected);
        }
    }
}
