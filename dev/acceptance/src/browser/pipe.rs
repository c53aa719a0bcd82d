//! The DevTools protocol: JSON messages, each followed by a zero byte, over two pipes. Nothing but this process can reach the browser, and it ends when
//! the pipes are closed.
//!
//! <https://github.com/ChromeDevTools/devtools-protocol> has the methods. `SESSION` is that of a page; without one, a message is about the browser itself.

use std::{
    io::{BufRead as _, BufReader, Read, Write as _},
    process::{ChildStdin, ChildStdout},
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow, bail};
use serde::Deserialize;
use serde_json::{Value, json};

/// The largest message, in bytes: the picture of a large page.
const MESSAGE_BYTES_MAX: u64 = 256 << 20;

/// The number of messages that wait to be looked at. The browser waits if there are more.
const MESSAGES_MAX: usize = 10_000;

/// A message of the browser that answers none of ours.
#[derive(Debug)]
pub struct Event {
    /// The session of the page that it is about; empty if it is about the browser.
    pub session: String,
    /// Its name, such as `Network.requestWillBeSent`.
    pub method: String,
    /// Its fields.
    pub params: Value,
}

/// A message of the browser.
#[derive(Deserialize)]
struct Message {
    id: Option<u64>,
    #[serde(default, rename = "sessionId")]
    session: String,
    #[serde(default)]
    method: String,
    #[serde(default)]
    params: Value,
    #[serde(default)]
    result: Value,
    error: Option<Refusal>,
}

/// The reason why the browser didn't do what it was asked for.
#[derive(Deserialize)]
struct Refusal {
    message: String,
}

/// Both directions of the connection.
pub struct Pipe {
    to: ChildStdin,
    from: Receiver<anyhow::Result<Message>>,
    last_id: u64,
    /// Events that nobody has asked for yet.
    events: Vec<Event>,
}

impl Pipe {
    /// Begins to read what the browser says.
    pub fn new(to: ChildStdin, from: ChildStdout) -> Self {
        let (sender, receiver) = sync_channel(MESSAGES_MAX);
        thread::spawn(move || read(from, &sender));
        Self { to, from: receiver, last_id: 0, events: Vec::new() }
    }

    /// Calls `method`, and returns its result.
    ///
    /// # Errors
    /// If the browser refuses, or takes longer than `limit`.
    pub fn call(&mut self, session: &str, method: &str, params: Value, limit: Duration) -> anyhow::Result<Value> {
        self.last_id += 1;
        let mut message = json!({ "id": self.last_id, "method": method, "params": params });
        if !session.is_empty() {
            message["sessionId"] = session.into();
        }
        self.to.write_all(&[message.to_string().as_bytes(), b"\0"].concat()).with_context(|| format!("`{method}` can't be sent"))?;
        let deadline = Instant::now() + limit;
        loop {
            let Some(answer) = self.next(deadline)? else { bail!("no answer to `{method}` within {} s", limit.as_secs()) };
            // Answers to calls that took too long are passed over.
            if answer.id == Some(self.last_id) {
                return answer.error.map_or(Ok(answer.result), |refusal| Err(anyhow!("`{method}`: {}", refusal.message)));
            }
        }
    }

    /// Takes the events about a page that have come so far.
    ///
    /// # Errors
    /// If the browser is gone.
    pub fn events(&mut self, session: &str) -> anyhow::Result<Vec<Event>> {
        while self.next(Instant::now())?.is_some() {}
        let (its, others) = std::mem::take(&mut self.events).into_iter().partition(|event| event.session == session);
        self.events = others;
        Ok(its)
    }

    /// Takes the first event that `wanted` accepts, and waits for it.
    ///
    /// # Errors
    /// If it doesn't come within `limit`.
    pub fn wait(&mut self, what: &str, wanted: impl Fn(&Event) -> bool, limit: Duration) -> anyhow::Result<Event> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(at) = self.events.iter().position(&wanted) {
                return Ok(self.events.remove(at));
            }
            self.next(deadline)?.with_context(|| format!("{what} didn't come within {} s", limit.as_secs()))?;
        }
    }

    /// Returns the next message, or `None` at the deadline. An event is kept for [`events`](Self::events) too.
    fn next(&mut self, deadline: Instant) -> anyhow::Result<Option<Message>> {
        match self.from.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(message) => {
                let mut message = message?;
                if message.id.is_none() {
                    let (session, method) = (std::mem::take(&mut message.session), std::mem::take(&mut message.method));
                    self.events.push(Event { session, method, params: std::mem::take(&mut message.params) });
                }
                Ok(Some(message))
            }
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => bail!("the browser has ended"),
        }
    }
}

/// Passes on every message until the pipe is closed at either end.
fn read(from: impl Read, to: &SyncSender<anyhow::Result<Message>>) {
    let mut from = BufReader::new(from);
    loop {
        let mut bytes = Vec::new();
        let message = match from.by_ref().take(MESSAGE_BYTES_MAX).read_until(0, &mut bytes) {
            Ok(_) if bytes.pop() != Some(0) => return,
            Ok(_) => serde_json::from_slice(&bytes).context("the browser said something that is no message"),
            Err(error) => Err(anyhow::Error::new(error).context("the browser can't be heard")),
        };
        let is_last = message.is_err();
        if to.send(message).is_err() || is_last {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_divided_at_zero_bytes() {
        let (sender, receiver) = sync_channel(10);
        read(&b"{\"id\":1,\"result\":{\"a\":2}}\0{\"method\":\"Page.x\",\"sessionId\":\"s\"}\0{\"id\":3}"[..], &sender);
        drop(sender);
        let messages: Vec<Message> = receiver.into_iter().map(Result::unwrap).collect();
        assert_eq!(messages.len(), 2, "the last one breaks off");
        assert_eq!((messages[0].id, messages[0].result["a"].as_u64()), (Some(1), Some(2)));
        assert_eq!((messages[1].id, messages[1].method.as_str(), messages[1].session.as_str()), (None, "Page.x", "s"));
    }

    #[test]
    fn something_else_than_a_message_is_an_error() {
        let (sender, receiver) = sync_channel(10);
        read(&b"<html>\0{\"id\":1}\0"[..], &sender);
        drop(sender);
        assert!(receiver.recv().unwrap().is_err() && receiver.recv().is_err());
    }
}
