//! Watches of the API server: each lists, then follows, goes on after errors where it was, and lists again where that is too long ago.

use std::{collections::BTreeSet, fmt::Debug, sync::Arc, time::Duration};

use futures::{StreamExt as _, pin_mut};
use kube::{
    Api, Resource,
    runtime::{
        WatchStreamExt as _,
        utils::Backoff,
        watcher::{self, Config, Event, watcher},
    },
};
use serde::de::DeserializeOwned;
use tokio::{sync::mpsc::Sender, time::Instant};

use super::{api, metrics::Metrics};

/// Between two tries, first and at most.
const WAIT_MIN: Duration = Duration::from_millis(500);
const WAIT_MAX: Duration = Duration::from_secs(8);
/// After this long without an error the next one is the first again.
const WAIT_FORGOTTEN: Duration = Duration::from_secs(30);

/// Objects that are read at once.
const PAGE_SIZE: u32 = 500;

/// What a watch saw.
#[derive(Debug)]
pub enum Seen<T> {
    /// It lists anew, what is there at this instant or later.
    Listing(Instant),
    /// An object is as it now is; whether it was listed.
    There(T, bool),
    /// An object is gone; it was last like this.
    Gone(T),
    /// All objects there are were listed.
    Listed,
    /// It failed, and is begun again.
    Trouble(String),
}

impl<T> Seen<T> {
    /// The same of what `of` makes of an object; `None` of one that it makes nothing of.
    pub fn of<U>(&self, of: impl FnOnce(&T) -> Option<U>) -> Option<Seen<U>> {
        Some(match self {
            Self::Listing(at) => Seen::Listing(*at),
            Self::There(object, is_listed) => Seen::There(of(object)?, *is_listed),
            Self::Gone(object) => Seen::Gone(of(object)?),
            Self::Listed => Seen::Listed,
            Self::Trouble(text) => Seen::Trouble(text.clone()),
        })
    }
}

/// Follows `api`'s objects that `labels` select, and sends `seen` of each to `to`, made into what the receiver takes; until that is gone.
pub async fn follow<K, T, M>(
    api: Api<K>,
    labels: Option<String>,
    seen: impl Fn(K) -> Option<T>,
    wrap: impl Fn(Seen<T>) -> M,
    to: Sender<M>,
    metrics: Arc<Metrics>,
) where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let config = Config { label_selector: labels, ..Config::default().page_size(PAGE_SIZE) };
    let stream = watcher(api, config).backoff(Doubling::default());
    pin_mut!(stream);
    while let Some(event) = stream.next().await {
        let message = match event {
            Ok(Event::Init) => Seen::Listing(Instant::now()),
            Ok(Event::InitDone) => Seen::Listed,
            Ok(Event::InitApply(object)) => match seen(object) {
                Some(object) => Seen::There(object, true),
                None => continue,
            },
            Ok(Event::Apply(object)) => match seen(object) {
                Some(object) => Seen::There(object, false),
                None => continue,
            },
            Ok(Event::Delete(object)) => match seen(object) {
                Some(object) => Seen::Gone(object),
                None => continue,
            },
            Err(error) => {
                metrics.watch_failed();
                Seen::Trouble(words(&error))
            }
        };
        if to.send(wrap(message)).await.is_err() {
            return;
        }
    }
}

fn words(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error) | watcher::Error::WatchFailed(error) => {
            api::words(error)
        }
        watcher::Error::WatchError(status) => status.message.clone(),
        watcher::Error::NoResourceVersion => error.to_string(),
    }
}

/// Each wait twice as long as the one before. What counts as fine for the stream doesn't end that: it says that a list begins before it has tried.
#[derive(Default)]
struct Doubling {
    last: Option<(Duration, Instant)>,
}

impl Iterator for Doubling {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let now = Instant::now();
        let recent = self.last.filter(|(_, at)| now.duration_since(*at) < WAIT_FORGOTTEN);
        let wait = recent.map_or(WAIT_MIN, |(wait, _)| (wait * 2).min(WAIT_MAX));
        self.last = Some((wait, now));
        Some(wait)
    }
}

impl Backoff for Doubling {
    fn reset(&mut self) {}
}

/// What is there while a list is being read, and what was before.
#[derive(Debug)]
pub struct Listing<N> {
    listed: Option<BTreeSet<N>>,
    was_listed: bool,
}

impl<N> Default for Listing<N> {
    fn default() -> Self {
        Self { listed: None, was_listed: false }
    }
}

impl<N: Ord> Listing<N> {
    /// A list begins.
    pub fn begin(&mut self) {
        self.listed = Some(BTreeSet::new());
    }

    /// It has this one.
    pub fn has(&mut self, name: N) {
        if let Some(listed) = &mut self.listed {
            listed.insert(name);
        }
    }

    /// It's read: what is in it, and whether it's the first.
    pub fn end(&mut self) -> (BTreeSet<N>, bool) {
        let is_first = !std::mem::replace(&mut self.was_listed, true);
        (self.listed.take().unwrap_or_default(), is_first)
    }

    /// Whether a list was read.
    pub fn is_ready(&self) -> bool {
        self.was_listed
    }
}
