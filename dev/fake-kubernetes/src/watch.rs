//! Streams of changes to watching clients.

use std::{io, time::Duration};

use axum::body::{Body, Bytes};
use futures::{StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::{
    answer::Failure,
    kinds::Kind,
    selector::Selector,
    store::{Change, Store},
};

/// The limit on changes queued for a slow reader. The real server also disconnects a reader that is too slow.
const WAITING_MAX: usize = 10_000;

/// An open watch.
pub struct Watch {
    kind: &'static Kind,
    namespace: Option<String>,
    selector: Selector,
    /// True if the reader asked for bookmarks.
    takes_bookmarks: bool,
    lines: mpsc::Sender<io::Result<Bytes>>,
}

/// The parameters of a watch.
pub struct Wish {
    pub kind: &'static Kind,
    pub namespace: Option<String>,
    pub selector: Selector,
    pub takes_bookmarks: bool,
    /// `None` or 0 for the existing objects and then changes; otherwise the changes after this version.
    pub version: Option<u64>,
    /// True if a bookmark ends the list of existing objects.
    pub marks_initial_end: bool,
    /// The time-out in seconds, after which the server ends the stream.
    pub timeout: Option<u64>,
}

impl Watch {
    /// Starts a watch. The body consists of its lines.
    pub fn open(store: &mut Store, wish: Wish) -> Body {
        let (lines, receiver) = mpsc::channel(WAITING_MAX);
        let Wish { kind, namespace, selector, takes_bookmarks, version, marks_initial_end, timeout } = wish;
        let mut watch = Self { kind, namespace, selector, takes_bookmarks, lines };
        match version.unwrap_or_default() {
            0 => {
                for (_, object) in store.list(kind, watch.namespace.as_deref(), &watch.selector, store.version()) {
                    watch.send("ADDED", &object);
                }
                if marks_initial_end {
                    watch.bookmark(store.version(), json!({ "k8s.io/initial-events-end": "true" }));
                }
                store.watches.push(watch);
            }
            version if version < store.horizon() => {
                watch.end(&Failure::expired(version, store.horizon()));
            }
            version => {
                let changes: Vec<Change> = store.changes_after(version).cloned().collect();
                if changes.iter().all(|change| watch.tell(change)) {
                    store.watches.push(watch);
                }
            }
        }
        let lines = stream::unfold(receiver, async |mut receiver| receiver.recv().await.map(|line| (line, receiver)));
        match timeout {
            Some(seconds) => Body::from_stream(lines.take_until(tokio::time::sleep(Duration::from_secs(seconds)))),
            None => Body::from_stream(lines),
        }
    }

    /// True if there is still a reader.
    pub fn is_read(&self) -> bool {
        !self.lines.is_closed()
    }

    pub fn is_of(&self, group: &str) -> bool {
        self.kind.group == group
    }

    /// Sends a change if it concerns the reader. Returns `false` if there is no reader any more.
    pub fn tell(&mut self, change: &Change) -> bool {
        if !change.key.is_of(self.kind, self.namespace.as_deref()) {
            return self.is_read();
        }
        let seen = |object: &Option<Value>| object.as_ref().is_some_and(|object| self.selector.matches(object));
        match (seen(&change.before), seen(&change.after)) {
            (false, false) => self.is_read(),
            (false, true) => self.send("ADDED", change.after.as_ref().expect("it was seen")),
            (true, true) => self.send("MODIFIED", change.after.as_ref().expect("it was seen")),
            (true, false) => {
                // The object as it was, with the version of its deletion, from which a reader continues.
                let mut object = change.before.clone().expect("it was seen");
                object["metadata"]["resourceVersion"] = change.version.to_string().into();
                self.send("DELETED", &object)
            }
        }
    }

    /// Sends a bookmark with the current version, if the reader asked for bookmarks.
    pub fn bookmark(&mut self, version: u64, annotations: Value) -> bool {
        if !self.takes_bookmarks {
            return self.is_read();
        }
        let metadata = json!({ "resourceVersion": version.to_string(), "annotations": annotations });
        let object = json!({ "apiVersion": self.kind.api_version(), "kind": self.kind.kind, "metadata": metadata });
        self.send("BOOKMARK", &object)
    }

    /// Ends the stream with an error event, as the server does within a stream.
    pub fn end(mut self, failure: &Failure) {
        self.send("ERROR", &failure.status());
    }

    /// Ends the stream like a broken connection.
    pub fn break_off(self) {
        // A reader that is gone or too slow needs no message.
        let _: Result<(), _> = self.lines.try_send(Err(io::ErrorKind::ConnectionReset.into()));
    }

    fn send(&mut self, event: &str, object: &Value) -> bool {
        let line = format!("{}\n", json!({ "type": event, "object": object }));
        self.lines.try_send(Ok(Bytes::from(line))).is_ok()
    }
}
