//! The progress of work that may be short: nothing for the first moment, then a bar on a terminal, or a line now and then elsewhere.
//!
//! A thread of its own shows it, so that work that says nothing while it waits is seen too. Training, which has a line for each step, isn't shown by this.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{RecvTimeoutError, Sender, channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tracing::{Level, Span};

use crate::{
    bar::Bar,
    log,
    pace::{Pace, Unit, time},
};

/// The time after which a person begins to wonder: shorter work shows nothing.
const FIRST_BAR: Duration = Duration::from_millis(700);
/// The time between two looks at the work for a bar.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// The time after which the first line is written where there is no terminal.
const FIRST_LINE: Duration = Duration::from_secs(10);
/// The longest time between two lines: each comes after twice the time before.
const LINE_EVERY_MAX: Duration = Duration::from_secs(120);

/// Work that is shown until this is dropped.
pub struct Work {
    shared: Arc<Shared>,
    shower: Option<(Sender<()>, JoinHandle<()>)>,
}

struct Shared {
    title: String,
    unit: Unit,
    total: Option<u64>,
    from: u64,
    done: AtomicU64,
    /// The text that is added to the figures.
    message: Mutex<String>,
    began: Instant,
}

impl Work {
    /// Begins work that is called `title`, such as `writing the clients`, and is counted in `unit`; `total` is all of it, if that is known.
    #[must_use]
    pub fn begin(title: impl Into<String>, unit: Unit, total: Option<u64>) -> Self {
        Self::resume(title, unit, total, 0)
    }

    /// Begins such work of which `from` was done earlier.
    #[must_use]
    pub fn resume(title: impl Into<String>, unit: Unit, total: Option<u64>, from: u64) -> Self {
        let (title, done) = (title.into(), AtomicU64::new(from));
        let shared = Arc::new(Shared { title, unit, total, from, done, message: Mutex::default(), began: Instant::now() });
        let shower = tracing::enabled!(Level::INFO).then(|| {
            let (stop, stopped) = channel::<()>();
            let (shown, span, has_bars) = (Arc::clone(&shared), Span::current(), log::has_bars());
            let waits = move |time: Duration| matches!(stopped.recv_timeout(time), Err(RecvTimeoutError::Timeout));
            let show = move || span.in_scope(|| if has_bars { draw(&shown, waits) } else { tell(&shown, waits) });
            (stop, thread::spawn(show))
        });
        Self { shared, shower }
    }

    /// Begins work of which nothing can be counted, such as a wait for something elsewhere.
    #[must_use]
    pub fn wait(title: impl Into<String>) -> Self {
        Self::begin(title, Unit::Named("step"), None)
    }

    /// Notes that `done` of the work is done.
    pub fn reach(&self, done: u64) {
        self.shared.done.store(done, Ordering::Relaxed);
    }

    /// Notes that `more` of the work is done.
    pub fn add(&self, more: u64) {
        self.shared.done.fetch_add(more, Ordering::Relaxed);
    }

    /// Notes what is being done, for people.
    pub fn say(&self, message: impl Into<String>) {
        *self.shared.message.lock().unwrap_or_else(PoisonError::into_inner) = message.into();
    }

    /// Returns what notes progress of this work elsewhere.
    #[must_use]
    pub fn counter(&self) -> Counter {
        Counter(Arc::clone(&self.shared))
    }
}

/// A handle that notes that more of some work is done; it may outlive the work.
pub struct Counter(Arc<Shared>);

impl Counter {
    /// Notes that `more` of the work is done.
    pub fn add(&self, more: u64) {
        self.0.done.fetch_add(more, Ordering::Relaxed);
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if let Some((stop, shower)) = self.shower.take() {
            drop(stop);
            // A bar is gone before anything else is written. A panic of that thread has been reported.
            let _ = shower.join();
        }
    }
}

impl Shared {
    fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    fn message(&self) -> String {
        self.message.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the line that says how far the work is, which goes at `pace`, after so many seconds.
    fn line(&self, pace: &Pace, now: f64) -> String {
        let done = self.unit.amount(pace.done());
        #[expect(clippy::cast_precision_loss, reason = "what is shown has three digits")]
        let amount = match self.total {
            Some(total) => format!(": {done} of {}", self.unit.amount(total as f64)),
            None if pace.done() > 0.0 => format!(": {done}"),
            None => String::new(),
        };
        let mut parts = vec![format!("{}{amount}", self.title)];
        parts.extend(Some(pace.words(now, self.unit)).filter(|words| !words.is_empty()));
        parts.push(format!("for {}", time(now)));
        parts.extend(Some(self.message()).filter(|message| !message.is_empty()));
        parts.join(", ")
    }
}

/// Draws a bar until `waits`, which waits so long, returns false.
fn draw(shared: &Shared, waits: impl Fn(Duration) -> bool) {
    let mut bar = None;
    let mut pause = FIRST_BAR;
    while waits(pause) {
        pause = LOOK_EVERY;
        let bar = bar.get_or_insert_with(|| Bar::draw(&shared.title, shared.unit, shared.total, shared.from));
        #[expect(clippy::cast_precision_loss, reason = "what is shown has three digits")]
        bar.reach(shared.done() as f64);
        bar.say(&shared.message());
    }
}

/// Writes a line now and then until `waits` returns false.
fn tell(shared: &Shared, waits: impl Fn(Duration) -> bool) {
    #[expect(clippy::cast_precision_loss, reason = "what is shown has three digits")]
    let mut pace = Pace::new(shared.total.map(|total| total as f64));
    #[expect(clippy::cast_precision_loss, reason = "what is shown has three digits")]
    pace.reach(0.0, shared.from as f64);
    let mut pause = FIRST_LINE;
    while waits(pause) {
        pause = (pause * 2).min(LINE_EVERY_MAX);
        let now = shared.began.elapsed().as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "what is shown has three digits")]
        pace.reach(now, shared.done() as f64);
        tracing::info!("{}", shared.line(&pace, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(total: Option<u64>, message: &str) -> Shared {
        let message = Mutex::new(message.to_owned());
        Shared {
            title: "writing".to_owned(),
            unit: Unit::Named("client"),
            total,
            from: 0,
            done: AtomicU64::new(0),
            message,
            began: Instant::now(),
        }
    }

    #[test]
    fn lines_say_how_far_the_work_is() {
        let mut pace = Pace::new(Some(100.0));
        pace.reach(0.0, 0.0);
        assert_eq!(shared(None, "").line(&pace, 10.0), "writing, for 10 s");
        assert_eq!(shared(Some(100), "").line(&pace, 10.0), "writing: 0 of 100, for 10 s");
        pace.reach(10.0, 20.0);
        assert_eq!(shared(Some(100), "client 20").line(&pace, 10.0), "writing: 20 of 100, 2.0 clients/s, 40 s left, for 10 s, client 20");
    }

    #[test]
    fn work_is_counted_from_elsewhere() {
        let work = Work::resume("reading", Unit::Bytes, None, 7);
        let counter = work.counter();
        work.add(1);
        counter.add(2);
        assert_eq!(work.shared.done(), 10);
        drop(work);
        counter.add(1);
    }
}
