//! The answers that wait for the thread that drives a run.

use std::{
    collections::VecDeque,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use crate::{
    drive::{Answer, TransportError, Wait},
    round::{Event, Timestamp},
};

/// The longest time that a raised stop flag may go unnoticed: short for a person, long for a processor.
const STOP_CHECK_MS: u64 = 20;

/// Answers from other threads, and the wall clock of the run.
pub struct Inbox<'a> {
    answers: Receiver<Event>,
    stop: &'a AtomicBool,
    /// The origin of timestamps.
    origin: Instant,
    /// Answers of clients that came while only evaluations were wanted.
    aside: VecDeque<Event>,
}

impl<'a> Inbox<'a> {
    /// Creates an inbox of a run that begins now, and ends early once `stop` is raised.
    #[must_use]
    pub fn new(answers: Receiver<Event>, stop: &'a AtomicBool) -> Self {
        Self { answers, stop, origin: Instant::now(), aside: VecDeque::new() }
    }

    /// Returns the time since the run began.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        Timestamp(self.origin.elapsed())
    }

    /// Has the run begin now.
    pub(super) fn begin(&mut self) {
        self.origin = Instant::now();
    }

    /// Waits for the next answer that `wait` asks for; returns `None` once its time has come.
    ///
    /// # Errors
    /// If the run was stopped, or nobody is left who could answer.
    pub fn receive(&mut self, wait: Wait) -> Result<Option<Event>, TransportError> {
        let left = wait.until.map(|until| until.0.saturating_sub(self.origin.elapsed()));
        // A deadline counts from when it is noticed, even if answers came before.
        if left == Some(Duration::ZERO) {
            return Ok(None);
        }
        if !wait.only_evaluations
            && let Some(event) = self.aside.pop_front()
        {
            return Ok(Some(event));
        }
        loop {
            match receive(&self.answers, left, self.stop)? {
                Some(event) if wait.only_evaluations && !matches!(Answer::of(&event), Some(Answer::Evaluation { .. })) => {
                    self.aside.push_back(event);
                }
                event => return Ok(event),
            }
        }
    }
}

/// Waits for the next message, at most for `wait` if that is given, unless the stop flag is raised; returns `None` if none came in that time.
pub(super) fn receive<T>(channel: &Receiver<T>, wait: Option<Duration>, stop: &AtomicBool) -> Result<Option<T>, TransportError> {
    let until = wait.and_then(|wait| Instant::now().checked_add(wait));
    loop {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let check = Duration::from_millis(STOP_CHECK_MS);
        let message = channel.recv_timeout(left.map_or(check, |left| left.min(check)));
        // This comes before the message is handled: a trainer that also saw the flag may have failed because of it.
        if stop.load(Ordering::Relaxed) {
            return Err(TransportError::Stopped);
        }
        match message {
            Ok(message) => return Ok(Some(message)),
            Err(RecvTimeoutError::Timeout) if left == Some(Duration::ZERO) => return Ok(None),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(TransportError::Abandoned),
        }
    }
}
