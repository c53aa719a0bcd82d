//! The last lines of a rank's output, for the reason of a failure.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    path::Path,
};

use fltk_core::terminal;

/// The bytes at the end of the output that are searched.
const BYTES: u64 = 8192;
/// The number of lines that are given.
const LINES: usize = 3;
/// The limit on characters that are given.
const CHARS_MAX: usize = 400;

/// Returns the last lines of the file at `path`, as one line; empty if there are none.
pub fn tail(path: &Path) -> String {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let from = file.metadata()?.len().saturating_sub(BYTES);
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let text = String::from_utf8_lossy(&read().unwrap_or_default()).into_owned();
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    terminal::one_line(&lines[lines.len().saturating_sub(LINES)..].join(" "), CHARS_MAX)
}
