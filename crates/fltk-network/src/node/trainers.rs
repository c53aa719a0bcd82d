//! The threads of a node that train.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
    mpsc::{Receiver, Sender},
};

use fltk_core::{
    ids::{ClientId, Round},
    metrics::Evaluation,
    model_state::ModelState,
};
use fltk_fed::{
    BoxError,
    client::MakeTrainer,
    round::Event,
    transport::worker::{Order, Worker, caught},
};
use tokio::sync::mpsc;

use super::{Carried, ImposeLinks};
use crate::{
    errands::ErrandId,
    object::{Content, Object},
    wire::{order::Key, update, v1},
};

/// A function that evaluates the global model after a round.
pub type Evaluate<'m> = dyn Fn(Round, &ModelState) -> Result<Evaluation, BoxError> + Sync + 'm;

/// The threads that train at a node.
pub struct Trainers<'m, 'a> {
    /// The maker of their trainers.
    pub make: &'m MakeTrainer<'a>,
    /// The place from which trainers take what their clients keep.
    pub states: &'m Carried,
    /// True for a client that failed for reasons of the settings.
    pub is_of_settings: &'m (dyn Fn(Round, ClientId) -> bool + Sync),
    /// The evaluation of a model after a round on the node's own test samples; `None` if that is the federator's work. Threads call it one after another.
    pub evaluate: Option<&'m Evaluate<'m>>,
    /// The links that the node imposes on its clients; `None` for those that there really are.
    pub links: Option<&'m ImposeLinks<'m>>,
}

/// A piece of work for a thread.
pub(super) enum Piece {
    Order { work: Numbered, order: Order },
    Test { test: Test, round: Round, model: Arc<ModelState> },
}

/// The identity of an evaluation: its number, and that of the session in which it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Test {
    pub(super) id: ErrandId,
    pub(super) session: u64,
}

/// A piece of work that was carried out.
pub(super) enum CarriedOut {
    Order(Numbered, Outcome),
    Test(Test, Result<Evaluation, String>),
}

/// The identity of a piece of work, with the number that tells it from others of the same round and client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Numbered {
    pub(super) key: Key,
    pub(super) number: u64,
}

/// The result of a piece of work.
pub(super) enum Outcome {
    Update { ready: v1::Ready, content: Content },
    Loss(f64),
    Failed(String),
}

/// Trains until there is nothing more to do.
pub(super) fn train(
    index: usize,
    trainers: &Trainers<'_, '_>,
    pieces: &Mutex<Receiver<Piece>>,
    is_ready: &Sender<(usize, Result<(), String>)>,
    to_loop: &mpsc::UnboundedSender<CarriedOut>,
    session: &AtomicU64,
) {
    let mut worker = match Worker::new(index, trainers.make) {
        Ok(worker) => worker,
        Err(reason) => {
            let _ = is_ready.send((index, Err(reason)));
            return;
        }
    };
    let _ = is_ready.send((index, Ok(())));
    loop {
        let next = pieces.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let (work, order) = match next {
            Ok(Piece::Order { work, order }) => (work, order),
            // Nobody waits for what was asked in an earlier session.
            Ok(Piece::Test { test, .. }) if test.session != session.load(Ordering::Relaxed) => continue,
            Ok(Piece::Test { test, round, model }) => {
                let evaluate = trainers.evaluate.ok_or_else(|| "this node doesn't evaluate".to_owned());
                let outcome = evaluate.and_then(|evaluate| caught(|| evaluate(round, &model)));
                drop(model);
                if to_loop.send(CarriedOut::Test(test, outcome)).is_err() {
                    return;
                }
                continue;
            }
            Err(_) => return,
        };
        let key = work.key;
        let span = tracing::debug_span!("order", round = key.round.0, client = key.client.0);
        let event = span.in_scope(|| worker.carry_out(&order));
        let kept = match &order {
            Order::Train(order) => order.kept,
            Order::Measure(_) => None,
        };
        drop(order);
        if let Some(round) = kept {
            drop(trainers.states.take(key.client, round));
        }
        let outcome = match event {
            Event::ClientTrained(update) => {
                let state = trainers.states.take(key.client, key.round);
                let mut ready = update::ready(&update, 0, Object { digest: crate::object::Digest([0; 32]), num_bytes: 0 });
                let content = update::content(update, state);
                ready.update = Some(content.object().into());
                Outcome::Update { ready, content }
            }
            Event::LossMeasured { loss, .. } => Outcome::Loss(loss),
            Event::ClientFailed { reason, .. } | Event::LossFailed { reason, .. } => Outcome::Failed(reason),
            _ => return,
        };
        if to_loop.send(CarriedOut::Order(work, outcome)).is_err() {
            return;
        }
    }
}
