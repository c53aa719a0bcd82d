//! Bodies that are written while they are sent.
//!
//! ```text
//! thread: Write ── pieces, a bounded queue ──> body ──> socket
//! ```

use std::{
    io::{self, Write},
    sync::Arc,
    thread,
    time::Duration,
};

use axum::body::{Body, Bytes};
use futures::stream::poll_fn;
use tokio::{
    sync::mpsc::{Sender, channel, error::TrySendError},
    task::spawn_blocking,
};

use super::{ApiError, Shared, Site};

/// Bytes of a piece.
const PIECE: usize = 64 << 10;
/// Pieces that wait to be sent: two megabytes.
const PIECES_MAX: usize = 32;
/// How often a full queue is looked at, and for how long nothing may be taken from it before the client counts as gone.
const LOOK_EVERY: Duration = Duration::from_millis(2);
const STALL_LIMIT: Duration = Duration::from_secs(60);

type Piece = Result<Bytes, io::Error>;

impl Shared {
    /// A body that `work` writes, on a thread of its own. If it fails the connection breaks off, so that the client knows that something is missing.
    pub async fn stream(&self, work: impl FnOnce(&Site, &mut dyn Write) -> io::Result<()> + Send + 'static) -> Result<Body, ApiError> {
        let permit = self.permit().await?;
        let site = Arc::clone(&self.site);
        let (send, mut pieces) = channel::<Piece>(PIECES_MAX);
        spawn_blocking(move || {
            let _permit = permit;
            let mut pipe = Pipe { send, piece: Vec::with_capacity(PIECE) };
            if let Err(error) = work(&site, &mut pipe).and_then(|()| pipe.flush()) {
                // It may be gone itself.
                let _ = pipe.put(Err(error));
            }
        });
        Ok(Body::from_stream(poll_fn(move |context| pieces.poll_recv(context))))
    }
}

struct Pipe {
    send: Sender<Piece>,
    piece: Vec<u8>,
}

impl Pipe {
    fn put(&self, mut piece: Piece) -> io::Result<()> {
        let mut waited = Duration::ZERO;
        loop {
            piece = match self.send.try_send(piece) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Closed(_)) => return Err(io::ErrorKind::BrokenPipe.into()),
                Err(TrySendError::Full(_)) if waited >= STALL_LIMIT => return Err(io::ErrorKind::TimedOut.into()),
                Err(TrySendError::Full(piece)) => piece,
            };
            thread::sleep(LOOK_EVERY);
            waited += LOOK_EVERY;
        }
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
        self.put(Ok(piece.into()))
    }
}
