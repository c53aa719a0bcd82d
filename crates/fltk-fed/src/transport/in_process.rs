//! Federated learning in one process: clients on plain threads, evaluation on a thread of its own beside them.
//!
//! ```text
//!                 orders (bounded)             answers (bounded)
//!   this thread ==================> worker 0 ==================> this thread:
//!   Federation                      worker 1                     step, observer
//!               ------------------> evaluator ----------------->
//! ```
//!
//! Results don't depend on the number of workers, nor on which worker trains which client. The wall clock is read here, for records only.
//!
//! **Caveats.** Stopping is cooperative: threads finish the client or the evaluation that they are at. A trainer that wants to stop sooner
//! looks at the same flag and returns an error.

mod threads;

use std::{
    num::NonZeroUsize,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread::{self, Scope},
    time::{Duration, Instant},
};

use fltk_core::{ids::Round, metrics::Evaluation, model_state::ModelState};

use self::threads::{Ready, evaluate, work};
use crate::{
    BoxError,
    round::{
        Action, ClientUpdate, EvaluationOrder, Event, Failure, Federation, MODELS_HELD_MAX, ProtocolError, Record, Timestamp, TrainOrder,
    },
};

/// How long a raised stop flag may go unseen: short for a person, long for a processor.
const STOP_CHECK_MS: u64 = 20;

/// Trains clients, one after another. Each worker thread has its own.
pub trait ClientTrainer: Send {
    /// Trains the client that `order` names, from the order's state, on one compute thread. The answer must be a function of the
    /// order alone (and of what the trainer was made with): never of the orders before it. Its `seconds` are measured for it.
    ///
    /// # Errors
    ///
    /// Whatever keeps the client from answering. It fails the run.
    fn train(&mut self, order: &TrainOrder) -> Result<ClientUpdate, BoxError>;
}

/// Evaluates global models.
pub trait Evaluator: Send {
    /// Evaluates the model after `round` over the whole test set.
    ///
    /// # Errors
    ///
    /// Whatever keeps the model from being evaluated. It fails the run.
    fn evaluate(&mut self, round: Round, state: &ModelState) -> Result<Evaluation, BoxError>;
}

/// Makes the trainer of the worker with this index, from 0, on that worker's thread.
pub type MakeTrainer<'a> = dyn Fn(usize) -> Result<Box<dyn ClientTrainer + 'a>, BoxError> + Sync + 'a;

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The stop flag was raised.
    #[error("stopped; the last round recorded is {}", last_recorded.map_or_else(|| "none".to_owned(), |round| format!("`{round}`")))]
    Stopped {
        /// The last round that the observer was told of.
        last_recorded: Option<Round>,
    },
    /// A client, an evaluation or an aggregate failed.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// A trainer answered something that it wasn't asked.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// A worker could not make its trainer.
    #[error("worker {worker} could not start: {reason}")]
    Worker {
        /// Its index, from 0.
        worker: usize,
        /// What it said.
        reason: String,
    },
    /// A thread could not be had.
    #[error("could not start a thread: {0}")]
    Thread(#[source] std::io::Error),
    /// Every thread ended though work was left.
    #[error("the threads ended before the run did")]
    Abandoned,
    /// The observer failed, so records can't be written.
    #[error("a record could not be written: {0}")]
    Observer(#[source] BoxError),
}

/// Runs `federation` to its end on `workers` threads (no more than a round has clients) and one for the evaluator, and returns the
/// final global model. `observer` is called on this thread with every record, in order, while the others go on working.
/// Raising `stop` ends the run early.
///
/// # Errors
///
/// A client, an evaluation or the observer failed or panicked (a client is named), or `stop` was raised. Every thread has ended by then.
pub fn run(
    federation: Federation,
    workers: NonZeroUsize,
    make_trainer: &MakeTrainer<'_>,
    evaluator: Box<dyn Evaluator + '_>,
    stop: &AtomicBool,
    observer: &mut dyn FnMut(&Record) -> Result<(), BoxError>,
) -> Result<Arc<ModelState>, RunError> {
    let cohort = federation.setup().clients_per_round() as usize;
    let workers = workers.get().min(cohort);
    // The machine has no more orders out than these, so sending one never waits.
    let (to_workers, orders) = sync_channel(cohort);
    let (to_evaluator, evaluations) = sync_channel(MODELS_HELD_MAX);
    // One answer a thread: a worker needn't wait for this thread before it takes its next order.
    let (to_conductor, answers) = sync_channel(workers + 1);
    let (is_ready, ready) = sync_channel(workers);
    let orders = Mutex::new(orders);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        // Dropped on every way out, panics included: threads then take no further order, and the scope can end.
        let conductor =
            Conductor { over: RaiseOnDrop(&over), federation, to_workers, to_evaluator, ready, answers, stop, last_recorded: None };
        for worker in 0..workers {
            let (orders, over, is_ready, answers) = (&orders, &over, is_ready.clone(), to_conductor.clone());
            spawn(scope, format!("fed-worker-{worker}"), move || work(worker, make_trainer, is_ready, orders, over, &answers))?;
        }
        let over = &over;
        spawn(scope, "fed-evaluator".to_owned(), move || evaluate(evaluator, &evaluations, over, &to_conductor))?;
        conductor.await_workers(workers)?;
        conductor.conduct(observer)
    })
}

fn spawn<'scope>(scope: &'scope Scope<'scope, '_>, name: String, body: impl FnOnce() + Send + 'scope) -> Result<(), RunError> {
    thread::Builder::new().name(name).spawn_scoped(scope, body).map(drop).map_err(RunError::Thread)
}

/// Raises its flag when it goes.
struct RaiseOnDrop<'a>(&'a AtomicBool);

impl Drop for RaiseOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The calling thread's side.
struct Conductor<'a> {
    /// The threads' sign that nobody waits for them any more. First of the fields, so that it is raised before the channels close: orders that
    /// are still in them are left alone.
    #[expect(dead_code, reason = "it acts when it is dropped")]
    over: RaiseOnDrop<'a>,
    federation: Federation,
    to_workers: SyncSender<TrainOrder>,
    to_evaluator: SyncSender<EvaluationOrder>,
    /// One message a worker: it has its trainer, or can't have one.
    ready: Receiver<Ready>,
    answers: Receiver<Event>,
    stop: &'a AtomicBool,
    /// For the error that says how far the run got.
    last_recorded: Option<Round>,
}

impl Conductor<'_> {
    /// Waits until every worker has its trainer. Work begins only then, so that whether a run succeeds doesn't hang on which worker is quicker.
    fn await_workers(&self, workers: usize) -> Result<(), RunError> {
        for _ in 0..workers {
            self.receive(&self.ready)?.map_err(|refusal| RunError::Worker { worker: refusal.worker, reason: refusal.reason })?;
        }
        Ok(())
    }

    fn conduct(mut self, observer: &mut dyn FnMut(&Record) -> Result<(), BoxError>) -> Result<Arc<ModelState>, RunError> {
        let origin = Instant::now();
        let mut event = Event::Started;
        loop {
            let actions = self.federation.step(Timestamp(origin.elapsed()), event)?;
            for action in actions {
                if let Some(state) = self.carry_out(action, observer)? {
                    return Ok(state);
                }
            }
            event = self.receive(&self.answers)?;
        }
    }

    /// Does what the machine says; gives the final model when that was the end.
    fn carry_out(
        &mut self,
        action: Action,
        observer: &mut dyn FnMut(&Record) -> Result<(), BoxError>,
    ) -> Result<Option<Arc<ModelState>>, RunError> {
        match action {
            Action::Train(order) => self.to_workers.send(order).map_err(|_| RunError::Abandoned)?,
            Action::Evaluate(order) => self.to_evaluator.send(order).map_err(|_| RunError::Abandoned)?,
            Action::Fail(failure) => return Err(failure.into()),
            Action::Record(record) => {
                observer(&record).map_err(RunError::Observer)?;
                match record {
                    Record::RoundEnded(record) => self.last_recorded = Some(record.round),
                    Record::Finished { state } => return Ok(Some(state)),
                    Record::ClientTrained(_) | Record::Checkpoint { .. } => {}
                }
            }
        }
        Ok(None)
    }

    /// The next message, unless the stop flag is raised.
    fn receive<T>(&self, channel: &Receiver<T>) -> Result<T, RunError> {
        loop {
            let message = channel.recv_timeout(Duration::from_millis(STOP_CHECK_MS));
            // Before the message is looked at: a trainer that saw the flag too may have failed because of it.
            if self.stop.load(Ordering::Relaxed) {
                return Err(RunError::Stopped { last_recorded: self.last_recorded });
            }
            match message {
                Ok(message) => return Ok(message),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(RunError::Abandoned),
            }
        }
    }
}
