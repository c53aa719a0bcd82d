//! The bodies of the threads. They report everything to the conductor: errors and panics are returned as events.

use std::{
    any::Any,
    error::Error,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender},
    },
    time::Instant,
};

use super::orders::Orders;
use crate::{
    BoxError,
    client::{Evaluator, MakeTrainer},
    round::{EvaluationOrder, Event, TestSamples},
};

/// The message of a worker that has its trainer, or failed to create it.
pub(super) type Ready = Result<(), Refusal>;

/// The error of a worker that can't start.
pub(super) struct Refusal {
    /// The index of the worker, from 0.
    pub(super) worker: usize,
    /// The reason, for a person.
    pub(super) reason: String,
}

/// Trains clients until there are no more orders or the run is over. If sending to the conductor fails, it has ended, so the worker ends
/// too. A trainer that panicked is dropped, and the next order gets a new one: its state may be half-done.
pub(super) fn work(
    worker: usize,
    make_trainer: &MakeTrainer<'_>,
    is_ready: SyncSender<Ready>,
    orders: &Orders,
    answers: &SyncSender<Event>,
) {
    let (ready, trainer) = match caught(|| make_trainer(worker)) {
        Ok(trainer) => (Ok(()), Some(trainer)),
        Err(reason) => (Err(Refusal { worker, reason }), None),
    };
    let told = is_ready.send(ready);
    drop(is_ready);
    let (Ok(()), Some(trainer)) = (told, trainer) else { return };
    let mut idle = Some(trainer);
    while let Some(order) = orders.next() {
        let began = Instant::now();
        let trained = caught(|| {
            let mut trainer = match idle.take() {
                Some(trainer) => trainer,
                None => make_trainer(worker)?,
            };
            let trained = trainer.train(&order);
            idle = Some(trainer);
            trained
        });
        let event = match trained {
            Ok(mut update) if (update.round, update.client) == (order.round, order.client) => {
                update.seconds = began.elapsed().as_secs_f64();
                Event::ClientTrained(update)
            }
            Ok(update) => {
                let reason = format!("its trainer answered for client `{}` in round `{}`", update.client, update.round);
                Event::ClientFailed { round: order.round, client: order.client, reason }
            }
            Err(reason) => Event::ClientFailed { round: order.round, client: order.client, reason },
        };
        // This frees the global model's memory as soon as nobody needs it.
        drop(order);
        if answers.send(event).is_err() {
            return;
        }
    }
}

/// Evaluates models until there are no more orders or the run is over.
pub(super) fn evaluate(
    mut evaluator: Box<dyn Evaluator + '_>,
    orders: &Receiver<EvaluationOrder>,
    over: &AtomicBool,
    answers: &SyncSender<Event>,
) {
    while let Ok(EvaluationOrder { round, state, on }) = orders.recv()
        && !over.load(Ordering::Relaxed)
    {
        let began = Instant::now();
        let event = match on {
            TestSamples::TestSet => caught(|| evaluator.evaluate(round, &state)).map(|evaluation| {
                let seconds = began.elapsed().as_secs_f64();
                Event::Evaluated { round, evaluation, seconds }
            }),
            TestSamples::OfClients { server } => caught(|| evaluator.evaluate_clients(round, &state, &server)).map(|clients| {
                let seconds = began.elapsed().as_secs_f64();
                Event::ClientsTested { round, clients, seconds }
            }),
        };
        let event = event.unwrap_or_else(|reason| Event::EvaluationFailed { round, reason });
        drop(state);
        if answers.send(event).is_err() {
            return;
        }
    }
}

/// Returns the result of `body`; its error with all causes, or its panic, as text. State that `body` left half-done after a panic is never
/// used again: a trainer is dropped, and anything else ends the run.
fn caught<T>(body: impl FnOnce() -> Result<T, BoxError>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(result) => result.map_err(|error| with_causes(error.as_ref())),
        Err(panic) => Err(format!("panicked: {}", panic_text(panic.as_ref()))),
    }
}

fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let own = error.to_string();
        // Many errors already include their cause in their text.
        if !text.contains(&own) {
            text.push_str(": ");
            text.push_str(&own);
        }
        cause = error.source();
    }
    text
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
