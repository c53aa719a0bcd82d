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

use super::orders::{Order, Orders};
use crate::{
    BoxError,
    client::{ClientTrainer, Evaluator, MakeTrainer},
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
        let answer = caught(|| {
            let mut trainer = match idle.take() {
                Some(trainer) => trainer,
                None => make_trainer(worker)?,
            };
            let answer = carry_out(trainer.as_mut(), &order, began);
            idle = Some(trainer);
            answer
        });
        let event = answer.unwrap_or_else(|reason| failed(&order, reason));
        // This frees the global model's memory as soon as nobody needs it.
        drop(order);
        if answers.send(event).is_err() {
            return;
        }
    }
}

/// Carries out an order that came at `began`, and returns the answer.
fn carry_out(trainer: &mut dyn ClientTrainer, order: &Order, began: Instant) -> Result<Event, BoxError> {
    match order {
        Order::Train(order) => {
            let mut update = trainer.train(order)?;
            if (update.round, update.client) != (order.round, order.client) {
                return Err(format!("its trainer answered for client `{}` in round `{}`", update.client, update.round).into());
            }
            update.seconds = began.elapsed().as_secs_f64();
            Ok(Event::ClientTrained(update))
        }
        Order::Measure(order) => Ok(Event::LossMeasured { round: order.round, client: order.client, loss: trainer.measure(order)? }),
    }
}

/// Returns the event that follows if an order can't be carried out.
fn failed(order: &Order, reason: String) -> Event {
    match order {
        Order::Train(order) => Event::ClientFailed { round: order.round, client: order.client, reason },
        Order::Measure(order) => Event::LossFailed { round: order.round, client: order.client, reason },
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
