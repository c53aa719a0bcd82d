//! The looks at folders that somebody follows: one task for each folder, however many clients follow it.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use fltk_records::{FollowedRun, Glimpse, RecordKind, RunFolder};
use tokio::{
    sync::watch::{Receiver, Sender, channel},
    time::{Instant, sleep},
};

use super::Followed;
use crate::{
    answers::RunNow,
    server::{ApiError, Shared, Site},
};

/// The time between two looks at a folder.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The pause after a look, in multiples of the time that it took: looking takes a tenth of a processor at most, however large the records are.
const REST: u32 = 9;

/// The last state of something that is followed.
#[derive(Clone, Debug, Default)]
pub struct News {
    /// The number of changes that were seen; 0 before the first look.
    pub version: u64,
    /// The run, or why it can't be read; `None` for anything but a run.
    pub run: Option<Result<Arc<RunNow>, ApiError>>,
}

/// Everything that is followed at present: at most as much as there are clients.
#[derive(Default)]
pub struct Watches(Mutex<BTreeMap<Followed, Sender<News>>>);

impl Watches {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Followed, Sender<News>>> {
        // Nothing panics while the lock is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the news of `followed`, at which a task looks as long as anybody holds them.
    pub fn follow(shared: &Shared, followed: Followed) -> Receiver<News> {
        let mut watches = shared.watches.lock();
        if let Some(sender) = watches.get(&followed) {
            let mut receiver = sender.subscribe();
            // The state that is there is news to whoever has none.
            receiver.mark_changed();
            return receiver;
        }
        let (sender, receiver) = channel(News::default());
        watches.insert(followed.clone(), sender.clone());
        drop(watches);
        tokio::spawn(look(shared.clone(), followed, sender));
        receiver
    }
}

/// Looks at `followed` until nobody follows it, or the server stops.
async fn look(shared: Shared, followed: Followed, sender: Sender<News>) {
    let mut stopping = shared.stopping.clone();
    let mut seen = Seen::default();
    // A run, as far as it was read.
    let read_so_far = Arc::new(Mutex::new(None));
    loop {
        let began = Instant::now();
        let (what, before, so_far) = (followed.clone(), seen.clone(), Arc::clone(&read_so_far));
        let is_first = sender.borrow().version == 0;
        // A look that finds all readers busy is made the next time.
        if let Ok((now, run)) = shared.read(move |site| Ok(look_once(site, &what, &before, &so_far))).await
            && (is_first || now != seen)
        {
            seen = now;
            sender.send_modify(|news| *news = News { version: news.version + 1, run });
        }
        let pause = LOOK_EVERY.max(began.elapsed() * REST);
        tokio::select! {
            () = sleep(pause) => {}
            () = sender.closed() => {}
            _ = stopping.wait_for(|is_stopping| *is_stopping) => {}
        }
        let mut watches = shared.watches.lock();
        // Under the lock nobody begins to follow.
        if sender.is_closed() || *shared.stopping.borrow() {
            watches.remove(&followed);
            return;
        }
    }
}

/// The folders of runs and of streams, as they were seen.
#[derive(Clone, Default, PartialEq)]
struct Seen {
    runs: Glimpse,
    streams: Glimpse,
}

/// Looks at the folders of `followed`; what was added to a run is read as well.
fn look_once(
    site: &Site,
    followed: &Followed,
    before: &Seen,
    so_far: &Mutex<Option<FollowedRun>>,
) -> (Seen, Option<Result<Arc<RunNow>, ApiError>>) {
    let glimpse = |kind, folders: Vec<PathBuf>, before: &Glimpse| Glimpse::of(kind, folders, before);
    let one = |kind, name: &str| site.find(kind, name).map(|path| vec![path]).unwrap_or_default();
    // The folders are seen before they are read, so that what is written meanwhile is a change.
    match followed {
        Followed::All => {
            let folders = |kind| site.folders(kind).unwrap_or_default();
            let runs = glimpse(RecordKind::Run, folders(RecordKind::Run), &before.runs);
            let streams = glimpse(RecordKind::Stream, folders(RecordKind::Stream), &before.streams);
            (Seen { runs, streams }, None)
        }
        Followed::Run(name) => {
            let seen = Seen { runs: glimpse(RecordKind::Run, one(RecordKind::Run, name), &before.runs), streams: Glimpse::default() };
            let run = (seen != *before || seen.runs.is_empty()).then(|| {
                let mut so_far = so_far.lock().unwrap_or_else(PoisonError::into_inner);
                read_on(site, name, &mut so_far)
            });
            (seen, run)
        }
        Followed::Stream(name) => {
            let streams = glimpse(RecordKind::Stream, one(RecordKind::Stream, name), &before.streams);
            (Seen { runs: Glimpse::default(), streams }, None)
        }
    }
}

/// Reads what was added to a run. One that can't be read is forgotten, and read from its beginning the next time.
fn read_on(site: &Site, name: &str, so_far: &mut Option<FollowedRun>) -> Result<Arc<RunNow>, ApiError> {
    let path = site.find(RecordKind::Run, name)?;
    let run = match so_far.take() {
        Some(mut run) if run.run().folder.path() == path => {
            run.read_on()?;
            run
        }
        _ => FollowedRun::open(RunFolder::open(path)?)?,
    };
    Ok(Arc::new(RunNow::of(so_far.insert(run).run())))
}
