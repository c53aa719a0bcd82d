//! Watches of the API server: each lists, then follows changes. After an error it resumes where it was, or lists again if that is too long ago.
//!
//! Listing, following and resuming are those of kube's runtime (`watcher`). Two things are our own. What was seen is passed on as messages, not kept in a
//! `reflector`: the loop keeps only the few fields that it needs of each object, needs to know when a list begins and ends in order to notice what has
//! vanished in between, and tells errors to people and metrics. And the waits between tries are our own, since `watcher` resets a back-off when a list
//! begins, before it has succeeded: against an API server that refuses every list, kube's would always wait the shortest time.

use std::{fmt::Debug, sync::Arc, time::Duration};

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

use crate::{api, metrics::Metrics, seen::Seen};

/// The wait after the first error, and the longest wait between two tries.
const WAIT_MIN: Duration = Duration::from_millis(500);
const WAIT_MAX: Duration = Duration::from_secs(8);
/// After this long without an error, the next wait is the shortest again.
const WAIT_FORGOTTEN: Duration = Duration::from_secs(30);

/// The number of objects per page of a list.
const PAGE_SIZE: u32 = 500;

/// Watches the objects of `api` that `labels` select, maps each by `seen`, and sends the events, wrapped by `wrap`, to `to` until the receiver is gone.
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

/// A backoff that doubles each wait. The stream's resets are ignored: it resets when a list begins, before the list has succeeded.
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
