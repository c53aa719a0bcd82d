//! The body of the threads that train.

use std::sync::mpsc::SyncSender;

use super::orders::Orders;
use crate::{client::MakeTrainer, round::Event, transport::worker::Worker};

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
/// too.
pub(super) fn work(
    index: usize,
    make_trainer: &MakeTrainer<'_>,
    is_ready: SyncSender<Ready>,
    orders: &Orders,
    answers: &SyncSender<Event>,
) {
    let (ready, worker) = match Worker::new(index, make_trainer) {
        Ok(worker) => (Ok(()), Some(worker)),
        Err(reason) => (Err(Refusal { worker: index, reason }), None),
    };
    let told = is_ready.send(ready);
    drop(is_ready);
    let (Ok(()), Some(mut worker)) = (told, worker) else { return };
    while let Some(order) = orders.next() {
        let event = match worker.carry_out(&order) {
            Event::ClientTrained(update) => Event::ClientTrained(update.stays()),
            event => event,
        };
        // This frees the global model's memory as soon as nobody needs it.
        drop(order);
        if answers.send(event).is_err() {
            return;
        }
    }
}
