//! The trainers that carry out orders, and outlive the orders at which they fail, and the thread that evaluates. Errors and panics are answers too.

use std::{
    any::Any,
    error::Error,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::Receiver,
    },
    time::Instant,
};

use fltk_core::ids::Round;

use crate::{
    BoxError,
    client::{ClientTrainer, Evaluator, MakeTrainer},
    round::{EvaluationOrder, Event, LossOrder, TestSamples, TrainOrder},
};

/// An order to a client.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// Train.
    Train(TrainOrder),
    /// Measure a loss.
    Measure(LossOrder),
}

impl Order {
    /// Returns the round.
    #[must_use]
    pub fn round(&self) -> Round {
        match self {
            Self::Train(order) => order.round,
            Self::Measure(order) => order.round,
        }
    }
}

/// A trainer, which is made anew after a panic: its state may be half-done.
pub struct Worker<'m, 'a> {
    index: usize,
    make_trainer: &'m MakeTrainer<'a>,
    idle: Option<Box<dyn ClientTrainer + 'a>>,
}

impl<'m, 'a> Worker<'m, 'a> {
    /// Creates the worker with this index, from 0, and its trainer, on the thread that calls.
    ///
    /// # Errors
    /// If the trainer can't be made: the reason, for a person.
    pub fn new(index: usize, make_trainer: &'m MakeTrainer<'a>) -> Result<Self, String> {
        let idle = Some(caught(|| make_trainer(index))?);
        Ok(Self { index, make_trainer, idle })
    }

    /// Carries out an order, and returns its answer, whose time it measures.
    pub fn carry_out(&mut self, order: &Order) -> Event {
        let began = Instant::now();
        let answer = caught(|| {
            let mut trainer = match self.idle.take() {
                Some(trainer) => trainer,
                None => (self.make_trainer)(self.index)?,
            };
            let answer = answer(trainer.as_mut(), order, began);
            self.idle = Some(trainer);
            answer
        });
        answer.unwrap_or_else(|reason| failed(order, reason))
    }
}

/// Carries out an order that came at `began`, and returns the answer.
fn answer(trainer: &mut dyn ClientTrainer, order: &Order, began: Instant) -> Result<Event, BoxError> {
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

/// Evaluates models until there are no more orders, the run is over, or `answer` returns false.
pub fn evaluate(
    mut evaluator: Box<dyn Evaluator + '_>,
    orders: &Receiver<EvaluationOrder>,
    over: &AtomicBool,
    answer: &mut dyn FnMut(Event) -> bool,
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
        if !answer(event) {
            return;
        }
    }
}

/// Returns the result of `body`. State that `body` left half-done after a panic mustn't be used again: a trainer is dropped, and anything else ends the run.
///
/// # Errors
/// Its error with all causes, or its panic, as text.
pub fn caught<T>(body: impl FnOnce() -> Result<T, BoxError>) -> Result<T, String> {
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
