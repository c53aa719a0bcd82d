//! Streams of changes to those who watch.

use std::{io, time::Duration};

use axum::body::{Body, Bytes};
use futures::{StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{
    answer::Failure,
    kinds::Kind,
    selector::Selector,
    store::{Change, Store},
};

/// Changes that may wait for a slow reader. The real server as well hangs up on one that is too slow.
const WAITING_MAX: usize = 10_000;

/// One open stream.
pub struct Watch {
    kind: &'static Kind,
    namespace: Option<String>,
    selector: Selector,
    /// Whether the reader asked for bookmarks.
    takes_bookmarks: bool,
    lines: mpsc::Sender<io::Result<Bytes>>,
}

/// What a reader asks for.
pub struct Wish {
    pub kind: &'static Kind,
    pub namespace: Option<String>,
    pub selector: Selector,
    pub takes_bookmarks: bool,
    /// `None` or 0 for what is there, and then changes; otherwise the changes after it.
    pub version: Option<u64>,
    /// Whether a bookmark ends the list of what is there.
    pub marks_initial_end: bool,
    /// In seconds. The server ends the stream by then.
    pub timeout: Option<u64>,
}

impl Watch {
    /// Begins to tell about changes. The body is the lines.
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

    /// Whether there is still a reader.
    pub fn is_read(&self) -> bool {
        !self.lines.is_closed()
    }

    pub fn is_of(&self, group: &str) -> bool {
        self.kind.group == group
    }

    /// Tells about a change if it concerns the reader. `false` if there is none any more.
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
                // The object as it was, with the version of its deletion: a reader goes on from there.
                let mut object = change.before.clone().expect("it was seen");
                object["metadata"]["resourceVersion"] = change.version.to_string().into();
                self.send("DELETED", &object)
            }
        }
    }

    /// Tells how far the history is, if the reader asked for it.
    pub fn bookmark(&mut self, version: u64, annotations: Value) -> bool {
        if !self.takes_bookmarks {
            return self.is_read();
        }
        let metadata = json!({ "resourceVersion": version.to_string(), "annotations": annotations });
        let object = json!({ "apiVersion": self.kind.api_version(), "kind": self.kind.kind, "metadata": metadata });
        self.send("BOOKMARK", &object)
    }

    /// Ends the stream with an error, as the server says it within one.
    pub fn end(mut self, failure: &Failure) {
        self.send("ERROR", &failure.status());
    }

    /// Ends the stream as a connection that broke.
    pub fn break_off(self) {
        // A reader that is gone or too slow needs no more.
        let _: Result<(), _> = self.lines.try_send(Err(io::ErrorKind::ConnectionReset.into()));
    }

    fn send(&mut self, event: &str, object: &Value) -> bool {
        let line = format!("{}\n", json!({ "type": event, "object": object }));
        self.lines.try_send(Ok(Bytes::from(line))).is_ok()
    }
}
