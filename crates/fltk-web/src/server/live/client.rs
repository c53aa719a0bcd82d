//! One client that follows something: the events that it is sent, one at a time.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::StatusCode,
};
use futures::stream::unfold;
use tokio::{sync::watch::Receiver, time::timeout};

use super::{Seat, watch::News};
use crate::{
    answers::{Follower, Piece, RunNow},
    server::ApiError,
};

/// The time after which a client without news is sent a comment, so that neither it nor a proxy takes the connection for dead.
const QUIET_MAX: Duration = Duration::from_secs(15);
/// The comment.
const ALIVE: &[u8] = b":\n\n";
/// The first comment of a client that is told of changes.
const WELCOME: &[u8] = b": fltk\n\n";
/// The event after which nothing follows.
const END: &[u8] = b"event: end\ndata: {}\n\n";
/// The event that something has changed.
const CHANGED: &[u8] = b"event: changed\ndata: {}\n\n";
/// The time that a client may wait for the first look at a run.
const FIRST_LOOK: Duration = Duration::from_secs(60);

/// The connection of one client.
pub struct Connection {
    news: Receiver<News>,
    stopping: Receiver<bool>,
    _seat: Seat,
}

/// An outcome of a client's waiting.
enum Woke {
    Changed,
    /// Nothing for [`QUIET_MAX`].
    Quiet,
    /// Nothing follows: the server stops.
    Over,
}

impl Connection {
    pub fn new(news: Receiver<News>, stopping: Receiver<bool>, seat: Seat) -> Self {
        Self { news, stopping, _seat: seat }
    }

    /// Waits until the run was read once.
    pub async fn first_look(mut self) -> Result<Self, ApiError> {
        let problem = match timeout(FIRST_LOOK, self.news.wait_for(|news| news.version > 0)).await {
            Ok(Ok(news)) => news.run.clone().and_then(Result::err),
            _ => Some(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "the run can't be read now: try again later")),
        };
        problem.map_or(Ok(self), Err)
    }

    async fn wait(&mut self) -> Woke {
        let changed = timeout(QUIET_MAX, self.news.changed());
        tokio::select! {
            changed = changed => match changed {
                Ok(Ok(())) => Woke::Changed,
                Ok(Err(_)) => Woke::Over,
                Err(_) => Woke::Quiet,
            },
            _ = self.stopping.wait_for(|is_stopping| *is_stopping) => Woke::Over,
        }
    }

    /// Returns the run as it was read last; `None` if it can't be read any more.
    fn run(&mut self) -> Option<Arc<RunNow>> {
        self.news.borrow_and_update().run.clone().and_then(Result::ok)
    }
}

/// Returns a body that welcomes the client once the folders were looked at, and then says each time that something has changed.
pub fn changes(connection: Connection) -> Body {
    let events = unfold((connection, false), |(mut connection, is_welcome)| async move {
        // The first look is no change: whatever happens after the welcome is one, and nothing is sent before it.
        let event = loop {
            match connection.wait().await {
                Woke::Changed if !is_welcome => break WELCOME,
                Woke::Changed => break CHANGED,
                Woke::Quiet if !is_welcome => {}
                Woke::Quiet => break ALIVE,
                Woke::Over => return None,
            }
        };
        let is_welcome = is_welcome || event == WELCOME;
        Some((Bytes::from_static(event), (connection, is_welcome)))
    });
    body(events)
}

/// Returns a body with the rows of a run that `follower` lacks, until the run ends or can't be read any more.
pub fn rows(connection: Connection, follower: Follower) -> Body {
    let events = unfold(Some((connection, follower)), |state| async move {
        let (mut connection, mut follower) = state?;
        loop {
            let now = connection.run()?;
            if let Some(piece) = follower.next(&now).ok()? {
                return Some((event(piece), Some((connection, follower))));
            }
            if now.has_ended() {
                return Some((Bytes::from_static(END), None));
            }
            drop(now);
            match connection.wait().await {
                Woke::Changed => {}
                Woke::Quiet => return Some((Bytes::from_static(ALIVE), Some((connection, follower)))),
                Woke::Over => return None,
            }
        }
    });
    body(events)
}

fn event(piece: Piece) -> Bytes {
    let id = piece.last.map(|last| format!("id: {last}\n")).unwrap_or_default();
    let mut event = format!("{id}event: rows\ndata: ").into_bytes();
    event.extend_from_slice(&piece.json);
    event.extend_from_slice(b"\n\n");
    event.into()
}

fn body(events: impl futures::Stream<Item = Bytes> + Send + 'static) -> Body {
    use futures::StreamExt as _;
    Body::from_stream(events.map(Ok::<_, Infallible>))
}
