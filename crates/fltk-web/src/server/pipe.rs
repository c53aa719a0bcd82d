//! Response bodies that are written while they are sent.
//!
//! ```text
//! thread: Write ── pieces, a bounded queue ──> body ──> socket
//!           └──── whole? ──────────────────────┘
//! ```

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Poll, ready},
    thread,
    time::Duration,
};

use axum::body::{Body, Bytes};
use futures::stream::poll_fn;
use tokio::{
    runtime::Handle,
    sync::{
        OwnedSemaphorePermit, Semaphore,
        mpsc::{Sender, channel, error::TrySendError},
    },
    task::spawn_blocking,
    time::timeout,
};

use super::{ApiError, STALL_LIMIT, Shared, Site};

/// The size of a piece, in bytes.
const PIECE: usize = 64 << 10;
/// The limit on pieces that wait to be sent: half a megabyte, for each of at most 256 connections.
const PIECES_MAX: usize = 8;
/// The first and the longest interval at which a full queue is tried again.
const LOOK_FIRST: Duration = Duration::from_millis(2);
const LOOK_LAST: Duration = Duration::from_millis(32);
/// The lowest average rate, in bytes per second: a slower client is considered gone. A line of 64 kbit/s has this rate.
const BYTES_PER_SECOND_MIN: u32 = 8 << 10;

impl Shared {
    /// Returns a body that `work` writes, on a separate thread. If it fails, the connection is broken off, so that the client knows that
    /// something is missing.
    pub async fn stream(&self, work: impl FnOnce(&Site, &mut dyn Write) -> io::Result<()> + Send + 'static) -> Result<Body, ApiError> {
        let turn = Turn { readers: Arc::clone(&self.readers), permit: Some(self.permit().await?), runtime: Handle::current() };
        let site = Arc::clone(&self.site);
        Ok(body(STALL_LIMIT, Some(turn), move |out| work(&site, out)))
    }
}

/// The right to read files: returned while a client reads nothing, so that slow clients don't block others.
struct Turn {
    readers: Arc<Semaphore>,
    permit: Option<OwnedSemaphorePermit>,
    runtime: Handle,
}

impl Turn {
    /// Waits in turn to get the right back.
    fn resume(&mut self, limit: Duration) -> io::Result<()> {
        if self.permit.is_none() {
            let next = async { timeout(limit, Arc::clone(&self.readers).acquire_owned()).await };
            self.permit = self.runtime.block_on(next).ok().and_then(Result::ok);
        }
        if self.permit.is_some() { Ok(()) } else { Err(io::ErrorKind::TimedOut.into()) }
    }
}

/// Returns a body that `work` writes, which gives up on a client that reads nothing for `stall_limit`. Unless all of it was written, the
/// body ends with an error, whatever the result of `work`.
fn body(stall_limit: Duration, turn: Option<Turn>, work: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static) -> Body {
    let (send, mut pieces) = channel(PIECES_MAX);
    let whole = Arc::new(AtomicBool::new(false));
    let is_whole = Arc::clone(&whole);
    spawn_blocking(move || {
        let mut pipe = Pipe { send, piece: Vec::with_capacity(PIECE), stall_limit, patience: stall_limit, turn };
        // The error isn't reported: the client can't be told.
        let done = work(&mut pipe).and_then(|()| pipe.flush());
        whole.store(done.is_ok(), Ordering::Release);
    });
    Body::from_stream(poll_fn(move |context| {
        Poll::Ready(match ready!(pieces.poll_recv(context)) {
            Some(piece) => Some(Ok(piece)),
            None if is_whole.load(Ordering::Acquire) => None,
            None => Some(Err(io::Error::from(io::ErrorKind::UnexpectedEof))),
        })
    }))
}

struct Pipe {
    send: Sender<Bytes>,
    piece: Vec<u8>,
    stall_limit: Duration,
    /// The remaining time to wait on a full queue: every byte that is read adds to it, up to the limit.
    patience: Duration,
    turn: Option<Turn>,
}

impl Pipe {
    fn put(&mut self, mut piece: Bytes) -> io::Result<()> {
        let earned = Duration::from_secs(piece.len() as u64) / BYTES_PER_SECOND_MIN;
        let mut look_after = LOOK_FIRST;
        loop {
            piece = match self.send.try_send(piece) {
                Ok(()) => break,
                Err(TrySendError::Closed(_)) => return Err(io::ErrorKind::BrokenPipe.into()),
                Err(TrySendError::Full(_)) if self.patience.is_zero() => return Err(io::ErrorKind::TimedOut.into()),
                Err(TrySendError::Full(piece)) => piece,
            };
            if let Some(turn) = &mut self.turn {
                turn.permit = None;
            }
            thread::sleep(look_after);
            self.patience = self.patience.saturating_sub(look_after);
            look_after = LOOK_LAST.min(look_after * 2);
        }
        self.patience = self.stall_limit.min(self.patience + earned);
        self.turn.as_mut().map_or(Ok(()), |turn| turn.resume(self.stall_limit))
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(PIECE - self.piece.len());
        self.piece.extend_from_slice(&bytes[..taken]);
        if self.piece.len() == PIECE {
            self.flush()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        self.put(piece.into())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures::StreamExt as _;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);
    const SHORT: Duration = Duration::from_millis(50);

    /// Returns the number of bytes received, and true if the body ended without an error.
    async fn read(body: Body) -> (usize, bool) {
        let mut stream = body.into_data_stream();
        let mut bytes = 0;
        while let Some(piece) = stream.next().await {
            let Ok(piece) = piece else { return (bytes, false) };
            bytes += piece.len();
        }
        (bytes, true)
    }

    #[tokio::test]
    async fn only_complete_bodies_end_without_error() {
        assert_eq!(read(body(LIMIT, None, |out| out.write_all(&[0; 3 * PIECE + 1]))).await, (3 * PIECE + 1, true));
        assert_eq!(read(body(LIMIT, None, |_| Ok(()))).await, (0, true));
        let fails = |out: &mut dyn Write| {
            out.write_all(&[0; 2 * PIECE])?;
            Err(io::ErrorKind::Other.into())
        };
        assert_eq!(read(body(LIMIT, None, fails)).await, (2 * PIECE, false));
        let panics = |out: &mut dyn Write| {
            out.write_all(&[0; 2 * PIECE]).unwrap();
            panic!("a bug")
        };
        assert_eq!(read(body(LIMIT, None, panics)).await, (2 * PIECE, false));
    }

    #[tokio::test]
    async fn stalled_readers_get_no_end_of_the_body() {
        let (send, gave_up) = mpsc::channel();
        let body = body(SHORT, None, move |out| {
            let written = out.write_all(&vec![0; 100 * PIECE]);
            send.send(written.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::TimedOut)).unwrap();
            written
        });
        assert!(gave_up.recv_timeout(LIMIT).unwrap());
        assert_eq!(read(body).await, (PIECES_MAX * PIECE, false));
    }

    #[test]
    fn wait_for_slow_readers_is_bounded() {
        let (send, mut pieces) = channel(1);
        let mut pipe = Pipe { send, piece: Vec::new(), stall_limit: SHORT, patience: SHORT, turn: None };
        pipe.put(Bytes::from_static(b"x")).unwrap();
        // A piece is read each time that nearly all patience is used up.
        let slow = thread::spawn(move || {
            while let Some(piece) = pieces.blocking_recv() {
                drop(piece);
                thread::sleep(SHORT / 2);
            }
        });
        let error = (0..1000).find_map(|_| pipe.put(Bytes::from_static(b"x")).err()).expect("it gives up");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(pipe);
        slow.join().unwrap();
    }

    #[tokio::test]
    async fn disconnected_readers_end_the_work() {
        let (send, ended) = mpsc::channel();
        drop(body(LIMIT, None, move |out| {
            let written = out.write_all(&vec![0; 100 * PIECE]);
            send.send(written.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe)).unwrap();
            written
        }));
        assert!(ended.recv_timeout(LIMIT).unwrap());
    }
}
