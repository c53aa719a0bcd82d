//! Waiting for a server in a way that ends when the process is asked to stop, even if the server sends nothing.
//!
//! A thread that is blocked on a socket can't be woken. So another thread blocks on it, and is abandoned after an interruption.

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

/// How often the flag that a signal raises is checked.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// The size of a piece in bytes, and the maximum number of pieces in the queue: together 1 MiB.
const PIECE: usize = 64 << 10;
const PIECES_MAX: usize = 16;

/// Returns the result of `work`, unless `stop` is raised first.
///
/// # Errors
/// If `work` fails or is interrupted.
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

/// Returns a reader of `body` that fails once `stop` is raised.
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
    /// True once the end was received, which is an empty piece.
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

/// Returns the next item; an error once `stop` is raised; `None` if the sender is gone.
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
    fn body_is_forwarded_with_its_error() {
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
    fn dead_reader_is_not_the_end_of_the_body() {
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

    /// Blocks forever, after signaling through `begun` that somebody waits for it.
    fn be_silent(begun: &Sender<()>) -> ! {
        begun.send(()).unwrap();
        loop {
            thread::park();
        }
    }

    /// Returns a flag that is raised once a message is sent on the returned channel, when somebody is already waiting.
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
    fn readers_of_a_silent_server_are_interrupted() {
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
