//! Federated learning in one process: clients on plain threads, and evaluation on a separate thread.
//!
//! ```text
//!                 orders                       answers (bounded)
//!   this thread ==================> worker 0 ==================> this thread:
//!   drive::drive                    worker 1                     the machine, the observer
//!               ------------------> evaluator ----------------->
//! ```
//!
//! If time is simulated, [`Simulated`] stands between the loop and the threads.
//!
//! Results don't depend on the number of workers, nor on which worker trains which client.
//!
//! **Caveats.** Stopping is cooperative: threads finish their current client or evaluation. A trainer that should stop sooner must check
//! the same flag and return an error. So a client that is late is still trained to its end on its thread, and its answer refused; clients that a
//! thread hasn't begun when their round ends are never trained.

mod orders;
mod threads;

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::AtomicBool,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use fltk_core::{ids::Round, model_state::ModelState};

use self::{
    orders::Orders,
    threads::{Ready, work},
};
use crate::{
    client::{Evaluator, MakeTrainer},
    drive::{Answer, Observer, RunError, Transport, TransportError, Wait, drive},
    round::{EvaluationOrder, Event, Federation, LossOrder, MODELS_HELD_MAX, ProtocolError, Timestamp, TrainOrder},
    transport::{
        inbox::{Inbox, receive},
        scope::{RaiseOnDrop, spawn},
        simulated::Simulated,
        worker::{Order, evaluate},
    },
};

/// The memory of small models that may wait as answers: enough for a hundred of 10,000 parameters, and little beside libtorch's own. A strategy's arrays, such as
/// control variates, come on top.
const SMALL_ANSWERS_BYTES: usize = 4 << 20;

/// Runs `federation` to its end on `workers` threads (at most as many as a round has clients) and one for the evaluator, and returns the
/// final global model. `observer` is called on this thread with every record, in order, while the other threads continue to work. Raising
/// `stop` ends the run early.
///
/// # Errors
///
/// If a client, an evaluation or the observer failed or panicked (a client is named), or `stop` was raised. Every thread has ended by then.
pub fn run(
    federation: Federation,
    workers: NonZeroUsize,
    make_trainer: &MakeTrainer<'_>,
    evaluator: Box<dyn Evaluator + '_>,
    stop: &AtomicBool,
    observer: &mut Observer<'_>,
) -> Result<Arc<ModelState>, RunError> {
    let workers = workers.get().min(federation.setup().num_selected());
    let orders = Orders::default();
    // The machine never has more evaluations outstanding than these, two for each model, so sending one never blocks.
    let (to_evaluator, evaluations) = sync_channel(2 * MODELS_HELD_MAX);
    let (to_conductor, answers) = sync_channel(answers_max(federation.first_model(), federation.setup().num_selected(), workers));
    let (is_ready, ready) = sync_channel(workers);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        // Dropped on every exit, including panics: threads then take no further order, and the scope can end.
        let mut threads =
            Threads { over: RaiseOnDrop(&over), orders: &orders, given: Vec::new(), to_evaluator, inbox: Inbox::new(answers, stop) };
        for worker in 0..workers {
            let (orders, is_ready, answers) = (&orders, is_ready.clone(), to_conductor.clone());
            spawn(scope, format!("fed-worker-{worker}"), move || work(worker, make_trainer, is_ready, orders, &answers))?;
        }
        let over = &over;
        spawn(scope, "fed-evaluator".to_owned(), move || {
            evaluate(evaluator, &evaluations, over, &mut |event| to_conductor.send(event).is_ok());
        })?;
        await_workers(workers, &ready, stop)?;
        threads.inbox.begin();
        match Simulated::of(&federation, &mut threads, workers) {
            Some(mut simulated) => drive(federation, &mut simulated, observer),
            None => drive(federation, &mut threads, observer),
        }
    })
}

/// Returns the number of answers that may wait for this thread: one per thread, so that a worker needn't wait before it takes its next order, and more of small
/// models, up to a cohort's, so that threads needn't wake each other for each.
fn answers_max(model: Option<&ModelState>, cohort: usize, workers: usize) -> usize {
    let of_small = model.map_or(0, |model| SMALL_ANSWERS_BYTES / size_of_val(model.floats.as_slice()).max(1));
    of_small.min(cohort).max(workers + 1)
}

/// Waits until every worker has its trainer. Work begins only then, so that the success of a run doesn't depend on which worker is faster.
fn await_workers(workers: usize, ready: &Receiver<Ready>, stop: &AtomicBool) -> Result<(), RunError> {
    for _ in 0..workers {
        match receive(ready, None, stop) {
            Ok(None) => return Err(RunError::Abandoned),
            Ok(Some(told)) => told.map_err(|refusal| RunError::Worker { worker: refusal.worker, reason: refusal.reason })?,
            Err(TransportError::Stopped) => return Err(RunError::Stopped { last_recorded: None }),
            Err(TransportError::Abandoned) => return Err(RunError::Abandoned),
        }
    }
    Ok(())
}

/// The calling thread's side of the channels.
struct Threads<'a> {
    /// The signal to the evaluator that nobody waits for it any more. It is the first field, so that it is raised before the channels close: the
    /// evaluator then ignores the orders that are still in them.
    #[expect(dead_code, reason = "it acts when it is dropped")]
    over: RaiseOnDrop<'a>,
    orders: &'a Orders,
    /// The orders that no worker sees yet.
    given: Vec<Order>,
    to_evaluator: SyncSender<EvaluationOrder>,
    inbox: Inbox<'a>,
}

impl Drop for Threads<'_> {
    fn drop(&mut self) {
        self.orders.close();
    }
}

impl Transport for Threads<'_> {
    fn train(&mut self, order: TrainOrder) -> Result<(), TransportError> {
        self.given.push(Order::Train(order));
        Ok(())
    }

    fn measure(&mut self, order: LossOrder) -> Result<(), TransportError> {
        self.given.push(Order::Measure(order));
        Ok(())
    }

    fn hand_over(&mut self) {
        self.orders.extend(self.given.drain(..));
    }

    fn evaluate(&mut self, order: EvaluationOrder) -> Result<(), TransportError> {
        self.to_evaluator.send(order).map_err(|_| TransportError::Abandoned)
    }

    fn now(&self) -> Timestamp {
        self.inbox.now()
    }

    fn receive(&mut self, wait: Wait) -> Result<Option<Event>, TransportError> {
        // Simulated time passes orders on while it waits.
        self.hand_over();
        self.inbox.receive(wait)
    }

    fn revoke(&mut self, round: Round) {
        self.given.retain(|order| order.round() > round);
        self.orders.revoke(round);
    }

    /// A trainer answers each order exactly once, so an unusable answer is a failure of its client. One that is only late is none.
    fn refused(&mut self, answer: Answer, reason: &ProtocolError) -> Option<Event> {
        if reason.is_lateness() {
            return None;
        }
        Some(answer.failed(reason.complaint()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_answers_of_small_models_wait() {
        let of = |num_floats, cohort, workers| {
            let model = ModelState { layout: Arc::default(), floats: vec![0.0; num_floats], counters: vec![] };
            answers_max(Some(&model), cohort, workers)
        };
        assert_eq!((of(10, 100, 2), of(10_000, 1000, 2), of(1 << 20, 100, 2), of(0, 5, 2)), (100, 104, 3, 5));
        assert_eq!((of(10, 1, 1), answers_max(None, 100, 2)), (2, 3));
    }
}
