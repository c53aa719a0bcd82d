//! Waiting for a server, which ends when the process is asked to stop: however silent the server is.
//!
//! Nobody can wake a thread that waits for a socket. So another thread waits, and is left behind in the end.

use std::{
    io::{self, Read},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, sync_channel},
    },
    thread,
    time::Duration,
};

use crate::exit::{Exit, OrExit as _, failure};

/// How often the flag is looked at that a signal raises.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Bytes of a piece, and pieces that wait: a megabyte.
const PIECE: usize = 64 << 10;
const PIECES_MAX: usize = 16;

/// What `work` makes, unless `stop` is raised before.
///
/// # Errors
/// Those of `work`; or that it was interrupted.
pub fn answer<T, E>(stop: &AtomicBool, work: impl FnOnce() -> Result<T, E> + Send + 'static) -> anyhow::Result<T>
where
    T: Send + 'static,
    E: Into<anyhow::Error> + Send + 'static,
{
    let (send, receive) = sync_channel(1);
    thread::spawn(move || send.send(work()));
    match next(&receive, stop) {
        Some(Ok(answer)) => answer.or_exit(Exit::Records),
        Some(Err(())) => Err(failure(Exit::Interrupted, "interrupted")),
        None => Err(anyhow::anyhow!("a bug: the thread that asks a server panicked")),
    }
}

/// `body`, which ends with an error when `stop` is raised.
pub fn body(mut body: impl Read + Send + 'static, stop: Arc<AtomicBool>) -> impl Read {
    let (send, pieces) = sync_channel(PIECES_MAX);
    thread::spawn(move || {
        loop {
            let mut piece = vec![0; PIECE];
            let read = match body.read(&mut piece) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read,
            };
            let is_last = !matches!(read, Ok(read) if read > 0);
            let piece = read.map(|read| {
                piece.truncate(read);
                piece
            });
            if send.send(piece).is_err() || is_last {
                return;
            }
        }
    });
    Pieces { pieces, stop, is_over: false, piece: Vec::new(), taken: 0 }
}

struct Pieces {
    pieces: Receiver<io::Result<Vec<u8>>>,
    stop: Arc<AtomicBool>,
    /// Whether the end came: an empty piece.
    is_over: bool,
    piece: Vec<u8>,
    taken: usize,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.piece.len() && !self.is_over {
            self.piece = match next(&self.pieces, &self.stop) {
                Some(Ok(piece)) => piece?,
                Some(Err(())) => return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "interrupted")),
                None => return Err(io::Error::other("its reader has ended: after an error, or by a bug")),
            };
            self.taken = 0;
            self.is_over = self.piece.is_empty();
        }
        let rest = &self.piece[self.taken..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.taken += count;
        Ok(count)
    }
}

/// What comes next; an error once `stop` is raised; `None` when nothing will come.
fn next<T>(receive: &Receiver<T>, stop: &AtomicBool) -> Option<Result<T, ()>> {
    loop {
        if stop.load(Ordering::Relaxed) {
            return Some(Err(()));
        }
        match receive.recv_timeout(LOOK_EVERY) {
            Ok(next) => return Some(Ok(next)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use super::*;

    #[test]
    fn a_body_comes_through_as_it_is_with_its_error() {
        let bytes: Vec<u8> = (0..PIECE * 3 + 7).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let mut whole = Vec::new();
        body(io::Cursor::new(bytes.clone()), Arc::default()).read_to_end(&mut whole).unwrap();
        assert_eq!(whole, bytes);
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::ConnectionReset.into())
            }
        }
        let error = body(io::Cursor::new(bytes).chain(Broken), Arc::default()).read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    #[test]
    fn a_reader_that_dies_is_no_end() {
        struct Bug(bool);
        impl Read for Bug {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                assert!(!std::mem::replace(&mut self.0, true), "a bug");
                Ok(buffer.len())
            }
        }
        let (mut body, mut read) = (body(Bug(false), Arc::default()), Vec::new());
        for _ in 0..2 {
            assert!(body.read_to_end(&mut read).is_err());
        }
        assert_eq!(read.len(), PIECE);
    }

    /// Silent for ever, once it has said that somebody waits for it.
    fn be_silent(begun: &Sender<()>) -> ! {
        begun.send(()).unwrap();
        loop {
            thread::park();
        }
    }

    /// A flag that is raised when somebody waits already.
    fn raised_later() -> (Arc<AtomicBool>, Sender<()>) {
        let (begun, begins) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let raise = Arc::clone(&stop);
        thread::spawn(move || {
            begins.recv().unwrap();
            raise.store(true, Ordering::Relaxed);
        });
        (stop, begun)
    }

    #[test]
    fn who_waits_for_a_silent_server_is_woken() {
        let (stop, begun) = raised_later();
        let silent = move || -> Result<(), io::Error> { be_silent(&begun) };
        assert!(answer(&stop, silent).unwrap_err().to_string().contains("interrupted"));
        struct Silent(Sender<()>);
        impl Read for Silent {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                be_silent(&self.0)
            }
        }
        let (stop, begun) = raised_later();
        assert!(body(Silent(begun), stop).read(&mut [0]).is_err());
    }
}
