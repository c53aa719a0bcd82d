//! Errands at the federator: who asks for them, and what the hub's thread does about them.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
    mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
};

use fltk_core::{ids::Round, metrics::Evaluation, model_state::ModelState, seed::Seed};
use fltk_fed::{BoxError, client::Evaluator, drive::RunError};
use tokio::sync::mpsc;

use super::{
    TICK,
    client_tests::Tested,
    desk::{Desk, Input},
    objects::Holder,
};
use crate::{
    errands::{Errand, ErrandId, Errands, Step},
    hub::NodeId,
    object::{Damage, Receiving},
    wire::{
        errand::{self, InitialMessage},
        v1,
    },
};

/// The outcome of an errand.
pub(super) enum Done {
    /// The model of the run, and the name of the node that made it.
    Model { state: Box<ModelState>, by: String },
    /// The figures of a model.
    Evaluated(Evaluation),
    /// Nobody can do it.
    Failed { reason: String, is_of_settings: bool },
}

/// A message about an errand to the thread of the hub.
pub(super) enum About {
    /// Somebody asks for one.
    Ask { errand: Errand, reply: SyncSender<Done> },
    /// A node is about to deliver the model that it made.
    Delivers { node: NodeId, initial: Box<InitialMessage>, reply: tokio::sync::oneshot::Sender<Result<Receiving, String>> },
    /// The model is here.
    Made { node: NodeId, id: ErrandId, num_bytes: u64, state: Box<ModelState> },
    /// An answer of a node.
    Said { node: NodeId, id: ErrandId, answer: Answer },
    /// Somebody asks clients to evaluate a model.
    Test { round: Round, state: Arc<ModelState>, reply: SyncSender<Tested> },
}

/// An answer of a node.
pub(super) enum Answer {
    Evaluated(Evaluation),
    Failed { reason: String, is_of_settings: bool },
}

/// The errands that are open, and who waits for them.
#[derive(Default)]
pub(super) struct Waiting {
    pub(super) errands: Errands,
    replies: std::collections::BTreeMap<ErrandId, SyncSender<Done>>,
}

impl Desk<'_> {
    /// Takes a message about an errand.
    pub(super) fn take_about(&mut self, about: About) {
        let steps = match about {
            About::Test { round, state, reply } => {
                self.test_at_clients(round, state, reply);
                return;
            }
            About::Said { node, id, answer } if self.client_tests.is_some() => {
                self.client_said(node, id, answer);
                return;
            }
            About::Ask { errand, reply } => {
                let (id, steps) = self.waiting.errands.ask(errand);
                self.waiting.replies.insert(id, reply);
                steps
            }
            About::Delivers { node, initial, reply } => {
                let is_given = matches!(self.waiting.errands.given(node, initial.id), Some(Errand::Initialize { .. }));
                let receiving = match is_given {
                    true => Receiving::bundle(initial.object, initial.bytes_max()).map_err(|damage: Damage| damage.to_string()),
                    false => Err("nobody waits for this model".to_owned()),
                };
                let _ = reply.send(receiving);
                Vec::new()
            }
            About::Made { node, id, num_bytes, state } => {
                self.received(node, num_bytes);
                let by = self.name_of(node);
                let layout = Arc::clone(&state.layout);
                if self.errand_done(node, id, Done::Model { state, by }) {
                    // From now on updates are as large as this model.
                    self.layout = layout;
                }
                Vec::new()
            }
            About::Said { node, id, answer: Answer::Evaluated(evaluation) } => {
                self.errand_done(node, id, Done::Evaluated(evaluation));
                Vec::new()
            }
            About::Said { node, id, answer: Answer::Failed { reason, is_of_settings } } => {
                self.waiting.errands.failed(node, id, reason, is_of_settings).unwrap_or_default()
            }
        };
        self.carry_out_errands(steps);
    }

    /// Ends an errand; returns false if nobody waits for this node's answer any more.
    fn errand_done(&mut self, node: NodeId, id: ErrandId, done: Done) -> bool {
        let is_awaited = self.waiting.errands.done(node, id);
        if is_awaited {
            self.objects.over(Holder::Errand(id));
            if let Some(reply) = self.waiting.replies.remove(&id) {
                let _ = reply.send(done);
            }
        }
        is_awaited
    }

    /// Carries out what was decided about errands.
    pub(super) fn carry_out_errands(&mut self, steps: Vec<Step>) {
        for step in steps {
            match step {
                Step::Give { node, id, errand: Errand::Initialize { seed } } => {
                    self.send(node, v1::to_node::Message::Initialize(errand::initialize(id, seed, self.settings)));
                }
                Step::Give { node, id, errand: Errand::Evaluate { round, state } } => {
                    let model = self.objects.model(&state);
                    self.objects.offer(Holder::Errand(id), &model);
                    self.send(node, v1::to_node::Message::Evaluate(errand::evaluate(id, round.0, &model, self.settings)));
                }
                Step::Fail { id, reason, is_of_settings } => {
                    self.objects.over(Holder::Errand(id));
                    if let Some(reply) = self.waiting.replies.remove(&id) {
                        let _ = reply.send(Done::Failed { reason, is_of_settings });
                    }
                }
            }
        }
    }
}

/// Has the model of the run made by a node, and returns it with the node's name.
///
/// # Errors
/// If no node can, or the run is to stop before one has.
pub(super) fn initial_model(inputs: &mpsc::Sender<Input>, seed: Seed, stop: &AtomicBool) -> Result<(ModelState, String), RunError> {
    let answer = ask(inputs, Errand::Initialize { seed }).ok_or(RunError::Abandoned)?;
    loop {
        match answer.recv_timeout(TICK) {
            _ if stop.load(Ordering::Relaxed) => return Err(RunError::Stopped { last_recorded: None }),
            Ok(Done::Model { state, by }) => return Ok((*state, by)),
            Ok(Done::Failed { reason, is_of_settings }) => return Err(RunError::Initial { reason, is_of_settings }),
            Ok(Done::Evaluated(_)) | Err(RecvTimeoutError::Disconnected) => return Err(RunError::Abandoned),
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

fn ask(inputs: &mpsc::Sender<Input>, errand: Errand) -> Option<Receiver<Done>> {
    let (reply, answer) = sync_channel(1);
    inputs.blocking_send(Input::Errand(About::Ask { errand, reply })).ok()?;
    Some(answer)
}

/// An evaluator that has nodes evaluate.
pub(super) struct AtNodes<'a> {
    pub(super) inputs: mpsc::Sender<Input>,
    pub(super) failed_of_settings: &'a AtomicBool,
}

impl Evaluator for AtNodes<'_> {
    fn evaluate(&mut self, round: Round, state: &ModelState) -> Result<Evaluation, BoxError> {
        let over = || BoxError::from("the run is over");
        let answer = ask(&self.inputs, Errand::Evaluate { round, state: Arc::new(state.clone()) }).ok_or_else(over)?;
        // It ends with the hub's thread, which has the other end.
        let done = answer.recv().map_err(|_| over())?;
        match done {
            Done::Evaluated(evaluation) => Ok(evaluation),
            Done::Failed { reason, is_of_settings } => {
                self.failed_of_settings.fetch_or(is_of_settings, Ordering::Relaxed);
                Err(reason.into())
            }
            Done::Model { .. } => Err(over()),
        }
    }
}
