//! The output of a rank, in a file whose size is bounded: once it is full it is kept under another name, and the one kept before it is gone. So what is there
//! are the last bytes of the output, and a program that floods its output fills no disk.

use std::{
    fs::{self, File},
    io::{self, Read, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, mpsc::SyncSender},
};

use fltk_core::report;

/// The limit on bytes of one file. Of a rank's output the last 8 to 16 MiB are kept.
pub const FILE_BYTES_MAX: u64 = 8 << 20;
/// The limit on bytes that wait for the end of their line, so that lines of both streams aren't mixed.
const LINE_BYTES_MAX: usize = 64 << 10;
/// The bytes that are read at once.
const CHUNK_BYTES: usize = 64 << 10;

/// The file of a rank's output.
#[derive(Debug)]
pub struct OutputLog {
    path: PathBuf,
    file: File,
    bytes: u64,
    bytes_max: u64,
    /// The first error in writing. Whatever couldn't be written is dropped, and the program goes on.
    error: Option<io::Error>,
}

impl OutputLog {
    /// Opens the file at `path`, which goes on if it is there.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn open(path: PathBuf, bytes_max: u64) -> io::Result<Self> {
        let file = File::options().append(true).create(true).open(&path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { path, file, bytes, bytes_max, error: None })
    }

    /// Returns the path under which the part before the current file is kept.
    pub fn earlier(path: &Path) -> PathBuf {
        let mut name = path.as_os_str().to_owned();
        name.push(".1");
        name.into()
    }

    fn write(&mut self, bytes: &[u8]) {
        let written = self.try_write(bytes);
        if let Err(error) = written {
            self.error.get_or_insert(error);
        }
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.bytes > 0 && self.bytes.saturating_add(bytes.len() as u64) > self.bytes_max {
            fs::rename(&self.path, Self::earlier(&self.path))?;
            self.file = File::options().append(true).create(true).open(&self.path)?;
            self.bytes = 0;
        }
        self.file.write_all(bytes)?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Returns the first error in writing, once.
    pub fn take_error(&mut self) -> Option<io::Error> {
        self.error.take()
    }
}

/// Reads a stream of a rank to its end: all of it goes to `log`, and lines that begin as those with figures also to `figures`.
pub fn pump(stream: &mut dyn Read, log: &Arc<Mutex<OutputLog>>, figures: Option<&SyncSender<String>>) {
    let mut chunk = vec![0; CHUNK_BYTES];
    let (mut open, mut lines) = (Vec::new(), Lines { figures, line: Vec::new() });
    loop {
        let num_read = match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(num_read) => num_read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        let bytes = &chunk[..num_read];
        lines.take(bytes);
        open.extend_from_slice(bytes);
        // A bar of progress is a line that returns to its beginning.
        let ends = open.iter().rposition(|byte| matches!(byte, b'\n' | b'\r')).map(|end| end + 1);
        let end = ends.or((open.len() >= LINE_BYTES_MAX).then_some(open.len()));
        if let Some(end) = end {
            log.lock().unwrap_or_else(PoisonError::into_inner).write(&open[..end]);
            open.drain(..end);
        }
    }
    lines.end();
    log.lock().unwrap_or_else(PoisonError::into_inner).write(&open);
}

/// Finds the lines with figures in a stream.
struct Lines<'a> {
    figures: Option<&'a SyncSender<String>>,
    /// The beginning of the current line, up to the longest that can count and one byte more.
    line: Vec<u8>,
}

impl Lines<'_> {
    fn take(&mut self, bytes: &[u8]) {
        if self.figures.is_none() {
            return;
        }
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = (report::PREFIX.len() + report::LINE_BYTES_MAX + 1).saturating_sub(self.line.len());
            let text = part.strip_suffix(b"\n").unwrap_or(part);
            self.line.extend_from_slice(&text[..text.len().min(room)]);
            if part.ends_with(b"\n") {
                self.end();
            }
        }
    }

    fn end(&mut self) {
        let line = std::mem::take(&mut self.line);
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        if line.starts_with(report::PREFIX.as_bytes())
            && let Some(figures) = self.figures
        {
            // If the channel is full, the program waits for the records; if nobody listens any more, the line is in the log all the same.
            let _ = figures.send(String::from_utf8_lossy(line).into_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    fn pumped(streams: &[&[u8]], bytes_max: u64) -> (Vec<String>, Vec<u8>, Option<Vec<u8>>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rank-0.log");
        let log = Arc::new(Mutex::new(OutputLog::open(path.clone(), bytes_max).unwrap()));
        let (figures, found) = sync_channel(100);
        streams.iter().for_each(|stream| pump(&mut &**stream, &log, Some(&figures)));
        drop(figures);
        (found.iter().collect(), fs::read(&path).unwrap(), fs::read(OutputLog::earlier(&path)).ok())
    }

    #[test]
    fn all_output_is_kept_and_lines_with_figures_are_found() {
        let (found, kept, earlier) = pumped(&[b"hello\nfltk: {\"a\": 1}\r\n fltk: {}\nfltk: \xff\nfltk: {\"b\": 2}"], 1000);
        assert_eq!(found, ["fltk: {\"a\": 1}", "fltk: \u{fffd}", "fltk: {\"b\": 2}"]);
        assert_eq!((kept.len(), earlier), (54, None));
    }

    #[test]
    fn a_flood_leaves_its_last_bytes() {
        let flood: Vec<u8> = (0..200_000).flat_map(|line| format!("line {line}\n").into_bytes()).collect();
        let (_, kept, earlier) = pumped(&[&flood], 300_000);
        let earlier = earlier.unwrap();
        assert!(kept.len() <= 300_000 && earlier.len() <= 300_000, "{} and {}", kept.len(), earlier.len());
        assert!(flood.ends_with(&[earlier, kept].concat()));
    }

    #[test]
    fn long_lines_are_cut_for_the_records_alone() {
        let line = [b"fltk: ".as_slice(), &vec![b'x'; 1 << 20], b"\nfltk: {}\n"].concat();
        let (found, kept, _) = pumped(&[&line], 10 << 20);
        assert_eq!(found.iter().map(String::len).collect::<Vec<_>>(), [report::PREFIX.len() + report::LINE_BYTES_MAX + 1, 8]);
        assert_eq!(kept, line);
    }
}
