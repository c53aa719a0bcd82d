//! Server-sent events: a run's rows as they are recorded, and that something has changed.
//!
//! ```text
//! folder ── a look each second, one task per folder ──> the last state ──> each client: what it lacks
//! ```
//!
//! A client that is slow to read delays only itself: it is sent what it lacks of the last state, however many states were in between.

mod client;
mod watch;

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Path, RawQuery, State, rejection::PathRejection},
    http::{HeaderMap, HeaderName, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use fltk_records::RecordKind;
use tokio::sync::OwnedSemaphorePermit;

use self::client::{Connection, changes, rows};
pub use self::watch::Watches;
use super::{
    Shared,
    answer::{ApiError, name, number, parameters},
};
use crate::answers::Follower;

/// The limit on clients that follow something at the same time: each holds a connection, and a piece of a quarter of a megabyte.
pub const LIVE_MAX: usize = 32;
/// The header with which a browser that lost the connection says the last event that it has.
const LAST_EVENT: &str = "last-event-id";
/// The header that keeps nginx from collecting events before it passes them on.
const BUFFERING: &str = "x-accel-buffering";

/// A target that a client follows, and with it the folders that are looked at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Followed {
    /// The lists of runs and streams, and all journals.
    All,
    /// One run, by the name of its folder.
    Run(String),
    /// One stream, by the name of its folder.
    Stream(String),
}

/// Sends the rows of a run that the client lacks, now and whenever the run has changed, until it ends.
pub async fn run(
    State(shared): State<Shared>,
    path: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let name = name(path)?;
    let pairs = parameters(query.as_deref(), &["after"])?;
    let last = headers.get(LAST_EVENT).and_then(|value| value.to_str().ok());
    // A browser repeats the address with which it began.
    let after = match last.and_then(|last| last.parse().ok()) {
        Some(last) => Some(last),
        None => number(&pairs, "after")?,
    };
    let found = name.clone();
    shared.read(move |site| site.find(RecordKind::Run, &found)).await?;
    let connection = connect(&shared, Followed::Run(name)).await?;
    // A run that can't be read is an error, and no stream of events.
    let connection = connection.first_look().await?;
    Ok(events(rows(connection, Follower::new(after))))
}

/// Sends an event whenever a list or a journal has changed.
pub async fn all(State(shared): State<Shared>) -> Result<Response, ApiError> {
    Ok(events(changes(connect(&shared, Followed::All).await?)))
}

/// Sends an event whenever the stream's journal has changed.
pub async fn stream(State(shared): State<Shared>, path: Result<Path<String>, PathRejection>) -> Result<Response, ApiError> {
    let name = name(path)?;
    let found = name.clone();
    shared.read(move |site| site.find(RecordKind::Stream, &found)).await?;
    Ok(events(changes(connect(&shared, Followed::Stream(name)).await?)))
}

async fn connect(shared: &Shared, followed: Followed) -> Result<Connection, ApiError> {
    let Ok(seat) = Arc::clone(&shared.live).try_acquire_owned() else {
        let problem = format!("{LIVE_MAX} clients follow runs or streams already: try again later");
        return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, problem));
    };
    Ok(Connection::new(Watches::follow(shared, followed), shared.stopping.clone(), seat))
}

fn events(body: Body) -> Response {
    ([(header::CONTENT_TYPE, "text/event-stream"), (HeaderName::from_static(BUFFERING), "no")], body).into_response()
}

/// The right to follow something, which ends with the connection.
type Seat = OwnedSemaphorePermit;
